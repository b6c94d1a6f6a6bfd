"""dimref's side: steps on every backend, from weights that stay as they were drawn."""

import numpy as np
import pytest
from fake_cupy import STRICT, DeviceArray

from dimref import objectives
from dimref.backend import NUMPY
from dimref.bench import products, profile
from dimref.bench.reference import LR, Reference
from dimref.optim import adam_step, init_adam
from dimref.tape import value_and_gradients
from dimref.training.choices import BENCH_PRESETS
from dimref.trees import leaves, map_tree


@pytest.mark.parametrize("preset", BENCH_PRESETS)
def test_a_step_on_the_device_is_the_step_on_the_host(make, preset):
    found = make(preset)
    before = [array.copy() for _, array in leaves(found.parameters)]
    sides = [Reference(found, backend) for backend in (NUMPY, STRICT)]
    for side in sides:
        for _ in range(2):
            side.step()
        side.synchronize()
    host, device = (list(leaves({"p": side.parameters, "s": side.state})) for side in sides)
    for (path, a), (_, b) in zip(host, device, strict=True):
        assert isinstance(b, DeviceArray), path
        np.testing.assert_array_equal(b.get(), a, err_msg=path)
    for array, (path, now) in zip(before, leaves(found.parameters), strict=True):
        np.testing.assert_array_equal(now, array, err_msg=path)  # another side starts from the same


@pytest.mark.parametrize("preset", ["mixed", "local-infonce"])
def test_two_steps_are_two_steps_of_training(make, preset):
    """The same by the functions that `training.train_step` is made of."""
    found = make(preset)
    reference = Reference(found, NUMPY)
    parameters, state = map_tree(np.array, found.parameters), found.state
    adam = init_adam(parameters)
    for _ in range(2):
        reference.step()
        _, gradients, rest = value_and_gradients(
            objectives.loss, parameters, state, found.images, found.noise, found.objective, found.layout
        )
        parameters, adam = adam_step(parameters, gradients, adam, LR)
        state = rest["state"]
    expected = dict(leaves({"p": parameters, "s": state}))
    for path, array in leaves({"p": reference.parameters, "s": reference.state}):
        np.testing.assert_array_equal(array, expected[path], err_msg=path)


def test_encodings_are_named_and_leave_everything_as_it_was(make):
    reference = Reference(make("encode"), NUMPY)
    first = reference.encodings()
    reference.step()
    assert list(first) == ["local_map", "last_map", "fc", "y"]
    for name, array in reference.encodings().items():
        np.testing.assert_array_equal(array, first[name])


def test_products_and_profile_run_on_the_device(make):
    found = make("mixed")
    products.bare_products(products.product_shapes(found), STRICT.to_device)()
    waits = []
    reference = Reference(found, STRICT)
    measured = profile.profile(reference.step, lambda: waits.append(1), repeats=1)
    assert sum(measured.groups.values()) == pytest.approx(measured.total)
    assert len(waits) > 100  # the device is waited for at every look at the clock
