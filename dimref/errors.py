"""The one-line errors that a user sees instead of a traceback, made fit for a terminal."""

MOST = 1000  # characters of a line


class DimrefError(Exception):
    """One clear line: the thing, what was expected, what was found. The command line prints it and exits with its code."""

    exit_code = 2


def printable(line: str) -> str:
    """A line that is safe to print, whatever name, file or exception is quoted in it.

    Control characters and unprintable ones are written as escapes. A long line loses its middle: its start names the
    thing, its end the remedy.
    """
    if len(line) > MOST:
        line = f"{line[: MOST - 300]}… ({len(line) - MOST + 100:,} characters) …{line[-200:]}"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def first_line(error: BaseException) -> str:
    """An error's message on one line; its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip()


def named(error: BaseException) -> str:
    """An error's type, and what it says where it says anything."""
    return ": ".join(filter(None, [type(error).__name__, str(error)]))
