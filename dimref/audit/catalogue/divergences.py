"""Contracts of divergences of two discrete distributions P and Q, and of the cross entropy.

Values alone are compared: the references are float64 NumPy, off the tape. Each variant's consequence is its number at
EXAMPLES.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from dimref.audit.answer import Signature
from dimref.audit.catalogue.forms import reference, variant
from dimref.audit.catalogue.information import BITS, EPSILON, ZEROS
from dimref.audit.catalogue.tables import COVER, LOG_2, over, p_log, quiet, softmax, two_tables, where_positive
from dimref.audit.contract import Contract, Form, Variant
from dimref.theory import f_divergences, information
from dimref.trees import Array

PAIR = Signature(("p", "q"))
NOWOZIN = "arXiv 1606.00709, table 1"


# ---- cross entropy and KL


def cross_entropy(p: Array, q: Array) -> Array:
    """−Σ p log q."""
    return -where_positive(p, q)


def kl(p: Array, q: Array) -> Array:
    """Σ p log(p/q)."""
    return where_positive(p, p) - where_positive(p, q)


def kl_where_finite(p: Array, q: Array) -> Array:
    """Σ p log(p/q) over the outcomes where neither is 0."""
    both = (p > 0) & (q > 0)
    return kl(p[both], q[both])


def exchanged(function: Callable[[Array, Array], Array], p: Array, q: Array) -> Array:
    """The function of (Q, P)."""
    return function(q, p)


def of_logits(function: Callable[[Array, Array], Array], p: Array, q: Array) -> Array:
    """q taken for logits: the function of (P, softmax(q))."""
    return function(p, softmax(q))


def mean_for_sum(function: Callable[[Array, Array], Array], p: Array, q: Array) -> Array:
    """1/K of the function."""
    return function(p, q) / p.size


def naive_cross_entropy(p: Array, q: Array) -> Array:
    """−Σ p log q, NaN where p = q = 0."""
    return -p_log(p, q)


def cross_entropy_with_epsilon(epsilon: float, p: Array, q: Array) -> Array:
    """−Σ p log(q + ε)."""
    return -p_log(p, q + epsilon)


def binary_cross_entropy(p: Array, q: Array) -> Array:
    """−Σ p log q + (1 − p) log(1 − q)."""
    return cross_entropy(p, q) + cross_entropy(1 - p, 1 - q)


def naive_kl(p: Array, q: Array) -> Array:
    """Σ p log(p/q), NaN where p = 0."""
    return p_log(p, p / q)


def kl_of_logarithms(p: Array, q: Array) -> Array:
    """Σ p log p − Σ p log q with 0 log 0 = 0 in the first sum alone: NaN where p = q = 0."""
    return where_positive(p, p) - p_log(p, q)


def kl_with_epsilon(epsilon: float, p: Array, q: Array) -> Array:
    """Σ p log((p + ε)/(q + ε))."""
    return p_log(p, (p + epsilon) / (q + epsilon))


def jeffreys(p: Array, q: Array) -> Array:
    """KL(P‖Q) + KL(Q‖P)."""
    return kl(p, q) + kl(q, p)


def unweighted(p: Array, q: Array) -> Array:
    """Σ log(p/q), without the weight p."""
    return np.log(p / q).sum()


def log_left_out(p: Array, q: Array) -> Array:
    """Σ p (log p − q): `torch.nn.functional.kl_div` given probabilities, not their logarithms."""
    return where_positive(p, p) - (p * q).sum()


# ---- Jensen–Shannon


def jensen_shannon(p: Array, q: Array) -> Array:
    """½ KL(P‖M) + ½ KL(Q‖M), M = (P + Q)/2."""
    return (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


def root_of_jensen_shannon(p: Array, q: Array) -> Array:
    """The square root of JS, a metric."""
    return np.sqrt(np.maximum(jensen_shannon(p, q), 0))


def unhalved_mixture(p: Array, q: Array) -> Array:
    """½ KL(P‖P + Q) + ½ KL(Q‖P + Q) = JS − log 2."""
    return (kl(p, p + q) + kl(q, p + q)) / 2


def mixture_first(p: Array, q: Array) -> Array:
    """½ KL(M‖P) + ½ KL(M‖Q)."""
    return (kl((p + q) / 2, p) + kl((p + q) / 2, q)) / 2


def one_sided(p: Array, q: Array) -> Array:
    """KL(P‖M) alone."""
    return kl(p, (p + q) / 2)


def naive_jensen_shannon(p: Array, q: Array) -> Array:
    """JS, NaN where p or q is 0."""
    return (naive_kl(p, (p + q) / 2) + naive_kl(q, (p + q) / 2)) / 2


# ---- other f-divergences


def chi2(p: Array, q: Array) -> Array:
    """Σ (p − q)²/q."""
    return f_divergences.f_divergence(p, q, f_divergences.GENERATORS["chi2"])


def second_moment(p: Array, q: Array) -> Array:
    """Σ p²/q = χ² + 1."""
    return (p * p / q).sum()


def neyman(p: Array, q: Array) -> Array:
    """Σ (p − q)²/p."""
    return ((p - q) ** 2 / p).sum()


def symmetric_chi2(p: Array, q: Array) -> Array:
    """Σ (p − q)²/(p + q)."""
    return ((p - q) ** 2 / np.where(p + q > 0, p + q, 1.0)).sum()


def unsquared_chi2(p: Array, q: Array) -> Array:
    """Σ |p − q|/q."""
    return (np.abs(p - q) / q).sum()


def squared_distance(p: Array, q: Array) -> Array:
    """Σ (p − q)²."""
    return ((p - q) ** 2).sum()


def hellinger(p: Array, q: Array) -> Array:
    """Σ (√p − √q)²."""
    return ((np.sqrt(p) - np.sqrt(q)) ** 2).sum()


def root_of_hellinger(p: Array, q: Array) -> Array:
    """√Σ (√p − √q)²."""
    return np.sqrt(hellinger(p, q))


def hellinger_distance(p: Array, q: Array) -> Array:
    """√(½ Σ (√p − √q)²), in [0, 1]."""
    return np.sqrt(hellinger(p, q) / 2)


def affinity(p: Array, q: Array) -> Array:
    """Σ √(p q), Bhattacharyya's coefficient."""
    return np.sqrt(p * q).sum()


