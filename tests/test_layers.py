"""Layers as they are stated, against naive loops and PyTorch: gradients, initial values, and every refusal."""

import itertools
import math

import numpy as np
import pytest
from fake_cupy import STRICT
from finite_differences import check_all, check_backends, draw, gradients
from hypothesis import given
from hypothesis import strategies as st

from dimref import layers, ops
from dimref.tape import value_and_gradients
from dimref.trees import map_tree

pytestmark = pytest.mark.usefixtures("plain_forms")
seeds = st.integers(0, 2**32 - 1)

CONVOLUTIONS = [  # (H, W), kernel, stride, padding
    ((4, 4), 4, 2, 1),
    ((5, 4), (3, 2), (2, 1), (1, 0)),
    ((4, 6), (2, 3), (1, 2), (0, 1)),
    ((7, 6), 3, 2, 0),
    ((6, 7), 2, (3, 4), 0),
    ((1, 1), 3, 1, 1),
    ((3, 2), 1, 1, 0),
    ((3, 2), (3, 2), 1, 0),
]


def pair(value):
    return (value, value) if isinstance(value, int) else value


def same(found, expected, tolerance=1e-12):
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def with_bias(layer, x, w, b, *geometry):
    return layer({"w": w, "b": b}, x, *geometry)


# ---- linear


@pytest.mark.parametrize("shape", [(5, 3), (3,), (2, 4, 3), (1, 2, 2, 3)])
def test_linear(shape):
    x, w, b = draw(0, shape, (3, 2), (2,))
    expected = np.zeros((*shape[:-1], 2))
    for p in np.ndindex(*shape[:-1]):
        for o in range(2):
            expected[(*p, o)] = math.fsum(x[(*p, k)] * w[k, o] for k in range(3))
    same(layers.linear({"w": w}, x), expected)
    same(layers.linear({"w": w, "b": b}, x), expected + b)
    check_all(lambda x, w, b: with_bias(layers.linear, x, w, b), x, w, b)
    check_all(lambda x, w: layers.linear({"w": w}, x), x, w)


def test_linear_refuses_other_features():
    with pytest.raises(ValueError, match=r"^linear: x must have 3 features on its last axis, was \(5, 2\)$"):
        layers.linear({"w": np.zeros((3, 4))}, np.zeros((5, 2)))


@pytest.mark.parametrize("bias", [False, True])
def test_a_linear_layer_may_have_a_relu(bias):
    x, *arrays = draw(1, (2, 3, 4), (4, 5), *[(5,)] * bias)
    layer = dict(zip("wb", arrays, strict=False))
    expected = np.maximum(layers.linear(layer, x), 0)
    assert 0 < (expected == 0).sum() < expected.size
    same(layers.linear(layer, x, relu=True), expected)
    check_all(lambda x, *arrays: layers.linear(dict(zip("wb", arrays, strict=False)), x, relu=True), x, *arrays)
    x[0, 0, 0] = np.nan
    assert np.isnan(layers.linear(layer, x, relu=True)[0, 0]).all()


BIASES = pytest.mark.parametrize("biased", [(), ("first",), ("second",), ("first", "second")])


@BIASES
def test_the_sum_of_two_linear_layers(biased):
    x, w, y, v, *biases = draw(2, (2, 3, 4), (4, 5), (2, 3, 6), (6, 5), *[(5,)] * len(biased))

    def function(x, w, y, v, *biases):
        both = {"first": {"w": w}, "second": {"w": v}}
        for name, b in zip(biased, biases, strict=True):
            both[name]["b"] = b
        return layers.linear_sum(both["first"], x, both["second"], y)

    expected = np.einsum("abi,io->abo", x, w) + np.einsum("abi,io->abo", y, v)
    same(function(x, w, y, v, *biases), expected + sum(biases))
    check_all(function, x, w, y, v, *biases)


