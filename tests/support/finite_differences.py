"""What the tests of differentiable functions share: gradients along a random direction, and the walk over backends.

A test function here takes arrays and returns one array. Its scalar, where one is needed, is the inner product with a
fixed random array: a sum alone would hide an error that cancels.
"""

import weakref

import numpy as np
from fake_cupy import STRICT, DeviceArray

from dimref import ops
from dimref.backend import NUMPY
from dimref.tape import stop_gradient, value_and_gradients

STEP = 1e-5  # central differences in float64: truncation h² and rounding ε/h are both near 1e-10


def draw(seed, *shapes, scale=1.0, dtype=np.float64):
    """Standard normal arrays of these shapes."""
    rng = np.random.default_rng(seed)
    return [np.asarray(scale * rng.standard_normal(shape), dtype) for shape in shapes]


def away_from_zero(x, gap=0.1):
    """The same signs, with every element at least `gap` from 0: no kink within a step of finite differences."""
    return x + gap * np.where(x < 0, -1, 1)


def projected(function, backend=NUMPY, seed=99):
    """(dict of arrays) -> (⟨function(arrays), c⟩, function(arrays)), c fixed and random, of the value's dtype."""

    def scalar(arrays):
        value = function(*arrays.values())
        c = backend.to_device(draw(seed, value.shape, dtype=value.dtype)[0])
        return ops.total(ops.multiply(value, c)), value

    return scalar


def gradients(function, *arrays, backend=NUMPY):
    """The value of `function`, and the gradients of its inner product with a random array, on a backend."""
    named = {str(k): backend.to_device(a) for k, a in enumerate(arrays)}
    _, found, value = value_and_gradients(projected(function, backend), named)
    return value, list(found.values())


def check_gradient(function, *arrays, tolerance=1e-7, seed=7):
    """The gradient in every argument against central differences along one random direction each.

    No gradient at all (None) stands for zero: the value does not depend on that argument.
    """
    _, found = gradients(function, *arrays)
    scalar = projected(function)
    for k, gradient in enumerate(found):
        (direction,) = draw(seed + k, arrays[k].shape)

        def at(step, k=k, direction=direction):
            moved = {str(j): a + step * direction if j == k else a for j, a in enumerate(arrays)}
            return float(scalar(moved)[0])

        expected = (at(STEP) - at(-STEP)) / (2 * STEP)
        assert gradient is None or gradient.shape == arrays[k].shape
        along = 0.0 if gradient is None else float((gradient * direction).sum())
        assert abs(along - expected) <= tolerance * max(1.0, abs(expected)), (k, along, expected)


def check_second_derivative(function, *arrays, tolerance=1e-7):
    """The gradient of a gradient: ⟨∇ₓ⟨function(x), c⟩, w⟩, w random, in x and in c, by central differences."""
    weights = draw(5, *(a.shape for a in arrays))

    def slope(*x_and_c):
        *x, c = x_and_c
        _, found, _ = value_and_gradients(
            lambda named: (ops.total(ops.multiply(function(*named.values()), c)), None),
            {str(k): a for k, a in enumerate(x)},
        )
        slopes = [ops.total(ops.multiply(g, w)) for g, w in zip(found.values(), weights, strict=True)]
        return sum(slopes[1:], start=slopes[0])

    check_gradient(slope, *arrays, *draw(6, function(*arrays).shape), tolerance=tolerance)


def check_backends(function, *arrays):
    """The strict device gives the value and the gradients that NumPy gives, to the last bit, and on the device."""
    value, found = gradients(function, *arrays)
    strict_value, strict_found = gradients(function, *arrays, backend=STRICT)
    for host, device in zip([value, *found], [strict_value, *strict_found], strict=True):
        assert isinstance(device, DeviceArray)
        assert device.dtype == host.dtype
        np.testing.assert_array_equal(device.get(), host)


def check_float32(function, *arrays):
    """float32 arguments give a float32 value and float32 gradients."""
    value, found = gradients(function, *(a.astype(np.float32) for a in arrays))
    assert value.dtype == np.float32
    assert [g.dtype for g in found] == [np.float32] * len(arrays)


def is_kept(function):
    """Whether the tape of function(x) keeps x, a (4, 6) that nothing else needs."""
    seen = []

    def loss(theta):
        x = ops.subtract(ops.relu(ops.add(theta, np.ones((4, 6)))), np.ones((4, 6)))
        seen.append(weakref.ref(stop_gradient(x)))
        out = ops.relu(function(x))
        del x
        seen.append(seen[0]() is not None)
        return ops.total(out), {}

    _, gradient, _ = value_and_gradients(loss, np.ones((4, 6)))
    assert gradient.shape == (4, 6)
    return seen[1]


def check_all(function, *arrays, second=True):
    """Gradient, second derivative, float32 in and out, and the same on the strict device."""
    check_gradient(function, *arrays)
    if second:
        check_second_derivative(function, *arrays)
    check_float32(function, *arrays)
    check_backends(function, *arrays)
    check_backends(function, *(a.astype(np.float32) for a in arrays))
