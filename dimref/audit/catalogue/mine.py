"""MINE as a bound with state: DV's value, its gradient divided by a moving average of E_Q[e^T]."""

from __future__ import annotations

from collections.abc import Callable

import autograd.numpy as anp
import numpy as np

from dimref import bounds, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import reference, variants
from dimref.audit.catalogue.pieces import BELGHAZI, draw_pairs
from dimref.audit.contract import Contract, Form, Sizes
from dimref.tape import stop_gradient
from dimref.trees import Array


def _draw(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """Scores without locations, an average that is not the batch's own, and a rate."""
    case = {name: a.reshape(len(a), -1)[:, 0].copy() for name, a in draw_pairs(rng, sizes).items()}
    average = np.asarray(np.round(rng.uniform(0.5, 4.0), 2), sizes.dtype)
    return {**case, "average": average, "rate": float(rng.choice([0.01, 0.1, 0.5]))}


Divisor = Callable[[Array, Array, float], Array]  # of E_Q[e^T], the old average and the rate


def moved(now: Array, average: Array, rate: float) -> Array:
    """(1 − rate)·A + rate·E_Q[e^T]."""
    return (1 - rate) * average + rate * now


def _new(now: Array, average: Array, rate: float) -> Array:
    return stop_gradient(moved(now, average, rate))


def _old(now: Array, average: Array, rate: float) -> Array:
    return average


def _batch(now: Array, average: Array, rate: float) -> Array:
    return stop_gradient(now)


def _swapped(now: Array, average: Array, rate: float) -> Array:
    return _new(now, average, 1 - rate)


def right(joint: Array, product: Array, average: Array, rate: float) -> tuple[Array, Array]:
    """MINE with log A = log((1 − rate)·A + rate·E_Q[e^T]) in place of A, which leaves the number range with e^T."""
    value, log_average = bounds.mine(joint, product, np.log(average), rate)
    return value, np.exp(log_average)


def _mine(
    divisor: Divisor = _new, kept: Divisor = _new, value: Callable[..., Array] | None = None,
    of: Callable[[Array], Array] = anp.exp, surrogate: bool = False,
) -> Callable[..., tuple[Array, Array]]:  # fmt: skip
    """A form of MINE: what divides, what is kept, what is reported (DV if not said), what the average is of."""

    def function(joint: Array, product: Array, average: Array, rate: float) -> tuple[Array, Array]:
        now, batch = ops.mean(of(product)), ops.mean(anp.exp(product))
        gradient_of = ops.mean(joint) - batch / divisor(now, average, rate)
        reported = bounds.dv(joint, product) if value is None else value(joint, now, average, rate)
        shown = gradient_of + (stop_gradient(reported) - stop_gradient(gradient_of))
        return gradient_of if surrogate else shown, stop_gradient(kept(now, average, rate))

    return function


def _log_average(joint: Array, now: Array, average: Array, rate: float) -> Array:
    return ops.mean(joint) - anp.log(moved(now, average, rate))


def _attached(joint: Array, product: Array, average: Array, rate: float) -> tuple[Array, Array]:
    now = ops.mean(anp.exp(product))
    return _log_average(joint, now, average, rate), _new(now, average, rate)


# fmt: off
SIGNATURE = Signature(("joint", "product", "average", "rate"), ("value", "average"), ("joint", "product"))
AVERAGE, ESTIMATE, NO_ESTIMATE = "(1 − rate)·A + rate·E_Q[e^T]", "DV of this batch is the value", "the value is no estimate"
CONVENTIONS = (
    ("old-average", _mine(_old), "MINE dividing by the average before this batch", "move the average first", "",
     "the ratio E_Q[e^T]/A has no ceiling"),
    ("surrogate-value", _mine(surrogate=True), "MINE's surrogate E_P[T] − E_Q[e^T]/A, as a training objective",
     "report DV beside it", "", f"the gradient is MINE's; {NO_ESTIMATE}"),
    ("surrogate-value-old-average", _mine(_old, surrogate=True),
     "the surrogate E_P[T] − E_Q[e^T]/A of the average before this batch", "report DV beside it", "",
     f"the gradient is MINE's; {NO_ESTIMATE}"),
)
MISTAKES = (
    ("average-not-fed-back", _mine(_new, _old), "MINE whose moving average is not fed back",
     "return the new average, and pass it in at the next batch", "",
     "the average stays where it began: the gradient is scaled by a number from the first batch"),
    ("average-not-fed-back-batch-alone", _mine(_batch, _batch),
     "MINE that keeps the batch's own mean instead of a moving average",
     AVERAGE, "", "DV's biased gradient: nothing is corrected"),
    ("average-attached", _mine(moved), "MINE whose moving average is not detached",
     "take the average off the tape (detach, stop_gradient)", "",
     "the gradient runs through the average too: the correction is partly undone"),
    ("average-in-value", _attached, "MINE with the logarithm of the moving average in its value, E_P[T] − log A",
     ESTIMATE, "",
     f"{NO_ESTIMATE}, and its gradient is scaled by the rate"),
    ("average-in-value-detached", _mine(value=_log_average), "MINE that reports E_P[T] − log A", ESTIMATE, "",
     f"the value mixes old critics in: {NO_ESTIMATE}", True),
    ("no-correction", lambda joint, product, average, rate: (bounds.dv(joint, product),
                                                             _mine()(joint, product, average, rate)[1]),
     "DV: the average is kept, but its gradient is not used", "divide E_Q[e^T ∇T] by the average", BELGHAZI,
     "the biased gradient that MINE corrects"),
    ("rate-swapped", _mine(_swapped, _swapped), "MINE with the weights of old and new exchanged", AVERAGE, "",
     "the average is nearly this batch's own"),
    ("no-log-value", _mine(lambda now, average, rate: 1.0, surrogate=True),
     "MINE whose average divides nothing: E_P[T] − E_Q[e^T]",
     "divide by the average", "", "no correction, and not DV's value"),
    ("average-of-scores", _mine(of=lambda t: t), "MINE with a moving average of T instead of e^T", "average e^T", "",
     "the divisor is no E_Q[e^T]"),
)
FORM = Form(
    "pairs", SIGNATURE,
    "joint (N,), product (P,), average: of E_Q[e^T], one number; rate; returns (value, new average)", _draw,
    reference(right, SIGNATURE), True, variants(SIGNATURE, CONVENTIONS),
    variants(SIGNATURE, MISTAKES), range_of=("joint", "product"),
)
CONTRACTS = (
    Contract("bound", "mine", "MINE: DV's value, the gradient divided by a moving average", (FORM,),
             f"{BELGHAZI}, eq. (12)"),
)
