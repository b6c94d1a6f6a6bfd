"""Bounds on mutual information, lower ones unless said: scores in, nats out.

P is the joint distribution of a pair (x, y), Q the product of its marginals, R = log P/Q, I = E_P[R] the mutual
information, sp(t) = log(1 + eᵗ). A score T = T(x, y) of a critic is high where it takes a pair for one from P.

`dv`, `mine`, `nwj`, `jsd`, `plug_in`, `tuba`, `smile` and `club` take two arrays, and raise ValueError where their shapes
do not fit each other or one is empty:
    joint: scores of positive pairs, from P, (N,) or (N, L).
    product: scores of negative pairs, from Q, (P,) or (P, L).
`infonce`, its kin and `leave_one_out` take a score matrix, and raise ValueError where it is not one:
    scores: scores[i, j(, l)] = T(x_i (at location l), y_j), (N, N) or (N, N, L), N ≥ 2: row = image, column =
        representation; positive pairs on the diagonal.
With a last axis of L locations every bound is computed per location, then averaged; pooling all locations into one
expectation, as some public code does, changes what takes the logarithm of a mean, DV, MINE and SMILE, and never raises it
(log is concave).

Every value is a scalar in nats and larger is better: a loss is its negative. Values stay finite for scores of ±1e4, except
where e^T itself leaves the number range: then NWJ, TUBA and the plug-in are −inf, their right limit.
"""

import math

import autograd.numpy as anp
import numpy as np

from dimref import negatives, ops, ranks
from dimref.tape import stop_gradient
from dimref.trees import Array, need_arrays

LOG_4 = math.log(4)


# ---- from the scores of positive and negative pairs


def dv(joint: Array, product: Array) -> Array:
    """Donsker–Varadhan's bound, E_P[T] − log E_Q[e^T] ≤ I; tight at T = R + c.

    With exact expectations a bound for every T. The logarithm of a batch's mean is biased low, so the value of a batch is
    biased high: it may exceed I, and so may its mean over batches. With all N² pairs as `product` it is ≤ log N; with the
    off-diagonal pairs alone it has no ceiling.
    Source: arXiv 1801.04062, eq. (10) (Belghazi et al., MINE); arXiv 1808.06670, eq. (2).
    """
    _check_pairs("dv", joint, product)
    return ranks.mean(joint) - ops.mean(ranks.logmeanexp(product))


def mine(joint: Array, product: Array, log_average: Array | None, rate: float = 0.01) -> tuple[Array, Array]:
    """The value of `dv` with MINE's corrected gradient: E_P[∇T] − E_Q[e^T ∇T] / A, A a moving average of E_Q[e^T].

    The gradient of one batch's DV divides by that batch's own mean of e^T, which biases it; a slow average biases it less.
    log A is stored in place of A, per location. A is updated before it is used, A ← (1 − rate)·A + rate·E_Q[e^T], so that
    the ratio E_Q[e^T]/A never exceeds 1/rate.

    Returns the bound, and the new log A, untraced.

    Args:
        log_average: log A before this batch, () or (L,), else ValueError; None at the first batch, which is its own average.
        rate: weight of the newest batch, in (0, 1], else ValueError.
    Source: arXiv 1801.04062, eq. (12) and section 3.2.
    """
    _check_pairs("mine", joint, product)
    if log_average is not None and log_average.shape != joint.shape[1:]:
        raise ValueError(f"mine: log_average must be {joint.shape[1:]}, was {log_average.shape}")
    if not 0 < rate <= 1:
        raise ValueError(f"mine: rate must be in (0, 1], was {rate}")
    log_mean = ranks.logmeanexp(product)
    now = stop_gradient(log_mean)
    log_rest = math.log1p(-rate) if rate < 1 else -math.inf
    new_average = now if log_average is None else np.logaddexp(log_average + log_rest, now + math.log(rate))
    surrogate = ranks.mean(joint) - ops.mean(anp.exp(log_mean - new_average))
    # The surrogate has the corrected gradient; its value is replaced by DV's.
    return surrogate + (dv(stop_gradient(joint), stop_gradient(product)) - stop_gradient(surrogate)), new_average


