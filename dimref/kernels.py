"""Chains of elementwise operations as single kernels of a device, in CUDA C.

Their plain forms are in `ops`, `normalization` and `optim`.

A pass over memory costs a device as much as the arithmetic of many, and a launch costs the same for any array. So what NumPy
does in several passes is one kernel here: Adam, 12 passes; normalization and its gradient, 2 and 6; a sigmoid, 4. Sums
are CuPy's own reductions. `of(array)` is the only place that asks what an array is: None for NumPy's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any
Pair = tuple[int, int]

# Name → parameters, results, what is done with each element. T is the arrays' type. A result that is given is overwritten.
ELEMENTWISE = {
    # g·[kept > 0], the gradient of relu; a product, so that what is not finite does not vanish
    "gate": ("T g, T kept", "T out", "out = g * T(kept > T(0))"),
    # 1/(1 + e⁻ˣ) for x ≥ 0, eˣ/(1 + eˣ) below: eˣ never overflows, and both ends keep full relative accuracy
    "sigmoid": (
        "T x",
        "T out",
        """
        T e = exp(x < T(0) ? x : -x);
        out = (x < T(0) ? e : T(1)) / (T(1) + e)
        """,
    ),
    # (x − μ)/√(σ² + ε) from the sum of squared deviations
    "standardize": (
        "T x, T mean, T squares, float64 count, float64 epsilon",
        "T out",
        "out = (x - mean) * (T(1) / sqrt(squares / T(count) + T(epsilon)))",
    ),
    # (g − mean g − x̂·mean(g·x̂))/√(σ² + ε), from the sum of g·x̂
    "standardize_gradient": (
        "T g, T standard, T g_mean, T along, T squares, float64 count, float64 epsilon",
        "T out",
        """
        out = (g - g_mean - standard * (along / T(count))) * (T(1) / sqrt(squares / T(count) + T(epsilon)))
        """,
    ),
    "squared_deviations": ("T x, T mean", "T out", "out = (x - mean) * (x - mean)"),
    # gain·(x − μ)/√(σ² + ε) + shift, or max(·, 0) of it
    "normalize": (
        "T x, T mean, T gain, T shift, T variance, float64 epsilon, bool rectified",
        "T out",
        """
        const T y = (x - mean) * (gain / sqrt(variance + T(epsilon))) + shift;
        out = rectified && y < T(0) ? T(0) : y
        """,
    ),
    # g behind that ReLU, and g·(x − μ)
    "behind": (
        "T g, T kept, T x, T mean, bool rectified",
        "T behind, T along",
        """
        behind = rectified ? g * T(kept > T(0)) : g;
        along = behind * (x - mean)
        """,
    ),
    # x/√(σ² + ε)
    "per_deviation": ("T x, T variance, float64 epsilon", "T out", "out = x / sqrt(variance + T(epsilon))"),
    # gain/√(σ² + ε)·(g − mean g − x̂·mean(g·x̂)), from Σ g·x̂ and Σ g
    "normalize_gradient": (
        "T g, T x, T mean, T gain, T variance, T of_gain, T of_shift, float64 count, float64 epsilon",
        "T out",
        """
        T scale = T(1) / sqrt(variance + T(epsilon));
        out = gain * scale * (g - ((x - mean) * scale * of_gain + of_shift) / T(count))
        """,
    ),
    # (1 − m)·running + m·factor·newest
    "toward": (
        "T running, T newest, float64 momentum, float64 factor",
        "T out",
        "out = T(1 - momentum) * running + T(momentum * factor) * newest",
    ),
    # [index = row], of a row for each index there can be
    "one_hot": ("raw I index, int64 count", "T out", "out = T(index[i % count] == I(i / count))"),
    # rate and floor of `optim.corrections`: one number each, or an array of one
    "adam": (
        "T g, T rate, T floor, float64 beta1, float64 beta2",
        "T p, T m, T v",
        """
        m = T(beta1) * m + T(1 - beta1) * g;
        v = T(beta2) * v + T(1 - beta2) * (g * g);
        p -= rate * m / (sqrt(v) + floor)
        """,
    ),
}

# Name → parameters, what is summed.
SUMS = {
    "sum_of_squares": ("T x", "x * x"),
    "sum_of_squared_deviations": ("T x, T mean", "(x - mean) * (x - mean)"),
    "sum_of_products": ("T x, T y", "x * y"),
}

# Of images (·, H, W, C) and their windows (·, HIGH, WIDE, KH, KW, C): constants of a kernel, or its divisions would be
# most of its work.
GEOMETRY = ("H", "W", "C", "HIGH", "WIDE", "KH", "KW", "SH", "SW", "PH", "PW")
WINDOWS = {
    # each number of a window is looked up in the image
    "im2col": (
        "raw T x",
        "T out",
        """
        const long long image = i / (HIGH * WIDE * KH * KW * C);
        int at = int(i % (HIGH * WIDE * KH * KW * C));
        const int c = at % C; at /= C;
        const int column = at / KW / KH % WIDE * SW + at % KW - PW;
        const int row = at / KW / KH / WIDE * SH + at / KW % KH - PH;
        const bool inside = row >= 0 && row < H && column >= 0 && column < W;
        out = inside ? x[((image * H + row) * W + column) * C + c] : T(0)
        """,
    ),
    # each number of an image adds up the windows that see it, the last first
    "col2im": (
        "raw T columns",
        "T out",
        """
        const long long image = i / (H * W * C);
        int at = int(i % (H * W * C));
        const int c = at % C; at /= C;
        const int row = at / W + PH, column = at % W + PW;
        T sum = T(0);
        for (int p = row / SH; p >= 0 && row - p * SH < KH; --p)
            for (int q = column / SW; q >= 0 && column - q * SW < KW; --q)
                if (p < HIGH && q < WIDE)
                    sum += columns[(((image * HIGH + p) * WIDE + q) * KH + row - p * SH) * (KW * C)
                                   + (column - q * SW) * C + c];
        out = sum
        """,
    ),
}


@dataclass(frozen=True)
class Kernels:
    """A device's kernels.

    Args:
        matmul: the product of two matrices. named: each of ELEMENTWISE and SUMS, as CuPy calls them.
        windows: those of WINDOWS by name and geometry, called with the array that is read and the one that is written.
        row: (1, n) times a number, by n, type and number; always the same array, since captured work may know its place.
    """

    matmul: Callable[[Array, Array], Array]
    named: dict[str, Callable[..., Any]]
    windows: Callable[[str, tuple[int, ...]], Callable[[Array, Array], Array]]
    row: Callable[[int, Any, float], Array]

    def column_sums(self, x: Array, factor: float = 1.0) -> Array:
        """factor·Σ over the rows of a matrix, as a product: CuPy's own sum over rows takes up to 20 times as long."""
        return self.matmul(self.row(x.shape[0], x.dtype, factor), x)[0]

    def one_hot(self, index: Array, rows: int, like: Array) -> Array:
        """[index[p] = r] for each r in 0..rows−1 and each p: (rows, indices), in the type of `like`."""
        out = np.empty_like(like, shape=(rows, index.size), order="C")
        return self.named["one_hot"](_contiguous(index), index.size, out)

    def im2col(self, x: Array, sides: Pair, kernel: Pair, stride: Pair, padding: Pair) -> Array:
        """See `ops.im2col`; `sides`: how many windows there are along each axis."""
        out = np.empty_like(x, shape=(x.shape[0], *sides, kernel[0] * kernel[1] * x.shape[3]), order="C")
        geometry = (*x.shape[1:], *sides, *kernel, *stride, *padding)
        return self.windows("im2col", geometry)(_contiguous(x), out)

    def col2im(self, columns: Array, shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair) -> Array:
        """See `ops.col2im`."""
        out = np.empty_like(columns, shape=shape, order="C")
        geometry = (*shape[1:], *columns.shape[1:3], *kernel, *stride, *padding)
        return self.windows("col2im", geometry)(_contiguous(columns), out)

    def standardize(self, x: Array, axis: int, epsilon: float) -> tuple[Array, Array]:
        """See `ops.standardize`; and Σ (x − μ)² along the axis, which is kept, for the gradient."""
        mean = x.mean(axis=axis, keepdims=True)
        squares = self.named["sum_of_squared_deviations"](x, mean, axis=axis, keepdims=True)
        return self.named["standardize"](x, mean, squares, float(x.shape[axis]), epsilon), squares

    def standardize_gradient(self, g: Array, standard: Array, squares: Array, axis: int, epsilon: float) -> Array:
        """Its VJP, from g, x̂ and x's squared deviations."""
        along = self.named["sum_of_products"](g, standard, axis=axis, keepdims=True)
        g_mean = g.mean(axis=axis, keepdims=True)
        return self.named["standardize_gradient"](g, standard, g_mean, along, squares, float(g.shape[axis]), epsilon)

    def moments(self, x: Array) -> tuple[Array, Array]:
        """See `normalization.moments`; in two passes, which cost a device less than the arithmetic of one."""
        mean = self.column_sums(x, 1 / x.shape[0])
        return mean, self.column_sums(self.named["squared_deviations"](x, mean), 1 / x.shape[0])

    def normalize(
        self, x: Array, mean: Array, gain: Array, shift: Array, variance: Array, epsilon: float, rectified: bool
    ) -> Array:
        """See `normalization.normalize_columns`."""
        return self.named["normalize"](x, mean, gain, shift, variance, epsilon, rectified)

    def normalize_gradient(
        self, g: Array, ans: Array, x: Array, mean: Array, gain: Array, variance: Array, epsilon: float, rectified: bool
    ) -> tuple[Callable[[], Array], Array, Array]:
        """Its VJP: a function that computes the gradient of x, and the gradients of gain and shift."""
        behind, along = self.named["behind"](g, ans, x, mean, rectified)
        of_gain = self.named["per_deviation"](self.column_sums(along), variance, epsilon)
        of_shift, count = self.column_sums(behind), float(g.shape[0])

        def of_x() -> Array:
            return self.named["normalize_gradient"](behind, x, mean, gain, variance, of_gain, of_shift, count, epsilon)

        return of_x, of_gain, of_shift

    def toward(self, running: Array, newest: Array, momentum: float, factor: float) -> Array:
        """See `layers.batch_norm`: (1 − momentum)·running + momentum·factor·newest."""
        return self.named["toward"](running, newest, momentum, factor)

    def gate(self, g: Array, kept: Array) -> Array:
        """g·[kept > 0]."""
        return self.named["gate"](g, kept)

    def sigmoid(self, x: Array) -> Array:
        """See `ops.sigmoid`."""
        return self.named["sigmoid"](x)

    def sum_of_squares(self, x: Array) -> Array:
        """Σ x²."""
        return self.named["sum_of_squares"](x)

    def adam(
        self,
        p: Array,
        g: Array,
        m: Array,
        v: Array,
        corrected: tuple[Any, Any],
        betas: tuple[float, float],
    ) -> None:
        """Overwrite p, m and v by a step of `optim.adam_step`; corrected: what `optim.corrections` returns."""
        self.named["adam"](g, *corrected, *betas, p, m, v)


