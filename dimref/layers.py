"""Layers as plain functions of (parameters, input), and the initial values of their parameters.

Parameters are dicts of arrays drawn on the host; nothing here keeps state. Channels last: images are (B, H, W, C), and a
convolution's weight is a matrix (kh·kw·C_in, C_out) whose rows run over (kh, kw, C_in), PyTorch's OIHW as (H, W, I) × O.
`relu=True` puts a ReLU after a layer. A wrong shape is a ValueError that names the argument, what it must be and was.

Initial weights are uniform on ±1/√fan_in, biases too: the default of PyTorch's Linear and Conv2d (kaiming_uniform with
a = √5), so that a comparison with a PyTorch twin starts level. TensorFlow's Glorot default is another valid choice.
"""

import math

import numpy as np

from dimref import ops, ranks
from dimref.ops import Pair
from dimref.tape import region, stop_gradient
from dimref.trees import Array, Tree, need_arrays

Size = int | Pair  # along height and width; one number for both

EPSILON = 1e-5  # added to a variance before its root, as in PyTorch
MOMENTUM = 0.1  # weight of the newest batch in the running statistics, as in PyTorch (Keras writes 1 − this)


# ---- linear


def init_linear(rng: np.random.Generator, n_in: int, n_out: int, bias: bool = True, fan_in: int | None = None) -> Tree:
    """Parameters {"w": (n_in, n_out), "b": (n_out,)} of a linear layer, uniform on ±1/√fan_in (by default n_in)."""
    limit = 1 / math.sqrt(fan_in or n_in)
    parameters = {"w": rng.uniform(-limit, limit, (n_in, n_out)).astype(np.float32)}
    if bias:
        parameters["b"] = rng.uniform(-limit, limit, n_out).astype(np.float32)
    return parameters


def linear(parameters: Tree, x: Array, relu: bool = False) -> Array:
    """x·w + b over the last axis: (..., n_in) → (..., n_out). Without "b" in the parameters: x·w."""
    need_arrays("linear", x=x)
    n_in, n_out = parameters["w"].shape
    if x.shape[-1] != n_in:
        raise ValueError(f"linear: x must have {n_in} features on its last axis, was {x.shape}")
    rows = x if x.ndim == 2 else ops.reshape(x, (math.prod(x.shape[:-1]), n_in))
    out = linear_rows(rows, parameters["w"], parameters.get("b"), relu)
    return out if x.ndim == 2 else ops.reshape(out, (*x.shape[:-1], n_out))


@region
def linear_rows(x: Array, w: Array, b: Array | None, relu: bool) -> Array:
    """`linear` of a matrix x of rows, its parameters one by one: x·w + b (b None: x·w), with relu max(·, 0) of it."""
    out = ops.matmul(x, w)
    out = out if b is None else ops.add(out, b)
    return ops.relu(out) if relu else out


def mlp_with_shortcut(parameters: Tree, x: Array) -> Array:
    """out·ReLU(hidden·x) + shortcut·x over the last axis, each a linear layer: (..., n_in) → (..., n_out)."""
    hidden = linear(parameters["hidden"], x, relu=True)
    return linear_sum(parameters["out"], hidden, parameters["shortcut"], x)


@region
def linear_sum(first: Tree, x: Array, second: Tree, y: Array) -> Array:
    """linear(first, x) + linear(second, y): (..., n_in), (..., m_in) → (..., n_out)."""
    return ops.add(linear(first, x), linear(second, y))


# ---- convolution


def init_conv2d(rng: np.random.Generator, c_in: int, c_out: int, kernel: Size, bias: bool = True) -> Tree:
    """Parameters {"w": (kh·kw·C_in, C_out), "b": (C_out,)} of a convolution, uniform on ±1/√(kh·kw·C_in)."""
    kh, kw = _pair(kernel)
    return init_linear(rng, kh * kw * c_in, c_out, bias)


def conv2d(parameters: Tree, x: Array, kernel: Size, stride: Size = 1, padding: Size = 0, relu: bool = False) -> Array:
    """Cross-correlation, as every framework's convolution is: (B, H, W, C_in) → (B, H', W', C_out).

    out[b, p, q, o] = Σ_{i, j, c} x̃[b, p·sh + i, q·sw + j, c] · w[(i, j, c), o] + bias[o], x̃ being x padded with zeros;
    H' = ⌊(H + 2·padding − kh)/sh⌋ + 1.
    """
    kernel, stride, padding = _geometry("conv2d", x, kernel, stride, padding)
    c_in = parameters["w"].shape[0] // (kernel[0] * kernel[1])
    if x.shape[3] != c_in:
        raise ValueError(f"conv2d: x must have {c_in} channels on its last axis, was {x.shape}")
    if min(ops.out_sizes(x.shape, kernel, stride, padding)) < 1:
        raise ValueError(f"conv2d: x with padding must be at least the kernel {kernel}, was {x.shape}, {padding}")
    return convolution(x, parameters["w"], parameters.get("b"), kernel, stride, padding, relu)


@region
def convolution(x: Array, w: Array, b: Array | None, kernel: Pair, stride: Pair, padding: Pair, relu: bool) -> Array:
    """Every window as a row, times the weight: im2col(x)·w + b; with relu, max(·, 0) of it."""
    columns = ops.im2col(x, kernel, stride, padding)
    return linear({"w": w} if b is None else {"w": w, "b": b}, columns, relu)