def bhattacharyya(p: Array, q: Array) -> Array:
    """−log Σ √(p q)."""
    return -np.log(affinity(p, q))


def total_variation(p: Array, q: Array) -> Array:
    """½ Σ |p − q|."""
    return np.abs(p - q).sum() / 2


def largest_difference(p: Array, q: Array) -> Array:
    """max |p − q| over single outcomes."""
    return np.abs(p - q).max()


def half_squared(p: Array, q: Array) -> Array:
    """½ Σ (p − q)²."""
    return squared_distance(p, q) / 2


def signed_difference(p: Array, q: Array) -> Array:
    """½ Σ (p − q) = 0."""
    return (p - q).sum() / 2


# ---- what is asked

_v = partial(variant, PAIR)


def _form(
    function: Callable[..., float], conventions: tuple[Variant, ...], mistakes: tuple[Variant, ...]
) -> tuple[Form]:
    return (
        Form(
            name="table",
            signature=PAIR,
            meaning="f(p (K,), q (K,)) -> value",
            draw=two_tables,
            reference=reference(quiet(function), PAIR),
            conventions=conventions,
            mistakes=mistakes,
        ),
    )


def _of(generator: str) -> Callable[..., float]:
    return lambda p, q: f_divergences.f_divergence(p, q, f_divergences.GENERATORS[generator])


def _bits(function: Callable[[Array, Array], Array], title: str) -> Variant:
    key, unit, fix, source = BITS
    return _v(key, over(1 / LOG_2, function), f"{title} {unit}", fix, source)


