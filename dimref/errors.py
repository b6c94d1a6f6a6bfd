"""What a user gets told instead of a traceback."""


class DimrefError(Exception):
    """One clear line: the thing, what was expected, what was found. The command line prints it and exits with the code."""

    exit_code = 2


def first_line(error: BaseException) -> str:
    """What an error says, on one line; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip()
