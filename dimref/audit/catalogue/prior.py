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
from dimref.audit.catalogue.forms import Row, numbers, perturbed, reference, variants
from dimref.audit.contract import Contract, Form, Sizes
from dimref.audit.edits import Formula, rewritten
from dimref.tape import stop_gradient, value_and_gradients
from dimref.trees import Array, Tree, map_tree

GOODFELLOW, HJELM = "arXiv 1406.2661, section 3", "arXiv 1808.06670, eq. (7)"
MESCHEDER = "arXiv 1801.04406, eq. (9)"


# ---- formulas, edited


def discriminator_loss(real: Array, fake: Array) -> Array:
    """−E[log D(z)] − E[log(1 − D(y))]."""
    return ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))


def minimax(fake: Array) -> Array:
    """E[log(1 − D(y))], which the encoder minimizes."""
    return -ops.mean(ops.softplus(fake))


def non_saturating(fake: Array) -> Array:
    """−E[log D(y)], which the encoder minimizes."""
    return ops.mean(ops.softplus(-fake))


# ---- more of them


def hinge(real: Array, fake: Array) -> Array:
    """E[max(0, 1 − d(z))] + E[max(0, 1 + d(y))]."""
    return ops.mean(ops.relu(1.0 - real)) + ops.mean(ops.relu(1.0 + fake))


def smoothed(real: Array, fake: Array) -> Array:
    """The label 0.9 for the draws of the prior."""
    return discriminator_loss(real, fake) + 0.1 * (non_saturating(-real) - non_saturating(real))


def naive_log(logits: Array) -> Array:
    """E[log σ(d)], written out."""
    return ops.mean(anp.log(1 / (1 + anp.exp(-logits))))


def naive_log_not(logits: Array) -> Array:
    """E[log(1 − σ(d))], written out."""
    return ops.mean(anp.log(1 - 1 / (1 + anp.exp(-logits))))


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


# ---- the gradient penalty


def _squares(parameters: Tree, z: Array, of: Callable[[Array], Array] = ops.total) -> Array:
    """‖∇_z of a scalar of the logits‖² of each row: (B,)."""
    slopes = value_and_gradients(lambda at: (of(discriminators.prior_logits(parameters, at)), {}), z)[1]
    return (slopes**2).sum(axis=1)


def _penalty(
    reduce: Callable[[Array], Array], of: Callable[[Array], Array] = ops.total
) -> Callable[[Tree, Array], Array]:
    """A function of the squares."""
    return lambda parameters, z: reduce(_squares(parameters, z, of))


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


# fmt: off
STABLE = "work on logits: softplus(−d), softplus(d), or the cross entropy with logits"
HALF_DOUBLE = "add the two means, or double the weight"


def _loss(signature: Signature, meaning: str, draw: Callable[..., Inputs], right: Callable[..., Array], title: str,
          naive: Callable[..., Array], conventions: tuple[Row, ...] = (), mistakes: tuple[Row, ...] = (),
          **how: Any) -> Form:
    part = (Formula(right), lambda f: reference(f, signature), title)
    return Form(
        "logits", signature, meaning, draw, reference(right, signature), objective=True, loss=True,
        conventions=variants(signature, conventions), mistakes=variants(signature, mistakes),
        numerical=variants(signature, (("naive-log-sigmoid", naive, "log σ or log(1 − σ) written out", STABLE),)),
        range_of=signature.arguments, sign=how.get("sign", 0),
        **rewritten(part, without=() if "sign" in how else ("whole",)),
    )


_DISCRIMINATOR = _loss(
    LOGITS, "f(real (B,), fake (B,)) -> loss of the discriminator", _draw_logits, discriminator_loss,
    "the discriminator's loss",
    lambda real, fake: -naive_log(real) - naive_log_not(fake), mistakes=(
        ("hinge", hinge, "the hinge loss", "take the log odds through a softplus", "arXiv 1705.02894"),
        ("label-smoothing", smoothed, "the loss with the label 0.9 for the prior", "label 1", "arXiv 1606.03498",
         "the optimum of d moves"),
    ))


