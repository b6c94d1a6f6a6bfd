"""The order of the search: chance is told from a finding, and the search ends."""

import numpy as np
from trace_graphs import graph_of

from dimref.audit.trace import search
from dimref.audit.trace.search import diagnose

SIZES = {"N": 4, "L": 16}


def near(target, relative=1e-9):
    def close(candidate):
        if candidate is None or np.shape(candidate) != np.shape(target):
            return False
        return bool(np.abs(candidate - target).max() <= relative * np.abs(target).max())

    return close


def test_a_piece_before_a_relation(traced):
    """The unbiased variance scales a normalized array nearly evenly: the piece's own mistake is the better word."""
    graph = graph_of(traced(dtype="float64"))
    x = graph.expected("encoder/norm2")
    found = x * np.sqrt(15 / 16)
    assert diagnose("encoder/norm2", found, graph, near(found, 1e-3), SIZES, None).id == "unbiased-variance"
    assert diagnose("encoder/y", 0.5 * graph.expected("encoder/y"), graph,
                    near(0.5 * graph.expected("encoder/y")), SIZES, None).id == "scale"  # fmt: skip


def test_a_single_number_that_several_mistakes_explain_is_ambiguous(traced):
    graph = graph_of(traced(dtype="float64"))
    found = graph.expected("loss") + 0.0123
    finding = diagnose("loss", found, graph, lambda c: c is not None and c.shape == (), SIZES, None)
    assert finding.id != "ambiguous"  # a close that says yes to all is met by the first relation
    taken = [False] * 3 + [True] * 500
    finding = diagnose("loss", found, graph, lambda c: taken.pop(0), SIZES, None)
    assert finding.id == "ambiguous"
    assert finding.text.count(" or ") >= 1
    assert finding.text.endswith("save more arrays to decide")
    assert finding.functions is None


def test_the_search_ends(traced, monkeypatch):
    monkeypatch.setattr(search, "MOST_TRIES", 5)
    graph = graph_of(traced(dtype="float64"))
    tried = []
    right = graph.supposing
    monkeypatch.setattr(graph, "supposing", lambda *a, **k: tried.append(a) or right(*a, **k))
    found = np.random.default_rng(0).standard_normal(graph.expected("encoder/y").shape)
    assert diagnose("encoder/y", found, graph, near(found), SIZES, None) is None
    assert len(tried) <= 5 + 2


def test_nearly_right_without_a_pattern_is_lost_precision(traced):
    graph = graph_of(traced(dtype="float64"))
    y = graph.expected("encoder/y")
    found = y + 1e-4 * np.abs(y).max() * np.random.default_rng(0).standard_normal(y.shape)
    finding = diagnose("encoder/y", found, graph, near(found), SIZES, None)
    assert finding.id == "precision"
    assert "right to 3." in finding.text or "right to 4." in finding.text


def test_a_single_element_has_no_weight_decay(traced):
    """Any one number differs from another by some multiple of a third."""
    graph = graph_of(traced(dtype="float64"))
    for name in ("gradient/parameters/local/score/b", "after/parameters/local/score/b"):
        found = graph.expected(name) + 0.0321
        finding = diagnose(name, found, graph, near(found), SIZES, None)
        assert finding is None or finding.id not in ("weight-decay", "step-scale")
