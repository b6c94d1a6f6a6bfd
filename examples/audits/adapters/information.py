"""Entropies, divergences and information of packages."""

from __future__ import annotations

from typing import Any

import numpy as np


def scipy_entropy(p_x: Any) -> Any:
    """scipy.stats.entropy."""
    from scipy.stats import entropy

    return entropy(p_x)


def scipy_kl(p: Any, q: Any) -> Any:
    """scipy.stats.entropy of two."""
    from scipy.stats import entropy

    return entropy(p, q)


def scipy_rel_entr(p: Any, q: Any) -> Any:
    """The sum of scipy.special.rel_entr."""
    from scipy.special import rel_entr

    return rel_entr(p, q).sum()


def scipy_jensenshannon(p: Any, q: Any) -> Any:
    """scipy.spatial.distance.jensenshannon: the distance, the divergence's root."""
    from scipy.spatial.distance import jensenshannon

    return jensenshannon(p, q)


def scipy_gaussian_entropy(cov: Any) -> Any:
    """scipy.stats.multivariate_normal.entropy."""
    from scipy.stats import multivariate_normal

    return multivariate_normal(np.zeros(len(cov)), cov).entropy()


def sklearn_mutual_info(p_xy: Any) -> Any:
    """sklearn.metrics.mutual_info_score from a contingency table, which holds counts: of 2³⁰ draws."""
    from sklearn.metrics import mutual_info_score

    return mutual_info_score(None, None, contingency=np.rint(np.asarray(p_xy, float) * 2**30).astype(np.int64))


def torch_entropy(p_x: Any) -> Any:
    """torch.distributions.Categorical.entropy."""
    import torch

    return torch.distributions.Categorical(probs=p_x).entropy()


def torch_kl(p: Any, q: Any) -> Any:
    """torch.nn.functional.kl_div of logarithms."""
    import torch

    return torch.nn.functional.kl_div(q.log(), p, reduction="sum")


def torch_categorical_kl(p: Any, q: Any) -> Any:
    """torch.distributions.kl_divergence of two Categoricals."""
    import torch

    return torch.distributions.kl_divergence(*(torch.distributions.Categorical(probs=x) for x in (p, q)))


def torch_cross_entropy(p: Any, q: Any) -> Any:
    """torch.nn.functional.cross_entropy of soft labels p and logits log q."""
    import torch

    return torch.nn.functional.cross_entropy(q.log()[None], p[None])


def torch_gaussian_kl(mean_p: Any, cov_p: Any, mean_q: Any, cov_q: Any) -> Any:
    """torch.distributions.kl_divergence of two MultivariateNormals."""
    import torch

    p, q = (torch.distributions.MultivariateNormal(m, c) for m, c in ((mean_p, cov_p), (mean_q, cov_q)))
    return torch.distributions.kl_divergence(p, q)


def torch_gaussian_entropy(cov: Any) -> Any:
    """torch.distributions.MultivariateNormal.entropy."""
    import torch

    return torch.distributions.MultivariateNormal(cov.new_zeros(len(cov)), cov).entropy()


def metrics_kl(p: Any, q: Any) -> Any:
    """torchmetrics.functional.kl_divergence."""
    from torchmetrics.functional import kl_divergence

    return kl_divergence(p[None], q[None])


def optax_kl(p: Any, q: Any) -> Any:
    """optax.losses.kl_divergence of log predictions and targets."""
    import jax.numpy as jnp
    import optax

    return optax.losses.kl_divergence(jnp.log(q), p)


def _dit(table: Any) -> Any:
    import dit

    table = np.asarray(table, float)
    names = ["".join(map(str, at)) for at in np.ndindex(table.shape)]
    return dit.Distribution(names, list(table.ravel() / table.sum()))


def dit_entropy(p_x: Any) -> Any:
    """dit.shannon.entropy: bits."""
    import dit

    return dit.shannon.entropy(_dit(p_x))


def dit_mutual_information(p_xy: Any) -> Any:
    """dit.shannon.mutual_information: bits."""
    import dit

    return dit.shannon.mutual_information(_dit(p_xy), [0], [1])


def dit_conditional_entropy(p_xy: Any) -> Any:
    """dit.shannon.conditional_entropy: bits."""
    import dit

    return dit.shannon.conditional_entropy(_dit(p_xy), [0], [1])
