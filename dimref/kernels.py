"""Chains of elementwise operations as single kernels of a device, in CUDA C.

Their plain forms are in `ops`, `normalization`, `pairs` and `optim`.

A pass over memory costs a device as much as the arithmetic of many, and a launch costs the same for any array. So what NumPy
does in several passes is one kernel here. `of(array)` is the only place that asks what an array is: None for NumPy's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any
Pair = tuple[int, int]

# Name → parameters, results, what is done with each element. T is the arrays' type. A result that is given is overwritten.
ELEMENTWISE = {
    # out + b, or max(·, 0) of it
    "biased": (
        "T b, bool rectified",
        "T out",
        """
        const T y = out + b;
        out = rectified && y < T(0) ? T(0) : y
        """,
    ),
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
SUMS = {"sum_of_squares": ("T x", "x * x")}

# Name → constants, parameters, results, text. Sizes are constants, or divisions by them would be most of a kernel's work.
# Images are (·, H, W, C), their windows (·, HIGH, WIDE, KH, KW, C).
GEOMETRY = ("H", "W", "C", "HIGH", "WIDE", "KH", "KW", "SH", "SW", "PH", "PW")
SHAPED = {
    # each number of a window is looked up in the image
    "im2col": (
        GEOMETRY,
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
        GEOMETRY,
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
    # max(0, feature + here) and max(0, feature + others[index]), (·, 2·L, UNITS) in turns of L
    "pairs": (
        ("L", "UNITS"),
        "raw T feature, raw T here, raw T others, raw I index",
        "T out",
        """
        const long long image = i / (2 * L * UNITS);
        const int at = int(i % (2 * L * UNITS)), unit = at % UNITS, l = at / UNITS % L;
        const long long place = image * L + l;
        const T other = at < L * UNITS ? here[image * UNITS + unit] : others[index[place] * UNITS + unit];
        const T y = feature[place * UNITS + unit] + other;
        out = y < T(0) ? T(0) : y
        """,
    ),
}

# Kernels in full: a block of threads for each row, of n numbers or of a result. T is defined before them.
ROWS = """
__device__ T sum_of(T mine) {
    __shared__ T parts[THREADS];
    parts[threadIdx.x] = mine;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
        __syncthreads();
    }
    const T sum = parts[0];
    __syncthreads();  // the next sum overwrites it
    return sum;
}

// x̂ = (x − μ)/√(σ² + ε), and the sum of squared deviations
extern "C" __global__ void standardize(const T* x, T* out, T* squares, int n, T epsilon) {
    const long long row = (long long)blockIdx.x * n;
    T sum = 0, square = 0;
    for (int k = threadIdx.x; k < n; k += blockDim.x) sum += x[row + k];
    const T mean = sum_of(sum) / n;
    for (int k = threadIdx.x; k < n; k += blockDim.x) square += (x[row + k] - mean) * (x[row + k] - mean);
    square = sum_of(square);
    const T scale = 1 / sqrt(square / n + epsilon);
    for (int k = threadIdx.x; k < n; k += blockDim.x) out[row + k] = (x[row + k] - mean) * scale;
    if (threadIdx.x == 0) squares[blockIdx.x] = square;
}

// (g − mean g − x̂·mean(g·x̂))/√(σ² + ε)
extern "C" __global__ void standardize_gradient(
    const T* g, const T* standard, const T* squares, T* out, int n, T epsilon) {
    const long long row = (long long)blockIdx.x * n;
    T level = 0, along = 0;
    for (int k = threadIdx.x; k < n; k += blockDim.x) {
        level += g[row + k];
        along += g[row + k] * standard[row + k];
    }
    level = sum_of(level) / n;
    along = sum_of(along) / n;
    const T scale = 1 / sqrt(squares[blockIdx.x] / n + epsilon);
    for (int k = threadIdx.x; k < n; k += blockDim.x)
        out[row + k] = (g[row + k] - level - standard[row + k] * along) * scale;
}

