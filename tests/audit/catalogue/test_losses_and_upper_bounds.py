"""SigLIP, DCL, SupCon, leave-one-out, CLUB, α-InfoNCE and more forms: loops, PyTorch formulas, and what they are called."""

import math

import numpy as np
import pytest
from sampling import by_default

from dimref.audit import contract
from dimref.audit.answering import evaluate
from dimref.audit.callables import audit
from dimref.audit.contract import REGIMES, Sizes
from dimref.audit.report import text

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


# ---- one exponential after the other


def cosines(x, y):
    return [[float(a @ b) / math.sqrt(float(a @ a) * float(b @ b)) for b in y] for a in x]


def sp(t):
    return max(t, 0.0) + math.log1p(math.exp(-abs(t)))


def lse(terms):
    top = max(terms)
    return top + math.log(sum(math.exp(t - top) for t in terms))


def loop_siglip(image, text, log_scale, bias):
    c, n = cosines(image, text), len(image)
    z = [[math.exp(log_scale) * c[i][j] + bias for j in range(n)] for i in range(n)]
    return sum(sp(-z[i][j] if i == j else z[i][j]) for i in range(n) for j in range(n)) / n


def loop_dcl(a, b, temperature):
    c, m = cosines([*a, *b], [*a, *b]), 2 * len(a)
    return sum(
        lse([c[i][k] / temperature for k in range(m) if k % len(a) != i % len(a)])
        - c[i][(i + len(a)) % m] / temperature
        for i in range(m)
    ) / m  # fmt: skip


def loop_supcon(features, labels, temperature):
    c, m, terms = cosines(features, features), len(features), []
    for i in range(m):
        positives = [p for p in range(m) if p != i and labels[p] == labels[i]]
        if positives:
            log_sum = lse([c[i][a] / temperature for a in range(m) if a != i])
            terms.append(sum(log_sum - c[i][p] / temperature for p in positives) / len(positives))
    return sum(terms) / len(terms)


def loop_infonce(queries, keys, temperature):
    c, n = cosines(queries, keys), len(queries)
    return math.log(n) + sum(c[i][i] / temperature - lse([t / temperature for t in c[i]]) for i in range(n)) / n


def loop_clip(image, text, log_scale):
    both = (loop_infonce(image, text, math.exp(-log_scale)), loop_infonce(text, image, math.exp(-log_scale)))
    return math.log(len(image)) - sum(both) / 2


def loop_tuba(scores, log_a):
    n, at = len(scores), list(np.ndindex(scores.shape[2:]))
    total = 0.0
    for where in at:
        t = [[float(scores[(i, j, *where)] - log_a[(j, *where)]) for j in range(n)] for i in range(n)]
        product = [math.exp(t[i][j]) for i in range(n) for j in range(n) if i != j]
        total += 1 + sum(t[i][i] for i in range(n)) / n - sum(product) / len(product)
    return total / len(at)


LOOPS = {
    ("siglip", "features"): loop_siglip,
    ("dcl", "features"): loop_dcl,
    ("supcon", "features"): loop_supcon,
    ("infonce", "features"): loop_infonce,
    ("infonce", "features-learned"): loop_infonce,
    ("clip", "features-learned"): loop_clip,
    ("tuba", "matrix"): loop_tuba,
}


@pytest.mark.parametrize(("name", "form"), LOOPS)
def test_references_are_their_loops(name, form):
    form = contract.find("bound", name).form(form)
    for seed, regime in enumerate(REGIMES):
        for flat in (True, False):
            if name == "tuba" and regime in ("moderate", "shifted", "large"):
                continue  # e^T leaves the number range
            inputs = form.draw(np.random.default_rng(seed), Sizes(n=4, m=3, locations=2, flat=flat, regime=regime))
            found = evaluate(form.reference, form.signature, inputs).value["value"]
            expected = LOOPS[name, form.name](*(inputs[each] for each in form.signature.arguments))
            assert float(found) == pytest.approx(expected, rel=1e-9, abs=1e-9), regime


# ---- as people write them


def siglip(image, text, log_scale, bias):
    logits = F.normalize(image) @ F.normalize(text).T * log_scale.exp() + bias
    labels = 2 * torch.eye(len(logits), dtype=logits.dtype) - 1
    return -F.logsigmoid(labels * logits).sum() / len(logits)


def siglip_of_means(image, text, log_scale, bias):
    logits = F.normalize(image) @ F.normalize(text).T * log_scale.exp() + bias
    return F.binary_cross_entropy_with_logits(logits, torch.eye(len(logits), dtype=logits.dtype))


def siglip_written_out(image, text, log_scale, bias):
    logits = F.normalize(image) @ F.normalize(text).T * log_scale.exp() + bias
    labels = 2 * torch.eye(len(logits), dtype=logits.dtype) - 1
    return -torch.log(torch.sigmoid(labels * logits)).sum(1).mean() + 0 * logits.sum()


def siglip_without_bias(image, text, log_scale, bias):
    return siglip(image, text, log_scale, 0.0)


