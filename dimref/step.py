"""One training step, as a pure function: the gradient of a loss, then Adam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from dimref import ranks
from dimref.optim import adam_step
from dimref.tape import value_and_gradients
from dimref.trees import Array, Tree

Loss = Callable[[Tree, Tree, Array, Tree], tuple[Array, dict[str, Any]]]


class Step(NamedTuple):
    """A step's result: new parameters, model state and Adam's state, and the loss's report."""

    parameters: Tree
    state: Tree
    adam: Tree
    report: dict[str, Any]


def train_step(
    loss: Loss,
    parameters: Tree,
    state: Tree,
    adam: Tree,
    images: Array,
    noise: Tree,
    lr: float,
    corrected: Array | None = None,
    check: Callable[[Array, Tree, dict[str, Any]], None] = lambda value, gradients, report: None,
) -> Step:
    """Minimize the loss by one step of Adam on one batch; `adam_step` may overwrite the arrays of `parameters` and `adam`.

    Args:
        loss: (parameters, state, images, noise) → (scalar, {"terms", "state": new model state, …}), such as
            `objectives.loss` with its objective and layout filled in.
        state: model state: running statistics, MINE's averages. adam: from `optim.init_adam`.
        images: (B, H, W, C) from `encoders.scale`. noise: from `objectives.draw_noise`.
        corrected: see `adam_step`.
        check: called with the loss, the gradients and the report before the update, which an exception of it prevents.
    """
    value, gradients, report = value_and_gradients(loss, parameters, state, images, noise)
    gradients = ranks.now().summed(gradients)
    check(value, gradients, report)
    parameters, adam = adam_step(parameters, gradients, adam, lr, corrected=corrected)
    return Step(parameters, report["state"], adam, report)
