"""Contracts of divergences of two discrete distributions P and Q, and of the cross entropy. Values alone are compared."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dimref.audit.answer import Signature
from dimref.audit.catalogue.tables import (
    COVER,
    ZEROS,
    entropy,
    kl,
    naive,
    quantity,
    ratio,
    two_tables,
    xlogy,
)
from dimref.audit.contract import Contract
from dimref.theory import f_divergences, information
from dimref.trees import Array

NOWOZIN, TORCH = "arXiv 1606.00709, table 1", "torch.nn.functional"

# ---- formulas, edited


def cross_entropy(p: Array, q: Array) -> Array:
    return -xlogy(p, q)


def kl_divergence(p: Array, q: Array) -> Array:
    return xlogy(p, ratio(p, q))


def jensen_shannon(p: Array, q: Array) -> Array:
    return 0.5 * (kl(p, (p + q) / 2) + kl(q, (p + q) / 2))


def reverse_kl(p: Array, q: Array) -> Array:
    return xlogy(q, ratio(q, p))


def chi2(p: Array, q: Array) -> Array:
    return ((p - q) ** 2 / q).sum()


def squared_hellinger(p: Array, q: Array) -> Array:
    return ((np.sqrt(p) - np.sqrt(q)) ** 2).sum()


def total_variation(p: Array, q: Array) -> Array:
    return 0.5 * np.abs(p - q).sum()


# ---- more of them


def skipped(p: Array, q: Array) -> Array:
    """KL over the outcomes where neither is 0."""
    both = (p > 0) & (q > 0)
    return kl(p[both], q[both])


def symmetric_chi2(p: Array, q: Array) -> Array:
    """Σ (p − q)²/(p + q)."""
    return ((p - q) ** 2 / np.where(p + q > 0, p + q, 1.0)).sum()


def log_left_out(p: Array, q: Array) -> Array:
    """Σ p (log p − q): kl_div given probabilities, not their logarithms."""
    return xlogy(p, p) - (p * q).sum()


def log_zero(p: Array, q: Array) -> Array:
    """Σ p log p − Σ p log q with 0 log 0 = 0 in the first sum alone."""
    return xlogy(p, p) - naive(p, q)


def squares(p: Array, q: Array) -> Array:
    """Σ (p − q)²."""
    return ((p - q) ** 2).sum()


def _of(generator: str) -> Callable[..., float]:
    return lambda p, q: f_divergences.f_divergence(p, q, f_divergences.GENERATORS[generator])


# fmt: off
PAIR = ("table", Signature(("p", "q")), "f(p (K,), q (K,)) -> value", two_tables)
ONE, SWAP, LOGITS = "take one direction", "exchange the arguments", "give it logits, or −(p·log q).sum()"
CONTRACTS: tuple[Contract, ...] = (
    quantity("cross_entropy", "the cross entropy H(P, Q)", "Goodfellow, Bengio & Courville 2016, eq. (3.51)",
             information.cross_entropy, PAIR, (cross_entropy,), mistakes=(
        ("softmax-before", lambda p, q: cross_entropy(p, np.exp(q) / np.exp(q).sum()),
         "the cross entropy with softmax(q): a function that takes logits was given probabilities", LOGITS,
         f"{TORCH}.cross_entropy takes logits"),
        ("divergence", kl, "KL(P‖Q): the entropy of P is taken off", "add H(P), or sum −p log q alone"),
        ("binary", lambda p, q: cross_entropy(p, q) + cross_entropy(1 - p, 1 - q), "the sum of K binary cross entropies",
         "leave (1 − p) log(1 − q) out", f"{TORCH}.binary_cross_entropy"),
        ("entropy", lambda p, q: entropy(p), "H(P): Q is not used", "take the logarithm of q"),
    )),
    quantity("kl_divergence", "the Kullback–Leibler divergence KL(P‖Q)", f"{COVER}, eq. (2.26)", information.kl_divergence,
             PAIR, (kl_divergence,), (), (
        ("zero-over-zero", log_zero, "KL(P‖Q), but NaN where p = q = 0", ZEROS, f"{TORCH}.kl_div of log 0"),
        ("reversed", lambda p, q: kl(q, p), "KL(Q‖P): the two distributions are exchanged", SWAP,
         f"{TORCH}.kl_div(log q, p) is KL(P‖Q): its first argument is the model"),
        ("infinite-skipped", skipped, "KL(P‖Q) without the terms where q = 0 and p > 0", "leave out terms of p = 0 alone"),
        ("symmetric", lambda p, q: kl(p, q) + kl(q, p), "KL(P‖Q) + KL(Q‖P)", ONE, "Jeffreys 1946"),
        ("symmetric-mean", lambda p, q: (kl(p, q) + kl(q, p)) / 2, "the mean of KL(P‖Q) and KL(Q‖P)", ONE),
        ("cross-entropy", cross_entropy, "H(P, Q): the entropy of P is not taken off",
         "subtract H(P); as a loss in Q alone it is as good"),
        ("mean-for-sum", lambda p, q: kl(p, q) / p.size, "the mean of p log(p/q) over the outcomes", "sum over the outcomes",
         f"{TORCH}.kl_div(reduction='mean'), which warns of it"),
        ("unweighted", lambda p, q: np.log(p / q).sum(), "Σ log(p/q), without the weight p", "weight each term by p"),
        ("probabilities-for-logarithms", log_left_out, "Σ p (log p − q): q where log q belongs",
         "give log q: kl_div takes a logarithm first", f"{TORCH}.kl_div"),
        ("probabilities-and-reversed", lambda p, q: log_left_out(q, p),
         "Σ q (log q − p): p where log p belongs, and the two exchanged", "kl_div(log q, p)", f"{TORCH}.kl_div(p, q)"),
    )),
    quantity("jensen_shannon", "the Jensen–Shannon divergence", "Lin 1991, eq. (4.1)", information.jensen_shannon, PAIR,
             (jensen_shannon,), (
        ("distance", lambda p, q: np.sqrt(np.maximum(jensen_shannon(p, q), 0)),
         "the Jensen–Shannon distance, the root of the divergence", "square it",
         "scipy.spatial.distance.jensenshannon; Endres & Schindelin 2003"),
    ), (
        ("half-left-out", lambda p, q: 2 * jensen_shannon(p, q), "KL(P‖M) + KL(Q‖M): the weights ½ are left out",
         "halve it; the bound jsd and f-GAN's generator have this scale", NOWOZIN),
        ("mixture-not-halved", lambda p, q: (kl(p, p + q) + kl(q, p + q)) / 2,
         "the divergence from P + Q in place of (P + Q)/2", "M = (P + Q)/2"),
        ("one-sided", lambda p, q: kl(p, (p + q) / 2), "KL(P‖M) alone", "add KL(Q‖M) and halve"),
        ("jeffreys", lambda p, q: (kl(p, q) + kl(q, p)) / 2, "½ KL(P‖Q) + ½ KL(Q‖P): no mixture is made",
         "compare each with M = (P + Q)/2"),
    )),
    quantity("reverse_kl", "the reverse Kullback–Leibler divergence KL(Q‖P)", NOWOZIN, _of("reverse_kl"), PAIR,
             (reverse_kl,), (), (
        ("zero-over-zero", lambda p, q: log_zero(q, p), "KL(Q‖P), but NaN where p = q = 0", ZEROS),
        ("forward", kl, "KL(P‖Q): the forward divergence", "weight by q: Σ q log(q/p)", NOWOZIN),
        ("weighted-by-p", lambda p, q: -kl(p, q), "Σ p log(q/p), the negative of the forward divergence", "weight by q"),
        ("cross-entropy", lambda p, q: -xlogy(q, p), "H(Q, P): the entropy of Q is not taken off", "add Σ q log q"),
    )),
    quantity("chi2", "Pearson's χ² divergence Σ (p − q)²/q", NOWOZIN, _of("chi2"), PAIR, (chi2,), (
        ("halved", lambda p, q: chi2(p, q) / 2, "half of χ²", "drop the ½", "arXiv 1606.00709 has no ½"),
    ), (
        ("neyman", lambda p, q: chi2(q, p), "Neyman's χ², Σ (p − q)²/p: divided by P", "divide by q", NOWOZIN),
        ("one-not-taken-off", lambda p, q: (p * p / q).sum(), "Σ p²/q: the 1 is not taken off", "subtract 1: Σ p²/q − 1"),
        ("symmetric", symmetric_chi2, "Σ (p − q)²/(p + q)", "divide by q"),
        ("symmetric-half", lambda p, q: symmetric_chi2(p, q) / 2, "½ Σ (p − q)²/(p + q)", "divide by q, and drop the ½"),
        ("not-squared", lambda p, q: (np.abs(p - q) / q).sum(), "Σ |p − q|/q", "square p − q"),
    ), nats=False),
    quantity("squared_hellinger", "the squared Hellinger distance Σ (√p − √q)²", NOWOZIN, _of("squared_hellinger"), PAIR,
             (squared_hellinger,), (
        ("halved", lambda p, q: squared_hellinger(p, q) / 2, "½ Σ (√p − √q)² = 1 − Σ √(p q), in [0, 1]",
         "double it: in [0, 2], as f-GAN's", "Hellinger's distance in statistics has the ½"),
    ), (
        ("distance", lambda p, q: np.sqrt(squared_hellinger(p, q) / 2),
         "√(½ Σ (√p − √q)²): the distance in [0, 1], not its square", "square it and double it"),
        ("affinity", lambda p, q: np.sqrt(p * q).sum(), "Σ √(p q), Bhattacharyya's coefficient", "2 − 2 Σ √(p q)"),
        ("bhattacharyya", lambda p, q: -np.log(np.sqrt(p * q).sum()), "−log Σ √(p q), Bhattacharyya's distance",
         "2 − 2 Σ √(p q)"),
        ("absolute", lambda p, q: np.abs(np.sqrt(p) - np.sqrt(q)).sum(), "Σ |√p − √q|: the difference is not squared",
         "square the difference"),
    ), nats=False),
    quantity("total_variation", "the total variation ½ Σ |p − q|", NOWOZIN, _of("total_variation"), PAIR,
             (total_variation,), (
        ("doubled", lambda p, q: 2 * total_variation(p, q), "Σ |p − q|, the L1 distance", "halve it: in [0, 1]",
         "some texts call the L1 distance total variation"),
    ), (
        ("largest-difference", lambda p, q: np.abs(p - q).max(), "max |p − q| over single outcomes, not over events",
         "½ Σ |p − q| = max over events"),
        ("squared", lambda p, q: squares(p, q) / 2, "½ Σ (p − q)²", "take absolute differences"),
        ("root", lambda p, q: np.sqrt(squares(p, q)), "√Σ (p − q)², Euclid's distance",
         "take absolute differences, and halve"),
    ), nats=False),
)