def view_logits(a, b, temperature):
    z = F.normalize(torch.cat([a, b]))
    return z @ z.T / temperature


def dcl(a, b, temperature):
    s, n = view_logits(a, b, temperature), len(a)
    positive = torch.cat([s.diagonal(n), s.diagonal(-n)])
    return (torch.logsumexp(s.masked_fill(torch.eye(n, dtype=bool).repeat(2, 2), -math.inf), 1) - positive).mean()


def dcl_in_two_sums(a, b, temperature):
    s, n = view_logits(a, b, temperature), len(a)
    positive = torch.cat([s.diagonal(n), s.diagonal(-n)])
    s = s.masked_fill(torch.eye(n, dtype=bool).repeat(2, 2), -math.inf)
    return (torch.logsumexp(s[:, :n], 1) + torch.logsumexp(s[:, n:], 1) - positive).mean()


def nt_xent(a, b, temperature):
    s, n = view_logits(a, b, temperature), len(a)
    s = s.masked_fill(torch.eye(2 * n, dtype=bool), -math.inf)
    return F.cross_entropy(s, torch.arange(2 * n).roll(n))


def dcl_of_one_view(a, b, temperature):
    z1, z2 = F.normalize(a), F.normalize(b)
    across, own = z1 @ z2.T / temperature, z1 @ z1.T / temperature
    mask = torch.eye(len(a), dtype=bool)
    both = torch.cat([own.masked_fill(mask, -math.inf), across.masked_fill(mask, -math.inf)], 1)
    return (torch.logsumexp(both, 1) - across.diagonal()).mean()


def log_shares(features, temperature):
    z = F.normalize(features)
    s = z @ z.T / temperature
    return s - torch.logsumexp(s.masked_fill(torch.eye(len(z), dtype=bool), -math.inf), 1, keepdim=True)


def positives(labels):
    return (labels[:, None] == labels) & ~torch.eye(len(labels), dtype=bool)


def supcon(features, labels, temperature):
    mask = positives(labels)
    rows = mask.any(1)
    each = (log_shares(features, temperature) * mask).sum(1)[rows] / mask.sum(1)[rows]
    return -each.mean()


def supcon_over_all(features, labels, temperature):
    mask = positives(labels)
    return -((log_shares(features, temperature) * mask).sum(1) / mask.sum(1).clamp(min=1)).mean()


def supcon_scaled(features, labels, temperature):
    return temperature / 0.07 * supcon(features, labels, temperature)


def supcon_inside(features, labels, temperature):
    mask = positives(labels)
    rows = mask.any(1)
    share = (log_shares(features, temperature).exp() * mask).sum(1)[rows] / mask.sum(1)[rows]
    return -share.log().mean()


def supcon_per_pair(features, labels, temperature):
    return -log_shares(features, temperature)[positives(labels)].mean()


def leave_one_out(scores):
    n = len(scores)
    others = scores.masked_fill(torch.eye(n, dtype=bool).view(n, n, *[1] * (scores.ndim - 2)), -math.inf)
    positive = scores.diagonal().mean()
    return positive - (torch.logsumexp(others, 0) - math.log(n - 1)).mean()


def masked_by_a_column(scores):
    """The mask has one axis too many."""
    n = len(scores)
    mask = (torch.ones(n, dtype=scores.dtype).diag() * -20.0).unsqueeze(-1)
    return (scores.diagonal() - (torch.logsumexp(scores + mask, 0) - math.log(n - 1))).mean()


def club_over_all(scores):
    return scores.diagonal().mean() - scores.mean()


def club_halved(joint, product):
    return (joint.mean() - product.mean()) / 2


def interpolated(scores, log_a, alpha):
    n = len(scores)

    def b(column):
        return torch.logaddexp(
            torch.logsumexp(column, 0) - math.log(n - 1) + math.log(alpha),
            torch.full((), log_a + math.log(1 - alpha), dtype=scores.dtype),
        )

    terms = []
    for j in range(n):
        column, rest = scores[:, j], [i for i in range(n) if i != j]
        ratio = (column[rest] - b(column[rest])).exp().mean()
        logs = torch.stack([column[j] - b(column[[i for i in range(n) if i != k]]) for k in rest]).mean(0)
        terms.append(logs - ratio)
    return 1 + torch.stack(terms).mean()


def interpolated_over_all(scores, log_a, alpha):
    """One m for both terms, with the positive."""
    n = len(scores)
    log_b = torch.logaddexp(
        torch.logsumexp(scores, 0) - math.log(n) + math.log(alpha),
        torch.full((), log_a + math.log(1 - alpha), dtype=scores.dtype),
    )
    off = ~torch.eye(n, dtype=bool)
    return 1 + (scores.diagonal().movedim(-1, 0) - log_b).mean() - (scores - log_b).exp()[off].mean()


def info_nce(queries, keys, temperature):
    logits = F.normalize(queries) @ F.normalize(keys).T / temperature
    return F.cross_entropy(logits, torch.arange(len(logits)))


