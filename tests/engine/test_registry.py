"""Every implementation in the registry against the plain form of its place: values, gradients, types, second derivatives.

One table has, for each place, what draws its arguments. All that holds of every implementation is tested here; the tests
of the engine's files have what is one form's own: how many blocks, which memory, how far from zero.
"""

import contextlib
import dataclasses
import sys
from unittest import mock

import numpy as np
import pytest
from autograd.tracer import isbox
from blas_threads import shared
from fake_cupy import STRICT, DeviceArray
from host_compiled_kernels import device_kernels
from hypothesis import given
from hypothesis import strategies as st

from dimref import discriminators, layers, ops, optim, tape
from dimref.amdim import augmentation
from dimref.amdim import encoder as amdim_encoder
from dimref.backend import NUMPY
from dimref.engine import kernels, tuning, turn_on
from dimref.tape import REGIONS, value_and_gradients
from dimref.trees import map_tree

EPSILON = 1e-2  # added to variances: two rows may lie close to each other
LAYOUT = amdim_encoder.Layout(32, 1, ndf=1, ndepth=1, nrkhs=4)


class Drawn:
    """Sizes, choices and arrays: from Hypothesis, or from a seed where every size costs the compilation of a kernel."""

    def __init__(self, data=None, seed=0):
        self._data = data
        self._sizes = np.random.default_rng(seed)
        self.rng = np.random.default_rng(seed if data is None else data.draw(st.integers(0, 2**32 - 1)))

    def size(self, least, most):
        return (
            int(self._sizes.integers(least, most + 1))
            if self._data is None
            else self._data.draw(st.integers(least, most))
        )

    def one_of(self, *values):
        return values[self.size(0, len(values) - 1)]

    def array(self, *shape):
        return self.rng.standard_normal(shape)

    def linear(self, n_in, n_out, bias=True):
        return {"w": self.array(n_in, n_out), **({"b": self.array(n_out)} if bias else {})}

    def pair(self, least, most):
        return self.size(least, most), self.size(least, most)


# ---- arguments of each place


def windows(d):
    """Images, and a geometry with at least one window."""
    kernel, stride, padding = d.pair(1, 3), d.pair(1, 3), d.pair(0, 1)
    high, wide = (d.size(max(1, k - 2 * p), 5) for k, p in zip(kernel, padding, strict=True))
    return d.array(d.size(1, 5), high, wide, d.one_of(1, 2, 4)), kernel, stride, padding


def columns(d):
    x, *geometry = windows(d)
    sides = ops.out_sizes(x.shape, *geometry)
    kernel = geometry[0]
    return d.array(len(x), *sides, kernel[0] * kernel[1] * x.shape[3]), x.shape, *geometry


def scatter_add(d):
    rows, shape = d.size(1, 5), (d.size(1, 4), d.size(1, 4))
    return d.array(*shape, d.size(1, 5)), d.rng.integers(-rows, rows, shape), rows


def affine(d):
    k, n = d.size(1, 5), d.size(1, 5)
    return d.array(d.size(1, 7), k), d.array(k, n), d.one_of(None, d.array(n)), d.one_of(False, True)


def linear_sum(d):
    shape, sizes, n = (d.size(1, 4), d.size(1, 3)), d.pair(1, 4), d.size(1, 4)
    biased = d.one_of((False, False), (True, False), (False, True), (True, True))
    first, second = (d.linear(k, n, bias) for k, bias in zip(sizes, biased, strict=True))
    return first, d.array(*shape, sizes[0]), second, d.array(*shape, sizes[1])


def convolution(d):
    x, kernel, stride, padding = windows(d)
    n = d.size(1, 3)
    w = d.array(kernel[0] * kernel[1] * x.shape[3], n)
    return x, w, d.one_of(None, d.array(n)), kernel, stride, padding, d.one_of(False, True)


def window_mean(d):
    x, kernel, stride, _ = windows(d)
    return np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), kernel, stride


def normalize(d):
    columns = d.size(1, 4)
    x = d.array(d.size(2, 9), columns)
    return x, d.array(columns), d.array(columns), EPSILON, d.one_of(False, True)


def in_float64(tree):
    return map_tree(lambda a: a.astype(np.float64), tree)


def concat_pairs(d):
    n, locations, f, r = d.size(1, 5), d.size(1, 4), d.size(1, 3), d.size(1, 3)
    index = d.rng.integers(-n, n, d.one_of((n,), (n, locations)))
    parameters = discriminators.init_concat(d.rng, f, r, d.size(1, 5))
    return in_float64(parameters), d.array(n, locations, f), d.array(n, r), index


