"""Vectors of `bounds` and `negatives`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dimref.audit.vectors.case import Case, Draw

LARGE = np.array([1e4, -1e4, 100.0, 0.0])  # e^T leaves float32 at 88.7 and float64 at 709.8
BOTH = ("joint", "product")
SHAPES = {"one axis": ((5,), (7,)), "by location": ((3, 4), (6, 4)), "one pair each": ((1,), (1,))}


def cases() -> Iterator[Case]:
    """Every case of this family."""
    yield from _pairs(Draw(1))
    yield from _with_more(Draw(2))
    yield from _infonce(Draw(3))
    for name, bound, count in (("jsd", "jsd", None), ("infonce, K = 64", "infonce", 64), ("dv", "dv", None)):
        yield Case("bounds.ceiling", name, {}, {"bound": bound, "candidates": count})
    draw = Draw(4)
    for name, shape in (("square", (4, 4)), ("by location", (3, 3, 2))):
        yield Case("negatives.all_pairs", name, {"scores": draw.uniform(*shape)}, outputs=BOTH)
    for n, shift in ((5, 1), (6, 4)):
        yield Case("negatives.roll", f"{n} by {shift}", {}, {"n": n, "shift": shift}, outputs=("index",))


def _pairs(draw: Draw) -> Iterator[Case]:
    for bound in ("bounds.dv", "bounds.nwj", "bounds.jsd", "bounds.plug_in", "bounds.club"):
        for name, (joint, product) in SHAPES.items():
            inputs = {"joint": draw.uniform(*joint), "product": draw.uniform(*product)}
            yield Case(bound, name, inputs, {}, BOTH, float32=True)
        yield Case(bound, "large scores", {"joint": LARGE, "product": LARGE[::-1].copy()}, float32=True)
        yield Case(bound, "all scores equal", {"joint": np.zeros(4), "product": np.zeros(4)}, {}, BOTH)


def _with_more(draw: Draw) -> Iterator[Case]:
    scores = {"joint": draw.uniform(3, 2), "product": draw.uniform(5, 2)}
    returned = ("value", "new_log_average")
    yield Case("bounds.mine", "first batch", scores, {"rate": 0.25, "log_average": None}, BOTH, returned)
    later = {**scores, "log_average": draw.uniform(2)}
    yield Case("bounds.mine", "later batch", later, {"rate": 0.25}, BOTH, returned)
    inputs = {**scores, "joint_log_a": draw.uniform(3, 2), "product_log_a": draw.uniform(5, 2)}
    yield Case("bounds.tuba", "by location", inputs, {}, tuple(inputs))
    for tau in (0.5, 5.0):
        yield Case("bounds.smile", f"tau {tau:g}", scores, {"tau": tau}, BOTH)


def _infonce(draw: Draw) -> Iterator[Case]:
    shapes, seen = {"square": (4, 4), "by location": (3, 3, 4), "two images": (2, 2)}, ("scores",)
    matrices = {name: {"scores": draw.uniform(*shape)} for name, shape in shapes.items()}
    for name, inputs in matrices.items():
        for kind in ("same-location", "all-locations"):
            yield Case("bounds.infonce", f"{kind}, {name}", inputs, {"candidates": kind}, seen, float32=True)
        yield Case("bounds.infonce_certified", name, inputs, {}, seen)
        yield Case("bounds.leave_one_out", name, inputs, {}, seen)
    for alpha in (0.0, 0.25, 1.0):
        options = {"log_a": 1.0, "alpha": alpha}
        yield Case("bounds.infonce_interpolated", f"α = {alpha:g}", matrices["by location"], options, seen)
    large = {"scores": np.array([[1e4, -1e4], [0.0, 1e4]])}
    yield Case("bounds.infonce", "large scores", large, {"candidates": "same-location"}, float32=True)
    sampled = {"positives": draw.uniform(4, 2), "negatives": draw.uniform(3, 4, 2)}
    yield Case("bounds.infonce_sampled", "K = 4", sampled, {}, tuple(sampled))
