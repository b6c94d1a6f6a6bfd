"""Exact information quantities of discrete tables: the truth that every bound is held against.

Capital letters are random variables, `p_xy[x, y]` is the table of P(X = x, Y = y): axis 0 is X, axis 1 is Y, axis 2
is Z. All is float64 NumPy on the host. Results are in nats unless `base` differs (base=2: bits).

The conventions for zeros are those of Cover & Thomas 2006, section 2.3: 0 log 0 = 0, 0 log(0/q) = 0 and
p log(p/0) = ∞. Logarithms are subtracted, ratios never formed: a product of two small marginals would underflow to 0.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from dimref.theory.probability_tables import Table, as_pair, as_real, as_table, nats_per_unit, refuse

LOG_2 = math.log(2.0)
BOUNDS = ("dv", "nwj", "tuba", "jsd", "infonce")


def _non_negative(nats: np.float64) -> float:
    """Entropies and divergences are ≥ 0; only rounding gives −1e-17 (or −0.0), which would break `sqrt` and `≤`."""
    return max(0.0, float(nats))


def _entropy(p: Table) -> float:
    p = p[p > 0]
    return _non_negative(-(p * np.log(p)).sum())


def _cross_entropy(p: Table, q: Table) -> float:
    p, q = p[p > 0], q[p > 0]
    with np.errstate(divide="ignore"):  # log 0 = −∞ is the answer here: P > 0 where Q = 0
        return float(-(p * np.log(q)).sum())


def _kl(p: Table, q: Table) -> float:
    p, q = p[p > 0], q[p > 0]
    with np.errstate(divide="ignore"):  # as in _cross_entropy
        return _non_negative((p * (np.log(p) - np.log(q))).sum())


def entropy(p_x: ArrayLike, base: float = math.e) -> float:
    """Entropy of a discrete distribution.

    H(X) = −Σ_x p(x) log p(x)

    Args:
        p_x: (X,) probabilities.
        base: unit of the result.
    Returns:
        H(X) in [0, log X], nats unless `base` differs.
    Raises:
        ValueError: p_x is not a distribution (the entry or the sum is named).
    Source: Cover & Thomas 2006, eq. (2.1).
    """
    return _entropy(as_table(p_x, "p_x", 1)) / nats_per_unit(base)


def joint_entropy(p_xy: ArrayLike, base: float = math.e) -> float:
    """Entropy of a pair of variables.

    H(X, Y) = −Σ_{x,y} p(x, y) log p(x, y)

    Args:
        p_xy: (X, Y) joint probabilities.
        base: unit of the result.
    Returns:
        H(X, Y) ≥ max(H(X), H(Y)), nats unless `base` differs.
    Raises:
        ValueError: p_xy is not a joint distribution (the entry or the sum is named).
    Source: Cover & Thomas 2006, eq. (2.8).
    """
    return _entropy(as_table(p_xy, "p_xy", 2)) / nats_per_unit(base)


def conditional_entropy(p_xy: ArrayLike, base: float = math.e) -> float:
    """What remains unknown of X when Y is known. H(Y|X) is `conditional_entropy(p_xy.T)`.

    H(X|Y) = −Σ_{x,y} p(x, y) log p(x|y)

    Args:
        p_xy: (X, Y) joint probabilities.
        base: unit of the result.
    Returns:
        H(X|Y) in [0, H(X)], nats unless `base` differs.
    Raises:
        ValueError: p_xy is not a joint distribution (the entry or the sum is named).
    Source: Cover & Thomas 2006, eq. (2.12), with the roles of X and Y exchanged.
    """
    p_xy = as_table(p_xy, "p_xy", 2)
    x, y = np.nonzero(p_xy)
    log_p_x_given_y = np.log(p_xy[x, y]) - np.log(p_xy.sum(axis=0)[y])
    return _non_negative(-(p_xy[x, y] * log_p_x_given_y).sum()) / nats_per_unit(base)


def cross_entropy(p: ArrayLike, q: ArrayLike, base: float = math.e) -> float:
    """Mean code length for outcomes of P with a code made for Q.

    H(P, Q) = −Σ p log q = H(P) + KL(P‖Q)

    Args:
        p, q: distributions of one shape.
        base: unit of the result.
    Returns:
        H(P, Q) ≥ H(P), nats unless `base` differs; ∞ where P > 0 and Q = 0.
    Raises:
        ValueError: p or q is not a distribution, or their shapes differ.
    Source: Goodfellow, Bengio & Courville 2016, eq. (3.51).
    """
    return _cross_entropy(*as_pair(p, q)) / nats_per_unit(base) + 0.0  # + 0.0 turns −0.0 into 0.0


def kl_divergence(p: ArrayLike, q: ArrayLike, base: float = math.e) -> float:
    """Kullback–Leibler divergence (relative entropy).

    KL(P‖Q) = Σ p log(p / q)

    Args:
        p, q: distributions of one shape.
        base: unit of the result.
    Returns:
        KL(P‖Q) ≥ 0, nats unless `base` differs; ∞ where P > 0 and Q = 0.
    Raises:
        ValueError: p or q is not a distribution, or their shapes differ.
    Source: Cover & Thomas 2006, eq. (2.26).
    """
    return _kl(*as_pair(p, q)) / nats_per_unit(base)


def jensen_shannon(p: ArrayLike, q: ArrayLike, base: float = math.e) -> float:
    """Jensen–Shannon divergence with weights ½, ½.

    JS(P‖Q) = ½ KL(P‖M) + ½ KL(Q‖M),  M = (P + Q) / 2

    Convention: the divergence, in [0, log 2]. SciPy's `jensenshannon` returns its square root (a metric); the bound
    `jsd` and the f-divergence generator `jsd` have twice this value as their ceiling.

    Args:
        p, q: distributions of one shape.
        base: unit of the result.
    Returns:
        JS(P‖Q) in [0, log 2], nats unless `base` differs.
    Raises:
        ValueError: p or q is not a distribution, or their shapes differ.
    Source: Lin 1991, IEEE Trans. Inf. Theory 37(1), eq. (4.1) with π = (½, ½).
    """
    p, q = as_pair(p, q)
    # KL(2P‖2M) = 2 KL(P‖M): doubled, because halving the smallest float would give M = 0 where P > 0.
    return 0.25 * (_kl(2 * p, p + q) + _kl(2 * q, p + q)) / nats_per_unit(base)


def log_ratio(p_xy: ArrayLike, base: float = math.e) -> Table:
    """Pointwise log ratio of the joint to the product of marginals (pointwise mutual information).

    R(x, y) = log [p(x, y) / (p(x) p(y))],  E_P[R] = I(X; Y)

    Args:
        p_xy: (X, Y) joint probabilities.
        base: unit of the result.
    Returns:
        (X, Y) array in nats unless `base` differs; −∞ where p(x, y) = 0. Convention: also where a marginal is
        0 and the ratio is 0/0; such a pair never occurs under either distribution, and −∞ makes e^R = 0 there.
    Raises:
        ValueError: p_xy is not a joint distribution (the entry or the sum is named).
    Source: Cover & Thomas 2006, eq. (2.28), the term inside the expectation.
    """
    p_xy = as_table(p_xy, "p_xy", 2)
    x, y = np.nonzero(p_xy)
    ratio = np.full(p_xy.shape, -math.inf)
    ratio[x, y] = np.log(p_xy[x, y]) - np.log(p_xy.sum(axis=1)[x]) - np.log(p_xy.sum(axis=0)[y])
    return ratio / nats_per_unit(base)


def optimal_critic(p_xy: ArrayLike, bound: str, log_a: ArrayLike | None = None) -> Table:
    """The critic at which a bound is tight, when joint and product of marginals are known.

    dv, jsd, infonce: T = R        nwj: T = R + 1        tuba: T = R + log a(y)

    Always in nats, whatever the bound is printed in: bounds take e^T. DV stays tight under T + c and InfoNCE under
    T + c(y); the representative with c = 0 is returned.

    Args:
        p_xy: (X, Y) joint probabilities.
        bound: "dv", "nwj", "tuba", "jsd" or "infonce".
        log_a: (Y,) logarithm of TUBA's baseline a(y) > 0; for "tuba" alone, and required there.
    Returns:
        (X, Y) scores, T(x, y) in nats; −∞ where p(x, y) = 0.
    Raises:
        ValueError: p_xy is not a joint distribution, the bound is unknown, or log_a is missing, not tuba's, of
            another shape or not finite.
    Source: arXiv 1606.00709, eq. (5) for nwj and jsd (for jsd up to the output activation of its Table 2);
        arXiv 1905.06922, eq. (6) for tuba; arXiv 1801.04062, eq. (5) for dv; arXiv 1807.03748, eq. (5) for infonce.
    """
    if bound not in BOUNDS:
        raise ValueError(f"bound is {bound!r}, expected one of {', '.join(BOUNDS)}")
    if (log_a is not None) != (bound == "tuba"):
        raise ValueError(
            f"log_a is {'missing' if log_a is None else 'superfluous'} for {bound}, expected it for tuba alone"
        )
    ratio = log_ratio(p_xy)
    if log_a is None:
        return ratio + 1.0 if bound == "nwj" else ratio
    log_a = as_real(log_a, "log_a")
    if log_a.shape != ratio.shape[1:]:
        raise ValueError(f"log_a has shape {log_a.shape}, expected {ratio.shape[1:]}, one entry for each y")
    refuse(log_a, ~np.isfinite(log_a), "log_a", "a finite number")
    return ratio + log_a


def mutual_information(p_xy: ArrayLike, base: float = math.e) -> float:
    """The mutual information of X and Y.

    I(X; Y) = Σ_{x,y} p(x, y) log [p(x, y) / (p(x) p(y))] = KL(P_XY ‖ P_X P_Y)

    Args:
        p_xy: (X, Y) joint probabilities.
        base: unit of the result.
    Returns:
        I(X; Y) in [0, min(H(X), H(Y))], nats unless `base` differs.
    Raises:
        ValueError: p_xy is not a joint distribution (the entry or the sum is named).
    Source: Cover & Thomas 2006, eq. (2.28).
    """
    p_xy = as_table(p_xy, "p_xy", 2)
    occurs = p_xy > 0
    return _non_negative((p_xy[occurs] * log_ratio(p_xy)[occurs]).sum()) / nats_per_unit(base)


def conditional_mutual_information(p_xyz: ArrayLike, base: float = math.e) -> float:
    """The mutual information of X and Y given Z.

    I(X; Y | Z) = Σ_{x,y,z} p(x, y, z) log [p(x, y, z) p(z) / (p(x, z) p(y, z))]

    Args:
        p_xyz: (X, Y, Z) joint probabilities; the condition is the last axis.
        base: unit of the result.
    Returns:
        I(X; Y | Z) ≥ 0, nats unless `base` differs. It may be larger or smaller than I(X; Y).
    Raises:
        ValueError: p_xyz is not a joint distribution (the entry or the sum is named).
    Source: Cover & Thomas 2006, eq. (2.61).
    """
    p_xyz = as_table(p_xyz, "p_xyz", 3)
    x, y, z = np.nonzero(p_xyz)
    p, p_z = p_xyz[x, y, z], p_xyz.sum(axis=(0, 1))[z]
    p_xz, p_yz = p_xyz.sum(axis=1)[x, z], p_xyz.sum(axis=0)[y, z]
    ratio = np.log(p) + np.log(p_z) - np.log(p_xz) - np.log(p_yz)
    return _non_negative((p * ratio).sum()) / nats_per_unit(base)


def _js_ceiling(nats: float) -> float:
    # In u = 1 − e^{−I} the terms that cancel at I → 0 are cancelled by hand; log(1 + e^{−I}) = log 2 + log(1 − u/2).
    u = -math.expm1(-nats)
    return 0.5 * (u * LOG_2 - (2.0 - u) * math.log1p(-u / 2.0) - nats * math.exp(-nats))


def _js_ceiling_slope(nats: float) -> float:
    return 0.5 * math.exp(-nats) * (nats + math.log1p(math.exp(-nats)))


def js_from_information(information: float, base: float = math.e) -> float:
    """The largest Jensen–Shannon divergence between joint and product of marginals that an information allows.

    JS ≤ log 2 − ½ [(1 + e^{−I}) log(1 + e^{−I}) + I e^{−I}] ≤ (log 2 / 2) · I

    Jensen's inequality: JS = log 2 − ½ E_P[g(R)] with g(r) = (1 + e^{−r}) log(1 + e^{−r}) + r e^{−r} convex. Attained
    when R is constant on the joint's support, as in an ideal channel with a uniform input.

    Args:
        information: I ≥ 0 in the unit of `base`; ∞ is allowed.
        base: unit of argument and result.
    Returns:
        The ceiling of JS in [0, log 2], nats unless `base` differs.
    Raises:
        ValueError: information is negative or NaN.
    Source: arXiv 2510.20644 (the tight bound of KL by JS); by Jensen's inequality as above.
    """
    if not information >= 0:
        raise ValueError(f"information is {information!r}, expected a number ≥ 0")
    unit = nats_per_unit(base)
    return (LOG_2 if information == math.inf else _js_ceiling(float(information) * unit)) / unit


def information_from_js(js: float, base: float = math.e) -> float:
    """The mutual information that a value of the Jensen–Shannon divergence certifies: I is at least this.

    The inverse of `js_from_information`: the I ≥ 0 with log 2 − ½ [(1 + e^{−I}) log(1 + e^{−I}) + I e^{−I}] = js.

    Any lower bound on JS will do in place of JS (half of the `jsd` bound is one). A value ≤ 0, which a poor critic can
    give, certifies nothing: 0. The value log 2 certifies ∞, and float64 does not distinguish log 2 from values within
    1e-16 of it: above some 35 nats take the result as "at least 35".

    Args:
        js: Jensen–Shannon divergence (weights ½, ½) or a lower bound on it, in the unit of `base`; ≤ log 2.
        base: unit of argument and result.
    Returns:
        A lower bound on I, nats unless `base` differs.
    Raises:
        ValueError: js is NaN or above log 2 (beyond rounding), which no pair of distributions reaches.
    Source: arXiv 2510.20644 (the tight bound of KL by JS), as in `js_from_information`.
    """
    unit = nats_per_unit(base)
    target = float(js) * unit
    if not target <= LOG_2 * (1 + 1e-12):
        raise ValueError(f"js is {js!r}, expected at most log 2 = {LOG_2 / unit!r}")
    if target >= LOG_2:
        return math.inf
    # The ceiling is concave and increasing, so Newton's method from 0 climbs and never passes the root; it is done when
    # rounding stops it. A target below 0 stops it at once.
    nats = 0.0
    while (closer := nats + (target - _js_ceiling(nats)) / _js_ceiling_slope(nats)) > nats:
        nats = closer
    return nats / unit
