"""Layouts: the numbers where PyTorch has them, element by element, and back."""

import numpy as np
import pytest

from dimref import encoders
from dimref.amdim import encoder as amdim_encoder
from dimref.audit.trace.layouts import LAYOUTS, parameter_layout, recipe
from dimref.export import torch_layout
from dimref.trees import leaves

SIDE, C = 2, 3


def numbers(*shape):
    return np.arange(np.prod(shape), dtype=float).reshape(shape)


def elements(shape):
    return np.ndindex(*shape)


def test_conv():
    w = numbers(16 * C, 5)
    out = recipe("conv 4×4", w.shape, SIDE).apply(w)
    assert out.shape == (5, C, 4, 4)
    for o, i, h, v in elements(out.shape):
        assert out[o, i, h, v] == w[(h * 4 + v) * C + i, o]


def test_linear_on_flat_sees_the_map_that_pytorch_flattens():
    """A product with a map flattened either way gives the same; the local map's side is twice the last one's."""
    local, weight = numbers(2, 2 * SIDE, 2 * SIDE, C), numbers(4 * SIDE * SIDE * C, 4)
    flat = recipe("flat local map", (2, 1, 4 * SIDE * SIDE * C), SIDE).apply(local.reshape(2, 1, -1))
    np.testing.assert_array_equal(flat[:, 0], local.transpose(0, 3, 1, 2).reshape(2, -1))
    turned = recipe("linear on flat local map", weight.shape, SIDE).apply(weight)
    np.testing.assert_allclose(flat[:, 0] @ turned.T, local.reshape(2, -1) @ weight)
    w, maps = numbers(SIDE * SIDE * C, 4), numbers(2, SIDE, SIDE, C)
    out = recipe("linear on flat", w.shape, SIDE).apply(w)
    flat = recipe("flat", (2, SIDE * SIDE * C), SIDE).apply(maps.reshape(2, -1))
    np.testing.assert_array_equal(flat, maps.transpose(0, 3, 1, 2).reshape(2, -1))
    np.testing.assert_allclose(flat @ out.T, maps.reshape(2, -1) @ w)
    one = recipe("flat location", (2, 1, SIDE * SIDE * C), SIDE).apply(maps.reshape(2, 1, -1))
    np.testing.assert_array_equal(one[:, 0], flat)


def test_images_locations_linear():
    x = numbers(2, 3, 4, 5)
    np.testing.assert_array_equal(recipe("images", x.shape, SIDE).apply(x), np.moveaxis(x, 3, 1))
    rows = numbers(2, 3, 4)
    for layout in ("locations", "partner"):
        np.testing.assert_array_equal(recipe(layout, rows.shape, SIDE).apply(rows), rows.swapaxes(1, 2))
    assert recipe("partner", (2, 4), SIDE) is None
    assert recipe("plain", (2, 4), SIDE) is None
    np.testing.assert_array_equal(recipe("linear", (2, 4), SIDE).apply(numbers(2, 4)), numbers(2, 4).T)


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        ("images", (2, 3, 4, 5)), ("locations", (2, 3, 4)), ("conv 4×4", (16 * C, 5)), ("linear", (2, 4)), ("flat", (2, 12)),
        ("flat location", (2, 1, 12)), ("linear on flat", (12, 4)),
    ],
)  # fmt: skip
def test_undo(layout, shape):
    assert layout in LAYOUTS
    how, x = recipe(layout, shape, SIDE), numbers(*shape)
    np.testing.assert_array_equal(how.undo(how.apply(x).reshape(-1)).reshape(shape), x)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("encoder/conv3/w", "conv 4×4"), ("encoder/fc/w", "linear on flat"), ("encoder/y/w", "linear"),
        ("global/feature/w", "linear on flat"), ("local/feature/w", "linear"), ("prior/first/b", "plain"),
        ("encoder/norm1/gain", "plain"), ("local/feature/hidden/w", "linear"),
    ],
)  # fmt: skip
def test_parameters(name, layout):
    assert parameter_layout(name, encoders.Layout(32, 3)) == layout


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("encoder/first/w", "conv 3×3"), ("encoder/first/b", "plain"), ("encoder/down1_1/conv/w", "conv 4×4"),
        ("encoder/down2_1/conv/w", "conv 2×2"), ("encoder/down2_1/out/w", "conv 1×1"), ("encoder/one/conv/w", "conv 3×3"),
        ("encoder/five_2/conv/w", "conv 1×1"), ("encoder/embed7/hidden/w", "conv 1×1"), ("encoder/norm5/gain", "plain"),
    ],
)  # fmt: skip
def test_parameters_of_the_multi_scale_encoder(name, layout):
    """There every weight is a convolution's, as `layouts.torch_multiscale` has it."""
    encoder = amdim_encoder.Layout(32, 3, ndf=2, ndepth=2, nrkhs=8)
    assert parameter_layout(name, encoder) == layout


def test_weights_lie_as_they_are_exported():
    encoder = amdim_encoder.Layout(32, 3, ndf=2, nrkhs=8)
    parameters, _ = amdim_encoder.init_encoder(np.random.default_rng(0), encoder)
    named = torch_layout.torch_multiscale(parameters, encoder)
    for path, array in leaves(parameters):
        how = recipe(parameter_layout(f"encoder/{path}", encoder), array.shape, 1)
        *module, leaf = path.split("/")
        name = {"w": "weight", "b": "bias", "gain": "weight", "shift": "bias"}[leaf]
        found = array if how is None else how.apply(array)
        np.testing.assert_array_equal(found, named[".".join([*module, name])], err_msg=path)
