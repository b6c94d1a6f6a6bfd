"""A device's own kernels, and the regions that they implement.

A pass over memory costs a device as much as the arithmetic of many, and a launch costs the same for any array. So what NumPy
does in several passes is one kernel there (`cuda_source.py`). `register` implements the reference's regions by them; the
fused forms of this folder get the others by `of(array)`: None for NumPy's arrays.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dimref import layers, ops
from dimref.engine.cuda_source import ELEMENTWISE, MANY, PIECE, SHAPED, THREADS, block_text, constants
from dimref.engine.forms import of_one_type
from dimref.ops import Pair
from dimref.tape import implement
from dimref.trees import Array

Groups = Sequence[tuple[Array, ...]]  # of equal size within a group

LISTS = np.dtype([("places", np.uint64, (4, MANY)), ("sizes", np.int64, (MANY,)), ("ends", np.int64, (MANY,))])
NOWHERE = np.uint64(0)


@dataclass(frozen=True)
class Kernels:
    """A device's kernels.

    Args:
        matmul: the product of two matrices; with a third array, added to it in place.
        named: each of ELEMENTWISE, as CuPy calls them.
        shaped: those of SHAPED by name and constants, called with what is read and the array that is written.
        rows: those of ROWS by name and type, called with the numbers of blocks and the arguments.
        lists: those of LISTS likewise, called with groups of arrays, the number of blocks and further arguments.
        row: (1, n) times a number, by n, type and number; always the same array, since captured work may know its place.
    """

    matmul: Callable[..., Array]
    named: dict[str, Callable[..., Any]]
    shaped: Callable[[str, tuple[int, ...]], Callable[..., Array]]
    rows: Callable[[str, str], Callable[[tuple[int, ...], tuple[Any, ...]], None]]
    lists: Callable[[str, str], Callable[[Groups, int, tuple[Any, ...]], None]]
    row: Callable[[int, Any, float], Array]

    def biased(self, out: Array, b: Array, relu: bool) -> Array:
        """See `layers.linear_rows`: over `out` itself."""
        return self.named["biased"](b, relu, out)

    def pairs(self, feature: Array, own: Array, others: Array, index: Array) -> Array:
        """See `pair_layer.side_by_side`."""
        n, locations, hidden = feature.shape
        out = np.empty_like(feature, shape=(n, 2 * locations, hidden), order="C")
        arrays = map(_contiguous, (feature, own, others, index))
        return self.shaped("pairs", (locations, hidden, others.shape[0]))(*arrays, out)

    def im2col(self, x: Array, sides: Pair, kernel: Pair, stride: Pair, padding: Pair) -> Array:
        """See `ops.im2col`; `sides`: how many windows there are along each axis."""
        b, h, w, c = x.shape
        out = np.empty_like(x, shape=(b, *sides, kernel[0] * kernel[1] * c), order="C")
        x, to, c = _wide(_contiguous(x), out, c)
        self.shaped("im2col", (h, w, c, *sides, *kernel, *stride, *padding))(x, to)
        return out

    def col2im(self, columns: Array, shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair) -> Array:
        """See `ops.col2im`."""
        out = np.empty_like(columns, shape=shape, order="C")
        geometry = (*shape[1:], *columns.shape[1:3], *kernel, *stride, *padding)
        return self.shaped("col2im", geometry)(_contiguous(columns), out)

    def column_sums(self, x: Array, factor: float = 1.0) -> Array:
        """factor·Σ over the rows of a matrix, as a product: CuPy's own sum over rows takes up to 20 times as long."""
        return self.matmul(self.row(x.shape[0], x.dtype, factor), x)[0]

    def scatter_add(self, g: Array, index: Array, rows: int) -> Array:
        """See `ops.scatter_add`."""
        tail = g.shape[index.ndim :]
        out, width = np.empty_like(g, shape=(rows, *tail), order="C"), math.prod(tail)
        blocks = rows, -(-width // THREADS)
        index = index if index.dtype == np.int64 else index.astype(np.int64)  # as the kernel reads it
        arguments = (_contiguous(g), _contiguous(index), out, np.int32(index.size), np.int32(width))
        self.rows("scatter", g.dtype.name)(blocks, arguments)
        return out

    def standardize(self, x: Array, axis: int, epsilon: float) -> tuple[Array, Array]:
        """See `ops.standardize`; and Σ (x − μ)² along the axis, which stays with size 1, for the gradient."""
        x = _contiguous(x.swapaxes(axis, -1))
        out, squares = np.empty_like(x), np.empty_like(x, shape=(*x.shape[:-1], 1))
        n, number = x.shape[-1], x.dtype.type
        self.rows("standardize", x.dtype.name)((squares.size,), (x, out, squares, np.int32(n), number(epsilon)))
        return out.swapaxes(axis, -1), squares.swapaxes(axis, -1)

    def standardize_gradient(self, g: Array, standard: Array, squares: Array, axis: int, epsilon: float) -> Array:
        """Its VJP, from g, x̂ and x's squared deviations."""
        arrays = (converted(a, g.dtype).swapaxes(axis, -1) for a in (g, standard, squares))
        g, standard, squares = map(_contiguous, arrays)
        out, n, number = np.empty_like(g), g.shape[-1], g.dtype.type
        self.rows("standardize_gradient", g.dtype.name)(
            (squares.size,), (g, standard, squares, out, np.int32(n), number(epsilon))
        )
        return out.swapaxes(axis, -1)

    def moments(self, x: Array) -> tuple[Array, Array]:
        """See `batch_norm.moments`; in two passes, so that no number near μ is needed."""
        mean = self.column_sums(x, 1 / x.shape[0])
        return mean, self.column_sums(self.named["squared_deviations"](x, mean), 1 / x.shape[0])

    def normalize(
        self, x: Array, mean: Array, gain: Array, shift: Array, variance: Array, epsilon: float, relu: bool
    ) -> Array:
        """See `batch_norm.normalize_columns`."""
        return self.named["normalize"](x, mean, gain, shift, variance, epsilon, relu)

    def normalize_gradient(
        self, g: Array, ans: Array, x: Array, mean: Array, gain: Array, variance: Array, epsilon: float, relu: bool
    ) -> tuple[Callable[[], Array], Array, Array]:
        """Its VJP: a function that computes the gradient of x, and the gradients of gain and shift."""
        ans, x, mean, gain, variance = (converted(a, g.dtype) for a in (ans, x, mean, gain, variance))
        passed, along = self.named["through_relu"](g, ans, x, mean, relu)
        of_gain = self.named["per_deviation"](self.column_sums(along), variance, epsilon)
        of_shift, count = self.column_sums(passed), float(g.shape[0])

        def of_x() -> Array:
            return self.named["normalize_gradient"](passed, x, mean, gain, variance, of_gain, of_shift, count, epsilon)

        return of_x, of_gain, of_shift

    def sums_of_squares(self, arrays: Sequence[Array]) -> Array:
        """Σ x² of each array of one type, (len(arrays),); the same sums on every run."""
        groups = [(_contiguous(x),) for x in arrays]
        out = np.empty_like(arrays[0], shape=(len(groups),))
        for start in range(0, len(groups), MANY):
            some = groups[start : start + MANY]
            parts = np.empty_like(out, shape=(_ends(some)[-1],))
            self._launch("squares", some, parts.size, parts)
            self._launch("totals", some, len(some), parts, out[start : start + len(some)])
        return out

    def adam(self, groups: Groups, rates: Array | tuple[float, float], betas: tuple[float, float]) -> None:
        """Overwrite p, m and v of each (p, g, m, v), all of one type, by a step of `optim.adam_step`.

        Args:
            rates: what `optim.step_rates` returns, as numbers or as an array.
        """
        fed, rate, floor = (NOWHERE, *rates) if isinstance(rates, tuple) else (rates, 0.0, 0.0)
        number = groups[0][0].dtype.type
        for start in range(0, len(groups), MANY):
            some = groups[start : start + MANY]
            self._launch("adam", some, _ends(some)[-1], fed, number(rate), number(floor), *map(np.float64, betas))

    def _launch(self, name: str, groups: Groups, blocks: int, *more: Any) -> None:
        """A kernel of LISTS, which reads all arrays as of one type; none where all are empty."""
        (dtype,) = {a.dtype.name for group in groups for a in group}
        if blocks:
            self.lists(name, dtype)(groups, blocks, more)


def _ends(groups: Groups) -> list[int]:
    """The number of blocks of PIECE numbers up to the end of each group."""
    return list(itertools.accumulate(-(-group[0].size // PIECE) for group in groups))


def table(groups: Groups, place: Callable[[Array], int]) -> np.ndarray:
    """`Lists` of the kernels, as an array of one record; place: the address of an array's first number."""
    lists = np.zeros(1, LISTS)
    for k, group in enumerate(groups):
        lists["places"][0, : len(group), k] = [place(a) for a in group]
        lists["sizes"][0, k] = group[0].size
    lists["ends"][0, : len(groups)] = _ends(groups)
    return lists


def _contiguous(x: Array) -> Array:
    return x if x.flags.c_contiguous else x.copy()


def _wide(x: Array, out: Array, channels: int) -> tuple[Array, Array, int]:
    """Both arrays with every four channels of float32 seen as one number of 16 bytes, where channels come in fours."""
    if channels % 4 or x.dtype.name != "float32":
        return x, out, channels
    return x.view(np.complex128), out.view(np.complex128), channels // 4


_OF: dict[type, Kernels] = {}


def register(array_type: type, kernels: Kernels) -> None:
    """Compute arrays of that type by these kernels."""
    _OF[array_type] = kernels
    name = f"{array_type.__module__}.{array_type.__name__}"

    def im2col(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
        return kernels.im2col(x, ops.out_sizes(x.shape, kernel, stride, padding), kernel, stride, padding)

    forms: list[tuple[Callable[..., Array], Callable[..., Array]]] = [
        (ops.matmul, kernels.matmul),
        (ops.scatter_add, kernels.scatter_add),
        (ops.im2col, im2col),
        (ops.col2im, kernels.col2im),
        (ops.gate, kernels.named["gate"]),
        (ops.sigmoid, kernels.named["sigmoid"]),
        (layers.moving_average, kernels.named["toward"]),
    ]

    def applies(*arguments: Any) -> bool:
        arrays = [a for a in arguments if hasattr(a, "dtype")]
        return all(type(a) is array_type for a in arrays) and of_one_type(*arrays)

    for place, form in forms:
        implement(place, name, form, applies)


def of(array: Array) -> Kernels | None:
    """The kernels of an array's device; None of any other array."""
    return _OF.get(type(array))


def converted(a: Array, dtype: np.dtype) -> Array:
    """The array in that type: itself where it has it."""
    return a if a.dtype == dtype else a.astype(dtype)


def sums_of_squares(arrays: list[Array]) -> list[Array]:
    """Σ x² of each array, one by one; or all of them in one array, by a device's kernel."""
    device = of(arrays[0])
    return [(a * a).sum() for a in arrays] if device is None else [device.sums_of_squares(arrays)]


def cupy_kernels(cupy: Any, matmul: Callable[..., Array]) -> Kernels:
    """The kernels as CuPy's; each is compiled when it is first called."""
    named = {name: cupy.ElementwiseKernel(*text, f"dimref_{name}") for name, text in ELEMENTWISE.items()}

    @functools.cache
    def shaped(name: str, sizes: tuple[int, ...]) -> Callable[..., Array]:
        names, *text = SHAPED[name]
        return cupy.ElementwiseKernel(*text, f"dimref_{name}", preamble=constants(names, sizes))

    @functools.cache
    def module(dtype: str) -> Any:
        return cupy.RawModule(code=block_text(dtype))

    @functools.cache
    def rows(name: str, dtype: str) -> Callable[[tuple[int, ...], tuple[Any, ...]], None]:
        kernel = module(dtype).get_function(name)
        return lambda blocks, arguments: kernel(blocks, (THREADS,), arguments)

    def lists(name: str, dtype: str) -> Callable[[Groups, int, tuple[Any, ...]], None]:
        kernel = rows(name, dtype)
        return lambda groups, blocks, more: kernel((blocks,), (table(groups, lambda a: a.data.ptr), *more))

    @functools.cache
    def row(n: int, dtype: Any, number: float) -> Array:
        return cupy.full((1, n), number, dtype)

    return Kernels(matmul, named, shaped, rows, lists, row)
