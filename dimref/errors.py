"""What a user gets told instead of a traceback, and how it is made fit for a terminal."""

MOST = 1000  # characters of a line


class DimrefError(Exception):
    """One clear line: the thing, what was expected, what was found. The command line prints it and exits with the code."""

    exit_code = 2


def printable(line: str) -> str:
    """A line that is safe to print, whatever name, file or exception its words come from.

    What a terminal would obey or could not show is written as an escape, and a long line loses its middle: at its start
    stands what it is about, at its end what to do.
    """
    if len(line) > MOST:
        line = f"{line[: MOST - 300]}… ({len(line) - MOST + 100:,} characters) …{line[-200:]}"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def first_line(error: BaseException) -> str:
    """What an error says, on one line; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip()


def named(error: BaseException) -> str:
    """An error's type, and what it says where it says anything."""
    return ": ".join(filter(None, [type(error).__name__, str(error)]))
