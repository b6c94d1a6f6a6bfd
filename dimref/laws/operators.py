"""Laws of operators: adjoint pairs, convolution, normalization, elementwise functions."""

import math
from collections.abc import Callable

import numpy as np

from dimref import layers, ops
from dimref.backend import Backend
from dimref.laws.cases import double, normal
from dimref.laws.law import Case, Sizes, Slack, at_most, equal, gradients, law, number, on_device, rounding, tightest
from dimref.trees import Array

HJELM, DUMOULIN, BAYDIN = "arXiv 1808.06670", "arXiv 1603.07285", "arXiv 1502.05767"


def _inner(backend: Backend, x: Array, y: Array) -> float:
    """⟨x, y⟩ by NumPy in float64."""
    return float(np.vdot(*(np.asarray(backend.to_host(a), np.float64) for a in (x, y))))


def _adjoint(case: Case, backend: Backend, forward: Callable, backward: Callable) -> Slack:
    """⟨A x, g⟩ = ⟨x, A* g⟩ for the case's x and g."""
    x, g = on_device(case, backend, "x", "g")
    products = math.sqrt(case["x"].size * case["g"].size)
    tolerance = rounding(case["x"]) * (1 + float(np.abs(case["g"]).max())) * products
    return equal(_inner(backend, forward(x), g), _inner(backend, x, backward(g)), tolerance)


# ---- adjoint pairs


def _image(sizes: Sizes) -> tuple[int, ...]:
    high, wide = (k + e for k, e in zip(sizes.kernel, sizes.extra, strict=True))
    return sizes.n, high, wide, sizes.m


def _windows(rng: np.random.Generator, sizes: Sizes) -> Case:
    """An image that its kernel fits in, the stride not dividing as a rule, and an array of its windows' shape."""
    b, high, wide, c = _image(sizes)
    outs = ops.out_sizes((b, high, wide, c), sizes.kernel, sizes.stride, sizes.padding)
    columns = math.prod(sizes.kernel) * c
    geometry = {"kernel": sizes.kernel, "stride": sizes.stride, "padding": sizes.padding}
    return {"x": normal(rng, sizes, b, high, wide, c), "g": normal(rng, sizes, b, *outs, columns), **geometry}


@law("identity", "⟨im2col x, g⟩ = ⟨x, col2im g⟩", _windows, f"{DUMOULIN}, section 4.1")
def im2col_and_col2im_are_adjoint(case: Case, backend: Backend) -> Slack:
    """A gather and its scatter: a linear map and its transpose."""
    shape, geometry = case["x"].shape, (case["kernel"], case["stride"], case["padding"])
    return _adjoint(case, backend, lambda x: ops.im2col(x, *geometry), lambda g: ops.col2im(g, shape, *geometry))


def _broadcast(rng: np.random.Generator, sizes: Sizes) -> Case:
    small = tuple(1 if rng.random() < 0.5 else n for n in (sizes.m, sizes.locations))
    big = (sizes.n, sizes.m, sizes.locations)
    return {"x": normal(rng, sizes, *small), "g": normal(rng, sizes, *big)}


@law("identity", "⟨broadcast x, g⟩ = ⟨x, sum_to g⟩", _broadcast, f"{BAYDIN}, section 3.2")
def broadcast_and_sum_are_adjoint(case: Case, backend: Backend) -> Slack:
    """What is repeated forward is added up backward: new axes, and axes of size 1."""
    small, big = case["x"].shape, case["g"].shape
    return _adjoint(case, backend, lambda x: ops.broadcast_to(x, big), lambda g: ops.sum_to(g, small))


def _rows(rng: np.random.Generator, sizes: Sizes) -> Case:
    index = rng.integers(sizes.n, size=(sizes.m, sizes.locations))
    return {"x": normal(rng, sizes, sizes.n, 3), "g": normal(rng, sizes, *index.shape, 3), "index": index}


@law("identity", "⟨x[index], g⟩ = ⟨x, scatter_add g⟩", _rows, f"{BAYDIN}, section 3.2")
def gather_and_scatter_are_adjoint(case: Case, backend: Backend) -> Slack:
    """Rows that are taken twice get both gradients, rows never taken get 0."""
    index, rows = backend.to_device(case["index"]), len(case["x"])
    return _adjoint(case, backend, lambda x: ops.gather(x, index), lambda g: ops.scatter_add(g, index, rows))


def _window(rng: np.random.Generator, sizes: Sizes) -> Case:
    start, step = int(rng.integers(sizes.n)), int(rng.integers(1, 3))
    x = normal(rng, sizes, sizes.n, sizes.m)
    return {"x": x, "g": normal(rng, sizes, *x[start::step].shape), "start": start, "step": step}


