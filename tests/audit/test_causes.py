"""The true cause and the measured consequence, of functions as people write them."""

import math

import pytest
from sampling import by_default

from dimref.audit import callables
from dimref.audit.callables import audit

torch = pytest.importorskip("torch")
F = torch.nn.functional


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(callables, "SEARCHED", 8)


def diagonal(n):
    return torch.arange(n)


def cross_entropy(s, **how):
    return F.cross_entropy(s.T, diagonal(len(s)), **how)


def jsd(joint, product):
    return 2 * math.log(2) - F.softplus(-joint).mean() - F.softplus(product).mean()


def by_probabilities(log):
    def bound(joint, product):
        return 2 * math.log(2) + log(torch.sigmoid(joint)).mean() + log(1 - torch.sigmoid(product)).mean()

    return bound


def unit(*features):
    return [F.normalize(x, dim=1) for x in features]


def nt_xent_logits(a, b, temperature):
    z = torch.cat(unit(a, b))
    return (z @ z.T / temperature).masked_fill(torch.eye(len(z), dtype=torch.bool), -math.inf)


def nt_xent(a, b, temperature):
    s = nt_xent_logits(a, b, temperature)
    return F.cross_entropy(s, diagonal(len(s)).roll(len(a)))


def partners(s):
    n = len(s) // 2
    return torch.cat([torch.diag(s, n), torch.diag(s, -n)])


def share_and_tiny(a, b, temperature):
    s = nt_xent_logits(a, b, temperature)
    e = torch.exp(s - s.max(1, keepdim=True).values.detach())
    share = partners(e / e.sum(1, keepdim=True))
    return -torch.log(share + torch.finfo(share.dtype).tiny).mean()


def nt_xent_a(a, b, tau):
    z = torch.cat(unit(a, b))
    s = torch.exp(z @ z.T / tau)
    return -torch.log(partners(s) / (s.sum(1) - math.exp(1 / tau))).mean()


def log_of_masked(a, b, temperature):
    p = torch.softmax(nt_xent_logits(a, b, temperature), 1)
    chosen = torch.eye(len(p), dtype=torch.bool).roll(len(a), 1)
    return -torch.where(chosen, torch.log(p), torch.zeros_like(p)).sum() / len(p)


def softplus_where(x):
    return torch.where(x > 20, x, torch.log1p(torch.exp(x)))


def moco_v3(q, k, queue, temperature):
    return 2 * temperature * moco(q, k, queue, temperature, slice(None))


def moco(q, k, queue, temperature, order):
    q, k, queue = unit(q, k, queue)
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T][order], 1) / temperature
    return F.cross_entropy(logits, 0 * diagonal(len(q)))


def nt_xent_warm_positive(a, b, temperature):
    """The temperature is left out of the numerator's exponential."""
    s = nt_xent_logits(a, b, temperature)
    return (s.logsumexp(1) - temperature * partners(s)).mean()


def clip(image, text, temperature, **how):
    image, text = unit(image, text)
    s, y = image @ text.T / temperature, diagonal(len(image))
    return (F.cross_entropy(s, y, **how) + F.cross_entropy(s.T, y, **how)) / 2


def clip_by_pairs(image, text, temperature):
    image, text = unit(image, text)
    return F.binary_cross_entropy_with_logits(image @ text.T / temperature, torch.eye(len(image), dtype=image.dtype))


def infonce_b(s):
    e = torch.exp(s)
    p = torch.diagonal(e)
    return -torch.log(p / (e.sum(0) - p)).mean()


def mine_a(joint, product, average, rate):
    m = product.exp().mean()
    moved = (1 - rate) * average + rate * m.detach()
    return joint.mean() - m.log() * m.detach() / moved, moved


def local(s):
    s = s if s.ndim == 3 else s[..., None]
    k = diagonal(len(s))
    return -(s[k, k] - s.logsumexp(0)).mean() / s.shape[2]


def half(dtype):
    return lambda s: math.log(len(s)) - cross_entropy(s.to(dtype).to(s.dtype))


def dv_detached(joint, product):
    e = product.exp().mean(0)
    return (joint.mean(0) - e / e.detach()).mean()


def off_diagonal(s):
    return s[~torch.eye(len(s), dtype=torch.bool)]


def nwj_of(s):
    """Its constant in single precision, whatever the scores are."""
    n = torch.tensor(float(len(s) * (len(s) - 1)))
    return s.diagonal().mean() - torch.exp(torch.logsumexp(off_diagonal(s) - 1, 0) - torch.log(n))


def jsd_of(s):
    return jsd(s.diagonal(), off_diagonal(s))


