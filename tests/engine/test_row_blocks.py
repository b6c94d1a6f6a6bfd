"""A function of rows in blocks equals the plain call: value, gradients, shapes, on one thread and on several."""

import time

import numpy as np
import pytest
from autograd.core import make_vjp
from blas_threads import shared
from fake_cupy import STRICT
from hypothesis import given
from hypothesis import strategies as st

from dimref import layers, ops
from dimref.engine import row_blocks
from dimref.engine import threads as engine_threads
from dimref.tape import stop_gradient, value_and_gradients
from dimref.trees import leaves, map_tree


@pytest.fixture(params=[1, 2, 3])
def threads(request, monkeypatch):
    """A step's surroundings where BLAS has so many threads."""
    with shared(monkeypatch, request.param):
        yield request.param


def network(parameters, x, here, index):
    """Row i of the result depends on row i of x, `here` and `index`, and on the parameters whole."""
    first = layers.linear_rows(x, parameters["layer"]["w"], parameters["layer"]["b"], False)
    return ops.relu(first) * here + ops.gather(parameters["others"], index)


def arguments(seed, n, dtype=np.float64):
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.standard_normal(shape).astype(dtype)  # noqa: E731
    parameters = {"layer": {"w": draw(3, 4), "b": draw(4)}, "others": draw(5, 4), "idle": draw(2)}
    return parameters, draw(n, 3), draw(n, 4), rng.integers(0, 5, n)


def in_blocks(block):
    return lambda *given: row_blocks.by_rows(network, *given, block=block)


def differentiated(call, parameters, x, here, index, weight):
    def scalar(tree):
        out = call(tree["parameters"], tree["x"], tree["here"], index)
        return ops.total(ops.multiply(out, weight)), out

    return value_and_gradients(scalar, {"parameters": parameters, "x": x, "here": here})


@pytest.mark.parametrize("seed", range(4))
def test_the_sums_do_not_depend_on_which_thread_is_fast(monkeypatch, seed):
    parameters, x, here, index = arguments(seed, 40, np.float32)
    weight = np.ones((40, 4), np.float32)
    rng, sweep = np.random.default_rng(seed), row_blocks.sweep
    monkeypatch.setattr(row_blocks, "sweep", lambda *given: time.sleep(rng.uniform(0, 0.004)) or sweep(*given))

    def once():
        found = differentiated(in_blocks(5), parameters, x, here, index, weight)[1]
        return [g for _, g in leaves(found) if g is not None]

    with shared(monkeypatch, 3):
        first, *others = once(), once(), once()
    for other in others:
        for g, expected in zip(other, first, strict=True):
            np.testing.assert_array_equal(g, expected)


@given(seed=st.integers(0, 2**32), n=st.integers(1, 11), block=st.integers(1, 12))
def test_value_and_gradients_are_those_of_the_plain_call(seed, n, block):
    parameters, x, here, index = arguments(seed, n)
    weight = np.random.default_rng(seed + 1).standard_normal((n, 4))
    one = differentiated(network, parameters, x, here, index, weight)
    for count in (1, 2, 3):
        with pytest.MonkeyPatch.context() as patch, shared(patch, count):
            other = differentiated(in_blocks(block), parameters, x, here, index, weight)
        np.testing.assert_allclose(other[0], one[0], rtol=1e-12)
        np.testing.assert_allclose(other[2], one[2], rtol=1e-12)
        for (path, g), (_, expected) in zip(leaves(other[1]), leaves(one[1]), strict=True):
            if path == "parameters/idle":  # nothing depends on it
                assert expected is None
                assert g is None or not g.any()
                continue
            np.testing.assert_allclose(g, expected, rtol=1e-10, atol=1e-12, err_msg=path)


def test_off_the_tape_nothing_is_kept(threads):
    parameters, x, here, index = arguments(1, 9)
    out = row_blocks.by_rows(network, parameters, x, here, index, block=2)
    assert type(out) is np.ndarray
    np.testing.assert_allclose(out, network(parameters, x, here, index), rtol=1e-12)


def test_what_is_not_on_the_tape_has_no_gradient_computed(threads):
    """The image of a convolution: its rows are blocks like any others, but nobody asks for their gradient."""
    parameters, x, here, index = arguments(2, 9)
    seen = []

    def watched(tree, *rows):
        seen.append([type(a).__name__ for a in rows])
        return network(tree, *rows)

    def scalar(tree):
        return ops.total(row_blocks.by_rows(watched, {**parameters, "layer": tree}, x, here, index, block=2)), None

    _, found, _ = value_and_gradients(scalar, parameters["layer"])
    assert seen == [["ndarray"] * 3] * len(engine_threads.tapered(9, 2))
    assert found["w"].shape == (3, 4)


def test_every_block_has_at_most_its_rows(threads):
    parameters, x, here, index = arguments(3, 10)
    seen = []

    def watched(tree, x, *rows):
        seen.append(len(x))
        return network(tree, x, *rows)

    row_blocks.by_rows(watched, parameters, x, here, index, block=4)
    assert sorted(seen) == {1: [3, 3, 4], 2: [2, 2, 3, 3], 3: [2, 2, 2, 2, 2]}[threads]
    seen.clear()
    row_blocks.by_rows(watched, parameters, x, here, index, block=10)
    assert seen == [10]


