"""Contracts of the prior's game: both players' losses from logits, the game from parameters, the gradient penalty.

real = d(z) are the logits of draws of the prior, fake = d(y) those of representations; log D = −sp(−d) and
log(1 − D) = −sp(d).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np

from dimref import discriminators, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import numbers, perturbed, reference, variant
from dimref.audit.contract import Contract, Form, Sizes, Variant
from dimref.audit.edits import Formula, rewritten
from dimref.tape import stop_gradient, value_and_gradients
from dimref.trees import Array, Tree, map_tree

GOODFELLOW, HJELM = "arXiv 1406.2661, section 3", "arXiv 1808.06670, eq. (7)"
MESCHEDER = "arXiv 1801.04406, eq. (9)"


def _log_d(logits: Array) -> Array:
    return -ops.softplus(-logits)


def _log_not_d(logits: Array) -> Array:
    return -ops.softplus(logits)


def _naive_sigmoid(x: Array) -> Array:
    return 1 / (1 + anp.exp(-x))


# ---- the discriminator's loss


def discriminator_loss(real: Array, fake: Array) -> Array:
    """−E[log D(z)] − E[log(1 − D(y))]."""
    return ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))


def hinge(real: Array, fake: Array) -> Array:
    """E[max(0, 1 − d(z))] + E[max(0, 1 + d(y))]."""
    return ops.mean(ops.relu(1.0 - real)) + ops.mean(ops.relu(1.0 + fake))


def smoothed(real: Array, fake: Array) -> Array:
    """The label 0.9 for the draws of the prior."""
    return -0.9 * ops.mean(_log_d(real)) - 0.1 * ops.mean(_log_not_d(real)) - ops.mean(_log_not_d(fake))


def naive_discriminator_loss(real: Array, fake: Array) -> Array:
    """−E[log σ(real)] − E[log(1 − σ(fake))], written out."""
    return -ops.mean(anp.log(_naive_sigmoid(real))) - ops.mean(anp.log(1 - _naive_sigmoid(fake)))


# ---- the encoder's loss


def minimax(fake: Array) -> Array:
    """E[log(1 − D(y))], which the encoder minimizes."""
    return -ops.mean(ops.softplus(fake))


def non_saturating(fake: Array) -> Array:
    """−E[log D(y)], which the encoder minimizes."""
    return ops.mean(ops.softplus(-fake))


def times(factor: float, function: Callable[..., Array], *arguments: Array) -> Array:
    """factor · function."""
    return factor * function(*arguments)


def naive_minimax(fake: Array) -> Array:
    """E[log(1 − σ(d))], written out."""
    return ops.mean(anp.log(1 - _naive_sigmoid(fake)))


def naive_non_saturating(fake: Array) -> Array:
    """−E[log σ(d)], written out."""
    return -ops.mean(anp.log(_naive_sigmoid(fake)))


# ---- the whole game


def game(
    parameters: Tree,
    y: Array,
    z: Array,
    transform: Callable[[Array], Array],
    encoder: Callable[[Array], Array] = minimax,
    discriminator: Callable[[Array, Array], Array] = discriminator_loss,
    stop_y: bool = True,
    stop_parameters: bool = True,
    stop_encoder: bool = False,
) -> tuple[Array, Array]:
    """(discriminator's loss with y stopped, encoder's loss with the parameters stopped), or what is done otherwise."""
    sample = transform(y)
    real = discriminators.prior_logits(parameters, z)
    fake = discriminators.prior_logits(parameters, stop_gradient(sample) if stop_y else sample)
    frozen = map_tree(stop_gradient, parameters) if stop_parameters else parameters
    seen = discriminators.prior_logits(frozen, stop_gradient(sample) if stop_encoder else sample)
    return discriminator(real, fake), encoder(seen)


def _identity(y: Array) -> Array:
    return y


# ---- the gradient penalty


def _slopes(parameters: Tree, z: Array, of: Callable[[Array], Array]) -> Array:
    """∇_z of a scalar of the logits: (B, D)."""
    return value_and_gradients(lambda at: (of(discriminators.prior_logits(parameters, at)), {}), z)[1]


def _squares(parameters: Tree, z: Array) -> Array:
    return (_slopes(parameters, z, ops.total) ** 2).sum(axis=1)


def penalty_of_mean(parameters: Tree, z: Array) -> Array:
    """½ E‖∇ of the batch's mean logit‖²: 1/B² of it."""
    return 0.5 * (_slopes(parameters, z, ops.mean) ** 2).sum(axis=1).mean()