def nwj(joint: Array, product: Array) -> Array:
    """Nguyen–Wainwright–Jordan's bound (f-GAN's KL), E_P[T] − E_Q[e^{T−1}] ≤ I; tight at T = R + 1.

    Unbiased from independent samples of Q; ≤ `dv` on the same pairs. e^{T−1} beyond the number range gives −inf.
    Source: arXiv 1606.00709, eq. (4) and table 1 (KL row); arXiv 1801.04062, eq. (8); arXiv 1905.06922, eq. (7).
    """
    _check_pairs("nwj", joint, product)
    with np.errstate(over="ignore"):
        return ranks.mean(joint) - ranks.mean(anp.exp(product - 1.0))


def jsd(joint: Array, product: Array) -> Array:
    """The Jensen–Shannon bound, 2 log 2 − E_P[sp(−T)] − E_Q[sp(T)] ≤ 2·JS(P‖Q) ≤ log 4; tight at T = R.

    JS is weighted ½, ½. A bound on a divergence, not on I itself: it saturates at log 4 while I has no ceiling; a value
    certifies I ≥ `information.information_from_js(value / 2)`. Public code often drops the constant 2 log 2, or adds log 2
    once: the gradient is the same, the value is not.
    Source: arXiv 1808.06670, eq. (4); arXiv 1606.00709, table 2 (Jensen–Shannon row; the GAN row lacks 2 log 2).
    """
    _check_pairs("jsd", joint, product)
    return LOG_4 - ranks.mean(ops.softplus(-joint)) - ranks.mean(ops.softplus(product))


def plug_in(joint: Array, product: Array) -> Array:
    """An estimate of I from a critic trained with JSD: 1 + E_P[T] − E_Q[e^T] ≤ I; tight at T = R.

    JSD's optimal critic is R itself, NWJ's is R + 1: evaluated with `nwj`, a critic trained with `jsd` is low by 1/e.
    E_P[T] alone is no bound. e^T beyond the number range gives −inf.
    Source: arXiv 1905.06922, section 2.6 (I_JS: a critic trained with the Jensen–Shannon objective).
    """
    _check_pairs("plug_in", joint, product)
    with np.errstate(over="ignore"):
        return 1.0 + ranks.mean(joint) - ranks.mean(anp.exp(product))


def tuba(joint: Array, product: Array, joint_log_a: Array, product_log_a: Array) -> Array:
    """The bound with a baseline a(y) > 0, 1 + E_P[T − log a(y)] − E_Q[e^T / a(y)] ≤ I; tight at T − log a = R.

    a = e gives `nwj`, a = 1 gives `plug_in`; no constant a does better than `dv`, an a(y) may. `joint_log_a` and
    `product_log_a` are log a at the y of each pair, of the scores' shapes; else ValueError.
    Source: arXiv 1905.06922, eq. (6).
    """
    _check_pairs("tuba", joint, product)
    need_arrays("tuba", joint_log_a=joint_log_a, product_log_a=product_log_a)
    for argument, log_a, scores in (("joint", joint_log_a, joint), ("product", product_log_a, product)):
        if log_a.shape != scores.shape:
            raise ValueError(f"tuba: {argument}_log_a must be {scores.shape}, was {log_a.shape}")
    return plug_in(ops.subtract(joint, joint_log_a), ops.subtract(product, product_log_a))


def smile(joint: Array, product: Array, tau: float) -> Array:
    """SMILE, E_P[T] − log E_Q[clip(e^T, e^−τ, e^τ)]. **No bound**: its expectation may exceed I.

    Clipping trades the variance of `dv` for a bias of either sign: equal to `dv` where every |T| of `product` is ≤ τ,
    above it where the large e^T are cut off. τ ≥ 0, else ValueError; τ = inf is `dv`.
    Source: arXiv 1910.06222, section 5.
    """
    _check_pairs("smile", joint, product)
    if not tau >= 0:
        raise ValueError(f"smile: tau must be ≥ 0, was {tau}")
    return ranks.mean(joint) - ops.mean(ranks.logmeanexp(anp.clip(product, -tau, tau)))


