"""Features of a frozen encoder: whole, in order, and the same whatever the batches."""

import numpy as np

from dimref import training
from dimref.evaluation.features import encode_images


def test_features_are_those_of_inference_whatever_the_batches(prepare, monkeypatch):
    task = prepare()
    state = training.initial_state(task)
    found = encode_images(task, state.parameters, state.model, task.images)
    assert {name: value.shape for name, value in found.items()} == {"conv": (54, 32), "fc": (54, 16), "y": (54, 8)}
    alone = encode_images(task, state.parameters, state.model, task.images[7:8])
    for name, value in found.items():
        np.testing.assert_allclose(alone[name], value[7:8], rtol=1e-5, atol=1e-6)
