"""JSD, DV and InfoNCE as JAX repositories write them."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

# ---- JSD


def jsd(joint, product):
    return math.log(4) - jax.nn.softplus(-joint).mean() - jax.nn.softplus(product).mean()


def jsd_log_one_plus_exp(joint, product):
    return math.log(4) - jnp.mean(jnp.log1p(jnp.exp(-joint))) - jnp.mean(jnp.log1p(jnp.exp(product)))


# ---- DV


@jax.jit
def dv(joint, product):
    log_mean = logsumexp(product, axis=0) - jnp.log(product.shape[0])
    return jnp.mean(joint) - jnp.mean(log_mean)


def dv_negatives_stopped(joint, product):
    product = jax.lax.stop_gradient(product)
    return jnp.mean(joint) - jnp.mean(logsumexp(product, axis=0) - math.log(len(product)))


# ---- InfoNCE


def infonce(scores):
    """The columns by vmap, locations in front."""
    n = scores.shape[0]
    squares = jnp.moveaxis(scores.reshape(n, n, -1), 2, 0)
    gaps = jax.vmap(lambda square: jnp.diag(jax.nn.log_softmax(square, axis=0)))(squares)
    return jnp.log(n) + gaps.mean()


@partial(jax.jit, static_argnames="axis")
def softmax_cross_entropy(logits, labels, axis):
    return -jnp.sum(labels * jax.nn.log_softmax(logits, axis=axis), axis=axis)


def infonce_no_log_k(scores):
    n = scores.shape[0]
    labels = jnp.eye(n).reshape(n, n, *(1,) * (scores.ndim - 2))
    return -softmax_cross_entropy(scores, labels, axis=0).mean()
