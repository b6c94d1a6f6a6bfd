"""`dimref`, `python -m dimref` and `python cli.py`: Ctrl-C ends them quietly while the rest is still being imported."""

import os
import signal
from types import FrameType


def main() -> None:
    """The command line."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end)
    from dimref.cli import main

    main()


def _end(number: int, frame: FrameType | None) -> None:
    """Nothing has begun, so nothing is left behind; an exception could be caught or turned into another by an import."""
    os._exit(130)


if __name__ == "__main__":
    main()