def penalty_of_probability(parameters: Tree, z: Array) -> Array:
    """½ E‖∇ D(z)‖², of the probability in place of the logit."""
    return 0.5 * (_slopes(parameters, z, lambda d: ops.total(ops.sigmoid(d))) ** 2).sum(axis=1).mean()


def penalty_of_batch(parameters: Tree, z: Array) -> Array:
    """½ of the norm of the whole batch's gradient, one number in place of one for each row."""
    return 0.5 * np.sqrt(_squares(parameters, z).sum())


# ---- what is asked

LOGITS, FAKE = (
    Signature(("real", "fake"), differentiate=("real", "fake")),
    Signature(("fake",), differentiate=("fake",)),
)
GAME = Signature(("parameters", "y", "z"), ("discriminator", "encoder"), differentiate=("parameters", "y"), of="")
PENALTY = Signature(("parameters", "z"))


def _draw_logits(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    return {"real": 2 * numbers(rng, sizes, sizes.n) + 1, "fake": 2 * numbers(rng, sizes, sizes.n)}


def _draw_fake(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    return {"fake": 2 * numbers(rng, sizes, sizes.n)}


def _parameters(rng: np.random.Generator, sizes: Sizes, representation: int) -> Tree:
    return perturbed(rng, sizes, discriminators.init_prior(rng, representation, hidden=(6, 5)))


def _draw_game(uniform: bool, rng: np.random.Generator, sizes: Sizes) -> Inputs:
    shape = sizes.n, 1 + sizes.m
    z = rng.random(shape) if uniform else rng.standard_normal(shape)
    return {
        "parameters": _parameters(rng, sizes, shape[1]),
        "y": numbers(rng, sizes, *shape),
        "z": z.astype(sizes.dtype),
        "weight": {name: np.asarray(rng.uniform(0.5, 2), sizes.dtype) for name in GAME.outputs},
    }


def _draw_penalty(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    shape = sizes.n, 1 + sizes.m
    return {"parameters": _parameters(rng, sizes, shape[1]), "z": numbers(rng, sizes, *shape)}


_d, _e, _g, _p = (partial(variant, each) for each in (LOGITS, FAKE, GAME, PENALTY))
STABLE = "work on logits: softplus(−d), softplus(d), or the cross entropy with logits"
HALF_DOUBLE = "add the two means, or double the weight"
_DISCRIMINATOR = Form(
    name="logits",
    signature=LOGITS,
    meaning="f(real (B,), fake (B,)) -> loss of the discriminator",
    draw=_draw_logits,
    reference=reference(discriminator_loss, LOGITS),
    objective=True,
    loss=True,
    mistakes=(
        _d("hinge", hinge, "the hinge loss", "take the log odds through a softplus", "arXiv 1705.02894"),
        _d("label-smoothing", smoothed, "the loss with the label 0.9 for the prior", "label 1", "arXiv 1606.03498",
           consequence="the optimum of d moves"),
    ),
    numerical=(
        _d("naive-log-sigmoid", naive_discriminator_loss, "log σ and log(1 − σ) written out", STABLE),
    ),
    range_of=("real", "fake"),
    **rewritten((Formula(discriminator_loss), lambda f: reference(f, LOGITS), "the discriminator's loss")),
)  # fmt: skip


def _encoder(name: str, right: Callable[[Array], Array], naive: Callable[[Array], Array],
             conventions: tuple[Variant, ...]) -> Form:  # fmt: skip
    return Form(
        name="logits",
        signature=FAKE,
        meaning="f(fake (B,)) -> loss of the encoder",
        draw=_draw_fake,
        reference=reference(right, FAKE),
        objective=True,
        loss=True,
        sign=1,
        conventions=(
            *conventions,
            _e("halved", partial(times, 0.5, right), f"half of the encoder's {name} loss", HALF_DOUBLE,
               consequence="the weight γ counts half"),
        ),
        numerical=(
            _e("naive-log-sigmoid", naive, "log σ or log(1 − σ) written out", STABLE),
        ),
        range_of=("fake",),
        **rewritten((Formula(right), lambda f: reference(f, FAKE), f"the encoder's {name} loss"), without=()),
    )  # fmt: skip


_ENCODER = _encoder("minimax", minimax, naive_minimax, (
    _e("non-saturating", non_saturating, "the encoder's non-saturating loss, −E[log D(y)]",
       "E[log(1 − D(y))], or --prior-loss non-saturating", GOODFELLOW),
))  # fmt: skip
_NON_SATURATING = _encoder("non-saturating", non_saturating, naive_non_saturating, (
    _e("minimax", minimax, "the encoder's minimax loss, E[log(1 − D(y))]", "−E[log D(y)]", HJELM,
       consequence="the same fixed point; it hardly moves where D is sure"),
))  # fmt: skip


def _half_loss(real: Array, fake: Array) -> Array:
    return 0.5 * discriminator_loss(real, fake)


def _negative(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return partial(times, -1.0, function)


def _game(uniform: bool) -> Form:
    transform = ops.sigmoid if uniform else _identity

    def make(key: str, title: str, consequence: str, fix: str, source: str = "", **how: Any) -> Variant:
        how = {"transform": transform, **how}
        return _g(key, lambda parameters, y, z: game(parameters, y, z, **how), title, fix, source, consequence)

    transforms: tuple[Variant, ...]
    if uniform:
        transforms = (
            make("sigmoid-missing", "the game without a sigmoid before a uniform prior",
                 "y is not confined to [0, 1], and no encoder wins",
                 "pass y through a sigmoid", HJELM, transform=_identity),
            make("tanh-for-sigmoid", "the game with tanh(y), in (−1, 1), against a prior on [0, 1]",
                 "y and the prior differ whatever the encoder does", "use a sigmoid, or a prior on [−1, 1]",
                 transform=anp.tanh),
        )  # fmt: skip
    else:
        transforms = (
            make("sigmoid-added", "the game with a sigmoid before a Gaussian prior",
                 "y never leaves (0, 1)",
                 "compare y itself with the Gaussian", HJELM, transform=ops.sigmoid),
        )  # fmt: skip
    free = "the encoder's loss also has a gradient in the discriminator's parameters"
    own = "right only where each player's optimizer steps its own parameters alone; else stop them"
    return Form(
        name="arrays",
        signature=GAME,
        meaning="f(parameters, y (B, D), z (B, D)) -> (discriminator's loss, encoder's loss)",
        draw=partial(_draw_game, uniform),
        reference=reference(lambda parameters, y, z: game(parameters, y, z, transform), GAME),
        conventions=(
            make("non-saturating", "the game with the encoder's non-saturating loss",
                 "the encoder's loss is −E[log D(y)]", "E[log(1 − D(y))]", GOODFELLOW, encoder=non_saturating),
            make("parameters-not-stopped", f"the game, but {free}",
                 "the discriminator's gradient has a second term, against it", own, stop_parameters=False),
            make("non-saturating-parameters-not-stopped", f"the non-saturating game, but {free}",
                 "the discriminator's gradient has a second term, against it", own, encoder=non_saturating,
                 stop_parameters=False),
            make("halved", "the game with half of the discriminator's loss: the mean over real and fake together",
                 "the discriminator's step is half as large", HALF_DOUBLE, discriminator=_half_loss),
            make("halved-non-saturating", "the non-saturating game with half of the discriminator's loss",
                 "the discriminator's step is half as large", HALF_DOUBLE, discriminator=_half_loss,
                 encoder=non_saturating),
        ),
        mistakes=(
            *transforms,
            make("y-not-stopped", "the game with y not stopped in the discriminator's loss",
                 "the encoder also learns to be told apart",
                 "detach y in the discriminator's loss", stop_y=False),
            make("y-not-stopped-non-saturating", "the non-saturating game with y not stopped in the discriminator's loss",
                 "the gradient in y has a second term: the encoder also learns to be told from the prior",
                 "detach y in the discriminator's loss", stop_y=False, encoder=non_saturating),
            make("nothing-stopped", "the game with neither y nor the parameters stopped",
                 "each player undoes the other",
                 "detach y in the discriminator's loss and the parameters in the encoder's", stop_y=False,
                 stop_parameters=False),
            make("encoder-sign", "the game with the encoder's sign flipped",
                 "its gradient in y is −1 times the right one: the encoder helps the discriminator",
                 "the encoder minimizes E[log(1 − D(y))]", HJELM, encoder=_negative(minimax)),
            make("encoder-sign-non-saturating", "the non-saturating game with the encoder's sign flipped",
                 "its gradient in y is −1 times the right one: the encoder helps the discriminator",
                 "the encoder minimizes −E[log D(y)]", GOODFELLOW, encoder=_negative(non_saturating)),
            make("encoder-detached", "the game with y stopped in the encoder's loss too",
                 "its gradient in y is 0, and the prior does nothing", "let the gradient pass to y",
                 stop_encoder=True),
            make("exchanged", "the game with real and fake exchanged in the discriminator's loss",
                 "trained so, D calls every draw of the prior fake", "label 1 for draws of the prior",
                 discriminator=lambda real, fake: discriminator_loss(fake, real)),
        ),
    )  # fmt: skip


_PENALTY = Form(
    name="arrays",
    signature=PENALTY,
    meaning="f(parameters, z (B, D)) -> ½ E‖∇_z d(z)‖²",
    draw=_draw_penalty,
    reference=reference(discriminators.gradient_penalty, PENALTY),
    conventions=(
        _p("half-left-out", lambda parameters, z: _squares(parameters, z).mean(), "E‖∇ d(z)‖², without the ½",
           "halve it, or halve the weight", MESCHEDER,
           consequence="twice as large: the penalty's weight counts double"),
    ),
    mistakes=(
        _p("one-row", lambda parameters, z: 0.5 * _squares(parameters, z)[0], "the penalty of one row of the batch",
           "take the gradient of the sum of all logits, then the mean of the rows' squares", MESCHEDER),
        _p("not-squared", lambda parameters, z: 0.5 * np.sqrt(_squares(parameters, z)).mean(),
           "½ E‖∇ d(z)‖, not squared", "square the norm", MESCHEDER),
        _p("of-the-batch", penalty_of_batch, "half of one norm of the whole batch's gradient",
           "a square for each row, then the mean"),
        _p("sum-for-mean", lambda parameters, z: 0.5 * _squares(parameters, z).sum(),
           "the penalty summed over the batch", "take the mean over rows"),
        _p("of-mean-logit", penalty_of_mean, "the penalty of the gradient of the batch's mean logit",
           "differentiate the sum of the logits: rows do not mix", MESCHEDER),
        _p("over-features", lambda parameters, z: 0.5 * (_squares(parameters, z) / z.shape[1]).mean(),
           "½ of the mean over rows and features of (∂d/∂z)²", "sum over the features, take the mean over rows"),
        _p("one-centred", lambda parameters, z: ((np.sqrt(_squares(parameters, z)) - 1) ** 2).mean(),
           "E(‖∇ d(z)‖ − 1)², the penalty of WGAN-GP", "½ E‖∇ d(z)‖²", "arXiv 1704.00028"),
        _p("of-probability", penalty_of_probability, "½ E‖∇ D(z)‖²: of the probability, not of the logit",
           "differentiate d, before the sigmoid", MESCHEDER),
    ),
)  # fmt: skip

CONTRACTS: tuple[Contract, ...] = (
    Contract("prior", "discriminator_loss", "the loss of the prior's discriminator", (_DISCRIMINATOR,), HJELM),
    Contract("prior", "encoder_loss", "the encoder's minimax loss, E[log(1 − D(y))]", (_ENCODER,), HJELM),
    Contract("prior", "encoder_loss_non_saturating", "the encoder's non-saturating loss, −E[log D(y)]",
             (_NON_SATURATING,), GOODFELLOW),
    Contract("prior", "game_uniform", "the game against a uniform prior", (_game(True),), HJELM),
    Contract("prior", "game_gaussian", "the game against a Gaussian prior", (_game(False),), HJELM),
    Contract("prior", "gradient_penalty", "R1, ½ E‖∇_z d(z)‖² at draws of the prior", (_PENALTY,), MESCHEDER),
)  # fmt: skip