def _contiguous(x: Array) -> Array:
    return x if x.flags.c_contiguous else x.copy()


_OF: dict[type, Kernels] = {}


def register(array_type: type, kernels: Kernels) -> None:
    """Have arrays of that type computed by these kernels."""
    _OF[array_type] = kernels


def of(array: Array) -> Kernels | None:
    """The kernels of an array's device; None where the plain form is the way."""
    return _OF.get(type(array))


def product(x: Array, y: Array) -> Array:
    """x @ y, by the kernels of x where it has some."""
    found = of(x)
    return x @ y if found is None else found.matmul(x, y)


def cupy_kernels(cupy: Any, matmul: Callable[[Array, Array], Array]) -> Kernels:
    """The kernels as CuPy's; each is compiled when it is first called."""
    named = {name: cupy.ElementwiseKernel(*text, f"dimref_{name}") for name, text in ELEMENTWISE.items()}
    for name, (parameters, summed) in SUMS.items():
        named[name] = cupy.ReductionKernel(parameters, "T out", summed, "a + b", "out = a", "0", f"dimref_{name}")

    @functools.cache
    def windows(name: str, geometry: tuple[int, ...]) -> Callable[[Array, Array], Array]:
        return cupy.ElementwiseKernel(*WINDOWS[name], f"dimref_{name}", preamble=constants(geometry))

    @functools.cache
    def row(n: int, dtype: Any, number: float) -> Array:
        return cupy.full((1, n), number, dtype)

    return Kernels(matmul, named, windows, row)


def constants(geometry: tuple[int, ...]) -> str:
    """A geometry as C, for a kernel of WINDOWS."""
    return "".join(f"constexpr int {name} = {number};\n" for name, number in zip(GEOMETRY, geometry, strict=True))
