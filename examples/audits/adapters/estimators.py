"""Mutual information estimators of packages, called with scores."""

from __future__ import annotations

import types
from typing import Any

from parts import alone

# ---- torch-mist: an estimator gets f(x_i, y_i) as `joint` and f(x', y') of M samples as `negatives` (M, N)


def _mist(name: str, joint: Any, negatives: Any, of_baseline: Any = None, **options: Any) -> Any:
    import torch_mist.estimators

    estimator = getattr(torch_mist.estimators, name)(critic=None, **options)
    if of_baseline is not None:
        del estimator.baseline
        object.__setattr__(estimator, "baseline", of_baseline)
    x = joint[:, None]
    log_z = estimator._approx_log_partition(x=x, y=x, f_=negatives, log_w=None)
    return (joint - log_z).mean()


def _off_diagonal(scores: Any) -> Any:
    """(N − 1, N): column j without its diagonal entry."""
    import torch

    n = len(scores)
    return scores.T[~torch.eye(n, dtype=torch.bool)].reshape(n, n - 1).T


def mist_nwj(scores: Any) -> Any:
    """NWJ."""
    return _mist("NWJ", scores.diagonal(), _off_diagonal(scores))


def mist_mine(scores: Any) -> Any:
    """MINE, its estimate."""
    return _mist("MINE", scores.diagonal(), _off_diagonal(scores))


def mist_smile(scores: Any, tau: float) -> Any:
    """SMILE, its estimate."""
    return _mist("SMILE", scores.diagonal(), _off_diagonal(scores), tau=float(tau))


def mist_infonce(scores: Any) -> Any:
    """InfoNCE."""
    return _mist("InfoNCE", scores.diagonal(), scores)


def mist_js(scores: Any) -> Any:
    """JS, its estimate: NWJ's with baseline 0."""
    return _mist("JS", scores.diagonal(), _off_diagonal(scores))


def mist_js_loss(scores: Any) -> Any:
    """JS, the loss that trains it."""
    import torch_mist.estimators

    estimator = torch_mist.estimators.JS(critic=None)
    off, joint = _off_diagonal(scores), scores.diagonal()
    estimator.unnormalized_log_ratio = lambda x, y: joint
    estimator.sample_negatives = lambda x, y: (x, y, None)
    object.__setattr__(estimator, "critic", lambda x, y: off)
    return estimator.batch_loss(joint[:, None], joint[:, None]).mean()


def mist_tuba(scores: Any, log_a: Any) -> Any:
    """TUBA with a given baseline."""
    return _mist("TUBA", scores.diagonal(), _off_diagonal(scores), lambda x, f_: log_a, baseline=None)


def _mist_generative(name: str, scores: Any) -> Any:
    """With q(y_j | x_i) = e^{scores[i, j]}; the points are indices."""
    import torch
    import torch_mist.estimators
    from pyro.distributions import ConditionalDistribution

    class Table(ConditionalDistribution):
        def condition(self, x: Any) -> Any:
            return types.SimpleNamespace(log_prob=lambda y: scores[x[..., 0].long(), y[..., 0].long()])

    points = torch.arange(len(scores), dtype=scores.dtype)[:, None]
    return getattr(torch_mist.estimators, name)(Table()).log_ratio(points, points).mean()


def mist_club(scores: Any) -> Any:
    """CLUB."""
    return _mist_generative("CLUB", scores)


def mist_l1out(scores: Any) -> Any:
    """L1Out."""
    return _mist_generative("L1Out", scores)


def mist_mine_loss(joint: Any, product: Any, average: Any, rate: float) -> Any:
    """MINE, the loss that trains it: one step after an average of e^T."""
    from torch_mist.baseline import ExponentialMovingAverage

    moving = ExponentialMovingAverage(gamma=1 - float(rate))
    moving.ema = average
    found = _mist("MINE", joint, product[:, None].expand(-1, len(joint)), moving)
    return found, moving.ema


# ---- benchmark-mi: a critic f(x, y) of points; here the points are indices into the scores


def _bmi(name: str, scores: Any) -> Any:
    import jax.numpy as jnp

    (_, _) = scores.shape  # a critic of points has one score a pair
    backend = alone("bmi.estimators.neural._backend_linear_memory")
    points = jnp.arange(len(scores))
    return getattr(backend, name)(lambda x, y: scores[x, y], points, points)


def bmi_dv(scores: Any) -> Any:
    """donsker_varadhan."""
    return _bmi("donsker_varadhan", scores)


def bmi_nwj(scores: Any) -> Any:
    """nwj."""
    return _bmi("nwj", scores)


def bmi_infonce(scores: Any) -> Any:
    """infonce."""
    return _bmi("infonce", scores)


# ---- torch-geometric


def geometric_dgi(joint: Any, product: Any) -> Any:
    """DeepGraphInfomax.loss; with a weight and a summary of 1 the scores are the features."""
    import torch
    from torch_geometric.nn import DeepGraphInfomax

    model = DeepGraphInfomax(1, torch.nn.Identity(), None, None)
    model.weight = torch.nn.Parameter(joint.new_ones(1, 1), requires_grad=False)
    return model.loss(joint[:, None], product[:, None], joint.new_ones(1))