def club(joint: Array, product: Array) -> Array:
    """CLUB, E_P[T] − E_Q[T]: **above** I at T = R + c(x) + d(y), as log p(y|x); of another T nothing follows.

    Source: arXiv 2006.12013, theorem 3.1.
    """
    _check_pairs("club", joint, product)
    return ranks.mean(joint) - ranks.mean(product)


def _check_pairs(name: str, joint: Array, product: Array) -> None:
    need_arrays(name, joint=joint, product=product)
    if joint.ndim not in (1, 2) or 0 in joint.shape:
        raise ValueError(f"{name}: joint must be (N,) or (N, L) and not empty, was {joint.shape}")
    if product.ndim != joint.ndim or product.shape[1:] != joint.shape[1:] or 0 in product.shape:
        raise ValueError(f"{name}: product must be (P, *{joint.shape[1:]}) and not empty, was {product.shape}")


# ---- from a score matrix


def infonce(scores: Array, candidates: str = "same-location") -> Array:
    """InfoNCE, log K + mean over positives of T_pos − log Σ_candidates e^T ≤ log K; the positive is a candidate.

    The candidates x' of one y run over axis 0, so each column of the gradient sums to 0 and the value does not change
    when any function c(y) is added to the scores. Without log K, as some texts print it, it is the loss, not the estimate.

    Args:
        candidates: "same-location": the N images at the positive's own location, K = N; ≤ I in expectation.
            "all-locations": the positive and every location of the N − 1 other images, K = 1 + (N − 1)·L: the loss of
            the papers, but no bound on I, since the locations of an image depend on each other
            (see `infonce_certified`). Another name is a ValueError.
    Source: arXiv 1808.06670, eq. (5); arXiv 1807.03748, eq. (4); arXiv 1905.06922, eq. (10).
    """
    positive, others = _positives_and_others("infonce", scores)
    n, locations = scores.shape[1], others.shape[1]
    if candidates == "same-location":
        return _log_softmax_of_positive(positive, others, n)
    if candidates == "all-locations":
        return _log_softmax_of_positive(positive, _over_locations(others), 1 + (n - 1) * locations)
    raise ValueError(f"infonce: candidates must be 'same-location' or 'all-locations', was {candidates!r}")


def infonce_certified(scores: Array) -> Array:
    """All-locations InfoNCE with the others' locations averaged: ≤ log N, and a bound on I in expectation.

    log N + T_pos − log(e^{T_pos} + (1/L) Σ_{j≠i, l} e^T), averaged over positives. It is reported beside the all-locations
    loss, which itself is no bound on I. Its expectation is ≤ I(feature at a uniform location; y), by Jensen: averaging e^T
    inside the logarithm lowers the InfoNCE of one random location per image. For L = 1 both are the same-location value.
    Source: arXiv 1905.06922, eq. (10), with the mean over L locations as the critic's weight of one image.
    """
    positive, others = _positives_and_others("infonce_certified", scores)
    of_one_image = _over_locations(others) - math.log(others.shape[1])
    return _log_softmax_of_positive(positive, of_one_image, scores.shape[1])


def leave_one_out(scores: Array) -> Array:
    """InfoNCE without the positive among its candidates, mean(T_pos − log mean_{x' ≠ x} e^T).

    In expectation **above** I at T = R + c(y), as log p(y|x); of another T nothing follows.
    Source: arXiv 1905.06922, section 2 (leave one out upper bound).
    """
    positive, others = _positives_and_others("leave_one_out", scores)
    return math.log(scores.shape[1] - 1) + ranks.mean(positive - others)