@law("identity", "⟨x[window], g⟩ = ⟨x, paste g⟩", _window, f"{BAYDIN}, section 3.2")
def cut_and_paste_are_adjoint(case: Case, backend: Backend) -> Slack:
    """Slices with a start and a step."""
    window = (slice(case["start"], None, case["step"]),)
    return _adjoint(case, backend, lambda x: ops.cut(x, window), lambda g: ops.paste(g, case["x"].shape, window))


# ---- convolution


def _convolution(rng: np.random.Generator, sizes: Sizes) -> Case:
    sizes = double(sizes)
    case = _windows(rng, sizes)
    g = normal(rng, sizes, *case["g"].shape[:3], 2)
    return {**case, "g": g, "w": normal(rng, sizes, case["g"].shape[3], 2), "b": normal(rng, sizes, 2)}


@law("identity", "conv2d = its sum over taps, pixel by pixel", _convolution, f"{DUMOULIN}, section 2")
def convolution_is_its_sum_over_taps(case: Case, backend: Backend) -> Slack:
    """Cross-correlation of the padded image: each output pixel from its own window, on the host."""
    (kh, kw), (sh, sw), (ph, pw) = case["kernel"], case["stride"], case["padding"]
    padded = np.pad(case["x"], ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    expected = np.zeros(case["g"].shape) + case["b"]
    taps = case["w"].reshape(kh, kw, -1, 2)
    for p, q in np.ndindex(*expected.shape[1:3]):
        window = padded[:, p * sh : p * sh + kh, q * sw : q * sw + kw]
        expected[:, p, q] += np.einsum("bijc,ijco->bo", window, taps)
    parameters = backend.tree_to_device({"w": case["w"], "b": case["b"]})
    result = layers.conv2d(parameters, backend.to_device(case["x"]), case["kernel"], case["stride"], case["padding"])
    return equal(backend.to_host(result), expected, 1e-10)


@law("identity", "⟨conv(x, w), g⟩ = ⟨x, ∂_x⟩ = ⟨w, ∂_w⟩, ∂_b = Σ g", _convolution, f"{DUMOULIN}, section 4.1")
def convolution_is_bilinear(case: Case, backend: Backend) -> Slack:
    """A bilinear map's gradient in one argument is its adjoint there; conv_transpose2d is the one in x."""
    geometry = case["kernel"], case["stride"], case["padding"]
    g = backend.to_device(case["g"])

    def projected(x: Array, w: Array, b: Array) -> Array:
        return ops.total(ops.multiply(layers.conv2d({"w": w, "b": b}, x, *geometry), g))

    of_x, of_w, of_b = gradients(backend, projected, case["x"], case["w"], case["b"])
    value = number(backend, projected(*on_device(case, backend, "x", "w", "b"))) - float((of_b * case["b"]).sum())
    return tightest(
        equal(float((of_x * case["x"]).sum()), value, 1e-9),
        equal(float((of_w * case["w"]).sum()), value, 1e-9),
        equal(of_b, case["g"].sum(axis=(0, 1, 2)), 1e-9),
    )


@law("identity", "⟨conv(x, w), g⟩ = ⟨x, conv_transpose(g, w)⟩", _convolution, f"{DUMOULIN}, section 4.1")
def transposed_convolution_is_adjoint(case: Case, backend: Backend) -> Slack:
    """Where the stride divides; else the transposed output lacks the pixels that no window covers, which x then drops."""
    geometry = case["kernel"], case["stride"], case["padding"]
    w, g = on_device(case, backend, "w", "g")
    covered = [(n - 1) * s - 2 * p + k for n, k, s, p in zip(case["g"].shape[1:3], *geometry, strict=True)]
    if min(covered) < 1:  # nothing is left after the padding: there is no transposed convolution
        return Slack(0.0, 0.0)
    x = np.ascontiguousarray(case["x"][:, : covered[0], : covered[1]])
    forward = layers.conv2d({"w": w}, backend.to_device(x), *geometry)
    back = layers.conv_transpose2d({"w": backend.to_device(case["w"].T.copy())}, g, *geometry)
    return equal(_inner(backend, forward, g), _inner(backend, backend.to_device(x), back), 1e-9)


# ---- normalization


def _batch(rng: np.random.Generator, sizes: Sizes) -> Case:
    sizes = double(sizes)
    x = normal(rng, sizes, sizes.n + 2, sizes.m) * rng.uniform(1.0, 3.0, sizes.m) + rng.standard_normal(sizes.m)
    g, gain, shift = normal(rng, sizes, *x.shape), rng.uniform(0.5, 2.0, sizes.m), rng.standard_normal(sizes.m)
    return {"x": x, "g": g, "gain": gain, "shift": shift}


@law("identity", "batch norm: mean = shift, variance = gain²·σ²/(σ² + ε)", _batch, "arXiv 1502.03167, algorithm 1")
def batch_norm_has_its_moments(case: Case, backend: Backend) -> Slack:
    """Per channel, over the batch, with the biased variance; the running variance moves toward the unbiased one."""
    x, m = case["x"], case["x"].shape[1]
    parameters = backend.tree_to_device({"gain": case["gain"], "shift": case["shift"]})
    running = backend.tree_to_device({"mean": np.zeros(m), "variance": np.ones(m)})
    out, new_running = layers.batch_norm(parameters, running, backend.to_device(x), training=True)
    values, variance = backend.to_host(out), x.var(axis=0)
    rate = layers.MOMENTUM
    return tightest(
        equal(values.mean(axis=0), case["shift"], 1e-10),
        equal(values.var(axis=0), case["gain"] ** 2 * variance / (variance + layers.EPSILON), 1e-10),
        equal(backend.to_host(new_running["mean"]), rate * x.mean(axis=0), 1e-10),
        equal(backend.to_host(new_running["variance"]), 1 - rate + rate * x.var(axis=0, ddof=1), 1e-10),
    )


@law("identity", "batch norm's gradient in x: ⟨∂x, 1⟩ = 0, ⟨∂x, x̂⟩ = 0 at ε = 0", _batch, "arXiv 1502.03167, section 3")
def batch_norm_gradient_is_orthogonal(case: Case, backend: Backend) -> Slack:
    """Shifting and scaling a channel change nothing, so the gradient has no part along either."""
    g = backend.to_device(case["g"])
    gain, shift = (backend.to_device(np.full(case["x"].shape[1], c, case["x"].dtype)) for c in (1, 0))

    def along(x: Array) -> Array:
        out, _, _ = layers.normalize(x, gain, shift, 0.0, False)
        return ops.total(ops.multiply(out, g))

    (slope,) = gradients(backend, along, case["x"])
    centred = case["x"] - case["x"].mean(axis=0)
    largest = float(np.abs(slope).max())  # not 0: there are directions left
    along_both = np.stack([slope.sum(axis=0), (slope * centred).sum(axis=0)])
    tolerance = 1e-9 * (1 + largest * np.abs(centred).max())
    return tightest(equal(along_both, np.zeros_like(along_both), tolerance), at_most(1e-12, largest, 0.0))


# ---- elementwise


def _line(rng: np.random.Generator, sizes: Sizes) -> Case:
    return {"x": normal(rng, sizes, sizes.n, sizes.m)}


@law("identity", "sp(x) − sp(−x) = x, σ(x) + σ(−x) = 1, relu(x) − relu(−x) = x", _line, f"{HJELM}, eq. (4)")
def softplus_sigmoid_relu_mirror(case: Case, backend: Backend) -> Slack:
    """At any size of x, in float32 too: no overflow, no NaN."""
    x = backend.to_device(case["x"])
    host = case["x"]
    parts = ops.softplus(x) - ops.softplus(-x), ops.sigmoid(x) + ops.sigmoid(-x), ops.relu(x) - ops.relu(-x)
    result = [np.asarray(backend.to_host(part), np.float64) for part in parts]
    rounded = equal(result[:2], [host, np.ones(host.shape)], rounding(host))
    return tightest(rounded, equal(result[2], host, 0.0))


@law("inequality", "max x ≤ log Σ e^x ≤ max x + log n; log mean e^x ≥ mean x", _line, "arXiv 1807.03748, eq. (4)")
def logsumexp_lies_above_the_maximum(case: Case, backend: Backend) -> Slack:
    """Along either axis, and Jensen's inequality between the means."""
    x, host, slacks = backend.to_device(case["x"]), case["x"].astype(np.float64), []
    tolerance = rounding(case["x"])
    for axis in (0, 1, None):
        functions = ops.logsumexp, ops.mean, ops.logmeanexp
        result, mean, exponential = (np.asarray(backend.to_host(f(x, axis)), np.float64) for f in functions)
        top, count = host.max(axis=axis), host.size if axis is None else host.shape[axis]
        slacks.append(at_most([top, result, mean], [result, top + math.log(count), exponential], tolerance))
    return tightest(*slacks)
