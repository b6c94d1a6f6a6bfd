"""The multi-scale encoder: its sizes, its windows, the whole network against a PyTorch twin, its gradients."""

import numpy as np
import pytest
from finite_differences import check_all, draw

from dimref import ops
from dimref.amdim import encoder as amdim_encoder
from dimref.amdim.encoder import Layout
from dimref.tape import value_and_gradients
from dimref.trees import leaves, map_tree

pytestmark = pytest.mark.usefixtures("plain_forms")
TINY = Layout(32, 1, ndf=2, ndepth=2, nrkhs=9)


def set_up(seed, layout, batch, dtype=np.float64):
    """Parameters none of which is 0 or 1, running statistics that are not 0 and 1, and images."""
    parameters, state = amdim_encoder.init_encoder(np.random.default_rng(seed), layout)
    rng = np.random.default_rng(seed + 1)
    parameters = map_tree(lambda w: (w + 0.2 * rng.standard_normal(w.shape)).astype(dtype), parameters)
    state = map_tree(lambda a: (a + 0.3 * rng.random(a.shape)).astype(dtype), state)
    images = rng.uniform(-1, 1, (batch, layout.padded, layout.padded, layout.channels)).astype(dtype)
    return parameters, state, images


# ---- sizes


@pytest.mark.parametrize(
    ("size", "padded", "kernels", "channels"),
    [
        (4, 32, [1, 4, 2], 4),
        (28, 32, [1, 4, 2], 4),
        (32, 32, [1, 4, 2], 4),
        (33, 64, [4, 4, 2], 8),
        (64, 64, [4, 4, 2], 8),
        (96, 128, [4, 4, 4, 2], 8),
        (128, 128, [4, 4, 4, 2], 8),
        (256, 256, [4, 4, 4, 4, 2], 8),
    ],
)
def test_layout_follows_the_table(size, padded, kernels, channels):
    layout = Layout(size, 3, ndf=1, nrkhs=8)
    assert layout.padded == padded
    assert [layer.kernel for layer in layout.stages[7]] == kernels
    assert [layer.kernel for side in (5, 1) for layer in layout.stages[side]] == [3, 3, 3]
    assert layout.local == (7, channels)
    side = padded - 2
    for layer in (layer for stage in layout.stages.values() for layer in stage):
        side, _ = ops.out_sizes((1, side, side, 1), *((k, k) for k in (layer.kernel, layer.stride, 0)))
    assert side == 1
    assert layout.stages[1][-1].c_out == layout.representation == 8


@pytest.mark.parametrize("layout", [TINY, Layout(64, 3, 2, 1, 20), Layout(100, 3, 1, 3, 8), Layout(32, 3)])
def test_numbers_counts_every_parameter(layout):
    parameters, _ = amdim_encoder.init_encoder(np.random.default_rng(0), layout)
    assert layout.parameter_count == sum(array.size for _, array in leaves(parameters))


def test_depth_adds_layers_of_one_pixel_to_each_block():
    shallow, deep = Layout(32, 3, ndepth=1), Layout(32, 3, ndepth=4)
    for side, blocks in ((7, 2), (5, 1), (1, 1)):
        added = [layer for layer in deep.stages[side] if layer not in shallow.stages[side]]
        assert len(added) == 3 * blocks
        assert {(layer.kernel, layer.stride) for layer in added} == {(1, 1)}
        assert all(layer.c_in == layer.c_out for layer in added)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 3}, "at least 4×4 with 1 or 3 channels, were 3×3×3"),
        ({"channels": 2}, "with 1 or 3 channels, were 32×32×2"),
        ({"nrkhs": 127}, "nrkhs at least the 128 channels of the maps before it, were 32, 1 and 127"),
        ({"ndepth": 0}, "ndf and ndepth must be at least 1"),
        ({"ndf": 0}, "ndf and ndepth must be at least 1"),
    ],
)
def test_sizes_that_cannot_be_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Layout(**{"size": 32, "channels": 3, **options})


