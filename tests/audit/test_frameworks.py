"""The same function in each framework: found out, called, differentiated, read back."""

import functools
import math

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from hypothesis import given, settings
from hypothesis import strategies as st

from dimref import bounds
from dimref.audit import frameworks, reach
from dimref.audit.answer import Signature
from dimref.audit.calling import InProcess
from dimref.audit.frameworks import Unusable
from dimref.errors import DimrefError

PAIRS = Signature(("joint", "product"), ("value",), ("joint", "product"))


def jsd_numpy(joint, product):
    softplus = functools.partial(np.logaddexp, 0)
    return 2 * math.log(2) - softplus(-joint).mean() - softplus(product).mean()


def jsd_autograd(joint, product):
    return 2 * math.log(2) - anp.mean(anp.logaddexp(0, -joint)) - anp.mean(anp.logaddexp(0, product))


def jsd_torch(joint, product):
    from torch.nn import functional

    return 2 * math.log(2) - functional.softplus(-joint).mean() - functional.softplus(product).mean()


def jsd_jax(joint, product):
    import jax

    return 2 * math.log(2) - jax.nn.softplus(-joint).mean() - jax.nn.softplus(product).mean()


WRITTEN = {"numpy": jsd_numpy, "autograd": jsd_autograd, "torch": jsd_torch, "jax": jsd_jax}


def written(name):
    if name in ("torch", "jax"):
        pytest.importorskip(name)
    return WRITTEN[name]


def scores(seed, dtype, n=3, p=4):
    rng = np.random.default_rng(seed)
    return {"joint": rng.normal(size=n).astype(dtype), "product": rng.normal(size=p).astype(dtype)}


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_value_and_gradient_are_the_closed_form(name, dtype):
    target = InProcess(written(name))
    inputs = scores(0, dtype)
    before = {key: array.copy() for key, array in inputs.items()}
    answer = target.call(PAIRS, inputs)
    assert (answer.problem, answer.remarks, target.framework) == ("", (), name)
    joint, product = (a.astype(np.float64) for a in inputs.values())
    tolerance = {"rtol": 1e-5 if dtype == "float32" else 1e-12}
    expected = 2 * math.log(2) - np.log1p(np.exp(-joint)).mean() - np.log1p(np.exp(product)).mean()
    np.testing.assert_allclose(answer.value["value"], expected, **tolerance)
    np.testing.assert_allclose(answer.gradients["joint"], 1 / (1 + np.exp(joint)) / 3, **tolerance)
    np.testing.assert_allclose(answer.gradients["product"], -1 / (1 + np.exp(-product)) / 4, **tolerance)
    assert answer.value["value"].dtype == dtype
    if name != "autograd":  # its rule for a mean gives float64
        assert {g.dtype.name for g in answer.gradients.values()} == {dtype}
    for key, array in inputs.items():
        np.testing.assert_array_equal(array, before[key])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5))
def test_autograds_trace_of_numpy_is_autograds(seed, n, p):
    inputs = scores(seed, "float64", n, p)
    answer = InProcess(jsd_numpy).call(PAIRS, inputs)
    for at, name in enumerate(PAIRS.differentiate):
        np.testing.assert_allclose(answer.gradients[name], grad(jsd_autograd, at)(*inputs.values()), rtol=1e-12)


# ---- shapes of what is differentiated


def twice(x):
    return 2 * x


def both(p, x):
    return (p["a"] * x).sum(), p["b"]["c"] * x


@pytest.mark.parametrize("name", ["autograd", "torch", "jax"])
def test_weights_make_a_scalar_of_an_array(name):
    written(name)
    x, w = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    answer = InProcess(twice, name).call(Signature(("x",), ("out",), ("x",), "out"), {"x": x, "weight": w})
    np.testing.assert_array_equal(answer.value["out"], 2 * x)
    np.testing.assert_array_equal(answer.gradients["x"], 2 * w)


