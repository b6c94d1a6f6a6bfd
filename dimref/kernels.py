"""Chains of elementwise operations as single kernels of a device, in CUDA C.

Their plain forms are in `ops`, `normalization` and `optim`.

A pass over memory costs a device as much as the arithmetic of many, and a launch costs the same for any array. So what NumPy
does in several passes is one kernel here: Adam, 12 passes; normalization and its gradient, 2 and 6; a sigmoid, 4. Sums
are CuPy's own reductions. `of(array)` is the only place that asks what an array is: None for NumPy's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Array = Any

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
    # gain·(x − μ)/√(σ² + ε) + shift
    "normalize": (
        "T x, T mean, T gain, T shift, T variance, float64 epsilon",
        "T out",
        "out = (x - mean) * (gain / sqrt(variance + T(epsilon))) + shift",
    ),
    # gain/√(σ² + ε)·(g − mean g − x̂·mean(g·x̂)), from Σ g·x̂ and Σ g
    "normalize_gradient": (
        "T g, T x, T mean, T gain, T variance, T of_gain, T of_shift, float64 count, float64 epsilon",
        "T out",
        """
        T scale = T(1) / sqrt(variance + T(epsilon));
        out = gain * scale * (g - ((x - mean) * scale * of_gain + of_shift) / T(count))
        """,
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
SUMS = {
    "sum_of_squares": ("T x", "x * x"),
    "sum_of_squared_deviations": ("T x, T mean", "(x - mean) * (x - mean)"),
    "sum_of_products": ("T x, T y", "x * y"),
    "sum_of_centred_products": ("T g, T x, T mean", "g * (x - mean)"),
}


@dataclass(frozen=True)
class Kernels:
    """A device's kernels: `matmul`, and each of ELEMENTWISE and SUMS by name, as CuPy calls them."""

    matmul: Callable[[Array, Array], Array]
    named: dict[str, Callable[..., Array]]

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

    def normalize(self, x: Array, mean: Array, gain: Array, shift: Array, variance: Array, epsilon: float) -> Array:
        """See `normalization.normalize_columns`."""
        return self.named["normalize"](x, mean, gain, shift, variance, epsilon)

    def normalize_gradient(
        self,
        g: Array,
        x: Array,
        mean: Array,
        gain: Array,
        variance: Array,
        of_gain: Array,
        of_shift: Array,
        epsilon: float,
    ) -> Array:
        """Its VJP in x, from the gradients of gain and shift."""
        count = float(g.shape[0])
        return self.named["normalize_gradient"](g, x, mean, gain, variance, of_gain, of_shift, count, epsilon)

    def centred_products(self, g: Array, x: Array, mean: Array) -> Array:
        """Σ g·(x − μ) over the rows of two matrices."""
        return self.named["sum_of_centred_products"](g, x, mean, axis=0)

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
    return Kernels(matmul, named)