def info_nce_bound(queries, keys, temperature):
    return math.log(len(queries)) - info_nce(queries, keys, temperature)


def info_nce_fixed(queries, keys, temperature):
    return info_nce(queries, keys.detach(), temperature)


def info_nce_times(queries, keys, temperature):
    return info_nce(queries, keys, 1 / temperature)


def clip(image, text, log_scale):
    logits = F.normalize(image) @ F.normalize(text).T * log_scale.exp()
    labels = torch.arange(len(logits))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def clip_fixed_scale(image, text, log_scale):
    return clip(image, text, log_scale.detach())


def tuba(scores, log_a):
    off, t = ~torch.eye(len(scores), dtype=bool), scores - log_a[None]
    return 1 + t.diagonal().mean() - t[off].exp().mean()


def tuba_fixed(scores, log_a):
    return tuba(scores, log_a.detach())


def mine(scores, average, rate):
    off = ~torch.eye(len(scores), dtype=bool)
    now = scores[off].exp().mean()
    new = ((1 - rate) * average + rate * now).detach()
    dv = scores.diagonal().mean() - now.log()
    surrogate = scores.diagonal().mean() - now / new
    return surrogate + (dv - surrogate).detach(), new


def mine_unmoved(scores, average, rate):
    value, _ = mine(scores, average, rate)
    return value, average


NAMES = [
    ("siglip", "", siglip, "conforms", ""),
    ("siglip", "", siglip_of_means, "another valid convention", "mean-over-pairs"),
    ("siglip", "", siglip_without_bias, "mistake", "bias-ignored"),
    ("siglip", "", lambda i, t, s, b: -siglip_of_means(i, t, s, b) / len(i), "mistake", "divided-by-n-cubed"),
    ("dcl", "", dcl, "conforms", ""),
    ("dcl", "", dcl_in_two_sums, "mistake", "two-logarithms"),
    ("dcl", "", nt_xent, "mistake", "positive-kept"),
    ("dcl", "", dcl_of_one_view, "another valid convention", "one-view-anchors"),
    ("supcon", "", supcon, "conforms", ""),
    ("supcon", "", supcon_over_all, "another valid convention", "lone-anchors-count"),
    ("supcon", "", supcon_scaled, "another valid convention", "base-temperature"),
    ("supcon", "", supcon_inside, "mistake", "averaged-inside"),
    ("supcon", "", supcon_per_pair, "mistake", "mean-over-pairs"),
    ("leave_one_out", "", leave_one_out, "conforms", ""),
    ("leave_one_out", "", masked_by_a_column, "mistake", "mask-broadcast"),
    ("club", "matrix", club_over_all, "another valid convention", "diagonal-included"),
    ("club", "pairs", club_halved, "mistake", "value-halved"),
    ("infonce_interpolated", "", interpolated, "conforms", ""),
    ("infonce_interpolated", "", interpolated_over_all, "mistake", "positive-in-both"),
    ("infonce", "features", info_nce_bound, "conforms", ""),
    ("infonce", "features", info_nce, "another valid convention", "cross-entropy"),
    ("infonce", "features", info_nce_fixed, "another valid convention", "cross-entropy-keys-fixed"),
    ("infonce", "features", info_nce_times, "mistake", "temperature-inverted"),
    ("infonce", "features-learned", info_nce, "another valid convention", "cross-entropy"),
    ("clip", "features-learned", clip, "conforms", ""),
    ("clip", "features-learned", clip_fixed_scale, "mistake", "log_scale-detached"),
    ("tuba", "matrix", tuba, "conforms", ""),
    ("tuba", "matrix", tuba_fixed, "mistake", "log_a-detached"),
    ("mine", "matrix", mine, "conforms within", ""),
    ("mine", "matrix", mine_unmoved, "mistake", "average-not-fed-back"),
]


@pytest.mark.parametrize(
    "at", by_default(range(len(NAMES)), 0, 5, 9, 14, 21, 25), ids=lambda at: f"{NAMES[at][0]}-{at}"
)
def test_what_people_write_is_named(at):
    name, form, function, verdict, key = NAMES[at]
    report = audit(function, "bound", name, form, framework="torch", cases=48)
    assert (report.verdict, report.judgement.key) == (verdict, key), text(report)
    if report.named is not None:  # against what is named, not against the reference
        assert max(report.named) < 1e-4, text(report)
        beyond_the_core = key == "lone-anchors-count"
        assert (max(report.value, report.gradient) > 1e-4) != beyond_the_core, text(report)
        assert f"  as named      worst relative error {report.named[0]:.1e} of the value" in text(report)
    if verdict == "conforms":
        assert report.named is None
        assert all(law.holds for law in report.laws), text(report)


def test_a_sigmoid_written_out_leaves_the_number_range():
    report = audit(siglip_written_out, "bound", "siglip", framework="torch", cases=48)
    assert report.judgement.key == "log-of-sigmoid", text(report)
    assert min(departure.magnitude for departure in report.range if departure.dtype == "float32") > 80
