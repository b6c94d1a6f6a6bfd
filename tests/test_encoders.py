"""The encoder: its sizes against the rules written out, the whole network against a PyTorch twin, its gradients."""

import dataclasses
import itertools
import re

import numpy as np
import pytest
from fake_cupy import STRICT, DeviceArray
from finite_differences import check_all, draw
from hypothesis import given
from hypothesis import strategies as st
from small_networks import encoder_and_images

from dimref import encoders, ops
from dimref.encoders import Layout
from dimref.tape import stop_gradient, value_and_gradients
from dimref.trees import leaves, map_tree

pytestmark = pytest.mark.usefixtures("plain_forms")
TINY = Layout(8, 1, width=3, fc=5, representation=2)


# ---- sizes


def rules(size):
    """The fewest convolutions, two at least, that bring the last map to 4 or less; zero-padded to whole halvings."""
    for depth in itertools.count(2):
        padded = size
        while padded % 2**depth:
            padded += 1
        if padded // 2**depth <= 4:
            return depth, padded


@given(st.integers(4, 256))
def test_layout_follows_the_rules(size):
    layout = Layout(size, 3)
    depth, padded = rules(size)
    assert (layout.depth, layout.padded) == (depth, padded)
    assert layout.widths == tuple([64, 128, 256, 512, 1024, 2048][:depth])
    assert layout.last == (padded // 2**depth, layout.widths[-1])
    assert layout.local == (2 * layout.last[0], layout.widths[-2])
    assert 0 <= layout.padded - size < 2**depth


@pytest.mark.parametrize(
    ("size", "padded", "depth", "local", "last"),
    [
        (4, 4, 2, (2, 64), (1, 128)),
        (16, 16, 2, (8, 64), (4, 128)),
        (17, 24, 3, (6, 128), (3, 256)),
        (28, 32, 3, (8, 128), (4, 256)),
        (32, 32, 3, (8, 128), (4, 256)),
        (33, 48, 4, (6, 256), (3, 512)),
        (64, 64, 4, (8, 256), (4, 512)),
        (96, 96, 5, (6, 512), (3, 1024)),
    ],
)
def test_layout_of_common_sizes(size, padded, depth, local, last):
    layout = Layout(size, 1)
    assert (layout.padded, layout.depth, layout.local, layout.last) == (padded, depth, local, last)
    assert (layout.width, layout.fc, layout.representation) == (64, 1024, 64)


@pytest.mark.parametrize(("size", "channels"), [(3, 3), (0, 1), (32, 2), (32, 4), (32, 0)])
def test_layout_refuses_what_is_no_image(size, channels):
    message = f"encoder: images must be at least 4×4 with 1 or 3 channels, were {size}×{size}×{channels}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Layout(size, channels)


def test_a_layout_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Layout(32, 3).size = 64
    parameters, state, images = encoder_and_images(0, TINY, 2)
    encoding, _ = encoders.encode(parameters, state, images, TINY, True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        encoding.y = encoding.fc


# ---- scale


def test_scale_takes_bytes_to_minus_1_and_1(backend):
    images = backend.to_device(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1))
    scaled = backend.to_host(encoders.scale(images, Layout(16, 1)))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.ravel(), np.arange(256) / 127.5 - 1, atol=1e-7)
    assert scaled.min() == -1
    assert scaled.max() == 1