def smile_of(s, tau):
    n = torch.tensor(float(len(s) * (len(s) - 1)))
    return s.diagonal().mean() - (torch.logsumexp(off_diagonal(s).clamp(-tau, tau), 0) - torch.log(n))


def surrogate(gradient, value):
    return gradient + (value - gradient).detach()


def nwj_multiplied(s):
    n, own = len(s), torch.eye(len(s), dtype=s.dtype)
    return (s * own).sum() / n - (torch.exp(s - 1) * (1 - own)).sum() / (n * (n - 1))


def single_below(s):
    """Right to every digit of single precision as long as no column's sum is near ε."""
    s = s.float()
    return math.log(len(s)) + (s.diagonal() - torch.log(s.exp().sum(0) + 1e-12)).mean()


def dv_below_masked(s):
    n, own = len(s), torch.eye(len(s), dtype=s.dtype)
    lowered = s - 100 * own
    top = lowered.max().detach()
    total = ((1 - own) * (lowered - top).exp()).sum()
    return s.diagonal().mean() - (torch.log(total + 1e-6) + top - math.log(n * n - n))


def anchors(a, b, temperature):
    s = nt_xent_logits(a, b, temperature)
    return s.logsumexp(1) - partners(s)


def over_positive(losses):
    kept = losses[losses > 0]
    return kept.mean() if len(kept) else losses.sum()


def supcon_by_mask(features, labels, temperature):
    """The maximum of a row is its product with itself, which the mask then leaves out."""
    z, labels = unit(features)[0], torch.as_tensor(labels)
    s, others = z @ z.T / temperature, 1 - torch.eye(len(z), dtype=z.dtype)
    s = s - s.max(1, keepdim=True).values.detach()
    log_share = s - torch.log((s.exp() * others).sum(1, keepdim=True))
    same = (labels[:, None] == labels).to(s.dtype) * others
    there = same.sum(1) > 0
    return -((same * log_share).sum(1)[there] / same.sum(1)[there]).mean()


def nt_xent_by_mask(a, b, temperature):
    return supcon_by_mask(torch.cat([a, b]), diagonal(len(a)).repeat(2), temperature)


def dcl_lowered(a, b, temperature):
    a, b = unit(a, b)

    def one(x, y):
        own = torch.eye(len(x), dtype=x.dtype).repeat(1, 2) * math.log(1e-45)
        others = torch.cat([x @ x.T, x @ y.T], 1) / temperature + own
        return (others.logsumexp(1) - (x * y).sum(1) / temperature).mean()

    return (one(a, b) + one(b, a)) / 2


def one_way(queries, keys, temperature):
    queries, keys = unit(queries, keys)
    return F.cross_entropy(queries @ keys.T / temperature, diagonal(len(queries)))


def one_way_share(queries, keys, temperature):
    queries, keys = unit(queries, keys)
    s = queries @ keys.T / temperature
    e = torch.exp(s - s.max(1, keepdim=True).values.detach())
    return -torch.log(e.diagonal() / e.sum(1) + torch.finfo(torch.float32).tiny).mean()