@pytest.mark.parametrize("name", ["autograd", "torch", "jax"])
def test_nested_inputs_and_several_outputs(name):
    written(name)
    rng = np.random.default_rng(1)
    a, c, x, w = rng.normal(size=(4, 3))
    inputs = {"p": {"a": a, "b": {"c": c, "unused": x}}, "x": x}
    one = InProcess(both, name).call(Signature(("p", "x"), ("total", "rows"), ("p",), "total"), inputs)
    np.testing.assert_allclose(one.value["total"], a @ x)
    np.testing.assert_allclose(one.value["rows"], c * x)
    np.testing.assert_allclose(one.gradients["p"]["a"], x)
    np.testing.assert_array_equal(one.gradients["p"]["b"]["c"], np.zeros(3))  # does not depend on it
    inputs["weight"] = {"total": np.array(2.0), "rows": w}
    every = InProcess(both, name).call(Signature(("p", "x"), ("total", "rows"), ("p", "x"), ""), inputs)
    np.testing.assert_allclose(every.gradients["p"]["a"], 2 * x)
    np.testing.assert_allclose(every.gradients["p"]["b"]["c"], w * x)
    np.testing.assert_allclose(every.gradients["x"], 2 * a + w * c)


@pytest.mark.parametrize("name", ["autograd", "torch", "jax"])
def test_numbers_words_and_nothing_pass_as_they_are(name):
    written(name)
    seen = []

    def function(x, rate, count, word, nothing):
        seen.append((type(rate), type(count), word, nothing))
        return (x * rate).sum()

    inputs = {"x": np.ones(2), "rate": 0.5, "count": 3, "word": "mean", "nothing": None}
    answer = InProcess(function, name).call(Signature(tuple(inputs), ("value",), ("x",)), inputs)
    assert answer.value["value"] == 1
    assert set(seen) == {(float, int, "mean", None)}


def test_no_gradient_of_a_wrong_shape_is_asked_for():
    answer = InProcess(twice, "autograd").call(Signature(("x",), ("value",), ("x",)), {"x": np.ones(3)})
    assert (answer.problem, answer.gradients) == ("", {})
    assert answer.value["value"].shape == (3,)


# ---- NumPy


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
def test_a_norm_that_keeps_its_axes_has_its_gradient(axis):
    def scaled(x):
        return (x**2 / np.linalg.norm(x, axis=axis, keepdims=True)).sum()

    def by_hand(x):
        return (x**2 / np.sqrt((x**2).sum(axis=axis, keepdims=True))).sum()

    of_x = Signature(("x",), ("value",), ("x",))
    x = np.arange(1.0, 7.0).reshape(2, 3)
    before = anp.linalg.norm
    found, expected = (InProcess(f, "numpy").call(of_x, {"x": x}) for f in (scaled, by_hand))
    np.testing.assert_allclose(found.gradients["x"], expected.gradients["x"], rtol=1e-12)
    assert found.remarks == ()
    assert anp.linalg.norm is before


def test_a_gradient_of_another_shape_is_none():
    """autograd's own norm with keepdims has one."""
    of_x = Signature(("x",), ("value",), ("x",))
    target = InProcess(lambda x: (x / anp.linalg.norm(x, axis=1, keepdims=True)).sum(), "autograd")
    answer = target.call(of_x, {"x": np.ones((2, 3))})
    assert (answer.problem, answer.gradients) == ("", {})
    assert answer.remarks == ("no gradient: autograd returned one of another shape than the input's",)


def fills(joint, product):
    out = np.zeros(joint.shape)
    for at in range(len(joint)):
        out[at] = joint[at] ** 2
    return out.mean() - product.mean()


def test_what_autograd_cannot_trace_has_a_value_alone():
    answer = InProcess(fills).call(PAIRS, scores(0, "float64"))
    assert (answer.problem, answer.gradients) == ("", {})
    assert answer.remarks == ("no gradient: NumPy has no autodiff, and autograd cannot trace this function",)


def branches(joint, product):
    return joint.mean() if type(joint) is np.ndarray else joint.mean() + 1