@pytest.mark.parametrize(("size", "before", "after"), [(28, 2, 2), (29, 1, 2), (31, 0, 1), (5, 1, 2), (32, 0, 0)])
def test_scale_pads_with_black_the_odd_row_and_column_last(size, before, after, backend):
    layout = Layout(size, 3)
    images = np.random.default_rng(0).integers(1, 256, (2, size, size, 3), np.uint8)
    scaled = backend.to_host(encoders.scale(backend.to_device(images), layout))
    assert scaled.shape == (2, layout.padded, layout.padded, 3)
    assert before + size + after == layout.padded
    inside = scaled[:, before : before + size, before : before + size]
    np.testing.assert_allclose(inside, images / 127.5 - 1, atol=1e-6)
    assert (scaled == -1).sum() == 2 * 3 * (layout.padded**2 - size**2)  # every other pixel is black, none inside is


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 28, 28, 3), np.float32),
        np.zeros((2, 28, 28, 3), np.int8),
        np.zeros((2, 28, 27, 3), np.uint8),
        np.zeros((2, 27, 28, 3), np.uint8),
        np.zeros((2, 28, 28, 1), np.uint8),
        np.zeros((28, 28, 3), np.uint8),
    ],
)
def test_scale_checks_its_images(images):
    message = f"scale: images must be uint8 (B, 28, 28, 3), were {images.dtype} {images.shape}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        encoders.scale(images, Layout(28, 3))


# ---- the network


@pytest.mark.parametrize(
    "layout", [Layout(size, c, width=2, fc=7, representation=3) for size, c in [(4, 1), (8, 3), (28, 1), (33, 3)]]
)
def test_shapes_of_parameters_and_encoding(layout):
    parameters, state = encoders.init_encoder(np.random.default_rng(0), layout)
    shapes = {path: leaf.shape for path, leaf in leaves(parameters)}
    expected, c_in = {}, layout.channels
    for k, c_out in enumerate(layout.widths, start=1):
        expected |= {f"conv{k}/w": (16 * c_in, c_out), f"norm{k}/gain": (c_out,), f"norm{k}/shift": (c_out,)}
        c_in = c_out
    flat = layout.last[0] ** 2 * layout.last[1]
    expected |= {"fc/w": (flat, 7), "norm_fc/gain": (7,), "norm_fc/shift": (7,), "y/w": (7, 3), "y/b": (3,)}
    assert shapes == expected  # no bias before a norm
    assert {path: leaf.shape for path, leaf in leaves(state)} == {
        f"{name}/{what}": parameters[name]["gain"].shape
        for name in parameters
        if name.startswith("norm")
        for what in ("mean", "variance")
    }
    images = draw(0, (3, layout.padded, layout.padded, layout.channels), dtype=np.float32)[0]
    for training in (True, False):
        encoding, moved = encoders.encode(parameters, state, images, layout, training)
        side, channels = layout.local
        assert encoding.local_map.shape == (3, side, side, channels)
        assert encoding.last_map.shape == (3, layout.last[0], layout.last[0], layout.last[1])
        assert encoding.fc.shape == (3, 7)
        assert encoding.y.shape == (3, 3)
        assert all(array.dtype == np.float32 for array in vars(encoding).values())
        assert [(p, leaf.shape, leaf.dtype) for p, leaf in leaves(moved)] == [
            (p, leaf.shape, leaf.dtype) for p, leaf in leaves(state)
        ]


@pytest.mark.parametrize("layout", [TINY, Layout(28, 1), Layout(33, 3, width=2, fc=7, representation=3)])
def test_how_many_numbers_an_encoder_has(layout):
    parameters, _ = encoders.init_encoder(np.random.default_rng(0), layout)
    assert layout.parameter_count == sum(array.size for _, array in leaves(parameters))


def test_every_map_is_after_its_relu_and_the_representation_is_not():
    parameters, state, images = encoder_and_images(1, TINY, 16)
    encoding, _ = encoders.encode(parameters, state, images, TINY, True)
    for array in (encoding.local_map, encoding.last_map, encoding.fc):
        assert array.min() == 0 < array.max()
    assert encoding.y.min() < 0 < encoding.y.max()


def test_initial_weights_have_their_own_fan_in():
    layout = Layout(16, 3, width=16, fc=40, representation=30)
    parameters, _ = encoders.init_encoder(np.random.default_rng(0), layout)
    for name, fan_in in {"conv1": 48, "conv2": 256, "fc": 4 * 4 * 32, "y": 40}.items():
        for leaf in parameters[name].values():
            assert 0.85 / fan_in**0.5 < abs(leaf).max() <= (1 + 1e-6) / fan_in**0.5