@pytest.mark.parametrize(("wrong", "n", "found"), [("x", 3, 2), ("y", 2, 3)])
def test_the_sum_of_two_linear_layers_refuses_other_features(wrong, n, found):
    arrays = {"x": np.zeros((5, 3)), "y": np.zeros((5, 2)), wrong: np.zeros((5, found))}
    first, second = {"w": np.zeros((3, 4)), "b": np.zeros(4)}, {"w": np.zeros((2, 4))}
    with pytest.raises(ValueError, match=rf"^linear: x must have {n} features on its last axis, was \(5, {found}\)$"):
        layers.linear_sum(first, arrays["x"], second, arrays["y"])


def test_an_mlp_with_a_shortcut():
    sizes = {"hidden": (4, 5), "out": (5, 3), "shortcut": (4, 3)}
    x, *arrays = draw(3, (2, 4), *sizes.values(), (5,), (3,))
    weights, (b, c) = dict(zip(sizes, arrays, strict=False)), arrays[3:]
    tree = {"hidden": {"w": weights["hidden"], "b": b}, "out": {"w": weights["out"], "b": c}}
    tree["shortcut"] = {"w": weights["shortcut"]}
    expected = np.maximum(x @ weights["hidden"] + b, 0) @ weights["out"] + c + x @ weights["shortcut"]
    same(layers.mlp_with_shortcut(tree, x), expected)


WIDENED = {  # layers of arrays, all of whose types count
    "linear": (lambda x, w, b: layers.linear({"w": w, "b": b}, x, relu=True), ((5, 4), (4, 3), (3,))),
    "linear_sum": (
        lambda x, w, b, y, v: layers.linear_sum({"w": w, "b": b}, x, {"w": v}, y),
        ((5, 4), (4, 3), (3,), (5, 2), (2, 3)),
    ),
    "conv2d": (
        lambda x, w, b: layers.conv2d({"w": w, "b": b}, x, (2, 3), (1, 2), (0, 1)),
        ((3, 4, 6, 2), (12, 4), (4,)),
    ),
    "batch_norm": (
        lambda x, gain, shift: layers.batch_norm({"gain": gain, "shift": shift}, layers.init_running(3), x, True)[0],
        ((6, 3), (3,), (3,)),
    ),
}


@pytest.mark.parametrize("name", WIDENED)
def test_one_array_in_float64_makes_the_result_float64(name):
    """And nothing that comes in is overwritten or rounded."""
    function, shapes = WIDENED[name]
    arrays = draw(8, *shapes)
    for wide in range(len(shapes)):
        mixed = [a.astype(np.float64 if k == wide else np.float32) for k, a in enumerate(arrays)]
        expected, slopes = gradients(function, *(a.astype(np.float64) for a in mixed))
        value, found = gradients(function, *mixed)
        for one, other in zip([value, *found], [expected, *slopes], strict=True):
            assert one.dtype == np.float64
            same(one, other, 1e-5)
        for a, b in zip(arrays, mixed, strict=True):
            np.testing.assert_array_equal(a.astype(b.dtype), b)


# ---- convolution