def test_a_trace_that_differs_is_no_gradient():
    answer = InProcess(branches, "numpy").call(PAIRS, scores(0, "float64"))
    assert answer.gradients == {}
    assert answer.remarks == ("no gradient: NumPy has no autodiff, and autograd's trace differs",)


def test_the_functions_of_a_module_are_numpys_again_afterwards():
    before = np
    InProcess(jsd_numpy).call(PAIRS, scores(0, "float64"))
    InProcess(fills).call(PAIRS, scores(0, "float64"))
    assert np is before
    assert np.__name__ == "numpy"


# ---- finding out


def by_methods(joint, product):
    return joint.mean() - product.exp().mean()


def annotated(joint: "torch.Tensor", product):  # noqa: F821
    return joint.mean()


def helper(joint, product):
    return jsd_autograd(joint, product) + 0


def between(target, joint, product):
    return target(joint, product)


class Callable_:
    def __call__(self, joint, product):
        return self.inner(joint, product)

    def inner(self, joint, product):
        return anp.mean(joint)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (jsd_numpy, ["numpy"]),
        (jsd_autograd, ["autograd", "numpy"]),
        (jsd_torch, ["torch", "numpy"]),
        (jsd_jax, ["jax", "numpy"]),
        (helper, ["autograd", "numpy"]),
        (annotated, ["torch", "numpy"]),
        (functools.partial(jsd_torch, product=1), ["torch", "numpy"]),
        (functools.partial(between, jsd_torch), ["torch", "numpy"]),  # an adapter and its target
        (functools.partial(helper, by_methods), ["autograd", "numpy"]),
        (lambda joint, product: jsd_jax(joint, product), ["jax", "numpy"]),
        (Callable_(), ["autograd", "numpy"]),
        (Callable_().inner, ["autograd", "numpy"]),
        (bounds.jsd, ["autograd", "numpy"]),
        (max, ["numpy"]),
    ],
)
def test_frameworks_are_found_in_the_code(function, expected):
    assert frameworks.candidates(function)[: len(expected)] == expected


def test_what_names_no_framework_is_tried():
    torch = pytest.importorskip("torch")
    target = InProcess(by_methods)  # NumPy's arrays have no exp
    answer = target.call(PAIRS, scores(0, "float32"))
    assert (answer.problem, target.framework) == ("", "torch")
    inputs = scores(0, "float32")
    assert answer.value["value"] == by_methods(*map(torch.from_numpy, inputs.values())).numpy()


def test_a_module_of_pytorch_and_a_compiled_function_of_jax():
    torch = pytest.importorskip("torch")

    class Loss(torch.nn.Module):
        def forward(self, joint, product):
            return joint.mean() - product.mean()

    assert frameworks.candidates(Loss())[0] == "torch"
    np.testing.assert_allclose(
        InProcess(Loss()).call(PAIRS, scores(0, "float64")).gradients["joint"], np.full(3, 1 / 3)
    )


def test_a_compiled_function_of_jax():
    jax = pytest.importorskip("jax")
    assert frameworks.candidates(jax.jit(jsd_jax))[0] == "jax"
    assert InProcess(jax.jit(jsd_jax)).call(PAIRS, scores(0, "float64")).gradients["joint"].shape == (3,)


@pytest.mark.parametrize("read", [lambda t: t, math.sqrt])
def test_jax_is_compiled_once_for_all_temperatures_unless_its_code_reads_them(read):
    pytest.importorskip("jax")
    runs = []

    def loss(a, temperature):
        runs.append(temperature)
        return (a / read(temperature)).sum()

    target, one = InProcess(loss, "jax"), np.ones(2)
    signature = Signature(("a", "temperature"), differentiate=("a",))
    for temperature in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        found = target.call(signature, {"a": one, "temperature": temperature})
        np.testing.assert_allclose(found.gradients["a"], one / read(temperature))
    assert (len(runs) == 3) == (read is not math.sqrt)  # two as written, one traced


def test_reach_ends_in_circles():
    def one(x):
        return two(x)

    def two(x):
        return one(x)

    assert reach.roots(one) == reach.roots(one)
    assert reach.namespaces(one) == [globals()]


