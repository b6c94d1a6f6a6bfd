"""Vectors of `information`, `f_divergences`, `channels` and `gaussian`: exact quantities, in nats unless `base` is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dimref.audit.vectors.case import Case, Draw
from dimref.theory import channels, f_divergences, gaussian, information
from dimref.trees import Tree


def cases() -> Iterator[Case]:
    """Every case of this family."""
    yield from _information(Draw(11))
    yield from _scalars()
    yield from _f_divergences(Draw(12))
    yield from _channels(Draw(13))
    yield from _gaussian(Draw(14))


def call(function: Callable[..., Any], *names: str, **options: Any) -> Callable[[Tree], Tree]:
    """Run a function of arrays by name."""
    return lambda inputs: {"value": np.asarray(function(*(inputs[name] for name in names), **options))}


def _information(draw: Draw) -> Iterator[Case]:
    p, q, joint, three = (
        draw.probabilities(5),
        draw.probabilities(5),
        draw.probabilities(3, 4),
        draw.probabilities(2, 3, 2),
    )
    holes = np.array([[0.5, 0.0, 0.0], [0.0, 0.25, 0.25]])
    p0, q0 = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])
    of_tables = {"p_x": [("entropy", p), ("entropy", p0)]}
    of_tables["p_xy"] = [
        (name, table)
        for name in ("joint_entropy", "conditional_entropy", "mutual_information", "log_ratio")
        for table in (joint, holes)
    ]
    of_tables["p_xyz"] = [("conditional_mutual_information", three)]
    for argument, pairs in of_tables.items():
        for name, table in pairs:
            case = "with zeros" if (table == 0).any() else "positive"
            run = call(getattr(information, name), argument)
            yield Case(f"information.{name}", case, {argument: table}, run)
    bits = call(information.mutual_information, "p_xy", base=2)
    yield Case("information.mutual_information", "in bits", {"p_xy": joint}, bits, {"base": 2})
    for name in ("cross_entropy", "kl_divergence", "jensen_shannon"):
        run = call(getattr(information, name), "p", "q")
        yield Case(f"information.{name}", "positive", {"p": p, "q": q}, run)
        yield Case(f"information.{name}", "p with zeros", {"p": p0, "q": q0}, run)
        yield Case(f"information.{name}", "q with zeros", {"p": q0, "q": p0}, run)  # infinite but for JS
    for bound in ("dv", "nwj", "jsd", "infonce"):
        run = call(information.optimal_critic, "p_xy", bound=bound)
        yield Case("information.optimal_critic", bound, {"p_xy": joint}, run, {"bound": bound})
    run = call(lambda p_xy, log_a: information.optimal_critic(p_xy, "tuba", log_a), "p_xy", "log_a")
    inputs = {"p_xy": joint, "log_a": draw.uniform(4)}
    yield Case("information.optimal_critic", "tuba", inputs, run, {"bound": "tuba"})


def _scalars() -> Iterator[Case]:
    run = call(lambda x: information.js_from_information(float(x)), "information")
    for nats in (0.0, 0.25, 2.0):
        yield Case("information.js_from_information", f"{nats:g} nats", {"information": np.asarray(nats)}, run)
    run = call(lambda x: information.information_from_js(float(x)), "js")
    for js in (-0.5, 0.0, 0.125, 0.5):
        yield Case("information.information_from_js", f"{js:g} nats", {"js": np.asarray(js)}, run)


def _f_divergences(draw: Draw) -> Iterator[Case]:
    p, q, critic = draw.probabilities(4), draw.probabilities(4), draw.uniform(4, low=-1.5, high=-0.125)
    for name, generator in f_divergences.GENERATORS.items():
        options = {"generator": name}
        tables = {"p": p, "q": q}
        run = call(f_divergences.f_divergence, "p", "q", generator=generator)
        yield Case("f_divergences.f_divergence", name, tables, run, options)
        run = call(f_divergences.optimal_f_critic, "p", "q", generator=generator)
        yield Case("f_divergences.optimal_f_critic", name, tables, run, options)
        run = call(f_divergences.variational_f_divergence, "p", "q", "critic", generator=generator)
        yield Case("f_divergences.variational_f_divergence", name, {**tables, "critic": critic}, run, options)


def _channels(draw: Draw) -> Iterator[Case]:
    for name, argument in (("binary_symmetric", "flip"), ("binary_erasure", "erasure"), ("z", "flip")):
        function: Callable[..., Any] = getattr(channels, f"{name}_channel")
        for e in (0.125, 1.0):
            run = call(lambda x, function=function: function(float(x)), argument)
            yield Case(f"channels.{name}_channel", f"{e:g}", {argument: np.asarray(e)}, run)
    rows = draw.uniform(3, 4, low=0.125, high=2.0)
    channel = rows / rows.sum(axis=1, keepdims=True)
    inputs = {"p_x": draw.probabilities(3), "channel": channel}
    for name in ("channel_joint", "output_distribution", "channel_information"):
        yield Case(f"channels.{name}", "3 to 4", inputs, call(getattr(channels, name), "p_x", "channel"))

    def capacity(inputs: Tree) -> Tree:
        found = channels.capacity(inputs["channel"])
        return {"information": np.asarray(found.information), "input_distribution": found.input_distribution}

    yield Case("channels.capacity", "z 0.5", {"channel": channels.z_channel(0.5)}, capacity, {"tolerance": 1e-9})


def _gaussian(draw: Draw) -> Iterator[Case]:
    def covariance(size: int) -> np.ndarray:
        root = draw.uniform(size, size)
        return root @ root.T + np.eye(size)

    cov, other = covariance(3), covariance(3)
    yield Case("gaussian.gaussian_entropy", "3", {"cov": cov}, call(gaussian.gaussian_entropy, "cov"))
    inputs = {"mean_p": draw.uniform(3), "cov_p": cov, "mean_q": draw.uniform(3), "cov_q": other}
    yield Case("gaussian.gaussian_kl", "3", inputs, call(gaussian.gaussian_kl, *inputs))
    run = call(gaussian.gaussian_mutual_information, "cov", dim_x=1)
    yield Case("gaussian.gaussian_mutual_information", "1 and 2", {"cov": cov}, run, {"dim_x": 1})
