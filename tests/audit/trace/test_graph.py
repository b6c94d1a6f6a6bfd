"""The graph: what follows from what, on whose arrays, and with which mistakes taken as given."""

import numpy as np
import pytest
from trace_graphs import graph_of

NORM = "encoder/norm1"


@pytest.fixture
def found(traced):
    return traced(dtype="float64", after=1)


def test_everything_follows_from_what_lies_before_it(found):
    """With nothing of theirs, with all of it, and with every third array: the reference's own step comes back."""
    names = list(found.arrays)
    for theirs in ([], names, names[::3]):
        graph = graph_of(found, {name: found.arrays[name] for name in theirs})
        for name, array in found.arrays.items():
            expected = graph.expected(name)
            scale = max(np.abs(array).max(), 1e-3 if "bound" in name or name == "loss" else 0.0)
            assert np.abs(expected - array).max() <= 1e-9 * scale, name


def test_theirs_are_used_where_they_are(found):
    x = found.arrays["encoder/conv1"] * 2 + 1
    graph = graph_of(found, {"encoder/conv1": x})
    assert graph.filled("encoder/conv1") is x
    np.testing.assert_allclose(graph.expected("encoder/conv1"), found.arrays["encoder/conv1"], rtol=1e-9)
    np.testing.assert_allclose(graph.expected("after/state/encoder/norm1/mean"), 0.9 * found.arrays[
        "state/encoder/norm1/mean"] + 0.1 * x.mean((0, 1, 2)), rtol=1e-9)  # fmt: skip


def test_ancestors_and_unsaved(found):
    graph = graph_of(found, {"encoder/relu1": found.arrays["encoder/relu1"]})
    assert graph.ancestors("encoder/conv1") == {"batch/scaled", "parameters/encoder/conv1/w"}
    above = graph.ancestors("gradient/encoder/y")
    assert {"gradient/loss", "local/product/hidden", "encoder/conv1", "loss"} <= above
    assert "gradient/encoder/relu_fc" not in above
    assert {"gradient/parameters/encoder/y/w", "parameters/encoder/y/w"} <= graph.ancestors("after/adam/m/encoder/y/w")
    assert graph.ancestors("batch/scaled") == frozenset()
    unsaved = graph.unsaved("encoder/norm2")
    assert unsaved[0] == "encoder/conv2"
    assert "encoder/norm1" not in unsaved  # relu1 is there


def test_trying_leaves_no_trace(found):
    graph = graph_of(found)
    before = {name: graph.expected(name) for name in ("loss", "gradient/encoder/conv1", "encoder/y")}
    with graph.trying({NORM: lambda x, gain, shift: 2.0 * x}):
        assert graph.expected("loss") != before["loss"]
        np.testing.assert_allclose(graph.expected(NORM), 2 * found.arrays["encoder/conv1"])
        assert not np.allclose(graph.expected("gradient/encoder/conv1"), before["gradient/encoder/conv1"])
    for name, array in before.items():
        assert graph.expected(name) is array


def test_a_piece_that_is_tried_stands_before_their_array_and_an_accepted_one_behind_it(found):
    graph = graph_of(found, {NORM: found.arrays[NORM]})
    relu = graph.expected("encoder/relu1")
    mistake = {NORM: lambda x, gain, shift: x * 1.0}
    with graph.trying(mistake):
        np.testing.assert_allclose(graph.filled(NORM), found.arrays["encoder/conv1"], rtol=1e-9)
    graph.accept(mistake)
    np.testing.assert_array_equal(graph.expected("encoder/relu1"), relu)
    np.testing.assert_allclose(graph.expected(NORM), found.arrays["encoder/conv1"], rtol=1e-9)
    # Backward it is their function: an identity hands its gradient on.
    np.testing.assert_array_equal(graph.expected("gradient/encoder/conv1"), graph.expected(f"gradient/{NORM}"))


def test_supposing_what_cannot_stand_there_is_none(found):
    graph = graph_of(found)
    assert graph.supposing("encoder/y", {NORM: lambda x, gain, shift: x.reshape(2, -1)}) is None
    assert graph.supposing("encoder/y") is not None


def test_contributions_add_up_and_can_be_cut(found):
    graph = graph_of(found)
    parts = graph.contributions("encoder/y")
    assert parts.keys() == {"local/representation", "prior/sample"}
    np.testing.assert_allclose(sum(parts.values()), found.arrays["gradient/encoder/y"], rtol=1e-6, atol=1e-12)
    cut = ("encoder/y", "prior/sample")
    np.testing.assert_array_equal(graph.supposing("gradient/encoder/y", cut=cut), parts["local/representation"])
    graph.accept(cut=cut)
    np.testing.assert_array_equal(graph.expected("gradient/encoder/y"), parts["local/representation"])
    assert np.abs(graph.expected("gradient/encoder/conv1") - found.arrays["gradient/encoder/conv1"]).max() > 0


def test_what_is_cut_off_altogether_is_zero(found):
    graph = graph_of(found)
    graph.accept({"encoder/relu_fc": lambda x: np.zeros_like(found.arrays["encoder/relu_fc"])})
    assert not graph.expected("gradient/encoder/norm_fc").any()
    assert not graph.expected("gradient/parameters/encoder/fc/w").any()
    assert graph.expected("gradient/no/such") is None