def test_the_framework_that_is_not_there_is_told(monkeypatch):
    def missing(name, *rest):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(frameworks, "import_module", missing)
    for name, title in (("torch", "PyTorch"), ("jax", "JAX")):
        with pytest.raises(DimrefError, match=f"--framework {name}: expected {title}, found it not installed"):
            InProcess(twice, name)


def test_a_framework_that_is_asked_for_is_the_only_one():
    pytest.importorskip("torch")
    problem = InProcess(by_methods, "numpy").call(PAIRS, scores(0, "float64")).problem
    assert problem.startswith("raised AttributeError")
    assert problem.endswith("; tried with arrays of numpy: --framework chooses another")


@pytest.mark.parametrize("adapter", [between, lambda target, *pairs: target(*pairs)])
def test_what_an_adapter_hides_is_found(adapter):
    """An adapter without a word of PyTorch, around a function of it."""
    pytest.importorskip("torch")
    answer = InProcess(jsd_torch, adapter=adapter).call(PAIRS, scores(0, "float64"))
    assert (answer.problem, set(answer.gradients)) == ("", {"joint", "product"})


def test_what_only_a_call_loads_is_tried_after_it():
    """The framework is met in a module that the function imports when it is called."""
    torch = pytest.importorskip("torch")

    def hidden(joint, product):
        import importlib

        functional = importlib.import_module("torch.nn.functional")
        return functional.softplus(joint).mean() - product.mean()

    target = InProcess(hidden)
    assert target.framework == "numpy"
    assert target.call(PAIRS, scores(0, "float64")).problem == ""
    assert target.framework == torch.__name__


def imports_numpy(joint, product):
    import numpy
    from numpy import logaddexp

    return 2 * math.log(2) - logaddexp(0, -joint).mean() - numpy.logaddexp(0, product).mean()


def test_an_import_inside_the_function_has_a_gradient():
    import sys

    inputs = scores(0, "float64")
    answer, expected = (InProcess(each).call(PAIRS, inputs) for each in (imports_numpy, jsd_numpy))
    assert answer.remarks == ()
    np.testing.assert_array_equal(answer.gradients["joint"], expected.gradients["joint"])
    assert sys.modules["numpy"] is np


# ---- what PyTorch and JAX may do


def in_place(x):
    x *= 2
    return (x * x).sum()


def detached(x):
    return (x.detach() ** 2).sum()


def an_item(x):
    return x.sum().item()


def spoils_the_tape(x):
    y = x.exp()
    z = y.sum()
    y *= 2
    return z


def half(x):
    import torch

    return x.sum().to(torch.bfloat16)


X = Signature(("x",), ("value",), ("x",))


def test_pytorch_in_place_detached_and_spoiled():
    pytest.importorskip("torch")
    x = np.array([1.0, 2.0])
    changed = InProcess(in_place, "torch").call(X, {"x": x})
    assert changed.remarks == ("changes its input x in place",)
    np.testing.assert_array_equal(changed.gradients["x"], 8 * x)
    np.testing.assert_array_equal(x, [1, 2])
    np.testing.assert_array_equal(InProcess(detached, "torch").call(X, {"x": x}).gradients["x"], [0, 0])
    number = InProcess(an_item, "torch").call(X, {"x": x})
    assert (number.value["value"], number.gradients) == (3.0, {})
    spoiled = InProcess(spoils_the_tape, "torch").call(X, {"x": x})
    assert spoiled.gradients == {}
    assert spoiled.remarks == ("no gradient: torch.autograd raised RuntimeError",)
    assert InProcess(half).call(X, {"x": x}).value["value"].dtype == np.float16  # NumPy has no bfloat16


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_pytorch_in_half_precision(dtype):
    torch = pytest.importorskip("torch")
    seen = []

    def function(x):
        seen.append(x.dtype)
        return x.exp().sum()

    answer = InProcess(function, "torch", dtype=dtype).call(X, {"x": np.array([0.5, 1.25])})
    assert set(seen) == {getattr(torch, dtype)}
    np.testing.assert_allclose(answer.gradients["x"], np.exp([0.5, 1.25]), rtol=2**-7)
    assert answer.value["value"].dtype == np.float16
    beyond = InProcess(function, "torch", dtype="bfloat16").call(X, {"x": np.array([12.0])})
    np.testing.assert_allclose(beyond.value["value"], np.exp(12.0), rtol=2**-7)