def test_training_normalizes_with_the_batch_and_inference_with_the_running_statistics():
    parameters, state, images = encoder_and_images(2, TINY, 6)
    before = map_tree(np.copy, state)
    alone, kept = encoders.encode(parameters, state, images[:1], TINY, False)
    together, _ = encoders.encode(parameters, state, images, TINY, False)
    np.testing.assert_allclose(alone.y[0], together.y[0], atol=1e-12)  # an image does not see its batch
    for (_, old), (_, new) in zip(leaves(before), leaves(kept), strict=True):
        np.testing.assert_array_equal(old, new)

    first, moved = encoders.encode(parameters, state, images[:3], TINY, True)
    second, _ = encoders.encode(parameters, state, images, TINY, True)
    assert abs(first.y[0] - second.y[0]).max() > 1e-3
    for (_, old), (_, new) in zip(leaves(before), leaves(moved), strict=True):
        assert (old != new).any()
    for (_, old), (_, now) in zip(leaves(before), leaves(state), strict=True):
        np.testing.assert_array_equal(old, now)  # the old state is left as it was


def test_flatten_and_by_location_keep_row_column_channel_order():
    feature_map = np.arange(2 * 3 * 3 * 4).reshape(2, 3, 3, 4)
    assert encoders.flatten(feature_map).tolist() == [list(range(36)), list(range(36, 72))]
    locations = encoders.by_location(feature_map)
    assert locations.shape == (2, 9, 4)
    assert locations[1, 5].tolist() == feature_map[1, 1, 2].tolist()


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (2, 7, 8, 1), (2, 8, 9, 1), (8, 8, 1), (2, 4, 4, 1), (1, 2, 8, 8, 1)])
def test_encode_checks_its_images(shape):
    parameters, state, _ = encoder_and_images(3, TINY, 2)
    message = f"encode: images must be (B, 8, 8, 1), were {shape}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        encoders.encode(parameters, state, np.zeros(shape), TINY, True)


# ---- gradients


PARTS = ("local_map", "last_map", "fc", "y")


def of_parameters(layout, part, training):
    """(leaves of the parameters) → one part of the encoding of fixed images."""
    parameters, state, images = encoder_and_images(4, layout, 3)

    def encode(*arrays):
        rest = iter(arrays)
        tree = map_tree(lambda _: next(rest), parameters)
        kind = stop_gradient(arrays[0])

        def there(x):
            x = x.astype(kind.dtype)
            return STRICT.to_device(x) if isinstance(kind, DeviceArray) else x

        encoding, _ = encoders.encode(tree, map_tree(there, state), there(images), layout, training)
        return getattr(encoding, part)

    return encode, [leaf for _, leaf in leaves(parameters)]


@pytest.mark.parametrize("training", [True, False])
def test_gradient_of_the_representation_on_every_kind_of_array(training):
    """Every parameter of the network, through every layer."""
    encode, arrays = of_parameters(TINY, "y", training)
    check_all(encode, *arrays, second=not training)  # of three images a second difference is not exact enough


@pytest.mark.parametrize("part", PARTS[:3])
def test_a_part_depends_on_the_layers_below_it_alone(part):
    parameters, state, images = encoder_and_images(5, TINY, 3)

    def sum_of_part(tree):
        encoding, _ = encoders.encode(tree, state, images, TINY, False)
        return ops.total(getattr(encoding, part)), {}

    _, slopes, _ = value_and_gradients(sum_of_part, parameters)
    reached = {path.split("/")[0] for path, slope in leaves(slopes) if slope is not None}
    below = {"local_map": ["1"], "last_map": ["1", "2"], "fc": ["1", "2", "_fc"]}[part]
    assert reached == {name for k in below for name in (f"norm{k}", "fc" if k == "_fc" else f"conv{k}")}


