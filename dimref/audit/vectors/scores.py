"""Vectors of `bounds` and `negatives`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from dimref import bounds, negatives
from dimref.audit.vectors.case import Case, Draw
from dimref.trees import Tree

PAIRS: dict[str, Callable[..., Any]] = {
    "dv": bounds.dv, "nwj": bounds.nwj, "jsd": bounds.jsd, "plug_in": bounds.plug_in,
    "club": bounds.club,
}  # fmt: skip
LARGE = np.array([1e4, -1e4, 100.0, 0.0])  # e^T leaves float32 at 88.7 and float64 at 709.8


def cases() -> Iterator[Case]:
    """Every case of this family."""
    yield from _pairs(Draw(1))
    yield from _with_more(Draw(2))
    yield from _infonce(Draw(3))
    yield from _ceilings()
    yield from _negatives(Draw(4))


def _value(function: Callable[..., Any], *names: str, **options: Any) -> Callable[[Tree], Tree]:
    return lambda inputs: {"value": function(*(inputs[name] for name in names), **options)}


def _pairs(draw: Draw) -> Iterator[Case]:
    both = ("joint", "product")
    for name, function in PAIRS.items():
        run = _value(function, *both)
        for case, joint, product in (
            ("one axis", (5,), (7,)),
            ("by location", (3, 4), (6, 4)),
            ("one pair each", (1,), (1,)),
        ):
            inputs = {"joint": draw.uniform(*joint), "product": draw.uniform(*product)}
            yield Case(f"bounds.{name}", case, inputs, run, differentiate=both, float32=True)
        inputs = {"joint": LARGE, "product": LARGE[::-1].copy()}
        yield Case(f"bounds.{name}", "large scores", inputs, run, float32=True)
        ties = {"joint": np.zeros(4), "product": np.zeros(4)}
        yield Case(f"bounds.{name}", "all scores equal", ties, run, differentiate=both)


def _with_more(draw: Draw) -> Iterator[Case]:
    def mine(inputs: Tree) -> Tree:
        value, average = bounds.mine(inputs["joint"], inputs["product"], inputs.get("log_average"), 0.25)
        return {"value": value, "new_log_average": average}

    scores = {"joint": draw.uniform(3, 2), "product": draw.uniform(5, 2)}
    both = ("joint", "product")
    yield Case("bounds.mine", "first batch", scores, mine, {"rate": 0.25, "log_average": None}, both)
    later = {**scores, "log_average": draw.uniform(2)}
    yield Case("bounds.mine", "later batch", later, mine, {"rate": 0.25}, both)

    baseline = {"joint_log_a": draw.uniform(3, 2), "product_log_a": draw.uniform(5, 2)}
    names = (*both, "joint_log_a", "product_log_a")
    yield Case("bounds.tuba", "by location", {**scores, **baseline}, _value(bounds.tuba, *names), differentiate=names)
    for tau in (0.5, 5.0):
        run = _value(bounds.smile, *both, tau=tau)
        yield Case("bounds.smile", f"tau {tau:g}", scores, run, {"tau": tau}, both)


def _infonce(draw: Draw) -> Iterator[Case]:
    matrices = {"square": draw.uniform(4, 4), "by location": draw.uniform(3, 3, 4), "two images": draw.uniform(2, 2)}
    for case, matrix in matrices.items():
        inputs, seen = {"scores": matrix}, ("scores",)
        for kind in ("same-location", "all-locations"):
            run = _value(bounds.infonce, "scores", candidates=kind)
            name = f"{kind}, {case}"
            yield Case("bounds.infonce", name, inputs, run, {"candidates": kind}, seen, float32=True)
        run = _value(bounds.infonce_certified, "scores")
        yield Case("bounds.infonce_certified", case, inputs, run, differentiate=seen)
        yield Case("bounds.leave_one_out", case, inputs, _value(bounds.leave_one_out, "scores"), differentiate=seen)
    for alpha in (0.0, 0.25, 1.0):
        options = {"log_a": 1.0, "alpha": alpha}
        run = _value(bounds.infonce_interpolated, "scores", **options)
        yield Case(
            "bounds.infonce_interpolated",
            f"α = {alpha:g}",
            {"scores": matrices["by location"]},
            run,
            options,
            ("scores",),
        )
    large = {"scores": np.array([[1e4, -1e4], [0.0, 1e4]])}
    run = _value(bounds.infonce, "scores")
    yield Case("bounds.infonce", "large scores", large, run, {"candidates": "same-location"}, float32=True)
    sampled = {"positives": draw.uniform(4, 2), "negatives": draw.uniform(3, 4, 2)}
    names = ("positives", "negatives")
    yield Case("bounds.infonce_sampled", "K = 4", sampled, _value(bounds.infonce_sampled, *names), differentiate=names)


def _ceilings() -> Iterator[Case]:
    for bound, count in (("jsd", None), ("infonce", 64), ("dv", None)):
        name = bound if count is None else f"{bound}, K = {count}"
        run = partial(_ceiling, bound=bound, count=count)
        yield Case("bounds.ceiling", name, {}, run, {"bound": bound, "candidates": count})


def _ceiling(inputs: Tree, bound: str, count: int | None) -> Tree:
    return {"value": np.asarray(bounds.ceiling(bound, count))}


def _negatives(draw: Draw) -> Iterator[Case]:
    def split(inputs: Tree) -> Tree:
        joint, product = negatives.all_pairs(inputs["scores"])
        return {"joint": joint, "product": product}

    yield Case("negatives.all_pairs", "square", {"scores": draw.uniform(4, 4)}, split)
    yield Case("negatives.all_pairs", "by location", {"scores": draw.uniform(3, 3, 2)}, split)
    for n, shift in ((5, 1), (6, 4)):
        options = {"n": n, "shift": shift}
        yield Case("negatives.roll", f"{n} by {shift}", {}, partial(_roll, **options), options)


def _roll(inputs: Tree, n: int, shift: int) -> Tree:
    return {"index": negatives.roll(n, shift)}