class OnADevice:
    def __call__(self, x):
        import torch

        weight = torch.nn.Linear(2, 1, bias=False).cuda().weight
        index = torch.arange(2, device="cuda")
        return (x.cuda().to("cuda:0").to(device=torch.device("cuda"))[index] ** 2).sum() + 0 * weight.sum().detach()


def test_what_asks_for_a_device_that_is_not_there_runs_on_the_cpu():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a device")
    target = InProcess(OnADevice())
    for x in (np.array([1.0, 2.0]), np.array([3.0, 4.0])):
        answer = target.call(X, {"x": x})
        assert answer.problem == ""
        assert answer.remarks[-1] == "asks for a CUDA device, and there is none: its tensors stayed on the CPU"
        np.testing.assert_array_equal(answer.gradients["x"], 2 * x)
    with pytest.raises((AssertionError, RuntimeError)):
        torch.ones(1).cuda()  # outside a call nothing has changed


def jax_number(x):
    import jax.numpy as jnp

    return float(jnp.sum(x))


def jax_stopped(x):
    import jax

    return (jax.lax.stop_gradient(x) ** 2).sum()


def test_jax_numbers_and_stopped_gradients():
    pytest.importorskip("jax")
    answer = InProcess(jax_number).call(X, {"x": np.ones(2)})
    assert (answer.value["value"], answer.gradients) == (2.0, {})
    assert answer.remarks[0].startswith(
        "no gradient: jax.grad raised ConcretizationTypeError (test_frameworks.py, line"
    )
    np.testing.assert_array_equal(InProcess(jax_stopped).call(X, {"x": np.ones(2)}).gradients["x"], [0, 0])


def jax_looks(x):
    import jax.numpy as jnp

    if len(x) == 1:
        raise ValueError("one alone")
    return jnp.sum(x * x) if x.max() > 0 else 3 * jnp.sum(x)


@pytest.mark.parametrize("function", [jax_looks, lambda x: twice(x).sum()])
def test_jax_compiled_or_line_by_line_is_the_same(function):
    jax = pytest.importorskip("jax")
    target = InProcess(function, "jax")
    for call in range(6):
        for sign in (1, -1):
            x = sign * np.arange(1.0, 4.0)
            answer = target.call(X, {"x": x})
            np.testing.assert_allclose(answer.value["value"], function(jax.numpy.asarray(x)))
            np.testing.assert_allclose(answer.gradients["x"], jax.grad(function)(jax.numpy.asarray(x)))
        if call == 3 and function is jax_looks:
            assert "one alone (test_frameworks.py, line " in target.call(X, {"x": np.ones(1)}).problem


def test_jax_keeps_its_precision_after_an_audit():
    jax = pytest.importorskip("jax")
    assert InProcess(jsd_jax).call(PAIRS, scores(0, "float64")).value["value"].dtype == np.float64
    assert jax.numpy.ones(1).dtype == np.float32


# ---- host


@pytest.mark.parametrize("found", [1, 0.5, True, np.float32(2), np.ones((0, 2)), np.ones(2, np.int8)])
def test_numbers_and_arrays_are_read(found):
    np.testing.assert_array_equal(frameworks.host(found), found)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (None, "returned None"),
        ([1], "returned a list of 1"),
        ("x", "returned a str"),
        (1j, "returned a complex"),
        (np.array(1j), "returned complex numbers"),
        (np.array("x"), "returned an array of <U1"),
        (np.array([None]), "returned an array of object"),
        (iter(()), "returned a tuple_iterator"),
    ],
)
def test_nothing_else_is(found, told):
    with pytest.raises(Unusable, match=told):
        frameworks.host(found)