def dot_scores(d):
    n, locations, f, r, units = d.size(1, 5), d.size(1, 4), d.size(1, 3), d.size(1, 3), d.size(4, 8)
    parameters = in_float64(discriminators.init_dot(d.rng, f, r, units))
    for side in parameters.values():
        side["norm"] = {"gain": d.array(units), "shift": d.array(units)}
    return parameters, d.array(n, locations, f), d.array(n, r)


def contrast(d):
    n, units = d.size(2, 6), d.size(1, 4)
    return d.array(n, units), d.array(n, d.size(1, 4), units), d.one_of(0.0, 2.0), d.one_of(0.0, 0.1)


def augmented(d):
    n, size, channels = d.size(1, 5), d.size(5, 8), d.one_of(1, 3)
    view, _ = augmentation.draw_views(d.rng, n, size, d.one_of("shift", "crop"))
    return d.rng.uniform(-1, 1, (n, size, size, channels)), view


def largest_map(d):
    parameters, _ = amdim_encoder.init_encoder(d.rng, LAYOUT)
    names = ("first", *(layer.name for layer in LAYOUT.stages[7]))
    parameters = {name: map_tree(lambda a: d.array(*a.shape) * 0.3, parameters[name]) for name in names}
    return parameters, d.array(d.size(1, 3), 32, 32, 1), LAYOUT


def update(d):
    shapes = d.one_of([()], [(3,), (2, 4)], [(1, 2, 3), (), (5,)])
    groups = [(*(d.array(*s) for s in (shape,) * 3), d.array(*shape) ** 2) for shape in shapes]
    return groups, optim.step_rates(d.size(1, 9), 0.1), (0.9, 0.99)


CASES = {
    "ops.matmul": lambda d: (lambda m, k, n: (d.array(m, k), d.array(k, n)))(*(d.size(1, 9) for _ in range(3))),
    "ops.scatter_add": scatter_add,
    "ops.gate": lambda d: (lambda s: (d.array(*s), d.array(*s)))(d.pair(1, 4)),
    "ops.sigmoid": lambda d: (3 * d.array(d.size(1, 4), d.size(1, 4)),),
    "ops.standardize": lambda d: (d.array(*(d.size(2, 4) for _ in range(3))), d.one_of(0, 1, -1), EPSILON),
    "ops.im2col": windows,
    "ops.col2im": columns,
    "layers.linear_rows": affine,
    "layers.linear_sum": linear_sum,
    "layers.convolution": convolution,
    "amdim.encoder.window_mean": window_mean,
    "layers.normalize": normalize,
    "layers.moving_average": lambda d: (lambda n: (d.array(n), d.array(n), 0.1, 1.25))(d.size(1, 5)),
    "discriminators.concat_pairs": concat_pairs,
    "discriminators.dot_scores": dot_scores,
    "amdim.objective.contrast": contrast,
    "amdim.objective.augmented": augmented,
    "amdim.encoder.largest_map": largest_map,
    "optim.update": update,
}
OFF_TAPE = {  # arguments with no gradient, as their paths begin
    "ops.gate": "/1",
    **dict.fromkeys(("layers.moving_average", "amdim.objective.augmented", "optim.update"), "/"),
}
DIFFERENTIABLE = [name for name in CASES if OFF_TAPE.get(name) != "/"]
TOLERANCE = {np.float64: 1e-10, np.float32: 3e-5}


# ---- a place run with some of its arrays on the tape