def _epsilon(epsilon: float, function: Callable[[float, Array, Array], Array], title: str) -> Variant:
    return _v(f"epsilon-{epsilon:g}", partial(function, epsilon),
              f"{title} with {epsilon:g} added inside the logarithms", EPSILON)  # fmt: skip


SWAP = "exchange the arguments"
CONTRACTS: tuple[Contract, ...] = (
    Contract("information", "cross_entropy", "the cross entropy H(P, Q) in nats", _form(
        information.cross_entropy,
        (
            _bits(cross_entropy, "the cross entropy"),
            _epsilon(1e-12, cross_entropy_with_epsilon, "the cross entropy"),
        ),
        (
            _v("exchanged", partial(exchanged, cross_entropy), "H(Q, P): the two distributions are exchanged", SWAP),
            _v("softmax-before", partial(of_logits, cross_entropy),
               "the cross entropy with softmax(q): a function that takes logits was given probabilities",
               "give it logits, or −(p·log q).sum()", "torch.nn.functional.cross_entropy takes logits"),
            _v("divergence", kl, "KL(P‖Q): the entropy of P is taken off", "add H(P), or sum −p log q alone"),
            _v("binary", binary_cross_entropy, "the sum of K binary cross entropies", "leave (1 − p) log(1 − q) out",
               "torch.nn.functional.binary_cross_entropy"),
            _v("mean-for-sum", partial(mean_for_sum, cross_entropy), "the mean of −p log q over the outcomes",
               "sum over the outcomes"),
            _v("entropy", lambda p, q: -where_positive(p, p), "H(P): Q is not used", "take the logarithm of q"),
            _v("sign", over(-1.0, cross_entropy), "Σ p log q, without the minus", "negate it"),
            _epsilon(1e-8, cross_entropy_with_epsilon, "the cross entropy"),
            _epsilon(1e-5, cross_entropy_with_epsilon, "the cross entropy"),
            _v("zero-log-zero", naive_cross_entropy, "the cross entropy, but NaN where p = q = 0", ZEROS,
               f"{COVER}, section 2.3"),
        ),
    ), "Goodfellow, Bengio & Courville 2016, eq. (3.51)"),
    Contract("information", "kl_divergence", "the Kullback–Leibler divergence KL(P‖Q) in nats", _form(
        information.kl_divergence,
        (
            _bits(kl, "the Kullback–Leibler divergence"),
            _epsilon(1e-12, kl_with_epsilon, "the Kullback–Leibler divergence"),
        ),
        (
            _v("reversed", partial(exchanged, kl), "KL(Q‖P): the two distributions are exchanged", SWAP,
               "torch.nn.functional.kl_div(log q, p) is KL(P‖Q): its first argument is the model"),
            _v("infinite-skipped", kl_where_finite, "KL(P‖Q) without the terms where q = 0 and p > 0",
               "leave out terms of p = 0 alone"),
            _v("symmetric", jeffreys, "KL(P‖Q) + KL(Q‖P)", "take one direction", "Jeffreys 1946"),
            _v("symmetric-mean", over(0.5, jeffreys), "the mean of KL(P‖Q) and KL(Q‖P)", "take one direction"),
            _v("cross-entropy", cross_entropy, "H(P, Q): the entropy of P is not taken off",
               "subtract H(P); as a loss in Q alone it is as good"),
            _v("mean-for-sum", partial(mean_for_sum, kl), "the mean of p log(p/q) over the outcomes",
               "sum over the outcomes", "torch.nn.functional.kl_div(reduction='mean'), which warns of it"),
            _v("unweighted", unweighted, "Σ log(p/q), without the weight p", "weight each term by p"),
            _v("probabilities-for-logarithms", log_left_out, "Σ p (log p − q): q where log q belongs",
               "give log q: kl_div takes a logarithm first", "torch.nn.functional.kl_div"),
            _v("probabilities-and-reversed", partial(exchanged, log_left_out),
               "Σ q (log q − p): p where log p belongs, and the two exchanged", "kl_div(log q, p)",
               "torch.nn.functional.kl_div(p, q)"),
            _v("softmax-before", partial(of_logits, kl), "KL(P‖softmax(q)): q was taken for logits",
               "give it logits, or take no softmax"),
            _v("sign", over(-1.0, kl), "−KL(P‖Q)", "p log(p/q), not p log(q/p)"),
            _v("doubled", over(2.0, kl), "2 KL(P‖Q)", "drop the factor"),
            _epsilon(1e-8, kl_with_epsilon, "the Kullback–Leibler divergence"),
            _epsilon(1e-5, kl_with_epsilon, "the Kullback–Leibler divergence"),
            _v("zero-over-zero", kl_of_logarithms, "KL(P‖Q), but NaN where p = q = 0", ZEROS,
               "torch.nn.functional.kl_div of log 0"),
            _v("zero-log-zero", naive_kl, "KL(P‖Q), but NaN where p = 0", ZEROS,
               f"{COVER}, section 2.3: 0 log 0/q = 0"),
        ),
    ), f"{COVER}, eq. (2.26)"),
    Contract("information", "jensen_shannon", "the Jensen–Shannon divergence in nats", _form(
        information.jensen_shannon,
        (
            _bits(jensen_shannon, "the Jensen–Shannon divergence"),
            _v("distance", root_of_jensen_shannon, "the Jensen–Shannon distance, the root of the divergence",
               "square it", "scipy.spatial.distance.jensenshannon; Endres & Schindelin 2003"),
        ),
        (
            _v("half-left-out", over(2.0, jensen_shannon), "KL(P‖M) + KL(Q‖M): the weights ½ are left out",
               "halve it; the bound jsd and f-GAN's generator have this scale", NOWOZIN),
            _v("halved-again", over(0.5, jensen_shannon), "half of the divergence: divided by 2 twice",
               "½ KL(P‖M) + ½ KL(Q‖M)"),
            _v("mixture-not-halved", unhalved_mixture, "the divergence from P + Q in place of (P + Q)/2",
               "M = (P + Q)/2"),
            _v("mixture-first", mixture_first, "½ KL(M‖P) + ½ KL(M‖Q): the mixture comes first", "KL(P‖M), KL(Q‖M)"),
            _v("one-sided", one_sided, "KL(P‖M) alone", "add KL(Q‖M) and halve"),
            _v("jeffreys", over(0.5, jeffreys), "½ KL(P‖Q) + ½ KL(Q‖P): no mixture is made",
               "compare each with M = (P + Q)/2"),
            _v("zero-log-zero", naive_jensen_shannon, "the Jensen–Shannon divergence, but NaN where p or q is 0",
               ZEROS, f"{COVER}, section 2.3"),
        ),
    ), "Lin 1991, eq. (4.1)"),
    Contract("information", "reverse_kl", "the reverse Kullback–Leibler divergence KL(Q‖P) in nats", _form(
        _of("reverse_kl"),
        (
            _bits(partial(exchanged, kl), "the reverse Kullback–Leibler divergence"),
        ),
        (
            _v("forward", kl, "KL(P‖Q): the forward divergence", "weight by q: Σ q log(q/p)", NOWOZIN),
            _v("sign", lambda p, q: kl(q, p) * -1.0, "Σ q log(p/q), without the minus", "negate it"),
            _v("weighted-by-p", lambda p, q: -kl(p, q), "Σ p log(q/p), the negative of the forward divergence",
               "weight by q"),
            _v("cross-entropy", partial(exchanged, cross_entropy), "H(Q, P): the entropy of Q is not taken off",
               "add Σ q log q"),
            _v("mean-for-sum", partial(mean_for_sum, partial(exchanged, kl)), "the mean over the outcomes",
               "sum over the outcomes"),
            _v("zero-over-zero", partial(exchanged, kl_of_logarithms), "KL(Q‖P), but NaN where p = q = 0", ZEROS),
            _v("zero-log-zero", partial(exchanged, naive_kl), "KL(Q‖P), but NaN where q = 0", ZEROS),
        ),
    ), NOWOZIN),
    Contract("information", "chi2", "Pearson's χ² divergence Σ (p − q)²/q", _form(
        _of("chi2"),
        (_v("halved", over(0.5, chi2), "half of χ²", "drop the ½", "arXiv 1606.00709 has no ½"),),
        (
            _v("neyman", neyman, "Neyman's χ², Σ (p − q)²/p: divided by P", "divide by q", NOWOZIN),
            _v("one-not-taken-off", second_moment, "Σ p²/q: the 1 is not taken off", "subtract 1: Σ p²/q − 1"),
            _v("symmetric", symmetric_chi2, "Σ (p − q)²/(p + q)", "divide by q"),
            _v("symmetric-half", over(0.5, symmetric_chi2), "½ Σ (p − q)²/(p + q)", "divide by q, and drop the ½"),
            _v("not-squared", unsquared_chi2, "Σ |p − q|/q", "square p − q"),
            _v("not-divided", squared_distance, "Σ (p − q)²", "divide each term by q"),
            _v("root", lambda p, q: np.sqrt(chi2(p, q)), "the root of χ²", "square it"),
            _v("mean-for-sum", partial(mean_for_sum, chi2), "the mean over the outcomes", "sum over the outcomes"),
        ),
    ), NOWOZIN),
    Contract("information", "squared_hellinger", "the squared Hellinger distance Σ (√p − √q)²", _form(
        _of("squared_hellinger"),
        (_v("halved", over(0.5, hellinger), "½ Σ (√p − √q)² = 1 − Σ √(p q), in [0, 1]",
            "double it: in [0, 2], as f-GAN's", "Hellinger's distance in statistics has the ½"),),
        (
            _v("not-squared", root_of_hellinger, "√Σ (√p − √q)²: the distance, not its square", "square it"),
            _v("distance", hellinger_distance, "√(½ Σ (√p − √q)²): the distance in [0, 1], not its square",
               "square it and double it"),
            _v("affinity", affinity, "Σ √(p q), Bhattacharyya's coefficient", "2 − 2 Σ √(p q)"),
            _v("bhattacharyya", bhattacharyya, "−log Σ √(p q), Bhattacharyya's distance", "2 − 2 Σ √(p q)"),
            _v("roots-left-out", squared_distance, "Σ (p − q)²: no roots are taken",
               "take the roots of p and q before the difference"),
            _v("absolute", lambda p, q: np.abs(np.sqrt(p) - np.sqrt(q)).sum(),
               "Σ |√p − √q|: the difference is not squared", "square the difference"),
            _v("mean-for-sum", partial(mean_for_sum, hellinger), "the mean over the outcomes",
               "sum over the outcomes"),
        ),
    ), NOWOZIN),
    Contract("information", "total_variation", "the total variation ½ Σ |p − q|", _form(
        _of("total_variation"),
        (_v("doubled", over(2.0, total_variation), "Σ |p − q|, the L1 distance", "halve it: in [0, 1]",
            "some texts call the L1 distance total variation"),),
        (
            _v("largest-difference", largest_difference, "max |p − q| over single outcomes, not over events",
               "½ Σ |p − q| = max over events"),
            _v("squared", half_squared, "½ Σ (p − q)²", "take absolute differences"),
            _v("signed", signed_difference, "½ Σ (p − q), which is 0", "take absolute differences"),
            _v("root", lambda p, q: np.sqrt(squared_distance(p, q)), "√Σ (p − q)², Euclid's distance",
               "take absolute differences, and halve"),
            _v("mean-for-sum", partial(mean_for_sum, total_variation), "½ times the mean over the outcomes",
               "sum over the outcomes"),
        ),
    ), NOWOZIN),
)  # fmt: skip