def _encoder(name: str, right: Callable[[Array], Array], naive: Callable[[Array], Array], other: Row) -> Form:
    half = ("halved", lambda fake: 0.5 * right(fake), f"half of the encoder's {name} loss", HALF_DOUBLE, "",
            "the weight γ counts half")
    return _loss(FAKE, "f(fake (B,)) -> loss of the encoder", _draw_fake, right, f"the encoder's {name} loss", naive,
                 (other, half), sign=1)


_ENCODER = _encoder("minimax", minimax, naive_log_not, (
    "non-saturating", non_saturating, "the encoder's non-saturating loss, −E[log D(y)]",
    "E[log(1 − D(y))], or --prior-loss non-saturating", GOODFELLOW))
_NON_SATURATING = _encoder("non-saturating", non_saturating, lambda fake: -naive_log(fake), (
    "minimax", minimax, "the encoder's minimax loss, E[log(1 − D(y))]", "−E[log D(y)]", HJELM,
    "the same fixed point; it hardly moves where D is sure"))


def _half_loss(real: Array, fake: Array) -> Array:
    return 0.5 * discriminator_loss(real, fake)


def _game(uniform: bool) -> Form:
    def rows(*told: tuple[str, dict[str, Any], str, str, str]) -> tuple[Row, ...]:
        """Key, options, what is changed, fix, source; a second row for the non-saturating game where that is changed too."""
        return tuple((key, partial(game, **{"transform": transform, **how}), f"the game {words}", fix, source)
                     for key, how, words, fix, source in told)

    def both(key: str, how: dict[str, Any], words: str, fix: str, source: str = "") -> tuple[Any, ...]:
        return ((key, how, words, fix, source),
                (f"{key}-non-saturating", {"encoder": non_saturating, **how}, f"with the non-saturating loss, {words}",
                 fix, source))

    def negative(fake: Array) -> Array:
        return -minimax(fake)

    def negative_non_saturating(fake: Array) -> Array:
        return -non_saturating(fake)

    transform = ops.sigmoid if uniform else lambda y: y
    transforms = (
        ("sigmoid-missing", {"transform": lambda y: y}, "without a sigmoid before a uniform prior",
         "pass y through a sigmoid: without it y is not confined to [0, 1]", HJELM),
        ("tanh-for-sigmoid", {"transform": anp.tanh}, "with tanh(y), in (−1, 1), against a prior on [0, 1]",
         "use a sigmoid, or a prior on [−1, 1]", ""),
    ) if uniform else (
        ("sigmoid-added", {"transform": ops.sigmoid}, "with a sigmoid before a Gaussian prior: y never leaves (0, 1)",
         "compare y itself with the Gaussian", HJELM),
    )
    free = "with a gradient of the encoder's loss in the discriminator's parameters"
    own = "right only where each player's optimizer steps its own parameters alone; else stop them"
    detach = "detach y in the discriminator's loss"
    half = "with half of the discriminator's loss: a mean over real and fake together"
    return Form(
        "arrays", GAME, "f(parameters, y (B, D), z (B, D)) -> (discriminator's loss, encoder's loss)",
        partial(_draw_game, uniform),
        reference(lambda parameters, y, z: game(parameters, y, z, transform), GAME),
        conventions=variants(GAME, rows(
            ("non-saturating", {"encoder": non_saturating}, "with the encoder's non-saturating loss, −E[log D(y)]",
             "E[log(1 − D(y))]", GOODFELLOW),
            *both("parameters-not-stopped", {"stop_parameters": False}, free, own),
            *both("halved", {"discriminator": _half_loss}, half, HALF_DOUBLE),
        )),
        mistakes=variants(GAME, rows(
            *transforms,
            *both("y-not-stopped", {"stop_y": False},
                  "with y not stopped in the discriminator's loss: the encoder also learns "
                  "to be told apart", detach),
            ("nothing-stopped", {"stop_y": False, "stop_parameters": False}, "with neither y nor the parameters stopped",
             f"{detach} and the parameters in the encoder's", ""),
            ("encoder-sign", {"encoder": negative}, "with the encoder's sign flipped: it helps the discriminator",
             "the encoder minimizes E[log(1 − D(y))]", HJELM),
            ("encoder-sign-non-saturating", {"encoder": negative_non_saturating},
             "with the sign of the encoder's non-saturating loss flipped: it helps the discriminator",
             "the encoder minimizes −E[log D(y)]", GOODFELLOW),
            ("encoder-detached", {"stop_encoder": True}, "with y stopped in the encoder's loss too: the prior does nothing",
             "let the gradient pass to y", ""),
            ("exchanged", {"discriminator": lambda real, fake: discriminator_loss(fake, real)},
             "with real and fake exchanged in the discriminator's loss", "label 1 for draws of the prior", ""),
        )),
    )