def naive_conv2d(x, w, b, kernel, stride, padding):
    (kh, kw), (sh, sw), (ph, pw) = pair(kernel), pair(stride), pair(padding)
    n, h, width, c = x.shape
    taps = w.reshape(kh, kw, c, -1)
    out = np.zeros((n, (h + 2 * ph - kh) // sh + 1, (width + 2 * pw - kw) // sw + 1, taps.shape[-1])) + b
    for p, q, i, j in itertools.product(*map(range, (*out.shape[1:3], kh, kw))):
        row, column = p * sh + i - ph, q * sw + j - pw
        if 0 <= row < h and 0 <= column < width:
            out[:, p, q] += x[:, row, column] @ taps[i, j]
    return out


def naive_conv_transpose2d(x, w, b, kernel, stride, padding):
    (kh, kw), (sh, sw), (ph, pw) = pair(kernel), pair(stride), pair(padding)
    n, h, width, c = x.shape
    taps = w.reshape(c, kh, kw, -1)
    out = np.zeros((n, (h - 1) * sh - 2 * ph + kh, (width - 1) * sw - 2 * pw + kw, taps.shape[-1])) + b
    for p, q, i, j in itertools.product(range(h), range(width), range(kh), range(kw)):
        row, column = p * sh + i - ph, q * sw + j - pw
        if 0 <= row < out.shape[1] and 0 <= column < out.shape[2]:
            out[:, row, column] += x[:, p, q] @ taps[:, i, j]
    return out


def convolution_arrays(size, kernel, c_in=3, c_out=2, seed=1):
    """Images, a convolution's weight and bias."""
    kh, kw = pair(kernel)
    return draw(seed, (2, *size, c_in), (kh * kw * c_in, c_out), (c_out,))


@pytest.mark.parametrize("geometry", CONVOLUTIONS)
def test_conv2d(geometry):
    size, *rest = geometry
    x, w, b = convolution_arrays(size, rest[0])
    same(layers.conv2d({"w": w, "b": b}, x, *rest), naive_conv2d(x, w, b, *rest))
    same(layers.conv2d({"w": w}, x, *rest), naive_conv2d(x, w, 0, *rest))
    same(layers.conv2d({"w": w}, x, *rest, relu=True), naive_conv2d(x, w, 0, *rest).clip(0))
    check_all(lambda x, w, b: with_bias(layers.conv2d, x, w, b, *rest), x, w, b)


@pytest.mark.parametrize("geometry", CONVOLUTIONS)
def test_conv2d_against_pytorch(geometry):
    torch = pytest.importorskip("torch")
    size, kernel, stride, padding = geometry
    x, w, b = convolution_arrays(size, kernel)
    oihw = torch.tensor(w.reshape(*pair(kernel), 3, 2).transpose(3, 2, 0, 1).copy())
    expected = torch.nn.functional.conv2d(
        torch.tensor(x.transpose(0, 3, 1, 2).copy()), oihw, torch.tensor(b), pair(stride), pair(padding)
    )
    same(layers.conv2d({"w": w, "b": b}, x, kernel, stride, padding).transpose(0, 3, 1, 2), expected.numpy())


def transposable(geometry):
    (h, w), kernel, stride, padding = geometry
    (kh, kw), (sh, sw), (ph, pw) = pair(kernel), pair(stride), pair(padding)
    return min((h - 1) * sh - 2 * ph + kh, (w - 1) * sw - 2 * pw + kw) >= 1


@pytest.mark.parametrize("geometry", [g for g in CONVOLUTIONS if transposable(g)])
def test_conv_transpose2d(geometry):
    size, *rest = geometry
    kh, kw = pair(rest[0])
    x, w, b = draw(2, (2, *size, 3), (3, kh * kw * 2), (2,))
    same(layers.conv_transpose2d({"w": w, "b": b}, x, *rest), naive_conv_transpose2d(x, w, b, *rest))
    same(layers.conv_transpose2d({"w": w}, x, *rest), naive_conv_transpose2d(x, w, 0, *rest))
    check_all(lambda x, w, b: with_bias(layers.conv_transpose2d, x, w, b, *rest), x, w, b)


@pytest.mark.parametrize("geometry", [g for g in CONVOLUTIONS if transposable(g)])
def test_conv_transpose2d_against_pytorch(geometry):
    torch = pytest.importorskip("torch")
    size, kernel, stride, padding = geometry
    kh, kw = pair(kernel)
    x, w, b = draw(2, (2, *size, 3), (3, kh * kw * 2), (2,))
    iohw = torch.tensor(w.reshape(3, kh, kw, 2).transpose(0, 3, 1, 2).copy())
    expected = torch.nn.functional.conv_transpose2d(
        torch.tensor(x.transpose(0, 3, 1, 2).copy()), iohw, torch.tensor(b), pair(stride), pair(padding)
    )
    same(layers.conv_transpose2d({"w": w, "b": b}, x, kernel, stride, padding).transpose(0, 3, 1, 2), expected.numpy())


@given(st.data(), seeds)
def test_conv_transpose2d_is_the_adjoint_of_conv2d(data, seed):
    """⟨conv2d(x), y⟩ = ⟨x, conv_transpose2d(y)⟩, the weight's axes exchanged, on sizes that the stride divides."""
    side = st.integers(1, 3)
    kernel, stride = data.draw(st.tuples(side, side)), data.draw(st.tuples(side, side))
    padding = tuple(data.draw(st.integers(0, (k - 1) // 2)) for k in kernel)
    windows = data.draw(st.tuples(side, side))
    size = [(n - 1) * s + k - 2 * p for n, k, s, p in zip(windows, kernel, stride, padding, strict=True)]
    c_in, c_out = data.draw(side), data.draw(side)
    x, w, y = draw(seed, (2, *size, c_in), (math.prod(kernel) * c_in, c_out), (2, *windows, c_out))
    forward = layers.conv2d({"w": w}, x, kernel, stride, padding)
    back = layers.conv_transpose2d({"w": w.T}, y, kernel, stride, padding)
    assert forward.shape == y.shape
    assert back.shape == x.shape
    same(np.sum(forward * y), np.sum(x * back), 1e-10)


@pytest.mark.parametrize("layer", [layers.conv2d, layers.conv_transpose2d])
def test_stride_one_and_no_padding_by_default(layer):
    x, w, _ = convolution_arrays((4, 5), 2)
    weight = w if layer is layers.conv2d else draw(3, (3, 4 * 2))[0]
    np.testing.assert_array_equal(layer({"w": weight}, x, 2), layer({"w": weight}, x, (2, 2), (1, 1), (0, 0)))


@pytest.mark.parametrize("layer", [layers.conv2d, layers.conv_transpose2d])
def test_convolutions_refuse_what_is_no_geometry(layer):
    name, x, w = layer.__name__, np.zeros((2, 4, 4, 3)), {"w": np.zeros((3, 3))}
    for other, shape in [(x[0], "4, 4, 3"), (x[None], "1, 2, 4, 4, 3")]:
        with pytest.raises(ValueError, match=rf"^{name}: x must be \(B, H, W, C\), was \({shape}\)"):
            layer(w, other, 1)
    for kernel, stride, padding in [(0, 1, 0), (1, 0, 0), (1, 1, -1), ((1, 0), 1, 0), (1, (0, 1), 0), (1, 1, (-1, 0))]:
        with pytest.raises(ValueError, match=rf"^{name}: kernel and stride must be ≥ 1 and padding ≥ 0, was \("):
            layer(w, x, kernel, stride, padding)
    with pytest.raises(ValueError, match=r"was \(1, 2\), \(0, 3\), \(4, 4\)$"):
        layer(w, x, (1, 2), (0, 3), 4)
    assert layer(w, x, 1, 1, 0).shape == (2, 4, 4, 3)


def test_conv2d_refuses_other_channels():
    for c in (3, 7):
        with pytest.raises(
            ValueError, match=rf"^conv2d: x must have 5 channels on its last axis, was \(2, 4, 4, {c}\)"
        ):
            layers.conv2d({"w": np.zeros((2 * 3 * 5, 1))}, np.zeros((2, 4, 4, c)), (2, 3))


def test_conv2d_refuses_images_smaller_than_its_kernel():
    w = {"w": np.zeros((12, 1))}
    for shape in [(1, 2, 9, 1), (1, 9, 3, 1)]:
        with pytest.raises(ValueError, match=r"^conv2d: x with padding must be at least the kernel \(3, 4\), was "):
            layers.conv2d(w, np.zeros(shape), (3, 4))
    assert layers.conv2d(w, np.zeros((1, 3, 4, 1)), (3, 4)).shape == (1, 1, 1, 1)
    assert layers.conv2d(w, np.zeros((1, 1, 2, 1)), (3, 4), padding=1).shape == (1, 1, 1, 1)
    with pytest.raises(ValueError, match=r"the kernel \(3, 4\), was \(1, 1, 1, 1\), \(1, 1\)$"):
        layers.conv2d(w, np.zeros((1, 1, 1, 1)), (3, 4), padding=1)


def test_conv_transpose2d_refuses_other_channels_and_an_empty_output():
    with pytest.raises(ValueError, match="x must have 2 features on its last axis"):
        layers.conv_transpose2d({"w": np.zeros((2, 4))}, np.zeros((1, 3, 3, 5)), 2)
    with pytest.raises(ValueError, match=r"^conv_transpose2d: the output must have at least one pixel, was \(0, 4\)"):
        layers.conv_transpose2d({"w": np.zeros((2, 8))}, np.zeros((1, 1, 3, 2)), (2, 4), 1, 1)
    assert layers.conv_transpose2d({"w": np.zeros((2, 9))}, np.zeros((1, 1, 1, 2)), 3, 1, 1).shape == (1, 1, 1, 1)


# ---- initial values


def check_uniform(values, limit):
    """float32, within ±limit, and spread over all of it: the mean and the variance of a uniform distribution."""
    assert values.dtype == np.float32
    assert np.abs(values).max() <= limit * (1 + 1e-6)
    n = values.size
    assert abs(values.mean()) < 5 * limit / math.sqrt(3 * n)
    assert abs(values.var() / (limit**2 / 3) - 1) < 5 * math.sqrt(0.8 / n)  # the variance of u² is 4/45


def test_initial_values():
    rng = np.random.default_rng(4)
    for parameters, shape, n_out, limit in [
        (layers.init_linear(rng, 100, 500), (100, 500), 500, 0.1),
        (layers.init_linear(rng, 100, 500, fan_in=25), (100, 500), 500, 0.2),
        (layers.init_conv2d(rng, 5, 400, (4, 5)), (100, 400), 400, 0.1),
        (layers.init_conv2d(rng, 4, 400, 5), (100, 400), 400, 0.1),
        (layers.init_conv_transpose2d(rng, 60, 400, (2, 8)), (60, 16 * 400), 400, 1 / 80),
        (layers.init_conv_transpose2d(rng, 60, 400, 4), (60, 16 * 400), 400, 1 / 80),
    ]:
        assert list(parameters) == ["w", "b"]
        assert parameters["w"].shape == shape
        assert parameters["b"].shape == (n_out,)
        check_uniform(parameters["w"], limit)
        check_uniform(parameters["b"], limit)


def test_initial_values_without_bias():
    rng = np.random.default_rng(4)
    assert list(layers.init_linear(rng, 3, 4, bias=False)) == ["w"]
    assert list(layers.init_conv2d(rng, 3, 4, 2, bias=False)) == ["w"]
    assert list(layers.init_conv_transpose2d(rng, 3, 4, 2, bias=False)) == ["w"]


def test_initial_values_come_from_the_generator():
    twins = [layers.init_conv_transpose2d(np.random.default_rng(5), 3, 4, 2) for _ in range(2)]
    np.testing.assert_array_equal(twins[0]["w"], twins[1]["w"])
    np.testing.assert_array_equal(twins[0]["b"], twins[1]["b"])


def test_initial_norm():
    assert layers.init_norm(3).keys() == {"gain", "shift"}
    np.testing.assert_array_equal(layers.init_norm(3)["gain"], np.ones(3, np.float32), strict=True)
    np.testing.assert_array_equal(layers.init_norm(3)["shift"], np.zeros(3, np.float32), strict=True)
    np.testing.assert_array_equal(layers.init_running(3)["mean"], np.zeros(3, np.float32), strict=True)
    np.testing.assert_array_equal(layers.init_running(3)["variance"], np.ones(3, np.float32), strict=True)


@pytest.mark.parametrize("kind", ["linear", "conv2d", "conv_transpose2d"])
def test_initial_limits_are_those_of_pytorch(kind):
    torch = pytest.importorskip("torch")
    torch.manual_seed(6)  # of a hundred draws the largest is not always near the limit
    rng = np.random.default_rng(6)
    if kind == "linear":
        ours, theirs = layers.init_linear(rng, 300, 200), torch.nn.Linear(300, 200)
    elif kind == "conv2d":
        ours, theirs = layers.init_conv2d(rng, 60, 100, 3), torch.nn.Conv2d(60, 100, 3)
    else:
        ours, theirs = layers.init_conv_transpose2d(rng, 60, 100, 3), torch.nn.ConvTranspose2d(60, 100, 3)
    for name, tensor in [("w", theirs.weight), ("b", theirs.bias)]:
        assert ours[name].size == tensor.numel()
        assert np.abs(ours[name]).max() == pytest.approx(tensor.abs().max().item(), rel=0.05)


# ---- normalization

RUNNING = {"mean": np.array([0.5, -1.0, 2.0]), "variance": np.array([1.0, 0.5, 3.0])}


def on_device_of(x, tree):
    """A tree of constants where x lives."""
    return map_tree(STRICT.to_device, tree) if type(getattr(x, "_value", x)).__name__ == "DeviceArray" else tree


def norm_arrays(shape, seed=8):
    x, gain, shift = draw(seed, shape, shape[-1:], shape[-1:])
    return 2 * x + 1, gain, shift


@pytest.mark.parametrize("shape", [(6, 3), (2, 2, 4, 3), (2, 3)])
def test_batch_norm_in_training(shape):
    x, gain, shift = norm_arrays(shape)
    out, moved = layers.batch_norm({"gain": gain, "shift": shift}, RUNNING, x, training=True)
    axes = tuple(range(x.ndim - 1))
    n = x.size // 3
    same(out, (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5) * gain + shift)
    same(moved["mean"], 0.9 * RUNNING["mean"] + 0.1 * x.mean(axes))
    same(moved["variance"], 0.9 * RUNNING["variance"] + 0.1 * x.var(axes) * n / (n - 1))

    def function(x, gain, shift):
        return layers.batch_norm({"gain": gain, "shift": shift}, on_device_of(x, RUNNING), x, training=True)[0]

    check_all(function, x, gain, shift)


@pytest.mark.parametrize("shape", [(6, 3), (2, 2, 4, 3)])
def test_batch_norm_in_inference(shape):
    x, gain, shift = norm_arrays(shape)
    out, kept = layers.batch_norm({"gain": gain, "shift": shift}, RUNNING, x, training=False)
    assert kept is RUNNING
    same(out, (x - RUNNING["mean"]) / np.sqrt(RUNNING["variance"] + 1e-5) * gain + shift)
    running = map_tree(lambda a: a.astype(np.float32), RUNNING)

    def function(x, gain, shift):
        dtyped = RUNNING if x.dtype == np.float64 else running
        return layers.batch_norm({"gain": gain, "shift": shift}, on_device_of(x, dtyped), x, training=False)[0]

    check_all(function, x, gain, shift)
    assert layers.batch_norm({"gain": gain, "shift": shift}, RUNNING, x[:1], training=False)[0].shape == x[:1].shape


def test_batch_norm_in_inference_is_linear():
    parameters = {"gain": np.array([2.0, -1.0]), "shift": np.array([0.5, 3.0])}
    running = {"mean": np.array([1.0, -2.0]), "variance": np.array([4.0, 0.25])}
    scale, offset = layers.inference_scale(parameters, running)
    for k in range(2):  # two points tell a line
        gain, shift, mean, variance = (v[k] for v in (*parameters.values(), *running.values()))
        for x in (0.0, 1.7):
            expected = gain * (x - mean) / (variance + 1e-5) ** 0.5 + shift
            assert scale[k] * x + offset[k] == pytest.approx(expected, rel=1e-12)


def test_batch_norm_against_pytorch():
    torch = pytest.importorskip("torch")
    x, gain, shift = norm_arrays((4, 2, 5, 3))
    twin = torch.nn.BatchNorm2d(3).double()
    twin.load_state_dict({**twin.state_dict(), "weight": torch.tensor(gain), "bias": torch.tensor(shift)})
    running = map_tree(lambda a: a.astype(np.float64), layers.init_running(3))
    for step in range(3):
        images = x + step
        out, running = layers.batch_norm({"gain": gain, "shift": shift}, running, images, training=True)
        expected = twin(torch.tensor(images.transpose(0, 3, 1, 2).copy()))
        same(out.transpose(0, 3, 1, 2), expected.detach().numpy(), 1e-10)
    same(running["mean"], twin.running_mean.numpy())
    same(running["variance"], twin.running_var.numpy())
    twin.eval()
    out, _ = layers.batch_norm({"gain": gain, "shift": shift}, running, x, training=False)
    same(out.transpose(0, 3, 1, 2), twin(torch.tensor(x.transpose(0, 3, 1, 2).copy())).detach().numpy(), 1e-10)


def test_batch_norm_keeps_its_running_statistics_float32_and_off_the_tape(backend):
    running = backend.tree_to_device(layers.init_running(3))
    parameters = backend.tree_to_device(layers.init_norm(3))
    x = backend.to_device(draw(9, (4, 3), dtype=np.float32)[0])

    def loss(p):
        out, moved = layers.batch_norm(p["norm"], running, p["x"], training=True)
        assert not hasattr(moved["mean"], "_node")  # no tape keeps the batch alive through the model's state
        assert not hasattr(moved["variance"], "_node")
        return ops.mean(ops.multiply(out, out)), moved

    _, found, moved = value_and_gradients(loss, {"norm": parameters, "x": x})
    assert {a.dtype for a in moved.values()} == {np.dtype(np.float32)}
    assert found["x"].dtype == found["norm"]["gain"].dtype == np.float32
    np.testing.assert_array_equal(backend.to_host(running["mean"]), np.zeros(3))  # what came in is left as it was
    np.testing.assert_array_equal(backend.to_host(running["variance"]), np.ones(3))


def test_batch_norm_needs_two_values_per_channel():
    for shape in [(1, 3), (1, 1, 1, 3)]:
        with pytest.raises(ValueError, match=r"^batch_norm: training needs at least 2 values per channel, x was \(1, "):
            layers.batch_norm(layers.init_norm(3), RUNNING, np.zeros(shape), training=True)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (3,)])
def test_layer_norm(shape):
    x, gain, shift = norm_arrays(shape)
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    same(layers.layer_norm({"gain": gain, "shift": shift}, x), (x - mean) / np.sqrt(variance + 1e-5) * gain + shift)
    check_all(lambda x, gain, shift: layers.layer_norm({"gain": gain, "shift": shift}, x), x, gain, shift)


def test_layer_norm_against_pytorch():
    torch = pytest.importorskip("torch")
    x, gain, shift = norm_arrays((4, 2, 6))
    expected = torch.nn.functional.layer_norm(torch.tensor(x), (6,), torch.tensor(gain), torch.tensor(shift))
    same(layers.layer_norm({"gain": gain, "shift": shift}, x), expected.numpy(), 1e-10)


# ---- part of the parameters on the tape: what is frozen is a bare device array, on either side of every operator


@pytest.mark.parametrize("trained", [["w"], ["b"], ["x"], ["w", "b"]])
@pytest.mark.parametrize("name", ["linear", "conv2d", "conv_transpose2d"])
def test_frozen_parameters_of_a_convolution(name, trained):
    layer = getattr(layers, name)
    values = dict(zip("xwb", draw(10, (2, 3, 3, 2), (2, 2), (2,)), strict=True))
    geometry = () if name == "linear" else (1,)

    def function(*free):
        frozen = values if not any(type(getattr(a, "_value", a)).__name__ == "DeviceArray" for a in free) else device
        arrays = {**frozen, **dict(zip(trained, free, strict=True))}
        return with_bias(layer, arrays["x"], arrays["w"], arrays["b"], *geometry)

    device = map_tree(STRICT.to_device, values)
    check_backends(function, *(values[k] for k in trained))


@pytest.mark.parametrize("trained", [["gain"], ["shift"], ["x"]])
@pytest.mark.parametrize("name", ["batch_norm", "batch_norm in inference", "layer_norm"])
def test_frozen_parameters_of_a_norm(name, trained):
    values = dict(zip(["x", "gain", "shift"], norm_arrays((4, 3)), strict=True))

    def function(free):
        arrays = {**on_device_of(free, values), trained[0]: free}
        if name == "layer_norm":
            return layers.layer_norm(arrays, arrays["x"])
        return layers.batch_norm(arrays, on_device_of(free, RUNNING), arrays["x"], training=name == "batch_norm")[0]

    check_backends(function, values[trained[0]])