def test_images_get_no_gradient(monkeypatch):
    """Nothing is spent on the first convolution's input: one col2im for every later one."""
    layout = Layout(32, 3, width=2, fc=5, representation=2)
    parameters, state, images = encoder_and_images(6, layout, 2)
    shapes = []
    col2im = ops.col2im
    monkeypatch.setattr(ops, "col2im", lambda g, shape, *rest: (shapes.append(shape), col2im(g, shape, *rest))[1])
    value_and_gradients(lambda p: (ops.total(encoders.encode(p, state, images, layout, True)[0].y), {}), parameters)
    assert sorted(shapes) == [(2, 8, 8, 4), (2, 16, 16, 2)]


# ---- PyTorch as an oracle


def torch_twin(torch, parameters, state, layout):
    """The same network with the same weights in PyTorch's layout: OIHW, and NCHW flattening before the first linear."""
    nn = torch.nn

    def put(target, array):
        with torch.no_grad():
            target.copy_(torch.tensor(np.ascontiguousarray(array)))

    def norm(module, name):
        put(module.weight, parameters[name]["gain"])
        put(module.bias, parameters[name]["shift"])
        put(module.running_mean, state[name]["mean"])
        put(module.running_var, state[name]["variance"])
        return module

    blocks, c_in = [], layout.channels
    for k, c_out in enumerate(layout.widths, start=1):
        conv = nn.Conv2d(c_in, c_out, 4, stride=2, padding=1, bias=False)
        put(conv.weight, parameters[f"conv{k}"]["w"].reshape(4, 4, c_in, c_out).transpose(3, 2, 0, 1))
        blocks.append(nn.Sequential(conv, norm(nn.BatchNorm2d(c_out), f"norm{k}"), nn.ReLU()))
        c_in = c_out
    side = layout.last[0]
    fc = nn.Linear(side * side * c_in, layout.fc, bias=False)
    rows = parameters["fc"]["w"].reshape(side, side, c_in, layout.fc).transpose(2, 0, 1, 3)  # (C, H, W, out)
    put(fc.weight, rows.reshape(-1, layout.fc).T)
    head = nn.Sequential(fc, norm(nn.BatchNorm1d(layout.fc), "norm_fc"), nn.ReLU())
    last = nn.Linear(layout.fc, layout.representation)
    put(last.weight, parameters["y"]["w"].T)
    put(last.bias, parameters["y"]["b"])
    return blocks, head, last


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (32, 3)])
def test_encoder_agrees_with_its_torch_twin(size, channels, training):
    torch = pytest.importorskip("torch")
    layout = Layout(size, channels, width=4, fc=10, representation=6)
    parameters, state, images = encoder_and_images(7, layout, 5, np.float32)
    blocks, head, last = torch_twin(torch, parameters, state, layout)
    for module in (*blocks, head):
        module.train(training)
    maps = [torch.tensor(images.transpose(0, 3, 1, 2).copy())]
    with torch.no_grad():
        for block in blocks:
            maps.append(block(maps[-1]))
        fc = head(maps[-1].flatten(1))
        y = last(fc)
    encoding, moved = encoders.encode(parameters, state, images, layout, training)
    expected = {
        "local_map": maps[-2].permute(0, 2, 3, 1),
        "last_map": maps[-1].permute(0, 2, 3, 1),
        "fc": fc,
        "y": y,
    }
    for part, tensor in expected.items():
        np.testing.assert_allclose(getattr(encoding, part), tensor.numpy(), atol=1e-5, err_msg=part)
    for k, module in [*enumerate((block[1] for block in blocks), start=1), ("_fc", head[1])]:
        np.testing.assert_allclose(moved[f"norm{k}"]["mean"], module.running_mean.numpy(), atol=1e-5)
        np.testing.assert_allclose(moved[f"norm{k}"]["variance"], module.running_var.numpy(), atol=1e-5)
