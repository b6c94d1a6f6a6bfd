"""One training step, as a pure function: the gradient of a loss, then Adam."""

from collections.abc import Callable
from typing import Any

from dimref import ranks
from dimref.optim import Floats, adam_step
from dimref.tape import value_and_gradients
from dimref.trees import Array, Tree


def train_step(
    loss: Callable[..., tuple[Array, dict[str, Any]]],
    parameters: Tree,
    state: Tree,
    adam: Tree,
    images: Array,
    noise: Tree,
    lr: float,
    rates: Array | None = None,
    betas: Floats = (0.9, 0.999),
    check: Callable[[Array, Tree, dict[str, Any]], None] = lambda value, gradients, report: None,
) -> tuple[Tree, Tree, Tree, dict[str, Any]]:
    """Minimize the loss by one step of Adam on one batch; the new parameters, model state, Adam's state, and the report.

    Do not use the arrays of `parameters` and `adam` afterwards, as in `adam_step`.

    Args:
        loss: (parameters, state, images, noise) → (scalar, {"terms", "state": new model state, …}), such as
            `objectives.loss` with its objective and layout filled in.
        state: model state: running statistics, MINE's averages. adam: from `optim.init_adam`. rates, betas: see `adam_step`.
        images: (B, H, W, C) from `encoders.scale`. noise: from `objectives.draw_noise`.
        check: called with the loss, the gradients and the report before the update, which an exception of it prevents.
    """
    value, gradients, report = value_and_gradients(loss, parameters, state, images, noise)
    gradients = ranks.now().summed(gradients)
    check(value, gradients, report)
    parameters, adam = adam_step(parameters, gradients, adam, lr, betas, rates=rates)
    return parameters, report["state"], adam, report
