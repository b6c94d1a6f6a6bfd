"""PyTorch's layouts: every element lands where loops say it does, and PyTorch's modules compute the same with them."""

import itertools

import numpy as np
import pytest

from dimref import encoders, layers, objectives
from dimref.encoders import Layout
from dimref.export import torch_layout
from dimref.objectives import Objective
from dimref.trees import leaves, map_tree

pytestmark = pytest.mark.usefixtures("narrow")  # scorers of 16 units
LAYOUT = Layout(16, 3, width=4, fc=6, representation=5)  # its last map is 4×4×8


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def random_tree(seed, tree):
    """The same tree with every element drawn, norms and statistics too; float64."""
    rng = np.random.default_rng(seed)
    return map_tree(lambda leaf: rng.uniform(0.5, 1.5, leaf.shape) * rng.choice([-1, 1], leaf.shape), tree)


def everything(**options):
    """Parameters and state of every module, all elements drawn; running variances positive."""
    objective = Objective(1, 1, 1, **options)
    parameters, state = objectives.init_parameters(np.random.default_rng(0), LAYOUT, objective)
    return random_tree(1, parameters), map_tree(np.abs, random_tree(2, state))


# ---- arrays, by loops


def test_a_convolutions_weight_element_by_element():
    w = draw(0, 2 * 3 * 4, 5)
    found = torch_layout.conv_weight(w, (2, 3))
    assert found.shape == (5, 4, 2, 3)
    for i, j, c, o in itertools.product(range(2), range(3), range(4), range(5)):
        assert found[o, c, i, j] == w[(i * 3 + j) * 4 + c, o]


def test_a_transposed_convolutions_weight_element_by_element():
    w = draw(0, 4, 2 * 3 * 5)
    found = torch_layout.conv_transpose_weight(w, (2, 3))
    assert found.shape == (4, 5, 2, 3)
    for c, i, j, o in itertools.product(range(4), range(2), range(3), range(5)):
        assert found[c, o, i, j] == w[c, (i * 3 + j) * 5 + o]


def test_a_linear_layers_weight_is_transposed():
    w = draw(0, 3, 4)
    found = torch_layout.linear_weight(w)
    assert all(found[o, i] == w[i, o] for i, o in itertools.product(range(3), range(4)))


def test_a_flattened_maps_order_changes_with_its_layout():
    maps = draw(0, 2, 3, 3, 5)
    flat = torch_layout.flat_channels_first(maps.reshape(2, -1), 3)
    np.testing.assert_array_equal(flat, torch_layout.channels_first(maps).reshape(2, -1))
    for b, i, j, c in itertools.product(range(2), range(3), range(3), range(5)):
        assert torch_layout.channels_first(maps)[b, c, i, j] == maps[b, i, j, c]
        assert flat[b, (c * 3 + i) * 3 + j] == maps[b, i, j, c]


def test_a_linear_layer_on_a_flattened_map_sees_the_same_numbers():
    maps, w = draw(0, 2, 3, 3, 5), draw(1, 45, 4)
    there = torch_layout.channels_first(maps).reshape(2, -1) @ torch_layout.flat_linear_weight(w, 3).T
    np.testing.assert_allclose(there, maps.reshape(2, -1) @ w, rtol=1e-12)


# ---- names


def test_names_and_shapes_are_pytorchs():
    named = torch_layout.torch_names(*_arguments(everything()))
    shapes = {name: array.shape for name, array in named.items()}
    assert shapes["encoder.conv1.weight"] == (4, 3, 4, 4)
    assert shapes["encoder.conv2.weight"] == (8, 4, 4, 4)
    assert shapes["encoder.norm1.running_var"] == shapes["encoder.norm1.weight"] == (4,)
    assert shapes["encoder.fc.weight"] == (6, 4 * 4 * 8)
    assert shapes["encoder.y.weight"] == (5, 6)
    assert shapes["encoder.y.bias"] == (5,)
    assert "encoder.fc.bias" not in shapes
    assert shapes["local.concat.weight"] == (16, 4 + 5)
    assert shapes["global.concat.weight"] == (16, 4 * 4 * 8 + 5)
    assert shapes["global.concat.bias"] == (16,)
    assert shapes["prior.score.weight"] == (1, 8)
    assert "local.feature.norm.weight" in torch_layout.torch_names(*_arguments(everything(bound="infonce", **DOT)))


DOT = {"local_scorer": "dot", "local_negatives": "same-location", "global_negatives": "same-location"}


def _arguments(drawn):
    parameters, state = drawn
    return parameters, LAYOUT, state


@pytest.mark.parametrize("options", [{}, {"bound": "infonce", **DOT}], ids=["concat", "dot"])
def test_no_element_is_lost_or_doubled(options):
    parameters, state = everything(**options)
    named = torch_layout.torch_names(parameters, LAYOUT, state)
    there = np.sort(np.concatenate([array.ravel() for array in named.values()]))
    here = np.sort(np.concatenate([a.ravel() for tree in (parameters, state) for _, a in leaves(tree)]))
    np.testing.assert_array_equal(there, here)
    assert all(array.flags.c_contiguous for array in named.values())


def test_without_a_state_there_are_no_statistics_and_modules_that_are_not_there_are_left_out():
    parameters, _ = everything()
    named = torch_layout.torch_names({"encoder": parameters["encoder"]}, LAYOUT)
    assert not any("running" in name for name in named)
    assert all(name.startswith("encoder.") for name in named)


# ---- PyTorch computes the same (the critics: tests/bench/oracle, which load them by these names)


def test_pytorchs_transposed_convolution_agrees():
    torch = pytest.importorskip("torch")
    w, x = draw(0, 3, 4 * 4 * 2), draw(1, 2, 5, 5, 3)
    there = torch.nn.functional.conv_transpose2d(
        torch.tensor(torch_layout.channels_first(x)),
        torch.tensor(torch_layout.conv_transpose_weight(w, (4, 4))),
        None,
        2,
        1,
    )
    here = layers.conv_transpose2d({"w": w}, x, 4, 2, 1)
    np.testing.assert_allclose(torch_layout.channels_first(here), there.numpy(), atol=1e-10)


def test_pytorchs_encoder_agrees():
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    parameters, state = everything()
    t = {k: torch.tensor(v) for k, v in torch_layout.torch_names(parameters, LAYOUT, state).items()}
    images = draw(3, 4, 16, 16, 3)

    def normed(x, name):
        return f.batch_norm(x, *(t[f"encoder.{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias")))

    x = torch.tensor(torch_layout.channels_first(images))
    for k in (1, 2):
        x = torch.relu(normed(f.conv2d(x, t[f"encoder.conv{k}.weight"], None, 2, 1), f"norm{k}"))
    fc = torch.relu(normed(f.linear(x.flatten(1), t["encoder.fc.weight"]), "norm_fc"))
    y = f.linear(fc, t["encoder.y.weight"], t["encoder.y.bias"])
    here, _ = encoders.encode(parameters["encoder"], state["encoder"], images, LAYOUT, training=False)
    np.testing.assert_allclose(torch_layout.channels_first(here.last_map), x.numpy(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(here.y, y.numpy(), rtol=1e-9, atol=1e-9)
    flat = torch_layout.flat_channels_first(encoders.flatten(here.last_map), LAYOUT.last[0])
    np.testing.assert_allclose(flat, x.flatten(1).numpy(), rtol=1e-9, atol=1e-9)
