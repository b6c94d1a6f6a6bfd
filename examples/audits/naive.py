"""The quantities once more, as naive loops over Python numbers, and the inputs at which a target is compared with them.

Written from the papers' equations without a line of dimref, so that a verdict of the audit is confirmed or refuted by
another computation. A loss is the formula as its package documents it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np


def lse(values: Iterable[float]) -> float:
    """log Σ e^v."""
    listed = [float(v) for v in values]
    top = max(listed)
    if math.isinf(top):
        return top
    return top + math.log(math.fsum(math.exp(v - top) for v in listed))


def mean(values: Iterable[float]) -> float:
    """The mean."""
    listed = [float(v) for v in values]
    return math.fsum(listed) / len(listed)


def exp(t: float) -> float:
    """e^t, inf where Python overflows."""
    return math.exp(t) if t < 700 else math.inf


def softplus(t: float) -> float:
    """log(1 + e^t)."""
    return max(t, 0.0) + math.log1p(math.exp(-abs(t)))


def units(rows: Any) -> Any:
    """Each row divided by its norm, at least 1e-12 as PyTorch's."""
    return np.array([r / max(math.sqrt(math.fsum(r * r)), 1e-12) for r in np.asarray(rows, float)])


def diagonal(scores: Any) -> list[float]:
    """The positive pairs' scores."""
    return [float(scores[i, i]) for i in range(len(scores))]


def off(scores: Any) -> list[float]:
    """The scores of the negative pairs."""
    n = len(scores)
    return [float(scores[i, j]) for i in range(n) for j in range(n) if i != j]


# ---- bounds from scores of pairs


def dv(joint: Any, product: Any) -> float:
    """E_P[T] − log E_Q[e^T]."""
    return mean(joint) - (lse(product) - math.log(len(product)))


def nwj(joint: Any, product: Any) -> float:
    """E_P[T] − E_Q[e^{T−1}]."""
    return mean(joint) - mean(exp(t - 1) for t in product)


def jsd(joint: Any, product: Any) -> float:
    """2 log 2 − E_P[sp(−T)] − E_Q[sp(T)]."""
    return 2 * math.log(2) - mean(softplus(-t) for t in joint) - mean(softplus(t) for t in product)


def jsd_bce(joint: Any, product: Any) -> float:
    """E_P[sp(−T)] + E_Q[sp(T)]: JSD's loss without its constant."""
    return mean(softplus(-t) for t in joint) + mean(softplus(t) for t in product)


def dv_loss(joint: Any, product: Any) -> float:
    """−DV."""
    return -dv(joint, product)


def nwj_pairs_loss(joint: Any, product: Any) -> float:
    """−NWJ."""
    return -nwj(joint, product)


def prior_encoder(fake: Any) -> float:
    """−E[log D]."""
    return mean(softplus(-t) for t in fake)


def smile(joint: Any, product: Any, tau: float) -> float:
    """E_P[T] − log E_Q[clip(e^T, e^−τ, e^τ)]."""
    return dv(joint, [min(max(float(t), -tau), tau) for t in product])


def mine(joint: Any, product: Any, average: float, rate: float) -> float:
    """The value of MINE is DV's."""
    return dv(joint, product)


def mine_tuba(joint: Any, product: Any, average: float, rate: float) -> float:
    """1 + E_P[T] − log A − E_Q[e^T]/A at the new moving average A: TUBA, whose gradient with A held is MINE's."""
    new = (1 - rate) * average + rate * mean(map(exp, product))
    return 1 + mean(joint) - math.log(new) - mean(map(exp, product)) / new


def mine_loss(joint: Any, product: Any, average: float, rate: float) -> float:
    """Of the loss −DV's."""
    return -dv(joint, product)


# ---- bounds from a matrix, scores[i, j(, l)] = T(x_i, y_j)


