"""Laws of gradients hold, and a wrong VJP, path or sign breaks the right one."""

from dataclasses import replace

import pytest
from law_cases import broken_functions_break, laws_of

from dimref import bounds, discriminators, objectives, ops, ranks
from dimref.laws import gradients
from dimref.tape import stop_gradient
from dimref.trees import map_tree

pytestmark = pytest.mark.usefixtures("plain_forms")
LAWS = laws_of(gradients)


# ---- what each law is there to catch: (module, function, what replaces it given the original, the laws that break)


def stopped(good):
    """The value, with the gradient of its first argument alone."""
    return lambda *arrays: good(arrays[0], *(stop_gradient(a) for a in arrays[1:]))


def doubled(good):
    """The value, with twice the gradient."""
    return lambda *arguments: 2 * (value := good(*arguments)) - stop_gradient(value)


def leaking(good):
    """The encoder's term lets its gradient into the discriminator."""

    def game(parameters, y, z, objective):
        value, d = good(parameters, y, z, objective)
        sample = ops.sigmoid(y) if objective.prior == "uniform" else y
        return value - ops.mean(ops.softplus(discriminators.prior_logits(parameters, stop_gradient(sample)))), d

    return game


def opposed(good):
    """The encoder flees the prior: the sign of its term is flipped."""

    def game(parameters, y, z, objective):
        value, d = good(parameters, y, z, objective)
        still, _ = good(parameters, stop_gradient(y), z, objective)
        return 2 * still - value, d

    return game


def reweighted(change):
    """The objective with some of its weights changed."""
    return lambda good: (
        lambda *trees, objective, **rest: good(*trees, objective=replace(objective, **change(objective)), **rest)
    )


def turned(term):
    """The objective with the sign of one term turned, or (stopped) with a term whose gradient is lost."""

    def of(good):
        def loss(*trees, objective, **rest):
            value, report = good(*trees, objective=objective, **rest)
            weight = getattr(objective, f"{term}_weight")
            if term == "prior":
                without, _ = good(*trees, objective=replace(objective, prior_weight=0), **rest)
                return 2 * without - value, report
            return value + 2 * weight * report["terms"].get(term, 0.0), report

        return loss

    return of


LINEAR = ["objective_is_linear_in_its_weights"]
BROKEN = [
    *((objectives, "loss", turned(term), LINEAR) for term in ("global", "local", "prior")),
    *((objectives, "loss", reweighted(lambda o, k=f"{term}_weight": {k: float(getattr(o, k) > 0)}), LINEAR)
      for term in ("global", "local", "prior")),
    (objectives, "loss", reweighted(lambda o: {"global_weight": o.local_weight, "local_weight": o.global_weight}), LINEAR),
    (objectives, "loss", lambda good: lambda *trees, **rest: good(map_tree(stop_gradient, trees[0]), *trees[1:], **rest)
     if rest["objective"].local_weight and rest["objective"].global_weight else good(*trees, **rest), LINEAR),
    (bounds, "dv", stopped, ["gradient_of_dv", "gradients_are_central_differences"]),
    (bounds, "dv", lambda good: lambda j, p: good(j, p[:1]), ["gradient_of_dv"]),
    (bounds, "nwj", doubled, ["gradient_of_nwj", "gradients_are_central_differences"]),
    (bounds, "plug_in", stopped, ["gradient_of_nwj", "gradients_are_central_differences"]),
    (bounds, "jsd", doubled, ["gradient_of_jsd", "gradients_are_central_differences"]),
    (bounds, "jsd", lambda good: lambda j, p: good(p, j), ["gradient_of_jsd"]),
    (bounds, "infonce", lambda good: lambda s, c="same-location": good(ops.transpose(s, (1, 0, 2)), c),
     ["gradient_of_infonce"]),
    (bounds, "infonce", lambda good: lambda s, c="same-location": 2 * good(s, c) - stop_gradient(good(s, c)),
     ["gradient_of_infonce", "gradients_are_central_differences"]),
    (bounds, "infonce_certified", lambda good: lambda s: good(s) + 0.1 * ops.mean(s), ["gradient_of_infonce"]),
    (bounds, "infonce_certified", doubled, ["gradients_are_central_differences"]),
    (bounds, "infonce_sampled", doubled, ["gradients_are_central_differences"]),
    (bounds, "mine", lambda good: lambda j, p, a, rate: (bounds.dv(j, p), a), ["gradient_of_mine"]),
    (bounds, "mine", lambda good: lambda j, p, a, rate: good(j, p, a, 1 - 0.9 * rate), ["gradient_of_mine"]),
    (objectives, "prior_game", leaking, ["prior_discriminator_sees_y_stopped"]),
    (objectives, "prior_game", opposed, ["encoder_climbs_the_log_odds", "encoder_moves_toward_the_prior"]),
    (objectives, "stop_gradient", lambda good: lambda x: x,
     ["prior_discriminator_sees_y_stopped", "encoder_climbs_the_log_odds"]),
    (gradients, "stop_gradient", lambda good: lambda x: x, ["stopped_paths_have_no_gradient"]),
    (ops, "softplus", doubled, ["gradient_of_jsd"]),
    (ranks, "logmeanexp", lambda good: lambda x: 0.5 * good(2 * x), ["gradient_of_dv"]),
]  # fmt: skip


test_broken_function_breaks_its_laws = broken_functions_break(LAWS, BROKEN)