// out[r] = Σ g[p] over all p with index[p] = r, in their order: the same sum on every run, unlike atomic additions.
// A block scans the index, a few for each thread at a time, and lists the places it has met; then each thread adds up
// its own column.
extern "C" __global__ void scatter(const T* g, const long long* index, T* out, int count, int width) {
    __shared__ int places[EACH * THREADS];
    __shared__ unsigned met[EACH * THREADS];
    const int column = blockIdx.y * blockDim.x + threadIdx.x;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = (blockDim.x + 31) / 32;
    T sum = 0;
    for (int start = 0; start < count; start += EACH * blockDim.x) {
        for (int k = 0; k < EACH; ++k) {
            const int p = start + k * blockDim.x + threadIdx.x;
            const unsigned ballot = __ballot_sync(~0u, p < count && index[p] == blockIdx.x);
            if (lane == 0) met[k * warps + warp] = ballot;
        }
        __syncthreads();
        int many = 0;
        for (int k = 0; k < EACH * warps; ++k) {
            if (k % warps == warp && (met[k] >> lane & 1))
                places[many + __popc(met[k] & ((1u << lane) - 1))] = start + k / warps * blockDim.x + threadIdx.x;
            many += __popc(met[k]);
        }
        __syncthreads();
        if (column < width)
            for (int k = 0; k < many; ++k) sum += g[(long long)places[k] * width + column];
    }
    if (column < width) out[(long long)blockIdx.x * width + column] = sum;
}
"""
THREADS = 256  # of a block, a power of two
EACH = 4  # numbers of an index that a thread looks at before the block adds
C_TYPES = {"float32": "float", "float64": "double"}


@dataclass(frozen=True)
class Kernels:
    """A device's kernels.

    Args:
        matmul: the product of two matrices; over a third array, which it is added to, where one is given.
        named: each of ELEMENTWISE and SUMS, as CuPy calls them.
        shaped: those of SHAPED by name and constants, called with what is read and the array that is written.
        rows: those of ROWS by name and type, called with the numbers of blocks and the arguments.
        row: (1, n) times a number, by n, type and number; always the same array, since captured work may know its place.
    """

    matmul: Callable[..., Array]
    named: dict[str, Callable[..., Any]]
    shaped: Callable[[str, tuple[int, ...]], Callable[..., Array]]
    rows: Callable[[str, str], Callable[[tuple[int, ...], tuple[Any, ...]], None]]
    row: Callable[[int, Any, float], Array]

    def biased(self, out: Array, b: Array, rectified: bool) -> Array:
        """See `ops.affine`: over `out` itself."""
        return self.named["biased"](b, rectified, out)

    def pairs(self, feature: Array, here: Array, others: Array, index: Array) -> Array:
        """See `pairs.side_by_side`."""
        n, locations, hidden = feature.shape
        out = np.empty_like(feature, shape=(n, 2 * locations, hidden), order="C")
        return self.shaped("pairs", (locations, hidden))(*map(_contiguous, (feature, here, others, index)), out)

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
        arguments = (_contiguous(g), _contiguous(index), out, np.int32(index.size), np.int32(width))
        self.rows("scatter", g.dtype.name)(blocks, arguments)
        return out

    def standardize(self, x: Array, axis: int, epsilon: float) -> tuple[Array, Array]:
        """See `ops.standardize`; and Σ (x − μ)² along the axis, which is kept, for the gradient."""
        x = _contiguous(x.swapaxes(axis, -1))
        out, squares = np.empty_like(x), np.empty_like(x, shape=(*x.shape[:-1], 1))
        n, number = x.shape[-1], x.dtype.type
        self.rows("standardize", x.dtype.name)((squares.size,), (x, out, squares, np.int32(n), number(epsilon)))
        return out.swapaxes(axis, -1), squares.swapaxes(axis, -1)

    def standardize_gradient(self, g: Array, standard: Array, squares: Array, axis: int, epsilon: float) -> Array:
        """Its VJP, from g, x̂ and x's squared deviations."""
        g, standard, squares = (_contiguous(a.swapaxes(axis, -1)) for a in (g, standard, squares))
        out, n, number = np.empty_like(g), g.shape[-1], g.dtype.type
        self.rows("standardize_gradient", g.dtype.name)(
            (squares.size,), (g, standard, squares, out, np.int32(n), number(epsilon))
        )
        return out.swapaxes(axis, -1)

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


def _wide(x: Array, out: Array, channels: int) -> tuple[Array, Array, int]:
    """Two arrays that are only moved between, with the numbers of four channels as one of 16 bytes, where they are four."""
    if channels % 4 or x.dtype.name != "float32":
        return x, out, channels
    return x.view(np.complex128), out.view(np.complex128), channels // 4


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


def cupy_kernels(cupy: Any, matmul: Callable[..., Array]) -> Kernels:
    """The kernels as CuPy's; each is compiled when it is first called."""
    named = {name: cupy.ElementwiseKernel(*text, f"dimref_{name}") for name, text in ELEMENTWISE.items()}
    for name, (parameters, summed) in SUMS.items():
        named[name] = cupy.ReductionKernel(parameters, "T out", summed, "a + b", "out = a", "0", f"dimref_{name}")

    @functools.cache
    def shaped(name: str, sizes: tuple[int, ...]) -> Callable[..., Array]:
        names, *text = SHAPED[name]
        return cupy.ElementwiseKernel(*text, f"dimref_{name}", preamble=constants(names, sizes))

    @functools.cache
    def rows(name: str, dtype: str) -> Callable[[tuple[int, ...], tuple[Any, ...]], None]:
        kernel = cupy.RawKernel(rows_text(dtype), name)
        return lambda blocks, arguments: kernel(blocks, (THREADS,), arguments)

    @functools.cache
    def row(n: int, dtype: Any, number: float) -> Array:
        return cupy.full((1, n), number, dtype)

    return Kernels(matmul, named, shaped, rows, row)


def constants(names: Sequence[str], numbers: Sequence[int]) -> str:
    """Sizes as C, for a kernel of SHAPED."""
    return "".join(f"constexpr int {name} = {number};\n" for name, number in zip(names, numbers, strict=True))


def rows_text(dtype: str) -> str:
    """ROWS for float32 or float64."""
    return f"typedef {C_TYPES[dtype]} T;\n{constants(('THREADS', 'EACH'), (THREADS, EACH))}{ROWS}"