def infonce_interpolated(scores: Array, log_a: float, alpha: float) -> Array:
    """α-InfoNCE, 1 + E[T_pos − log b] − E[e^T/b] ≤ I, with b = α·m + (1 − α)·a and m the mean of e^T over N − 1 candidates.

    α = 0 is `tuba` at a constant a, α = 1 InfoNCE of the batch without one x, averaged. N ≥ 3, 0 ≤ α ≤ 1, else ValueError.
    Source: arXiv 1905.06922, section 2 (nonlinearly interpolated lower bounds).
    """
    joint, product = negatives.all_pairs(ops.transpose(scores, (1, 0, *range(2, scores.ndim))))  # y by y
    n = joint.shape[0]
    if n < 3 or not 0 <= alpha <= 1:
        raise ValueError(f"infonce_interpolated: N must be ≥ 3 and alpha in [0, 1], was {n} and {alpha}")
    positive, others = ops.reshape(joint, (n, -1)), ops.transpose(ops.reshape(product, (n, n - 1, -1)), (1, 0, 2))
    log_alpha, log_rest = (math.log(weight) if weight else -math.inf for weight in (alpha, 1 - alpha))
    at = np.arange(n - 1, like=stop_gradient(others))
    without_one = at[:-1] + (at[:-1] >= at[:, None])  # row k: 0 … N − 2 but k
    rest = ops.logsumexp(ops.gather(others, without_one), axis=1)  # (x left out, y, L)
    log_b = anp.logaddexp(anp.logaddexp(positive, rest) - math.log(n - 1) + log_alpha, log_a + log_rest)
    log_b_of_others = anp.logaddexp(ops.logmeanexp(others, axis=0) + log_alpha, log_a + log_rest)
    with np.errstate(over="ignore"):
        return 1.0 + ops.mean(positive - log_b) - ops.mean(anp.exp(others - log_b_of_others))


def infonce_sampled(positives: Array, negatives: Array) -> Array:
    """InfoNCE from each positive's score and its K − 1 sampled negatives: log K + mean(T_pos − log Σ_K e^T) ≤ log K.

    `positives` are T(x_j, y_j), (N,) or (N, L); `negatives` T(x', y_j) of K − 1 other images x' for each y_j, (K−1, N) or
    (K−1, N, L); else ValueError.
    Source: arXiv 1807.03748, eq. (4); arXiv 1808.06670, eq. (5).
    """
    need_arrays("infonce_sampled", positives=positives, negatives=negatives)
    if positives.ndim not in (1, 2) or 0 in positives.shape:
        raise ValueError(f"infonce_sampled: positives must be (N,) or (N, L) and not empty, was {positives.shape}")
    if negatives.shape[1:] != positives.shape or 0 in negatives.shape:
        raise ValueError(f"infonce_sampled: negatives must be (K−1, *{positives.shape}), K ≥ 2, was {negatives.shape}")
    return _log_softmax_of_positive(positives, ops.logsumexp(negatives, axis=0), 1 + negatives.shape[0])


def _log_softmax_of_positive(positive: Array, others: Array, k: int) -> Array:
    """log K + mean(T_pos − log(e^{T_pos} + e^others)); others: log Σ e^T over the K − 1 negatives of each positive."""
    return math.log(k) + ranks.mean(positive - anp.logaddexp(positive, others))


def _positives_and_others(name: str, scores: Array) -> tuple[Array, Array]:
    """For each y_j at every location, (N, L): the score of its positive, and log Σ e^T over the images i ≠ j."""
    negatives.check_scores(name, scores)
    others = ranks.now().own(ranks.logsumexp(negatives.without_positives(scores)))
    positive = negatives.positives(scores)
    return ops.reshape(positive, (positive.shape[0], -1)), ops.reshape(others, (positive.shape[0], -1))


def _over_locations(others: Array) -> Array:
    """log Σ e^T over the locations too: (N, L) → (N, 1)."""
    return ops.logsumexp(others, axis=1, keepdims=True)


def ceiling(bound: str, candidates: int | None = None) -> float:
    """The largest value in nats of a bound on any batch: log 4 (jsd), log K (infonce, K ≥ 2), inf (dv, mine, nwj).
    Source: arXiv 1905.06922, section 2.3 (log K); Lin 1991, IEEE Trans. Inf. Theory 37(1) (JS ≤ log 2).
    """
    if bound == "infonce":
        if candidates is None or candidates < 2:
            raise ValueError(f"ceiling: infonce needs K ≥ 2 candidates, was {candidates}")
        return math.log(candidates)
    ceilings = {"jsd": LOG_4, "dv": math.inf, "mine": math.inf, "nwj": math.inf}
    if bound not in ceilings:
        raise ValueError(f"ceiling: bound must be dv, mine, nwj, jsd or infonce, was {bound!r}")
    return ceilings[bound]
