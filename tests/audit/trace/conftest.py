"""What the tests of traces share: a trace of a narrow network, another side with planted mistakes, and the comparison."""

from types import SimpleNamespace

import numpy as np
import pytest
from trace_graphs import graph_of

from dimref.audit.trace import export
from dimref.audit.trace.compare import Comparison, Walk


@pytest.fixture
def traced(prepare):
    """The trace of one step of a configuration."""

    def make(dtype="float32", after=0, **options):
        return export.trace(prepare(**options), dtype, after)

    return make


@pytest.fixture
def planted():
    """The step of another side that has mistakes: every array that follows, as float32."""

    def make(found, functions=None, cut=None, inputs=None, dtype=np.float32):
        given = {n: a.astype(float) if a.dtype.kind == "f" else a for n, a in (inputs or {}).items()}
        graph = graph_of(found, given)
        graph.accept(functions or {}, cut)
        arrays = {}
        for name, array in found.arrays.items():
            value = graph.filled(name) if name != "batch/images" else array
            value = np.zeros_like(array) if value is None else np.asarray(value)
            arrays[name] = value.astype(dtype) if value.dtype.kind == "f" else value
        return arrays

    return make


@pytest.fixture
def held():
    """The comparison of arrays with a trace."""

    def compare(found, theirs, misshapen=()):
        return Walk(found.manifest, found.arrays, theirs, "trace").run(Comparison("theirs"), list(misshapen))

    return compare


@pytest.fixture
def names(held):
    """Assert that the first departure is named rightly and explains every other one."""

    def check(found, theirs, name, diagnosis, *words, alone=True):
        result = held(found, theirs)
        assert result.departures, "nothing departs"
        first = result.departures[0]
        assert (first.name, first.finding.id) == (name, diagnosis), first.finding.text
        for word in words:
            assert word in first.finding.text
        if alone:
            assert [(d.name, d.finding.text) for d in result.departures[1:]] == []
        return result

    return check


@pytest.fixture
def sides(traced, planted, held, names):
    """All four at once."""
    return SimpleNamespace(traced=traced, planted=planted, held=held, names=names)
