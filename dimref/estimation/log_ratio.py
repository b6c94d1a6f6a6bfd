"""R = log P/Q from a trained critic, whatever it was trained with: every held-out estimate starts from it.

| trained with | tight at | so R is |
|---|---|---|
| JSD | T = R | T |
| NWJ | T = R + 1 | T − 1 |
| DV | T = R + c | T − log E_Q[e^T], over the validation part |
| InfoNCE | T = R + c(y) | T − log a(y), a(y) the mean of e^T(x', y) over x' of the training part |

None of the constants comes from held-out samples, so the result is a critic like any other, and every bound of it holds.
It is cut off at log N of the training part: N samples teach no more, and one pair that a network wrongly gives e^20
would be all of E_Q[e^T].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from dimref import negatives, ops
from dimref.engine import threads
from dimref.estimation.blocks import Columns, blocks
from dimref.estimation.critics import Critic
from dimref.estimation.held_out import ESTIMATORS, HeldOut
from dimref.estimation.transforms import Preparation, rows_of
from dimref.trees import Tree

REFERENCES = 2000  # training samples at most that a(y) is the mean over


@dataclass(frozen=True)
class Critics:
    """Critics of one family, trained on one training part, and what is done to samples before they are scored."""

    family: Critic
    preparation: Preparation
    factor: float
    parameters: tuple[Tree, ...]

    def scores(self, x: Tree, y: Tree) -> np.ndarray:
        """The mean of the critics' scores of every pair, (N, M) float64 on the host: itself a critic."""
        total = sum(self.family.score(parameters, x, y) for parameters in self.parameters)
        return self.preparation.backend.to_host(total).astype(np.float64) / len(self.parameters)


@dataclass(frozen=True)
class LogRatio:
    """R(x, y) as the critics see it, in nats.

    Attributes:
        constant: c. references: x's side of the training samples that a(y) is the mean over; None where c does it.
        ceiling: R is cut off here.
    """

    critics: Critics
    constant: float
    references: Tree | None
    ceiling: float

    def __call__(self, x: np.ndarray, y: np.ndarray) -> Columns:
        """The matrix R(x_i, y_j) of samples x (N, D), y (N, D'), by columns."""
        preparation = self.critics.preparation
        left, right = preparation.sides(preparation.transformed(x, y), self.critics.factor)

        def columns(block: slice) -> np.ndarray:
            part = rows_of(right, block)
            scores = self.critics.scores(left, part) - self.constant
            if self.references is not None:
                scores -= ops.logmeanexp(self.critics.scores(self.references, part), axis=0)
            return np.minimum(scores, self.ceiling)

        return columns

    def estimates(
        self, x: np.ndarray, y: np.ndarray, names: tuple[str, ...], units: np.ndarray | None = None
    ) -> dict[str, list[HeldOut]]:
        """Estimates from held-out samples: for each name a list with one for each score matrix they are cut into."""
        found: dict[str, list[HeldOut]] = {name: [] for name in names}
        for part in threads.blocks(len(x), self.critics.family.held_out):
            columns, n = self(x[part], y[part]), len(x[part])
            if len([*blocks(n)]) == 1:  # computed once for all estimates
                scores = columns(slice(0, n))
                columns = partial(_columns, scores)
            for name in names:
                result = ESTIMATORS[name](columns, n)
                found[name].append(result if units is None else result.of_units(units[part]))
        return found


def _columns(scores: np.ndarray, block: slice) -> np.ndarray:
    return scores[:, block]


def calibrate(critics: Critics, objective: str, train: tuple[Tree, Tree], validation: tuple[Tree, Tree]) -> LogRatio:
    """The log ratio of critics that were trained with `objective`; both parts as `Preparation.sides` gives them."""
    n = train[0]["values"].shape[0]
    constant, references = 0.0, None
    if objective == "nwj":
        constant = 1.0
    elif objective == "dv":
        constant = float(ops.logmeanexp(negatives.all_pairs(critics.scores(*validation))[1]))
    elif objective == "infonce":
        references = rows_of(train[0], slice(0, REFERENCES))
    return LogRatio(critics, constant, references, math.log(n))
