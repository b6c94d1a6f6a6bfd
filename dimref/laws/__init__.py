"""The theory as runnable statements: every inequality and identity that the code must obey, with its source.

    for result in dimref.laws.check("infonce"):
        print(result.law.statement, result.tightest)

Each family is one file: `batch` (every batch, any scores), `forms` (the same quantity written twice), `exact`
(expectations by enumeration), `tables` (information of discrete tables), `gaussian`, `gradients`, `operators`,
`critics`, `multiview`, `ranks`, and `counter`: false statements that are easily believed, with the case that refutes
each; those about ranks are in `ranks`.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from dimref.backend import NUMPY, Backend
from dimref.errors import DimrefError, nearest
from dimref.laws import batch, counter, critics, exact, forms, gaussian, gradients, multiview, operators, ranks, tables
from dimref.laws.law import Case, Law, Sizes, Slack

if TYPE_CHECKING:
    from dimref.laws.search import Result

__all__ = ["LAWS", "Case", "Law", "Sizes", "Slack", "check", "matching"]

FAMILIES = (batch, forms, exact, tables, gaussian, gradients, operators, critics, multiview, ranks, counter)
LAWS = tuple(value for family in FAMILIES for value in vars(family).values() if isinstance(value, Law))


def matching(pattern: str = "") -> tuple[Law, ...]:
    """The laws whose name contains the pattern; * and ? stand for any text and any letter.

    Raises:
        DimrefError: no law matches.
    """
    result = tuple(law for law in LAWS if fnmatchcase(law.name, f"*{pattern}*"))
    if not result:
        families = ", ".join(family.__name__.rsplit(".", 1)[-1] for family in FAMILIES)
        raise DimrefError(f"laws: expected part of a law's name (see --list) or one of {families}, found {pattern!r}"
                          f"{nearest(pattern, (law.name.rsplit('.')[-1] for law in LAWS))}")  # fmt: skip
    return result


def check(pattern: str = "", backend: Backend = NUMPY, examples: int = 50, seed: int = 0) -> Iterator["Result"]:
    """Try the matching laws one by one, each when its result is requested; the same seed tries the same cases.

    Args:
        pattern: as for `matching`; every law if empty.
        backend: where the library's functions run; exact tables stay on the host, in float64.
        examples: cases of each law, fewer of a law with a weight; a counter-law has one.
    Raises:
        DimrefError: no law matches, or Hypothesis is not installed.
    """
    chosen = matching(pattern)
    try:
        from dimref.laws.search import search
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        cause = "expected Hypothesis, which draws and shrinks the cases, found it not installed"
        raise DimrefError(f"check: {cause}; install it with pip install '.[check]'") from None
    return (search(law, backend, examples, seed) for law in chosen)