C, M, WITHIN = "another valid convention", "mistake", "conforms within"
TARGETS = {  # function, quantity, verdict, key, words of the diagnosis
    "T/τ": (lambda s: math.log(len(s)) - cross_entropy(s / 0.07), "bound infonce", C, "temperature", "τ = 0.07"),
    "T/τ, a loss": (lambda s: cross_entropy(s / 0.2), "bound infonce", C, "temperature", "τ = 0.2"),
    "T/τ, rows": (lambda s: cross_entropy(s.T * 14.3), "bound infonce", C, "temperature", "τ = 0.0699301"),
    "T/τ, no round number": (lambda s: -cross_entropy(s / 7**0.5), "bound infonce", M, "temperature", "τ = 2.64575"),
    "T/τ, JSD": (lambda j, p: jsd(j / 3, p / 3), "bound jsd", C, "temperature", "τ = 3"),
    "τ fixed": (lambda a, b, tau: nt_xent(a, b, 0.07), "bound nt_xent", M, "temperature-fixed", "0.07"),
    "τ/τ₀": (lambda a, b, tau: tau / 0.07 * nt_xent(a, b, tau), "bound nt_xent", C, "scaled-loss", "times τ/0.07"),
    "2τ": (moco_v3, "bound moco", C, "scaled-loss", "times 2·τ"),
    "τ in the denominator alone": (
        nt_xent_warm_positive, "bound nt_xent", M, "temperature-on-denominator-only", "on the denominator alone",
    ),
    "the key's column last": (
        lambda *i: moco(*i, slice(None, None, -1)), "bound moco", M, "key-last", "the key's column last",
    ),
    "1/L": (local, "bound infonce", C, "scaled-loss", "times 1/L"),
    "sign and log 2": (
        lambda fake: F.softplus(fake).mean() + 0.693147, "prior encoder_loss", M, "sign-flipped", "sign turned",
    ),
    "one way, two views": (
        lambda a, b, tau: F.cross_entropy(unit(a)[0] @ unit(b)[0].T / tau, diagonal(len(a))),
        "bound nt_xent", C, "across-views-one-way", "N candidates",
    ),
    "smoothed": (lambda s: cross_entropy(s, label_smoothing=0.1), "bound infonce", M, "label-smoothing", "α = 0.1"),
    "smoothed, CLIP": (lambda *i: clip(*i, label_smoothing=0.2), "bound clip", M, "label-smoothing", "α = 0.2"),
    "each pair alone": (
        lambda s: F.binary_cross_entropy_with_logits(s, torch.eye(len(s), dtype=s.dtype)),
        "bound infonce", M, "binary-cross-entropy", "all N² pairs",
    ),
    "each pair alone, CLIP": (clip_by_pairs, "bound clip", C, "sigmoid-mean", "all N² pairs"),
    "bfloat16": (half(torch.bfloat16), "bound infonce", M, "half-precision", "rounded to bfloat16"),
    "float16": (half(torch.float16), "bound infonce", M, "half-precision", "rounded to float16"),
    "clamp above": (
        lambda s: math.log(len(s)) - cross_entropy(s.clamp(max=10.0)), "bound infonce", M, "clamped", "+10",
    ),
    "clamp below, one term": (
        lambda j, p: jsd(j, p.clamp(min=-5)), "bound jsd", M, "clamped",
        "the scores of the product clamped from below at −5",
    ),
    "clamp on both sides": (
        lambda s: math.log(len(s)) - cross_entropy(s.clamp(-5, 5)), "bound infonce", M, "clamped", "scores clamped at ±5",
    ),
    "clamp far out, one term": (
        lambda j, p: jsd(j, p.clamp(-7, 7)), "bound jsd", M, "clamped", "the scores of the product clamped at ±7",
    ),
    "positive subtracted": (infonce_b, "bound infonce", M, "positive-excluded", "left out of the denominator"),
    "self subtracted": (nt_xent_a, "bound nt_xent", M, "cancellation", "loses its digits"),
    "share + tiny": (share_and_tiny, "bound nt_xent", M, "epsilon", "float32's smallest normal number, 1.18e-38"),
    "ε in a denominator": (single_below, "bound infonce matrix", M, "denominator-epsilon-1e-12", "1e-12 added"),
    "ε of 1e-15": (by_probabilities(lambda p: torch.log(p + 1e-15)), "bound jsd", M, "epsilon", "ε = 1e-15 added"),
    "clamp at −100": (
        by_probabilities(lambda p: torch.log(p).clamp(min=-100)), "bound jsd", M, "naive-cross-entropy-clamped", "−100",
    ),
    "log 0 masked": (log_of_masked, "bound nt_xent", M, "masked-infinity", "0 · ∞"),
    "e^T masked": (
        lambda j, p: 2 * math.log(2) - softplus_where(-j).mean() - softplus_where(p).mean(),
        "bound jsd", M, "masked-infinity", "0 · ∞",
    ),
    "maximum of what is left out": (
        nt_xent_by_mask, "bound nt_xent", M, "maximum-of-left-out", "then left out",
    ),
    "maximum of what is left out, classes": (
        supcon_by_mask, "bound supcon", M, "maximum-of-left-out", "then left out",
    ),
    "mean over positive losses": (
        lambda a, b, tau: over_positive(anchors(a, b, tau)), "bound nt_xent", M, "mean-over-positive", "above 0",
    ),
    "left out by a factor 0": (nwj_multiplied, "bound nwj matrix", M, "masked-infinity", "multiplied by 0"),
    "masked by −103": (dcl_lowered, "bound dcl", M, "masked-by-number", "log 1e-45"),
    "ε below a masked maximum": (dv_below_masked, "bound dv matrix", M, "epsilon", "ε = 1e-6 inside"),
    "share + tiny, one way": (one_way_share, "bound infonce features", M, "epsilon", "float32's smallest normal number"),
    "one way": (one_way, "bound infonce features", C, "cross-entropy", "cross entropy"),
    "NWJ's value, JSD's gradient": (
        lambda s: surrogate(jsd_of(s), nwj_of(s)), "bound nwj matrix", M, "gradient", "its gradient is that of JSD",
    ),
    "SMILE's value, JSD's gradient": (
        lambda s, tau: surrogate(jsd_of(s), smile_of(s, tau)), "bound smile matrix", C, "jsd-gradient", "JSD's gradient",
    ),
    "a surrogate": (dv_detached, "bound dv", M, "surrogate-value", "varies with the scores"),
    "a surrogate of MINE": (mine_a, "bound mine", WITHIN, "surrogate-value", "varies with the scores"),
}  # fmt: skip
MEASURED = {
    "maximum of what is left out": (
        "the value is right",
        "the value is NaN from τ = 0.0128 on in float32 (all rows apart)",
    ),
    "left out by a factor 0": ("the value is NaN from 89.8 nats on in float32",),
    "masked by −103": ("stops at -102.923",),
    "ε below a masked maximum": ("stops at -114.509",),
    "share + tiny, one way": ("the gradient is right; the value stops at 87.3365",),
    "one way": ("the gradient is right",),
    "share + tiny": ("stops at 87.3365", "where 200 is due at 100 nats, and its gradient is 0 there"),
    "ε of 1e-15": (
        "the value is right at ordinary inputs; the gradient is right",
        "in float64 (all +)",
        "where -9998.61 is due",
    ),
    "self subtracted": ("the value is inf from τ = 0.0192 on in float32 (all −)",),
    "sign and log 2": ("the gradient is off by 200 %",),
    "a surrogate": ("the gradient is right",),
    "log 0 masked": ("the value is right at ordinary inputs", "the gradient is not finite on"),
}