_ROWS = "differentiate the sum of the logits, square each row's gradient, then take the mean"
_PENALTY = Form(
    "arrays", PENALTY, "f(parameters, z (B, D)) -> ½ E‖∇_z d(z)‖²", _draw_penalty,
    reference(discriminators.gradient_penalty, PENALTY), conventions=variants(PENALTY, (
        ("half-left-out", _penalty(lambda squares: squares.mean()), "E‖∇ d(z)‖², without the ½",
         "halve it, or halve the weight", MESCHEDER, "twice as large: the penalty's weight counts double"),
    )), mistakes=variants(PENALTY, (
        ("one-row", _penalty(lambda squares: squares[0] / 2), "the penalty of one row of the batch", _ROWS, MESCHEDER),
        ("not-squared", _penalty(lambda squares: np.sqrt(squares).mean() / 2), "½ E‖∇ d(z)‖, not squared",
         "square the norm", MESCHEDER),
        ("of-the-batch", _penalty(lambda squares: np.sqrt(squares.sum()) / 2),
         "half of one norm of the whole batch's gradient", _ROWS),
        ("sum-for-mean", _penalty(lambda squares: squares.sum() / 2), "the penalty summed over the batch",
         "take the mean over rows"),
        ("of-mean-logit", _penalty(lambda squares: squares.mean() / 2, ops.mean),
         "the penalty of the gradient of the batch's mean logit", _ROWS, MESCHEDER),
        ("over-features", lambda parameters, z: _squares(parameters, z).mean() / 2 / z.shape[1],
         "½ of the mean over rows and features of (∂d/∂z)²", "sum over the features, take the mean over rows"),
        ("one-centred", _penalty(lambda squares: ((np.sqrt(squares) - 1) ** 2).mean()),
         "E(‖∇ d(z)‖ − 1)², the penalty of WGAN-GP",
         "½ E‖∇ d(z)‖²", "arXiv 1704.00028"),
        ("of-probability", _penalty(lambda squares: squares.mean() / 2, lambda d: ops.total(ops.sigmoid(d))),
         "½ E‖∇ D(z)‖²: of the probability, not of the logit", "differentiate d, before the sigmoid", MESCHEDER),
    )),
)

CONTRACTS: tuple[Contract, ...] = (
    Contract("prior", "discriminator_loss", "the loss of the prior's discriminator", (_DISCRIMINATOR,), HJELM),
    Contract("prior", "encoder_loss", "the encoder's minimax loss, E[log(1 − D(y))]", (_ENCODER,), HJELM),
    Contract("prior", "encoder_loss_non_saturating", "the encoder's non-saturating loss, −E[log D(y)]",
             (_NON_SATURATING,), GOODFELLOW),
    Contract("prior", "game_uniform", "the game against a uniform prior", (_game(True),), HJELM),
    Contract("prior", "game_gaussian", "the game against a Gaussian prior", (_game(False),), HJELM),
    Contract("prior", "gradient_penalty", "R1, ½ E‖∇_z d(z)‖² at draws of the prior", (_PENALTY,), MESCHEDER),
)  # fmt: skip