def init_conv_transpose2d(rng: np.random.Generator, c_in: int, c_out: int, kernel: Size, bias: bool = True) -> Tree:
    """Parameters {"w": (C_in, kh·kw·C_out), "b": (C_out,)}; fan-in kh·kw·C_out, that of PyTorch's ConvTranspose2d."""
    fan_in = math.prod(_pair(kernel)) * c_out
    parameters = init_linear(rng, c_in, fan_in, bias=False, fan_in=fan_in)
    if bias:
        parameters["b"] = init_linear(rng, 1, c_out, bias=False, fan_in=fan_in)["w"][0]
    return parameters


def conv_transpose2d(parameters: Tree, x: Array, kernel: Size, stride: Size = 1, padding: Size = 0) -> Array:
    """The adjoint of `conv2d` in its input, plus a bias: (B, H, W, C_in) → (B, H', W', C_out).

    H' = (H − 1)·sh − 2·padding + kh: each input pixel adds a kh × kw patch to the output.
    """
    kernel, stride, padding = _geometry("conv_transpose2d", x, kernel, stride, padding)
    c_out = parameters["w"].shape[1] // (kernel[0] * kernel[1])
    sizes = [(n - 1) * s - 2 * p + k for n, k, s, p in zip(x.shape[1:3], kernel, stride, padding, strict=True)]
    if min(sizes) < 1:
        raise ValueError(f"conv_transpose2d: the output must have at least one pixel, was {tuple(sizes)}")
    columns = linear({"w": parameters["w"]}, x)
    out = ops.col2im(columns, (x.shape[0], *sizes, c_out), kernel, stride, padding)
    return ops.add(out, parameters["b"]) if "b" in parameters else out


def _pair(value: Size) -> Pair:
    return (value, value) if isinstance(value, int) else value


def _geometry(name: str, x: Array, kernel: Size, stride: Size, padding: Size) -> tuple[Pair, ...]:
    need_arrays(name, x=x)
    if x.ndim != 4:
        raise ValueError(f"{name}: x must be (B, H, W, C), was {x.shape}")
    kernel, stride, padding = _pair(kernel), _pair(stride), _pair(padding)
    if min(kernel) < 1 or min(stride) < 1 or min(padding) < 0:
        raise ValueError(f"{name}: kernel and stride must be ≥ 1 and padding ≥ 0, was {kernel}, {stride}, {padding}")
    return kernel, stride, padding


# ---- normalization


def init_norm(features: int) -> Tree:
    """Parameters {"gain": 1, "shift": 0} of a batch norm or layer norm over `features` channels."""
    return {"gain": np.ones(features, np.float32), "shift": np.zeros(features, np.float32)}


def init_running(features: int) -> Tree:
    """Running statistics {"mean": 0, "variance": 1} of a batch norm: model state, not parameters."""
    return {"mean": np.zeros(features, np.float32), "variance": np.ones(features, np.float32)}


def batch_norm(parameters: Tree, running: Tree, x: Array, training: bool, relu: bool = False) -> tuple[Array, Tree]:
    """Normalize each channel over every other axis; returns (gain·x̂ + shift, new running statistics).

    Training: x̂ = (x − μ)/√(σ² + ε) with the batch's mean and biased variance, through which the gradient flows; the
    running statistics move by MOMENTUM toward μ and the *unbiased* variance n/(n−1)·σ², untraced (PyTorch's convention;
    TensorFlow moves toward the biased one). Training with one value per channel, whose variance is 0, is a ValueError.
    Inference: x̂ with the running statistics, which are returned unchanged.
    Source: Ioffe & Szegedy 2015, arXiv 1502.03167, algorithm 1.
    """
    if not training:
        scale, offset = inference_scale(parameters, running)
        out = ops.add(ops.multiply(x, scale), offset)
        return ops.relu(out) if relu else out, running
    rows = ops.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
    n = ranks.now().of_batch(rows.shape[0])
    if n < 2:
        raise ValueError(f"batch_norm: training needs at least 2 values per channel, x was {x.shape}")
    out, mu, variance = normalize(rows, parameters["gain"], parameters["shift"], EPSILON, relu)
    new_running = {
        "mean": moving_average(running["mean"], mu, MOMENTUM, 1.0),
        "variance": moving_average(running["variance"], variance, MOMENTUM, n / (n - 1)),
    }
    return ops.reshape(out, x.shape), new_running


@region
def normalize(x: Array, gain: Array, shift: Array, epsilon: float, relu: bool) -> tuple[Array, Array, Array]:
    """gain·x̂ + shift for the columns of a matrix, with relu max(·, 0) of it; and the columns' μ and σ², untraced."""
    x_hat, mu, variance = ops.centred_and_scaled(x, 0, epsilon, ranks.mean)
    out = ops.add(ops.multiply(x_hat, gain), shift)
    return ops.relu(out) if relu else out, stop_gradient(mu)[0], stop_gradient(variance)[0]


@region
def moving_average(running: Array, newest: Array, rate: float, factor: float) -> Array:
    """(1 − rate)·running + rate·factor·newest."""
    return (1 - rate) * running + rate * (newest * factor)


def inference_scale(parameters: Tree, running: Tree) -> tuple[Array, Array]:
    """Batch norm in inference as scale·x + offset: scale = gain/√(variance + ε), offset = shift − mean·scale, (C,) each."""
    scale = parameters["gain"] * (running["variance"] + EPSILON) ** -0.5
    return scale, ops.subtract(parameters["shift"], ops.multiply(running["mean"], scale))


def layer_norm(parameters: Tree, x: Array) -> Array:
    """Normalize each vector on the last axis: gain·(x − μ)/√(σ² + ε) + shift, with the biased variance.
    Source: Ba, Kiros & Hinton 2016, arXiv 1607.06450, eq. (3)-(4).
    """
    return ops.add(ops.multiply(ops.standardize(x, -1, EPSILON), parameters["gain"]), parameters["shift"])
