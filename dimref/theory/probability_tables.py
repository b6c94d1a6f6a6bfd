"""The definition of a probability table; the errors name the entry or the sum that is wrong.

Tables are float64 NumPy arrays on the host. Nothing is renormalised in silence: a table that does not sum to one is
a mistake upstream (most often a float32 softmax, or counts), and hiding it would hide the mistake.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Table = NDArray[np.float64]

# Far above float64 rounding in any sum that fits in memory, far below one float32 rounding (6e-8).
SUM_TOLERANCE = 1e-9


def nats_per_unit(base: float) -> float:
    """log(base): divide nats by it to get the unit of `base` (math.e: nats, 2: bits, 10: hartleys)."""
    if not (1.0 < base < math.inf):
        raise ValueError(f"base is {base!r}, expected a finite number > 1 (math.e for nats, 2 for bits)")
    return math.log(base)


def as_real(values: ArrayLike, name: str) -> Table:
    """The values as a float64 array; integers are welcome, text, complex numbers and ragged lists are not."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: {error}") from error
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} has dtype {array.dtype}, expected real numbers")
    return array.astype(np.float64)


def refuse(array: Table, wrong: NDArray[np.bool_], name: str, expected: str) -> None:
    """Raise a ValueError that names the first entry marked wrong and its value."""
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = ", ".join(map(str, index))
        raise ValueError(f"{name}[{where}] is {float(array[index])!r}, expected {expected}")


def as_probabilities(values: ArrayLike, name: str, ndim: int | None) -> Table:
    """The values as a non-empty array of `ndim` axes (None: at least one) with finite entries, none negative."""
    array = as_real(values, name)
    if not array.ndim or ndim not in (None, array.ndim):
        raise ValueError(f"{name} has shape {array.shape}, expected {ndim or 'at least one'} axes")
    if not array.size:
        raise ValueError(f"{name} has shape {array.shape}, expected at least one entry")
    refuse(array, ~(np.isfinite(array) & (array >= 0)), name, "a finite probability ≥ 0")
    return array


def as_table(values: ArrayLike, name: str, ndim: int | None) -> Table:
    """The values as a joint distribution of `ndim` variables (None: at least one): probabilities that sum to one."""
    table = as_probabilities(values, name, ndim)
    total = float(table.sum())
    if abs(total - 1.0) > SUM_TOLERANCE:
        raise ValueError(f"{name} sums to {total!r}, expected 1 within {SUM_TOLERANCE}")
    return table


def as_pair(p: ArrayLike, q: ArrayLike) -> tuple[Table, Table]:
    """Two distributions over the same outcomes, of any number of axes."""
    p, q = as_table(p, "p", None), as_table(q, "q", None)
    if p.shape != q.shape:
        raise ValueError(f"q has shape {q.shape}, expected {p.shape}, the shape of p")
    return p, q