DEFAULT = (
    "T/τ",
    "2τ",
    "one way, two views",
    "maximum of what is left out",
    "left out by a factor 0",
    "share + tiny, one way",
    "ε in a denominator",
    "NWJ's value, JSD's gradient",
    "share + tiny",
    "clamp at −100",
    "e^T masked",
    "sign and log 2",
    "a surrogate of MINE",
)


@pytest.mark.parametrize("name", by_default(TARGETS, *DEFAULT))
def test_the_true_cause_is_named_and_its_consequence_measured(name):
    function, quantity, verdict, key, words = TARGETS[name]
    report = audit(function, *quantity.split(), cases=32, framework="torch")
    assert (report.verdict, report.judgement.key) == (verdict, key), str(report)
    assert words in report.judgement.diagnosis
    for part in MEASURED.get(name, ()):
        assert part in report.judgement.consequence
    for wrong in ("e^{cos/τ} written out", "log(1 + e^t)"):
        assert wrong not in report.judgement.diagnosis + " ".join(report.judgement.also)


@pytest.mark.parametrize(("function", "dtype", "verdict", "key"), [
    (lambda s: math.log(len(s)) - cross_entropy(s), "bfloat16", "conforms", ""),
    (lambda s: math.log(len(s)) - cross_entropy(s), "float16", WITHIN, ""),  # the sum behind its mean is above 65504
    (infonce_b, "float16", M, "positive-excluded"), (infonce_b, "bfloat16", M, "positive-excluded"),
])  # fmt: skip
def test_half_precision_is_held_to_its_own_rounding(function, dtype, verdict, key):
    report = audit(function, "bound", "infonce", framework="torch", dtype=dtype)
    assert (report.verdict, report.judgement.key) == (verdict, key), str(report)
    assert " times 0.99" not in report.judgement.diagnosis


@pytest.mark.exhaustive
def test_two_equal_rows_are_no_fault():
    """The value log 2 and the gradient 0 are right, however low the temperature."""
    report = audit(lambda a, b, tau: clip(a, b, tau, label_smoothing=0.1), "bound", "clip", cases=32, framework="torch")
    assert not report.judgement.also


@pytest.mark.parametrize(("sign", "loss", "verdict", "key"), [
    (1, True, M, "sign"), (-1, True, "conforms", ""), (1, False, "conforms", ""), (-1, False, "conforms", ""),
])  # fmt: skip
def test_a_loss_is_taken_as_it_is(sign, loss, verdict, key):
    report = audit(lambda j, p: sign * jsd(j, p), "bound", "jsd", cases=32, loss=loss, framework="torch")
    assert (report.verdict, report.judgement.key) == (verdict, key)


def test_what_was_not_seen_is_not_printed():
    report = audit(lambda j, p: jsd(j, p) - math.log(2), "bound", "jsd", cases=32, framework="torch")
    assert report.judgement.consequence == "off by 0.693 nats at ordinary scores; the gradient is right"
    assert audit(jsd, "bound", "jsd", cases=32, framework="torch").judgement.consequence == ""