def by_location(function: Callable[..., float], scores: Any, *rest: Any) -> float:
    """The mean over locations of a bound on the positive and negative pairs."""
    cube = np.asarray(scores, float).reshape(len(scores), len(scores), -1)
    return mean(function(diagonal(cube[:, :, k]), off(cube[:, :, k]), *rest) for k in range(cube.shape[2]))


def dv_matrix(scores: Any) -> float:
    """DV, per location."""
    return by_location(dv, scores)


def dv_pooled_loss(scores: Any) -> float:
    """−DV with the pairs of all locations in one expectation."""
    cube = np.asarray(scores, float).reshape(len(scores), len(scores), -1)
    planes = [cube[:, :, k] for k in range(cube.shape[2])]
    return -dv([t for p in planes for t in diagonal(p)], [t for p in planes for t in off(p)])


def dv_pooled_log_l_loss(scores: Any) -> float:
    """The same plus log L: the sum over locations divided by the number of pairs alone."""
    return dv_pooled_loss(scores) + math.log(np.asarray(scores).reshape(len(scores), len(scores), -1).shape[2])


def nwj_matrix(scores: Any) -> float:
    """NWJ."""
    return by_location(nwj, scores)


def nwj_loss(scores: Any) -> float:
    """−NWJ."""
    return -by_location(nwj, scores)


def tuba_matrix(scores: Any, log_a: Any) -> float:
    """1 + E_P[T − log a(y)] − E_Q[e^T/a(y)], y of the column."""
    s, n = np.asarray(scores) - np.asarray(log_a)[None, :], len(scores)
    return 1 + mean(s[i, i] for i in range(n)) - mean(exp(t) for t in off(s))


def club(scores: Any) -> float:
    """E_P[T] − E_Q[T] over the pairs off the diagonal."""
    return mean(diagonal(scores)) - mean(off(scores))


def club_all(scores: Any) -> float:
    """The same with the positive pairs among those of the product."""
    return mean(diagonal(scores)) - mean(np.ravel(scores))


def leave_one_out(scores: Any) -> float:
    """T_pos − log of the mean of the others' e^T, the mean over y."""
    n = len(scores)
    others = [lse(scores[i, j] for i in range(n) if i != j) - math.log(n - 1) for j in range(n)]
    return mean(diagonal(scores)) - mean(others)


def nwj_all(scores: Any) -> float:
    """NWJ with the positive pairs among those of the product."""
    return nwj(diagonal(scores), np.ravel(scores))


def plug_in_matrix(scores: Any) -> float:
    """1 + E_P[T] − E_Q[e^T]."""
    return 1 + by_location(lambda p, q: mean(p) - mean(map(exp, q)), scores)


def jsd_loss(scores: Any) -> float:
    """−JSD."""
    return -by_location(jsd, scores)


def gan_loss(scores: Any) -> float:
    """E_P[sp(−T)] + E_Q[sp(T)]."""
    return by_location(jsd_bce, scores)


def gan(scores: Any, tau: float = 0.0) -> float:
    """−E_P[sp(−T)] − E_Q[sp(T)]; SMILE is trained by it, whatever its τ."""
    return -gan_loss(scores)


def hellinger_loss(scores: Any) -> float:
    """−(E_P[1 − e^−v] − E_Q[e^v − 1])."""
    return -by_location(lambda p, q: mean(1 - exp(-v) for v in p) - mean(exp(v) - 1 for v in q), scores)


def reverse_kl_loss(scores: Any) -> float:
    """−(E_P[−e^−v] − E_Q[v − 1])."""
    return -by_location(lambda p, q: mean(-exp(-v) for v in p) - mean(v - 1 for v in q), scores)


def chi2_loss(scores: Any) -> float:
    """−(E_P[v] − E_Q[v + v²/4])."""
    return -by_location(lambda p, q: mean(p) - mean(v + v * v / 4 for v in q), scores)


def smile_matrix(scores: Any, tau: float) -> float:
    """SMILE."""
    return by_location(smile, scores, tau)


