"""What a user gets told instead of a traceback."""


class DimrefError(Exception):
    """One clear line: the thing, what was expected, what was found. The command line prints it and exits with the code."""

    exit_code = 2