def test_a_block_that_depends_on_nothing_has_no_gradient(threads):
    """A function may leave the tape in some blocks: those add nothing, and rows get zeros."""
    parameters, x, here, index = arguments(4, 6)

    def sometimes(tree, x, *rows):
        out = network(tree, x, *rows)
        return stop_gradient(out) if stop_gradient(rows[-1])[0] == index[0] else out

    index[:] = [0, 0, 1, 1, 2, 2]
    _, found, _ = differentiated(
        lambda *given: row_blocks.by_rows(sometimes, *given, block=2), parameters, x, here, index, np.ones((6, 4))
    )
    assert not found["x"][:2].any()
    assert found["x"][2:].any(axis=1).all()
    expected = ops.relu(x @ parameters["layer"]["w"] + parameters["layer"]["b"])[2:]
    np.testing.assert_allclose(found["here"][2:], expected)


def test_second_derivatives_take_the_plain_call():
    """d/dw of ‖∂/∂x Σ f‖²: two tapes at once."""
    parameters, x, here, index = arguments(5, 6)

    def penalty(call):
        def outer(tree):
            inner = lambda at: (ops.total(call({**parameters, "layer": tree}, at, here, index)), None)  # noqa: E731
            _, slope, _ = value_and_gradients(inner, x)
            return ops.total(slope * slope), None

        return value_and_gradients(outer, parameters["layer"])[1]

    plain, blocked = penalty(network), penalty(in_blocks(2))
    np.testing.assert_allclose(blocked["w"], plain["w"])


def test_second_derivatives_in_one_leaf_take_the_plain_call():
    """d/dw of ‖∂/∂w Σ f²‖²: one leaf on two tapes at once."""
    parameters, x, here, index = arguments(5, 6)

    def penalty(call):
        def squares(tree):
            out = call({**parameters, "layer": tree}, x, here, index)
            return ops.total(out * out), None

        def outer(tree):
            slope = value_and_gradients(squares, tree)[1]
            return ops.total(slope["w"] * slope["w"]) + ops.total(slope["b"] * slope["b"]), None

        return value_and_gradients(outer, parameters["layer"])[1]

    plain, blocked = penalty(network), penalty(in_blocks(2))
    for name in ("w", "b"):
        np.testing.assert_allclose(blocked[name], plain[name])


def test_a_second_derivative_of_what_comes_after_is_refused():
    parameters, x, here, index = arguments(9, 6)

    def outer(weight):
        inner = lambda at: (ops.total(in_blocks(2)(parameters, at, here, index) * weight), None)  # noqa: E731
        return ops.total(value_and_gradients(inner, x)[1]), None

    with pytest.raises(ValueError, match=r"^by_rows: .* no second derivative"):
        value_and_gradients(outer, np.float64(2.0))


def test_a_device_array_takes_the_plain_call(monkeypatch):
    parameters, x, here, index = arguments(6, 6)
    calls = []

    def watched(tree, *rows):
        calls.append(len(rows[0]))
        return network(tree, *rows)

    device = STRICT.to_device
    out = row_blocks.by_rows(watched, map_tree(device, parameters), *map(device, (x, here, index)), block=2)
    assert calls == [6]
    np.testing.assert_array_equal(STRICT.to_host(out), network(parameters, x, here, index))


def test_an_error_of_the_function_is_the_callers(threads):
    parameters, x, here, index = arguments(7, 6)

    def wrong(tree, x, *rows):
        raise ValueError("linear: x must have 4 features")

    with pytest.raises(ValueError, match="4 features"):
        row_blocks.by_rows(wrong, parameters, x, here, index, block=2)


def test_a_gradient_asked_for_again_is_the_same(threads):
    """As by a Jacobian, which calls one VJP for each of its rows: a block's tape is gone, so the block is run again."""
    parameters, x, here, index = arguments(10, 9)
    calls = []

    def watched(tree, *rows):
        calls.append(len(rows[0]))
        return network(tree, *rows)

    for at, call in {
        "w": lambda w: row_blocks.by_rows(
            watched, {**parameters, "layer": {**parameters["layer"], "w": w}}, x, here, index, block=2
        ),
        "x": lambda x: row_blocks.by_rows(watched, parameters, x, here, index, block=2),
    }.items():
        calls.clear()
        vjp, out = make_vjp(call, {"w": parameters["layer"]["w"], "x": x}[at])
        first = vjp(np.ones_like(out))
        assert sum(calls) == 9  # a step runs every block once
        assert first.any()
        np.testing.assert_array_equal(vjp(np.ones_like(out)), first)
        np.testing.assert_array_equal(vjp(2 * np.ones_like(out)), 2 * first)
        assert sum(calls) == 27


def test_a_function_that_depends_on_more_than_its_arguments_is_refused(threads):
    """Its gradient in the other array would be lost without a word."""
    _, x, _, _ = arguments(11, 6)

    def loss(tree, rows):
        outside = lambda _, x: ops.multiply(x, tree["scale"])  # noqa: E731
        return ops.total(row_blocks.by_rows(outside, {}, tree["x"] if rows else x, block=2)), None

    for rows in (True, False):  # beside arguments on the tape, and with none
        with pytest.raises(ValueError, match=r"^by_rows: the function must depend on its arguments alone"):
            value_and_gradients(lambda tree, rows=rows: loss(tree, rows), {"x": x, "scale": np.ones(3)})


def test_arrays_of_two_types_take_the_plain_call():
    """A gradient of rows is written into an array of theirs: none is rounded to a narrower type."""
    parameters, x, here, index = arguments(12, 6, np.float32)
    parameters["others"] = parameters["others"].astype(np.float64)
    weight = np.ones((6, 4))
    _, plain, _ = differentiated(network, parameters, x, here, index, weight)
    _, blocked, _ = differentiated(in_blocks(2), parameters, x, here, index, weight)
    for (path, g), (_, expected) in zip(leaves(blocked), leaves(plain), strict=True):
        np.testing.assert_array_equal(g, expected, err_msg=path, strict=True)