def infonce(scores: Any) -> float:
    """log N + the mean over y of T_pos − log Σ_x' e^T."""
    n = len(scores)
    return math.log(n) + mean(scores[j, j] - lse(scores[:, j]) for j in range(n))


def infonce_rows(scores: Any) -> float:
    """The same with the candidates of one x along a row."""
    return infonce(np.asarray(scores).T)


def infonce_logits_loss(logits: Any) -> float:
    """−the mean of the log share of column 0."""
    return mean(lse(row) - row[0] for row in logits)


def infonce_all_locations_loss(scores: Any) -> float:
    """−the mean of log(e^{T_pos} / (e^{T_pos} + all locations of the other images))."""
    n, _, size = scores.shape
    terms = []
    for j in range(n):
        others = [scores[i, j, k] for i in range(n) if i != j for k in range(size)]
        terms += [lse([own, *others]) - own for own in scores[j, j]]
    return mean(terms)


# ---- losses from features


def clip(image: Any, text: Any, temperature: float) -> float:
    """The mean of both directions' cross entropies of cosines / τ."""
    s = units(image) @ units(text).T / temperature
    n = len(s)
    return mean([lse(s[i]) - s[i, i] for i in range(n)] + [lse(s[:, i]) - s[i, i] for i in range(n)])


def one_direction(image: Any, text: Any, temperature: float) -> float:
    """The cross entropy of images over texts alone."""
    s = units(image) @ units(text).T / temperature
    return mean(lse(s[i]) - s[i, i] for i in range(len(s)))


