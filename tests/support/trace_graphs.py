"""What the tests of traces import: the graph of a trace, outside of a comparison."""

import numpy as np

from dimref.audit.trace.graph import Graph
from dimref.audit.trace.manifest import step_of
from dimref.audit.trace.step import forward, state_after


def graph_of(found, theirs=None, cast=np.float64):
    """The graph of a trace, in float64 as the comparison has it."""
    config, objective, layout = step_of(found.manifest, "trace")
    arrays = {n: a.astype(cast) if a.dtype.kind == "f" else a for n, a in found.arrays.items()}
    theirs = {} if theirs is None else theirs
    step = found.manifest["steps_before"]
    return Graph(forward(objective, layout), state_after(objective, layout), arrays, theirs, step, config.lr)
