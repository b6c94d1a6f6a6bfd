"""MINE as a bound with state: DV's value, its gradient divided by a moving average of E_Q[e^T]."""

from __future__ import annotations

from collections.abc import Callable

import autograd.numpy as anp
import numpy as np

from dimref import bounds, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.pieces import BELGHAZI, draw_pairs
from dimref.audit.contract import Contract, Form, Sizes, Variant
from dimref.tape import stop_gradient
from dimref.trees import Array, Tree


def _draw(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """Scores without locations, an average that is not the batch's own, and a rate."""
    case = {name: a.reshape(len(a), -1)[:, 0].copy() for name, a in draw_pairs(rng, sizes).items()}
    average = np.asarray(np.round(rng.uniform(0.5, 4.0), 2), sizes.dtype)
    return {**case, "average": average, "rate": float(rng.choice([0.01, 0.1, 0.5]))}


def _moved(inputs: Inputs, now: Array) -> Array:
    return (1 - inputs["rate"]) * inputs["average"] + inputs["rate"] * now


def _batch_mean(inputs: Inputs) -> Array:
    return ops.mean(anp.exp(inputs["product"]))


def _answer(value: Array, average: Array) -> Tree:
    return {"value": value, "average": stop_gradient(average)}


def _surrogate(inputs: Inputs, divisor: Array) -> Array:
    """E_P[T] − E_Q[e^T]/A: the corrected gradient."""
    return ops.mean(inputs["joint"]) - _batch_mean(inputs) / divisor


def reference(inputs: Inputs) -> Tree:
    """MINE with log A = log((1 − rate)·A + rate·E_Q[e^T]) in place of A, which leaves the number range with e^T."""
    value, log_average = bounds.mine(inputs["joint"], inputs["product"], np.log(inputs["average"]), inputs["rate"])
    return _answer(value, np.exp(log_average))


def _with_value(gradient_of: Array, value_of: Array) -> Array:
    return gradient_of + (stop_gradient(value_of) - stop_gradient(gradient_of))


def _mine(divisor: Callable[[Inputs], Array], new: Callable[[Inputs], Array],
          value: Callable[[Inputs], Array] | None = None) -> Callable[[Inputs], Tree]:  # fmt: skip
    """A form of MINE: what divides, what is kept, and what is reported (DV if not said)."""

    def function(inputs: Inputs) -> Tree:
        surrogate = _surrogate(inputs, divisor(inputs))
        reported = _dv(inputs) if value is None else value(inputs)
        return _answer(_with_value(surrogate, reported), new(inputs))

    return function


def _dv(inputs: Inputs) -> Array:
    return bounds.dv(inputs["joint"], inputs["product"])


def _now(inputs: Inputs) -> Array:
    return stop_gradient(_batch_mean(inputs))


def _new(inputs: Inputs) -> Array:
    return stop_gradient(_moved(inputs, _now(inputs)))


def _old(inputs: Inputs) -> Array:
    return inputs["average"]


def _attached(inputs: Inputs) -> Tree:
    """The average is on the tape: the quotient's rule undoes part of the correction."""
    moved = _moved(inputs, _batch_mean(inputs))
    value = ops.mean(inputs["joint"]) - _batch_mean(inputs) / moved
    return _answer(_with_value(value, _dv(inputs)), moved)


def _log_of_average(inputs: Inputs) -> Tree:
    moved = _moved(inputs, _batch_mean(inputs))
    return _answer(ops.mean(inputs["joint"]) - anp.log(moved), moved)


def _plain_dv(inputs: Inputs) -> Tree:
    return _answer(_dv(inputs), _new(inputs))


def _swapped_rate(inputs: Inputs) -> Array:
    return stop_gradient(inputs["rate"] * inputs["average"] + (1 - inputs["rate"]) * _now(inputs))


CONVENTIONS = (
    Variant(
        "old-average", "MINE dividing by the average before this batch", _mine(_old, _new),
        "the ratio E_Q[e^T]/A has no ceiling", "move the average first", "",
    ),
    Variant(
        "surrogate-value", "MINE's surrogate E_P[T] − E_Q[e^T]/A, as a training objective",
        lambda i: _answer(_surrogate(i, _new(i)), _new(i)), "the gradient is MINE's; the value is no estimate",
        "report DV beside it", "",
    ),
    Variant(
        "surrogate-value-old-average", "the surrogate E_P[T] − E_Q[e^T]/A of the average before this batch",
        lambda i: _answer(_surrogate(i, _old(i)), _new(i)), "the gradient is MINE's; the value is no estimate",
        "report DV beside it", "",
    ),
)  # fmt: skip
MISTAKES = (
    Variant(
        "average-not-fed-back", "MINE whose moving average is not fed back", _mine(_new, _old),
        "the average stays where it began: the gradient is scaled by a number from the first batch",
        "return the new average, and pass it in at the next batch", "",
    ),
    Variant(
        "average-not-fed-back-batch-alone", "MINE that keeps the batch's own mean instead of a moving average",
        _mine(_now, _now), "DV's biased gradient: nothing is corrected", "(1 − rate)·A + rate·E_Q[e^T]", "",
    ),
    Variant(
        "average-attached", "MINE whose moving average is not detached", _attached,
        "the gradient runs through the average too: the correction is partly undone",
        "take the average off the tape (detach, stop_gradient)", "",
    ),
    Variant(
        "average-in-value", "MINE with the logarithm of the moving average in its value, E_P[T] − log A",
        _log_of_average, "the value mixes old critics in: no estimate; its gradient is scaled by the rate",
        "DV of this batch is the value", "",
    ),
    Variant(
        "average-in-value-detached", "MINE that reports E_P[T] − log A",
        _mine(_new, _new, lambda i: ops.mean(i["joint"]) - anp.log(_new(i))),
        "the value mixes old critics in: no estimate", "DV of this batch is the value", "", True,
    ),
    Variant(
        "no-correction", "DV: the average is kept, but its gradient is not used", _plain_dv,
        "the biased gradient that MINE corrects", "divide E_Q[e^T ∇T] by the average", BELGHAZI,
    ),
    Variant(
        "rate-swapped", "MINE with the weights of old and new exchanged", _mine(_swapped_rate, _swapped_rate),
        "the average is nearly this batch's own", "(1 − rate)·A + rate·E_Q[e^T]", "",
    ),
    Variant(
        "no-log-value", "MINE whose average divides nothing: E_P[T] − E_Q[e^T]",
        lambda i: _answer(ops.mean(i["joint"]) - _batch_mean(i), _new(i)), "no correction, and not DV's value",
        "divide by the average", "",
    ),
    Variant(
        "average-of-scores", "MINE with a moving average of T instead of e^T",
        _mine(lambda i: _moved_scores(i), lambda i: _moved_scores(i)), "the divisor is no E_Q[e^T]",
        "average e^T", "",
    ),
)  # fmt: skip


def _moved_scores(inputs: Inputs) -> Array:
    return stop_gradient(_moved(inputs, ops.mean(inputs["product"])))


CONTRACTS = (
    Contract(
        "bound", "mine", "MINE: DV's value, the gradient divided by a moving average",
        (
            Form(
                "pairs",
                Signature(("joint", "product", "average", "rate"), ("value", "average"), ("joint", "product")),
                "joint (N,), product (P,), average: of E_Q[e^T], one number; rate; returns (value, new average)",
                _draw, reference, True, CONVENTIONS, MISTAKES, range_of=("joint", "product"),
            ),
        ),
        f"{BELGHAZI}, eq. (12)",
    ),
)  # fmt: skip
