"""The one-line errors that a user sees instead of a traceback, made fit for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

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


def nearest(word: str, names: Iterable[str]) -> str:
    """ "; did you mean …?" with the name that a mistyped word is most like; empty where it is like none."""
    import difflib

    by_letters = {name.lower().replace("_", "-"): name for name in names}
    found = difflib.get_close_matches(word.lower().replace("_", "-"), by_letters, 1)
    return f"; did you mean {by_letters[found[0]]}?" if found else ""


def counted(n: int, one: str) -> str:
    """ "1 image", "2,000 images"."""
    return f"{n:,} {one}" + ("" if n == 1 else "s")


def first_line(error: BaseException) -> str:
    """An error's message on one line; its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip()


def named(error: BaseException) -> str:
    """An error's type, and what it says where it says anything."""
    return ": ".join(filter(None, [type(error).__name__, str(error)]))
