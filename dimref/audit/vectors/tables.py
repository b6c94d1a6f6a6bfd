"""Vectors of `information`, `f_divergences`, `channels` and `gaussian`: exact quantities, in nats unless `base` is given."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dimref.audit.vectors.case import Case, Draw
from dimref.theory import channels, f_divergences, information


def cases() -> Iterator[Case]:
    """Every case of this family."""
    yield from _information(Draw(11))
    for function, argument, nats in (
        ("js_from_information", "information", (0.0, 0.25, 2.0)),
        ("information_from_js", "js", (-0.5, 0.0, 0.125, 0.5)),
    ):
        for value in nats:
            yield Case(f"information.{function}", f"{value:g} nats", {argument: np.asarray(value)})
    yield from _f_divergences(Draw(12))
    yield from _channels(Draw(13))
    yield from _gaussian(Draw(14))


def _information(draw: Draw) -> Iterator[Case]:
    p, q, joint = draw.probabilities(5), draw.probabilities(5), draw.probabilities(3, 4)
    three = draw.probabilities(2, 3, 2)
    holes = np.array([[0.5, 0.0, 0.0], [0.0, 0.25, 0.25]])
    p0, q0 = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])
    both = {"positive": joint, "with zeros": holes}
    for argument, name, tables in (
        ("p_x", "entropy", {"positive": p, "with zeros": p0}),
        ("p_xy", "joint_entropy", both),
        ("p_xy", "conditional_entropy", both),
        ("p_xy", "mutual_information", both),
        ("p_xy", "log_ratio", both),
        ("p_xyz", "conditional_mutual_information", {"positive": three}),
    ):
        for case, table in tables.items():
            yield Case(f"information.{name}", case, {argument: table})
    yield Case("information.mutual_information", "in bits", {"p_xy": joint}, {"base": 2})
    for name in ("cross_entropy", "kl_divergence", "jensen_shannon"):
        yield Case(f"information.{name}", "positive", {"p": p, "q": q})
        yield Case(f"information.{name}", "p with zeros", {"p": p0, "q": q0})
        yield Case(f"information.{name}", "q with zeros", {"p": q0, "q": p0})  # infinite but for JS
    for bound in ("dv", "nwj", "jsd", "infonce"):
        yield Case("information.optimal_critic", bound, {"p_xy": joint}, {"bound": bound})
    run = lambda i: {"value": information.optimal_critic(i["p_xy"], "tuba", i["log_a"])}  # noqa: E731
    inputs = {"p_xy": joint, "log_a": draw.uniform(4)}
    yield Case("information.optimal_critic", "tuba", inputs, {"bound": "tuba"}, run=run)


def _f_divergences(draw: Draw) -> Iterator[Case]:
    tables = {"p": draw.probabilities(4), "q": draw.probabilities(4)}
    critic = draw.uniform(4, low=-1.5, high=-0.125)
    for name, generator in f_divergences.GENERATORS.items():
        for function, inputs in (
            ("f_divergence", tables),
            ("optimal_f_critic", tables),
            ("variational_f_divergence", {**tables, "critic": critic}),
        ):
            call = {"generator": generator}
            yield Case(f"f_divergences.{function}", name, inputs, {"generator": name}, call=call)


def _channels(draw: Draw) -> Iterator[Case]:
    for name, argument in (("binary_symmetric", "flip"), ("binary_erasure", "erasure"), ("z", "flip")):
        for e in (0.125, 1.0):
            yield Case(f"channels.{name}_channel", f"{e:g}", {argument: np.asarray(e)})
    rows = draw.uniform(3, 4, low=0.125, high=2.0)
    inputs = {"p_x": draw.probabilities(3), "channel": rows / rows.sum(axis=1, keepdims=True)}
    for name in ("channel_joint", "output_distribution", "channel_information"):
        yield Case(f"channels.{name}", "3 to 4", inputs)
    inputs, options = {"channel": channels.z_channel(0.5)}, {"tolerance": 1e-9}
    yield Case("channels.capacity", "z 0.5", inputs, options, outputs=("information", "input_distribution"), call={})


def _gaussian(draw: Draw) -> Iterator[Case]:
    roots = draw.uniform(3, 3), draw.uniform(3, 3)
    cov, other = (root @ root.T + np.eye(3) for root in roots)
    yield Case("gaussian.gaussian_entropy", "3", {"cov": cov})
    inputs = {"mean_p": draw.uniform(3), "cov_p": cov, "mean_q": draw.uniform(3), "cov_q": other}
    yield Case("gaussian.gaussian_kl", "3", inputs)
    yield Case("gaussian.gaussian_mutual_information", "1 and 2", {"cov": cov}, {"dim_x": 1})