def nt_xent(a: Any, b: Any, temperature: float) -> float:
    """The mean over 2N anchors of −log(e^{pos} / Σ of all but the anchor)."""
    z = units(np.concatenate([a, b]))
    s, n = z @ z.T / temperature, len(z)
    return mean(lse(s[i, k] for k in range(n) if k != i) - s[i, (i + n // 2) % n] for i in range(n))


def nt_xent_supcon_weight(a: Any, b: Any, temperature: float) -> float:
    """NT-Xent times τ/0.07, as SupContrast weighs it by default."""
    return temperature / 0.07 * nt_xent(a, b, temperature)


def moco_v3(image: Any, text: Any, temperature: float) -> float:
    """Both directions, each times 2τ."""
    return 4 * temperature * clip(image, text, temperature)


def dcl(a: Any, b: Any, temperature: float) -> float:
    """NT-Xent with the positive out of the denominator on purpose."""
    z = units(np.concatenate([a, b]))
    s, n = z @ z.T / temperature, len(z)
    partner = [(i + n // 2) % n for i in range(n)]
    return mean(lse(s[i, k] for k in range(n) if k not in (i, partner[i])) - s[i, partner[i]] for i in range(n))


def siglip(image: Any, text: Any, log_scale: Any, bias: Any) -> float:
    """The sum over all pairs of sp(∓(e^t cos + b)), divided by N."""
    logits = units(image) @ units(text).T * math.exp(log_scale) + float(bias)
    n = len(logits)
    return math.fsum(softplus(-logits[i, j] if i == j else logits[i, j]) for i in range(n) for j in range(n)) / n


def supcon(features: Any, labels: Any, temperature: float, over_all: bool = False) -> float:
    """The mean over anchors with a positive of the mean over positives of −log(e^{pos} / Σ of all but the anchor)."""
    z = units(features)
    s, n, terms = z @ z.T / temperature, len(z), []
    for i in range(n):
        same = [s[i, k] for k in range(n) if k != i and labels[k] == labels[i]]
        if same:
            terms.append(lse(s[i, k] for k in range(n) if k != i) - mean(same))
    return math.fsum(terms) / (n if over_all else len(terms))


def supcon_over_all(features: Any, labels: Any, temperature: float) -> float:
    """The same, an anchor without a positive counted as 0."""
    return supcon(features, labels, temperature, True)


def moco(q: Any, k: Any, queue: Any, temperature: float) -> float:
    """The cross entropy of [q·k, q·queueᵀ]/τ, label 0."""
    q, k, queue = units(q), units(k), units(queue)
    rows = [[q[i] @ k[i] / temperature, *(queue @ q[i] / temperature)] for i in range(len(q))]
    return mean(lse(row) - row[0] for row in rows)


def amdim_direction(candidates: Any, anchors: Any, clip: float, penalty: float) -> float:
    """The clipped scores' all-locations loss plus the penalty on the raw ones."""
    raw = np.einsum("ile,je->ijl", candidates, anchors) / math.sqrt(candidates.shape[2])
    return infonce_all_locations_loss(clip * np.tanh(raw / clip)) + penalty * mean((raw * raw).ravel())


# ---- tables and Gaussians, in nats


def plogp(values: Any) -> float:
    """Σ p log p, 0 log 0 = 0."""
    return math.fsum(float(p) * math.log(p) for p in np.ravel(values) if p > 0)


def entropy(p_x: Any) -> float:
    """H(X)."""
    return -plogp(p_x)


def mutual_information(p_xy: Any) -> float:
    """H(X) + H(Y) − H(X, Y)."""
    return plogp(p_xy) - plogp(np.sum(p_xy, 1)) - plogp(np.sum(p_xy, 0))


def conditional_entropy(p_xy: Any) -> float:
    """H(X, Y) − H(Y)."""
    return plogp(np.sum(p_xy, 0)) - plogp(p_xy)


def kl_divergence(p: Any, q: Any) -> float:
    """Σ p log(p/q), inf where q alone is 0."""
    if any(b == 0 and a > 0 for a, b in zip(p, q, strict=True)):
        return math.inf
    return math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def cross_entropy(p: Any, q: Any) -> float:
    """KL(P‖Q) + H(P)."""
    return kl_divergence(p, q) - plogp(p)


def jensen_shannon(p: Any, q: Any) -> float:
    """½ KL(P‖M) + ½ KL(Q‖M), M = (P + Q)/2."""
    m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return 0.5 * kl_divergence(p, m) + 0.5 * kl_divergence(q, m)


def jensen_shannon_distance(p: Any, q: Any) -> float:
    """Its root."""
    return math.sqrt(jensen_shannon(p, q))


def entropy_bits(p_x: Any) -> float:
    """H(X) in bits."""
    return entropy(p_x) / math.log(2)


def mutual_information_bits(p_xy: Any) -> float:
    """I(X; Y) in bits."""
    return mutual_information(p_xy) / math.log(2)


def conditional_entropy_bits(p_xy: Any) -> float:
    """H(X|Y) in bits."""
    return conditional_entropy(p_xy) / math.log(2)


def gaussian_entropy(cov: Any) -> float:
    """½ log det(2πe Σ)."""
    return 0.5 * math.fsum(math.log(2 * math.pi * math.e * v) for v in np.linalg.eigvalsh(cov))


def gaussian_kl(mean_p: Any, cov_p: Any, mean_q: Any, cov_q: Any) -> float:
    """½ (tr Σq⁻¹Σp + d'Σq⁻¹d − D + log det Σq / det Σp)."""
    inverse, d = np.linalg.inv(cov_q), np.subtract(mean_q, mean_p)
    logs = [math.fsum(map(math.log, np.linalg.eigvalsh(c))) for c in (cov_q, cov_p)]
    return 0.5 * (float(np.trace(inverse @ cov_p) + d @ inverse @ d) - len(d) + logs[0] - logs[1])


# ---- layers, in PyTorch's layout, and images


def linear(x: Any, w: Any, b: Any) -> Any:
    """x·wᵀ + b."""
    return np.array([[math.fsum(row * v) + c for v, c in zip(w, b, strict=True)] for row in np.asarray(x, float)])


def conv2d(x: Any, w: Any, b: Any, stride: int, padding: int) -> Any:
    """Each output as the sum over its window."""
    x = np.pad(np.asarray(x, float), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    k = w.shape[2]
    size = [(side - k) // stride + 1 for side in x.shape[2:]]
    out = np.zeros((len(x), len(w), *size))
    for n, o, i, j in np.ndindex(out.shape):
        out[n, o, i, j] = (x[n, :, i * stride : i * stride + k, j * stride : j * stride + k] * w[o]).sum() + b[o]
    return out


def conv_transpose2d(x: Any, w: Any, b: Any, stride: int, padding: int) -> Any:
    """Each input adds its multiple of the kernel."""
    x, k = np.asarray(x, float), w.shape[2]
    full = np.zeros((len(x), w.shape[1], *((side - 1) * stride + k for side in x.shape[2:])))
    for n, c, i, j in np.ndindex(x.shape):
        full[n, :, i * stride : i * stride + k, j * stride : j * stride + k] += x[n, c, i, j] * w[c]
    cut = slice(padding, -padding or None)
    return full[:, :, cut, cut] + np.asarray(b)[:, None, None]


def batch_norm(x: Any, gain: Any, shift: Any) -> Any:
    """(x − mean)/√(variance + 1e-5)·gain + shift for each channel."""
    out = np.zeros(x.shape)
    for c in range(x.shape[1]):
        v = np.asarray(x[:, c], float)
        out[:, c] = (v - v.mean()) / math.sqrt(((v - v.mean()) ** 2).mean() + 1e-5) * gain[c] + shift[c]
    return out


def batch_norm_output(x: Any, gain: Any, shift: Any, mean: Any, variance: Any) -> Any:
    """The output in training, which the running statistics do not enter."""
    return batch_norm(x, gain, shift)


def batch_norm_inference(x: Any, gain: Any, shift: Any, mean: Any, variance: Any) -> Any:
    """The same with given moments."""
    out = np.zeros(x.shape)
    for c in range(x.shape[1]):
        out[:, c] = (x[:, c] - mean[c]) / math.sqrt(variance[c] + 1e-5) * gain[c] + shift[c]
    return out


def layer_norm(x: Any, gain: Any, shift: Any) -> Any:
    """The same for each row."""
    rows = [(r - r.mean()) / math.sqrt(((r - r.mean()) ** 2).mean() + 1e-5) for r in np.asarray(x, float)]
    return np.array(rows) * gain + shift


WINDOW = np.array([[math.exp(-((i - 5) ** 2 + (j - 5) ** 2) / (2 * 1.5**2)) for j in range(11)] for i in range(11)])


def _similarity(x: Any, y: Any) -> tuple[float, float]:
    """The means over windows of l·cs and of cs, of two planes."""
    w, both, contrast = WINDOW / WINDOW.sum(), [], []
    for i, j in np.ndindex(x.shape[0] - 10, x.shape[1] - 10):
        p, q = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
        a, b = (w * p).sum(), (w * q).sum()
        cs = (2 * (w * (p - a) * (q - b)).sum() + 9e-4) / ((w * (p - a) ** 2).sum() + (w * (q - b) ** 2).sum() + 9e-4)
        contrast.append(cs)
        both.append(cs * (2 * a * b + 1e-4) / (a * a + b * b + 1e-4))
    return mean(both), mean(contrast)


def ssim(a: Any, b: Any) -> Any:
    """For each pair of (H, W, C) images, the mean over windows within and channels."""
    return np.array([mean(_similarity(x[..., c], y[..., c])[0] for c in range(x.shape[2]))
                     for x, y in zip(np.asarray(a, float), np.asarray(b, float), strict=True)])  # fmt: skip


def ssim_reflected(a: Any, b: Any) -> Any:
    """The same over windows around every pixel, the images reflected at their edges."""
    return ssim(*(np.pad(x, ((0, 0), (5, 5), (5, 5), (0, 0)), mode="reflect") for x in (a, b)))


# Inputs through which no gradient is due: MoCo's keys are of another encoder, running statistics of earlier batches.
HELD = {"moco": ("k", "queue"), "batch_norm_inference": ("mean", "variance")}


# ---- the inputs


class Probe(NamedTuple):
    """Inputs for a target and its formula.

    Attributes:
        label: as a sentence begins: "at τ = 0.01, …".
    """

    label: str
    inputs: dict[str, Any]


def _features(names: tuple[str, ...]) -> Iterator[Probe]:
    rng = np.random.default_rng(7)
    for temperature in (0.5, 0.1):
        drawn = {name: rng.standard_normal((4 + (name == "queue"), 3)) for name in names}
        yield Probe(f"normal features, τ = {temperature}", {**drawn, "temperature": temperature})
    far = rng.standard_normal((4, 3)).astype(np.float32)
    near = (far + 0.1 * rng.standard_normal((4, 3))).astype(np.float32)
    hard = {name: far if k == 0 else (np.concatenate([near, far[:1]]) if name == "queue" else -near)
            for k, name in enumerate(names)}  # fmt: skip
    yield Probe("positives opposite, τ = 0.01, float32", {**hard, "temperature": 0.01})
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], np.float32)  # of cosine −1/3 with each other
    simplex = dict(zip(names, (corners[:2], corners[2:], corners), strict=False))
    yield Probe("all rows far apart, τ = 0.01, float32", {**simplex, "temperature": 0.01})
    ends = np.eye(3, dtype=np.float32)[[0, 0]] * np.array([[1], [-1]], np.float32)
    equal = {name: np.eye(3, dtype=np.float32)[1:] if name == "queue" else ends for name in names}
    yield Probe("pairs equal, the others opposite, τ = 0.01, float32", {**equal, "temperature": 0.01})
    half = {name: np.eye(4)[[0, 1, 2, 3] if k == 0 else [0, 1, 3, 2]] for k, name in enumerate(names)}
    half |= {"queue": -np.eye(4)} if "queue" in names else {}
    yield Probe("half of the pairs equal, τ = 0.01", {**half, "temperature": 0.01})
    yield Probe("positives opposite, τ = 0.1", {**{k: v.astype(float) for k, v in hard.items()}, "temperature": 0.1})


def _pairs() -> Iterator[Probe]:
    rng = np.random.default_rng(8)
    for scale in (1.0, 3.0):
        yield Probe(f"normal scores × {scale:g}", {"joint": rng.standard_normal(6) * scale,
                                                   "product": rng.standard_normal(6) * scale})  # fmt: skip
    for dtype, label in ((np.float64, ""), (np.float32, ", float32")):
        apart = {"joint": np.full(4, 40.0, dtype), "product": np.full(4, -40.0, dtype)}
        yield Probe(f"positives 40, negatives −40 nats{label}", apart)
        yield Probe(f"positives −40, negatives 40 nats{label}", {k: -v for k, v in apart.items()})
    high = {k: (rng.standard_normal(6) + 95).astype(np.float32) for k in ("joint", "product")}
    yield Probe("all scores near 95 nats, float32", high)


def _matrix(locations: int = 0) -> Iterator[Probe]:
    rng = np.random.default_rng(9)
    shape = (4, 4, locations) if locations else (4, 4)
    eye = np.eye(4)[..., None] if locations else np.eye(4)
    for scale in (1.0, 3.0):
        yield Probe(f"normal scores × {scale:g}", {"scores": rng.standard_normal(shape) * scale})
    for shift in (12.0, 40.0, -40.0):
        word = "above" if shift > 0 else "below"
        scores = rng.standard_normal(shape) + shift * eye
        yield Probe(f"positives {abs(shift):g} nats {word} the negatives", {"scores": scores})
    apart = np.broadcast_to(np.where(eye > 0, 95.0, -95.0), shape).astype(np.float32)
    yield Probe("positives 95, negatives −95 nats, float32", {"scores": apart})
    for shift in (-30.0, 95.0):
        scores = (rng.standard_normal(shape) + shift).astype(np.float32)
        yield Probe(f"all scores near {shift:g} nats, float32", {"scores": scores})


def _tables(name: str, shape: tuple[int, ...]) -> Iterator[Probe]:
    rng = np.random.default_rng(10)
    p = rng.random(shape)
    yield Probe("a table", {name: p / p.sum()})
    p.ravel()[::2] = 0
    yield Probe("a table with zeros", {name: p / p.sum()})


def _two_tables() -> Iterator[Probe]:
    yield Probe("two tables", {"p": np.array([0.5, 0.3, 0.2]), "q": np.array([0.1, 0.6, 0.3])})
    yield Probe("p with a zero", {"p": np.array([0.5, 0.5, 0.0]), "q": np.array([0.25, 0.25, 0.5])})
    yield Probe("both with a zero at one place", {"p": np.array([0.5, 0.5, 0.0]), "q": np.array([0.75, 0.25, 0.0])})
    yield Probe("q with a zero", {"p": np.array([0.25, 0.25, 0.5]), "q": np.array([0.5, 0.5, 0.0])})


def _rows(shape: tuple[int, ...], *names: str) -> Iterator[Probe]:
    rng = np.random.default_rng(11)
    x, channels = rng.standard_normal(shape), shape[1]
    rest = {name: rng.random(channels) + 0.5 for name in names}
    yield Probe("normal rows", {"x": x, **rest})
    single = {k: v.astype(np.float32) for k, v in rest.items()}
    yield Probe("rows near 2000, float32", {"x": (x + 2000).astype(np.float32), **single})
    yield Probe("constant rows", {"x": np.full(shape, 3.0), **rest})


def _kernels(transposed: bool) -> Iterator[Probe]:
    rng = np.random.default_rng(12)
    for stride, padding in ((1, 1), (2, 1), (2, 0)):
        w = rng.standard_normal((2, 3, 4, 4) if transposed else (3, 2, 4, 4))
        yield Probe(f"stride {stride}, padding {padding}", {
            "x": rng.standard_normal((2, 2, 6, 6)), "w": w, "b": rng.standard_normal(3),
            "stride": stride, "padding": padding})  # fmt: skip


def _siglip() -> Iterator[Probe]:
    rng = np.random.default_rng(17)
    for t, b in ((2.3, -10.0), (0.0, 1.0), (4.6, -10.0)):
        inputs = {name: rng.standard_normal((4, 3)) for name in ("image", "text")}
        yield Probe(f"normal features, t = {t}, b = {b:g}", {**inputs, "log_scale": np.array(t), "bias": np.array(b)})


def _classes() -> Iterator[Probe]:
    rng = np.random.default_rng(18)
    features = rng.standard_normal((6, 3))
    for temperature in (0.5, 0.1):
        labels = np.array([0, 0, 0, 1, 1, 1])
        yield Probe(
            f"two classes, τ = {temperature}", {"features": features, "labels": labels, "temperature": temperature}
        )
    alone = np.array([0, 0, 1, 1, 1, 2])
    yield Probe("one row alone in its class", {"features": features, "labels": alone, "temperature": 0.5})
    pairs = {"features": np.eye(4)[[0, 0, 1, 1, 2, 3]], "labels": np.array([0, 0, 1, 1, 2, 2]), "temperature": 0.01}
    yield Probe("two classes of equal rows, τ = 0.01", pairs)
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], np.float32)
    yield Probe(
        "all rows far apart, τ = 0.01, float32", {**pairs, "features": corners, "labels": np.array([0, 0, 1, 1])}
    )


def _linear() -> Iterator[Probe]:
    rng = np.random.default_rng(16)
    yield Probe("normal rows", {"x": rng.standard_normal((3, 4)), "w": rng.standard_normal((2, 4)),
                                "b": rng.standard_normal(2)})  # fmt: skip


def _images() -> Iterator[Probe]:
    rng = np.random.default_rng(13)
    for channels in (1, 3):
        a = rng.random((2, 14, 13, channels))
        b = np.clip(a + 0.2 * rng.standard_normal(a.shape), 0, 1)
        yield Probe(f"noisy images of {channels} channel(s)", {"a": a, "b": b})
    yield Probe("black and white, float32", {"a": np.zeros((1, 12, 12, 1), np.float32),
                                             "b": np.ones((1, 12, 12, 1), np.float32)})  # fmt: skip


def _gaussians(names: tuple[str, ...]) -> Iterator[Probe]:
    rng = np.random.default_rng(14)
    for d in (1, 3):
        half = {name: rng.standard_normal((d, d)) for name in names if name.startswith("cov")}
        inputs = {name: rng.standard_normal(d) for name in names} | {
            k: h @ h.T + 0.1 * np.eye(d) for k, h in half.items()
        }
        yield Probe(f"{d} dimension(s)", {name: inputs[name] for name in names})


def _with(probes: Iterator[Probe], **more: Any) -> Iterator[Probe]:
    return (Probe(label, {**inputs, **more}) for label, inputs in probes)


def _embeddings() -> Iterator[Probe]:
    rng = np.random.default_rng(15)
    for scale in (1.0, 12.0):
        yield Probe(f"normal embeddings × {scale:g}", {
            "candidates": scale * rng.standard_normal((4, 3, 2)), "anchors": scale * rng.standard_normal((4, 2)),
            "clip": 10.0, "penalty": 0.05})  # fmt: skip


PROBES: dict[str, Callable[[], Iterator[Probe]]] = {
    "clip features": lambda: _features(("image", "text")),
    "nt_xent features": lambda: _features(("a", "b")),
    "dcl features": lambda: _features(("a", "b")),
    "moco features": lambda: _features(("q", "k", "queue")),
    "pairs": _pairs,
    "matrix": _matrix,
    "smile pairs": lambda: _with(_pairs(), tau=5.0),
    "smile matrix": lambda: _with(_matrix(), tau=5.0),
    "mine pairs": lambda: _with(_pairs(), average=1.7, rate=0.01),
    "locations": lambda: _matrix(3),
    "logits logits": lambda: (Probe(p.label, {"logits": p.inputs["scores"]}) for p in _matrix()),
    "logits fake": lambda: (Probe(p.label, {"fake": p.inputs["product"]}) for p in _pairs()),
    "logits": lambda: (Probe(p.label, {"real": p.inputs["joint"], "fake": p.inputs["product"]}) for p in _pairs()),
    "amdim_direction embeddings": _embeddings,
    "p_x": lambda: _tables("p_x", (6,)),
    "p_xy": lambda: _tables("p_xy", (3, 4)),
    "p, q": _two_tables,
    "cov": lambda: _gaussians(("cov",)),
    "moments": lambda: _gaussians(("mean_p", "cov_p", "mean_q", "cov_q")),
    "siglip features": _siglip,
    "supcon features": _classes,
    "infonce features": lambda: _features(("queries", "keys")),
    "tuba matrix": lambda: _with(_matrix(), log_a=np.array([0.5, -1.0, 0.0, 2.0])),
    "linear": _linear,
    "conv2d": lambda: _kernels(False),
    "conv_transpose2d": lambda: _kernels(True),
    "batch": lambda: _rows((3, 2, 4, 4), "gain", "shift"),
    "batch moments": lambda: _rows((3, 2, 4, 4), "gain", "shift", "mean", "variance"),
    "rows": lambda: _rows((5, 4), "gain", "shift"),
    "images": _images,
}