# ---- windows


@pytest.mark.parametrize(("size", "seen", "apart"), [(32, {7: 8, 5: 16}, 4), (64, {7: 16, 5: 32}, 8)])
def test_a_feature_sees_its_window_alone(size, seen, apart):
    """By the gradient of each feature in the pixels: nothing outside, and neighbouring windows overlap by half or more."""
    layout = Layout(size, 1, ndf=1, nrkhs=8)
    parameters, state, images = set_up(0, layout, 1)
    for name, side in (("seven", 7), ("five", 5)):
        for row, column in ((0, 0), (1, side - 1), (side // 2, side // 2)):

            def feature(x, name=name, at=row * side + column):
                encoding, _ = amdim_encoder.encode(parameters, state, x, layout, training=False)
                return ops.total(ops.cut(getattr(encoding, name), (slice(0, 1), slice(at, at + 1)))), None

            _, slope, _ = value_and_gradients(feature, images)
            rows, columns = (np.flatnonzero(np.abs(slope[0, :, :, 0]).sum(axis=axis)) for axis in (1, 0))
            for lines, at in ((rows, row), (columns, column)):
                assert lines.min() >= at * apart
                assert lines.max() < at * apart + seen[side]
                assert len(lines) > apart


def test_the_one_feature_sees_the_whole_image():
    parameters, state, images = set_up(0, TINY, 1)

    def feature(x):
        return ops.total(amdim_encoder.features(parameters, state, x, TINY)), None

    _, slope, _ = value_and_gradients(feature, images)
    assert np.abs(slope[0, :, :, 0]).sum(axis=1).all()


# ---- the network


def torch_twin(torch, parameters, state, images, layout, training):
    """The three embeddings by PyTorch, from trees of its tensors: weights are matrices here, OIHW there."""
    f = torch.nn.functional

    def conv(x, tree, kernel=1, stride=1):
        w = tree["w"].reshape(kernel, kernel, -1, tree["w"].shape[1]).permute(3, 2, 0, 1)
        return f.conv2d(x, w, tree.get("b"), stride=stride)

    x = conv(images.permute(0, 3, 1, 2), parameters["first"], 3).relu()
    maps = {}
    for side, stage in layout.stages.items():
        for layer in stage:
            p = parameters[layer.name]
            shortcut = f.avg_pool2d(x, layer.kernel, layer.stride)
            shortcut = f.pad(shortcut, (0, 0, 0, 0, 0, layer.c_out - layer.c_in))
            x = conv(conv(x, p["conv"], layer.kernel, layer.stride).relu(), p["out"]) + shortcut
        maps[side] = x
    for side in (7, 5):
        p = parameters[f"embed{side}"]
        maps[side] = conv(conv(maps[side], p["hidden"]).relu(), p["out"]) + conv(maps[side], p["shortcut"])
    embeddings = {}
    for name, side in (("seven", 7), ("five", 5), ("one", 1)):
        p, running = parameters[f"norm{side}"], state[f"norm{side}"]
        x = f.batch_norm(maps[side], running["mean"], running["variance"], p["gain"], p["shift"], training)
        embeddings[name] = x.permute(0, 2, 3, 1).reshape(len(x), side * side, -1)
    return {**embeddings, "one": embeddings["one"][:, 0]}


@pytest.mark.parametrize("layout", [TINY, Layout(64, 3, ndf=2, ndepth=1, nrkhs=17)])
@pytest.mark.parametrize("training", [True, False])
def test_encoding_and_gradients_are_those_of_a_pytorch_twin(layout, training):
    torch = pytest.importorskip("torch")
    parameters, state, images = set_up(1, layout, 4)
    weights = dict(
        zip(
            ("seven", "five", "one"),
            draw(9, (4, 49, layout.nrkhs), (4, 25, layout.nrkhs), (4, layout.nrkhs)),
            strict=True,
        )
    )

    def projected(tree):
        encoding, moved = amdim_encoder.encode(tree, state, images, layout, training)
        value = sum(ops.total(getattr(encoding, name) * w) for name, w in weights.items())
        return value, {"encoding": {name: getattr(encoding, name) for name in weights}, "moved": moved}

    _, slopes, found = value_and_gradients(projected, parameters)
    theirs = map_tree(lambda w: torch.tensor(w, requires_grad=True), parameters)
    running = map_tree(torch.tensor, state)
    expected = torch_twin(torch, theirs, running, torch.tensor(images), layout, training)
    sum((expected[name] * torch.tensor(w)).sum() for name, w in weights.items()).backward()
    for name in weights:
        np.testing.assert_allclose(found["encoding"][name], expected[name].detach().numpy(), atol=1e-9)
    for (path, array), (_, tensor) in zip(leaves(found["moved"]), leaves(running), strict=True):
        np.testing.assert_allclose(array, tensor.numpy(), atol=1e-10, err_msg=path)
    for (path, slope), (_, tensor) in zip(leaves(slopes), leaves(theirs), strict=True):
        expected_slope = tensor.grad.numpy()
        np.testing.assert_allclose(slope, expected_slope, atol=1e-9 * np.abs(expected_slope).max() + 1e-9, err_msg=path)


def test_at_first_an_image_passes_by_the_shortcuts_alone():
    parameters, state = amdim_encoder.init_encoder(np.random.default_rng(0), TINY)
    for layer in (layer for stage in TINY.stages.values() for layer in stage):
        assert not parameters[layer.name]["out"]["w"].any()
        assert parameters[layer.name]["conv"]["w"].any()
    x = draw(0, (2, 5, 5, 8), dtype=np.float32)[0]
    embedded = amdim_encoder.embed(parameters["embed7"], x[..., : TINY.map_channels])
    limit = 0.01 * np.abs(x).sum(axis=-1, keepdims=True) + 1 / np.sqrt(TINY.map_channels)
    assert (np.abs(embedded[..., : TINY.map_channels] - x[..., : TINY.map_channels]) <= limit).all()
    assert set(state) == {"norm7", "norm5", "norm1"}


@pytest.mark.parametrize(("kernel", "stride", "c_out"), [(1, 1, 3), (1, 1, 5), (2, 2, 3), (3, 1, 4), (4, 2, 6)])
def test_residual_layer_differentiates(kernel, stride, c_out):
    x, conv, out = draw(3, (2, 8, 8, 3), (kernel * kernel * 3, c_out), (c_out, c_out))

    def layer(x, conv, out):
        return amdim_encoder.residual({"conv": {"w": conv}, "out": {"w": out}}, x, kernel, stride)

    check_all(layer, x, conv, out)


def test_images_of_another_size_are_refused():
    parameters, state, _ = set_up(0, TINY, 1)
    with pytest.raises(ValueError, match=r"images must be \(B, 32, 32, 1\), were \(1, 28, 28, 1\)"):
        amdim_encoder.encode(parameters, state, np.zeros((1, 28, 28, 1)), TINY, training=False)


@pytest.mark.parametrize(("kernel", "stride"), [((2, 2), (2, 2)), ((3, 3), (1, 1)), ((4, 4), (2, 2)), ((2, 3), (1, 2))])
def test_window_mean(kernel, stride):
    (x,) = draw(3, (2, 6, 7, 3))
    (kh, kw), (sh, sw) = kernel, stride
    expected = [
        [x[:, p : p + kh, q : q + kw].mean(axis=(1, 2)) for q in range(0, 7 - kw + 1, sw)]
        for p in range(0, 6 - kh + 1, sh)
    ]
    means = amdim_encoder.window_mean(x, kernel, stride)
    np.testing.assert_allclose(means, np.transpose(expected, (2, 0, 1, 3)), atol=1e-14)
    check_all(lambda x: amdim_encoder.window_mean(x, kernel, stride), x)
