"""Small files that nobody vouches for: a regular file of a bounded size is read. Loads no NumPy, for `training.config`."""

import errno
from pathlib import Path

MOST_BYTES = 1 << 24  # of a configuration or an evaluation, which are a thousand times smaller


def no_file(path: Path) -> str:
    """What lies there in a regular file's place; "" where one does, or nothing at all.

    To open a pipe would be to wait for somebody who writes into it, and a device may never end.
    """
    if path.is_file() or not path.exists():
        return ""
    return "a directory" if path.is_dir() else "a device or a pipe"


def read_small(path: Path) -> bytes:
    """All bytes of a regular file of at most `MOST_BYTES`.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger; `strerror` says so in words.
    """
    if found := no_file(path):
        raise OSError(errno.EINVAL, found)
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"more than {MOST_BYTES} bytes")
    return content
