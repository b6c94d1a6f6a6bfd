"""The encoder in inference with its norms folded into the weights equals the encoder as it is stated."""

import dataclasses

import numpy as np
import pytest
from fake_cupy import STRICT, DeviceArray
from small_networks import encoder_and_images

from dimref import encoders, tape
from dimref.encoders import Layout
from dimref.engine import folded
from dimref.trees import leaves, map_tree

TINY = Layout(8, 1, width=3, fc=5, representation=2)


@pytest.mark.parametrize("layout", [TINY, Layout(12, 3, width=2, fc=4, representation=3), Layout(32, 3, width=2, fc=5)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_the_folded_encoder_is_the_encoder_in_inference(layout, dtype, tolerance):
    parameters, state, images = encoder_and_images(11, layout, 4, dtype)
    before = images.copy()
    with tape.plain_forms():
        expected, _ = encoders.encode(parameters, state, images, layout, training=False)
    found = folded.encode_folded(folded.fold(parameters, state), images, layout)
    for field in dataclasses.fields(expected):
        value = getattr(found, field.name)
        assert value.dtype == dtype
        np.testing.assert_allclose(value, getattr(expected, field.name), rtol=0, atol=tolerance, err_msg=field.name)
    np.testing.assert_array_equal(images, before)


def test_folding_leaves_the_parameters_and_makes_one_weight_and_bias_a_layer():
    parameters, state, _ = encoder_and_images(12, TINY, 2)
    before = map_tree(np.copy, parameters)
    weights = folded.fold(parameters, state)
    assert {name: sorted(layer) for name, layer in weights.items()} == {
        name: ["b", "w"] for name in ("y", "conv1", "conv2", "fc")
    }
    for (path, now), (_, then) in zip(leaves(parameters), leaves(before), strict=True):
        np.testing.assert_array_equal(now, then, err_msg=path)


def test_the_folded_encoder_on_the_device():
    parameters, state, images = encoder_and_images(13, TINY, 3, np.float32)
    weights = folded.fold(*map(STRICT.tree_to_device, (parameters, state)))
    found = folded.encode_folded(weights, STRICT.to_device(images), TINY)
    here = folded.encode_folded(folded.fold(parameters, state), images, TINY)
    for field in dataclasses.fields(here):
        device = getattr(found, field.name)
        assert isinstance(device, DeviceArray)
        np.testing.assert_array_equal(device.get(), getattr(here, field.name))