def walk(function, value, path=""):
    """The same arguments, every array of them replaced by function(path, array)."""
    if hasattr(value, "dtype"):
        return function(path, value)
    if isinstance(value, dict):
        return {key: walk(function, part, f"{path}/{key}") for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(walk(function, part, f"{path}/{k}") for k, part in enumerate(value))
    return value


def floats(value, path=""):
    """Every array of floats in arguments or results, by its path."""
    if hasattr(value, "dtype"):
        return {path: value} if value.dtype.kind == "f" else {}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return {p: a for key, part in items for p, a in floats(part, f"{path}/{key}").items()}


def draw_arguments(name, d, dtype=None):
    """Arguments of a place: floats of one type, in either order of memory; and the paths of those that are on the tape."""
    drawn = CASES[name](d)  # first: a seed has the same sizes in every test, since each set of them is compiled
    turn, dtype = d.one_of(False, True), dtype or d.one_of(np.float64, np.float32)

    def made(path, a):
        a = a.astype(dtype) if a.dtype.kind == "f" else a
        return np.asfortranarray(a) if turn and a.ndim > 1 else a

    arguments = walk(made, drawn)
    free = free_of(name, arguments)
    return arguments, [path for path in free if d.one_of(True, False)] or [*free][:1]


def free_of(name, arguments):
    """The arrays that may be on the tape."""
    return {path: a for path, a in floats(arguments).items() if not path.startswith(OFF_TAPE.get(name, ()))}


def inner_product(results, backend, seed=1, dtype=None):
    """⟨results, random arrays⟩ of what is on the tape; the random arrays of the results' own types or of another."""
    rng, total = np.random.default_rng(seed), 0.0
    for a in floats(results).values():
        c = backend.to_device(rng.standard_normal(a.shape).astype(dtype or a.dtype))
        total = total + ops.total(ops.multiply(a, c)) if isbox(a) else total
    return total


def outcome(name, arguments, on_tape, backend, of_weights=None):
    """All results by their paths, the gradients of their inner product in what is on the tape, and what was given."""
    here = walk(lambda _, a: backend.to_device(a.copy()), arguments)

    def function(tree):
        results = called(name, here, tree)
        return inner_product(results, backend, dtype=of_weights), floats(results)

    _, slopes, results = value_and_gradients(function, {path: floats(here)[path] for path in on_tape})
    kinds = {"result": results, "gradient": slopes}
    if name != "optim.update":  # which is given its arrays to be overwritten
        kinds["argument"] = floats(here)
    return {kind + path: a for kind, found in kinds.items() for path, a in found.items()}


def called(name, arguments, tree):
    """The place, with the arrays of a tree at their paths."""
    return REGIONS[name](*walk(lambda path, a: tree.get(path, a), arguments))


def assert_same(found, expected, backend, tolerance, types=True):
    """Of one shape and type, and equal up to a part of the largest number of each; no gradient stands for zeros."""
    assert found.keys() == expected.keys()
    for name, right in expected.items():
        value = found[name]
        if value is not None and right is not None:
            assert value.shape == right.shape, name
            assert value.dtype == right.dtype or not types, name
        value, right = (np.zeros(1) if a is None else backend.to_host(a) for a in (value, right))
        size = max(1.0, float(np.abs(right).max(initial=0)))
        np.testing.assert_allclose(value, right, rtol=0, atol=tolerance * size, err_msg=name)


# ---- which implementation, with which constants


@contextlib.contextmanager
def alone(name, form):
    """The implementation has its place for itself; what comes is the list of its calls."""
    others, calls = REGIONS[name].implementations, []
    kept = list(others)
    others[:] = [dataclasses.replace(form, function=lambda *args: calls.append(1) or form.function(*args))]
    try:
        yield calls
    finally:
        others[:] = kept


@contextlib.contextmanager
def constants(size):
    """Every size of a block, and every size from which something pays, in every file that has it."""
    names = [name for name in vars(tuning) if name.isupper() and not name.startswith("CAPTURE")]
    with contextlib.ExitStack() as patches:
        for module in [m for name, m in sys.modules.items() if name.startswith("dimref.engine.")]:
            for name in vars(module).keys() & names:
                patches.enter_context(mock.patch.object(module, name, size))
        yield


def of_backend(name, backend):
    """The implementations of a place that a backend's arrays may take: a device's own bear the name of its type."""
    kind = type(backend.to_device(np.zeros(1)))
    own = f"{kind.__module__}.{kind.__name__}"
    return [form for form in REGIONS[name].implementations if "." not in form.name or form.name == own]


def holds(name, d, backend, monkeypatch):
    """One case of a place equals its plain form."""
    arguments, on_tape = draw_arguments(name, d)
    tolerance = min(TOLERANCE[a.dtype.type] for a in floats(arguments).values())
    with tape.plain_forms():
        expected = outcome(name, arguments, on_tape, backend)
    with shared(monkeypatch, d.one_of(1, 2, 3)), constants(d.one_of(1, 3, 20, 10**9)):
        assert_same(outcome(name, arguments, on_tape, backend), expected, backend, tolerance)


# ---- the tests


@pytest.fixture(scope="module", autouse=True)
def _no_steep_norm():
    """Layer norm of two units that are nearly equal multiplies their rounding by 1/√ε."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "EPSILON", EPSILON)
        yield


turn_on()
ON_HOST = [name for name in CASES if of_backend(name, NUMPY)]


@pytest.mark.usefixtures("no_kernels")
def test_every_place_with_an_implementation_has_a_case():
    kernels.register(DeviceArray, mock.MagicMock())
    assert {name for name, place in REGIONS.items() if place.implementations} == CASES.keys()


@pytest.mark.parametrize("name", ON_HOST)
def test_an_implementation_is_its_plain_form_on_the_host(name):
    for form in of_backend(name, NUMPY):
        with alone(name, form) as calls, pytest.MonkeyPatch.context() as patch:
            given(st.data())(lambda data: holds(name, Drawn(data), NUMPY, patch))()
        assert calls, form.name


@pytest.fixture
def device(request, no_kernels, host_kernels):
    """The strict device, with its kernels compiled for the host."""
    kernels.register(DeviceArray, device_kernels(host_kernels))
    return STRICT


@pytest.mark.parametrize("name", CASES)
def test_an_implementation_is_its_plain_form_on_a_device(name, device, monkeypatch):
    """Of a few sizes alone: each is compiled."""
    own = of_backend(name, device)
    with contextlib.ExitStack() as stack:
        calls = [stack.enter_context(alone(name, form)) for form in own if "." in form.name]
        for seed in range(4):
            holds(name, Drawn(seed=seed), device, monkeypatch)
    assert all(calls)


@pytest.mark.parametrize("name", ON_HOST)
@given(data=st.data())
def test_one_array_in_float64_among_others_in_float32_makes_the_plain_forms_types(name, data):
    wider_than_others(name, Drawn(data), NUMPY)


@pytest.mark.parametrize("name", CASES)
def test_so_it_does_on_a_device(name, device):
    for seed in range(4):
        wider_than_others(name, Drawn(seed=seed), device)


def wider_than_others(name, d, backend):
    arguments, on_tape = draw_arguments(name, d, np.float32)
    wide = d.one_of("what comes after", *floats(arguments))
    arguments = walk(lambda path, a: a.astype(np.float64) if path == wide else a, arguments)
    of_weights = np.float64 if wide == "what comes after" else None
    with tape.plain_forms():
        expected = outcome(name, arguments, on_tape, backend, of_weights)
    with constants(d.one_of(1, 20, 10**9)):
        found = outcome(name, arguments, on_tape, backend, of_weights)
    assert_same(found, expected, backend, TOLERANCE[np.float32], types=of_weights is None)


def slope_of_slopes(name, arguments, inner, backend, weights=None):
    """The gradient of an inner product with the gradient in some arrays, in all arrays; or in the first one's weights."""
    everything = free_of(name, arguments) if weights is None else weights

    def outer(tree):
        def of_some(some):
            results = floats(called(name, arguments, some if weights is not None else {**tree, **some}))
            if weights is None:
                return inner_product(results, backend), None
            return sum((ops.total(ops.multiply(a, tree[path])) for path, a in results.items()), start=0.0), None

        at = floats(arguments) if weights is not None else tree
        _, slopes, _ = value_and_gradients(of_some, {path: at[path] for path in inner})
        return inner_product({path: g for path, g in slopes.items() if g is not None}, backend, seed=2), None

    return value_and_gradients(outer, everything)[1]


@pytest.mark.parametrize("name", [name for name in ON_HOST if name in DIFFERENTIABLE])
@given(data=st.data())
def test_a_second_derivative_in_the_arguments_is_the_plain_forms(name, data):
    """What cannot be differentiated again does not apply to arrays on two tapes."""
    d = Drawn(data)
    arguments, inner = draw_arguments(name, d, np.float64)
    with tape.plain_forms():
        expected = slope_of_slopes(name, arguments, inner, NUMPY)
    with constants(d.one_of(1, 20)):
        assert_same(slope_of_slopes(name, arguments, inner, NUMPY), expected, NUMPY, 1e-8)


@pytest.mark.parametrize("name", [name for name in ON_HOST if name in DIFFERENTIABLE])
@given(data=st.data())
def test_a_second_derivative_in_what_comes_after_is_the_plain_forms_or_refused(name, data):
    """At the time of the call nobody knows that the backward pass will be on a tape."""
    d = Drawn(data)
    arguments, inner = draw_arguments(name, d, np.float64)
    with tape.plain_forms():
        weights = {path: d.array(*a.shape) for path, a in floats(REGIONS[name](*arguments)).items()}
        expected = slope_of_slopes(name, arguments, inner, NUMPY, weights)
    with constants(d.one_of(1, 20)), unless_refused():
        assert_same(slope_of_slopes(name, arguments, inner, NUMPY, weights), expected, NUMPY, 1e-8)


@contextlib.contextmanager
def unless_refused():
    """End where a form says that it cannot be differentiated again."""
    try:
        yield
    except ValueError as error:
        if "no second derivative" not in str(error):
            raise
