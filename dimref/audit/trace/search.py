"""Name a departure: try, in turn, wrong pieces, simple relations, mistakes in what was not saved, and lost digits."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from dimref import ops
from dimref.audit.trace import relations, variants
from dimref.audit.trace.graph import Cut, Function, Graph
from dimref.audit.trace.layouts import Recipe
from dimref.audit.trace.relations import Close, Finding

FEW = 4  # elements: with fewer, chance must be reckoned with
MOST_TRIES = 150  # of mistakes in pieces that the other side did not save: each evaluates a part of the step again


def diagnose(
    name: str, found: np.ndarray, graph: Graph, close: Close, sizes: Mapping[str, int], how: Recipe | None
) -> Finding | None:
    """What was done to get `found` where the graph expects another array; None where nothing that is known fits.

    Args:
        close: compares a candidate with `found`.
        how: the recipe of PyTorch's layout of the array.
    """
    expected = graph.expected(name)
    related = relations.find(found, expected, close, sizes, how)
    exact = ("nan", "infinite", "zero", "layout", "transposed", "mirrored", "batch-permuted", "sign")
    if related is not None and related.id in exact and not _is_index(name):
        return _about_piece(name, related, graph)
    for attempt in (_own_variants, _negatives, _optimizer, _paths):
        for finding in attempt(name, found, graph, close):
            return finding
    if related is not None:
        return _about_piece(name, related, graph)
    for finding in (*_decay(name, found, graph, close), *_digits(found, expected)):
        return finding
    for finding in _upstream(name, graph, close):
        return finding
    return _lost_digits(found, expected)


def _is_index(name: str) -> bool:
    return name.startswith("noise/") and not name.endswith("/z")


def _about_piece(name: str, related: Finding, graph: Graph) -> Finding:
    """The relation as the other side's piece, where that is what it is."""
    if name not in graph.pieces or related.apply is None:
        return related
    right, apply = graph.pieces[name].function, related.apply
    return Finding(related.id, related.text, {name: lambda *inputs: apply(right(*inputs))})


# ---- the piece itself


def _own_variants(name: str, found: np.ndarray, graph: Graph, close: Close) -> Iterator[Finding]:
    if name not in graph.pieces:
        return
    for variant in variants.of(graph.pieces[name], graph):
        if close(graph.supposing(name, {name: variant.function})):
            yield Finding(variant.id, variant.text, {name: variant.function})
            return


def _negatives(name: str, found: np.ndarray, graph: Graph, close: Close) -> Iterator[Finding]:
    """Scores of the product, or what leads to them, made with other partners than the noise's."""
    term = name.partition("/")[0]
    partner = f"{term}/product/partner"
    if partner not in graph.pieces or not name.startswith(f"{term}/product/") or found.ndim < 2:
        return
    for variant in variants.of(graph.pieces[partner], graph):
        if close(graph.supposing(name, {partner: variant.function})):
            yield Finding(variant.id, variant.text, {partner: variant.function})
            return
    index = _matched(name, found, graph, partner)
    if not close(graph.supposing(name, {partner: lambda y, _: ops.gather(y, index)})):
        return
    fixed = float((index == np.arange(len(index))[:, None]).mean())
    text = f"shuffled differently: the noise is not used (x_0 meets y_{index[0, 0]}"
    text += f"; {100 * fixed:.3g} % of the pairs are positives)" if fixed else ")"
    function: Function = lambda y, _: ops.gather(y, index)  # noqa: E731
    yield Finding("other-negatives", text, {partner: function})


def _matched(name: str, found: np.ndarray, graph: Graph, partner: str) -> np.ndarray:
    """For each x_i at each location, the y whose pair comes nearest to what they have: (N, L)."""
    n, places = found.shape[:2]
    best = np.full((n, places), np.inf)
    index = np.zeros((n, places), np.int64)
    for j in range(n):
        everyone = np.full((n, places), j)
        candidate = graph.supposing(name, {partner: lambda y, _, everyone=everyone: ops.gather(y, everyone)})
        error = np.abs(candidate - found).reshape(n, places, -1).max(axis=2)
        index = np.where(error < best, j, index)
        best = np.minimum(best, error)
    return index


# ---- gradients and Adam


def _paths(name: str, found: np.ndarray, graph: Graph, close: Close) -> Iterator[Finding]:
    """A gradient without the part that one of its users hands back."""
    of = name.removeprefix("gradient/")
    if of == name:
        return
    parts = graph.contributions(of)
    for user, part in parts.items():
        if len(parts) > 1 and close(graph.expected(name) - part):
            yield Finding("detached", f"what {user} hands back to {of} is missing: detached there", cut=(of, user))
            return


def _optimizer(name: str, found: np.ndarray, graph: Graph, close: Close) -> Iterator[Finding]:
    if not name.startswith("after/parameters/"):
        return
    path = name.removeprefix("after/parameters/")
    old, g = graph.filled(f"parameters/{path}"), graph.filled(f"gradient/parameters/{path}")
    m, v = (graph.filled(f"after/adam/{k}/{path}") for k in ("m", "v"))
    expected, lr = graph.expected(name), graph.lr
    factor = float(((found - old) * (expected - old)).sum() / max(((expected - old) ** 2).sum(), 1e-300))
    attempts = {
        ("not-updated", "left as it was before the step"): old,
        ("step-sign", "the step goes the other way: up the loss"): 2 * old - expected,
        ("no-bias-correction", "Adam without its bias correction"): old - lr * m / (np.sqrt(v) + 1e-8),
        ("sgd", "plain gradient descent, θ − lr·g, in place of Adam"): old - lr * g,
        ("step-scale", f"the step is scaled by {factor:.4g}: another learning rate than {lr:g}?"): old
        + factor * (expected - old),
    }
    for (id_, text), candidate in attempts.items():
        if close(candidate) and (id_ != "step-scale" or found.size >= FEW):
            yield Finding(id_, text)
            return


def _decay(name: str, found: np.ndarray, graph: Graph, close: Close) -> Iterator[Finding]:
    """Weight decay: λ·θ in a gradient, −lr·λ·θ in a step."""
    for prefix in () if found.size < FEW else ("gradient/parameters/", "after/parameters/", "after/adam/m/"):
        if name.startswith(prefix):
            theta = graph.filled(f"parameters/{name.removeprefix(prefix)}")
            extra = found.reshape(theta.shape) - graph.expected(name)
            factor = float((extra * theta).sum() / max((theta * theta).sum(), 1e-300))
            if close(graph.expected(name) + factor * theta):
                yield Finding("weight-decay", f"weight decay: {factor:.4g}·θ is added")


# ---- digits


def _digits(found: np.ndarray, expected: np.ndarray) -> Iterator[Finding]:
    """The evidence of the stored digits."""
    if expected.size < 2 or not np.isfinite(found).all():
        return
    error, scale = float(np.abs(found.reshape(expected.shape) - expected).max()), float(np.abs(expected).max())
    if (found == np.rint(found)).all() and error <= 1 and not (expected == np.rint(expected)).all():
        yield Finding("integers", "whole numbers: rounded or cut off (cast to an integer type)")
    elif error <= 2.0**-5 * scale and _is_bfloat16(found):
        yield Finding("bfloat16", "bfloat16 digits: computed or stored in 8 bits of precision")
    elif error <= 2.0**-6 * scale and (found == found.astype(np.float16)).all():
        yield Finding("float16", "float16 digits: computed or stored in half precision")


def _is_bfloat16(array: np.ndarray) -> bool:
    single = array.astype(np.float32)
    return bool((single == array).all() and not (single.view(np.uint32) & 0xFFFF).any())


def _lost_digits(found: np.ndarray, expected: np.ndarray) -> Finding | None:
    """Nearly right without a pattern: the last guess."""
    error = np.abs(found.reshape(expected.shape) - expected)
    scale = float(np.abs(expected).max(initial=0))
    if not np.isfinite(error).all() or scale == 0 or expected.size < 2:
        return None
    if float(np.sqrt((error**2).mean())) < 3e-3 * float(np.sqrt((expected**2).mean())):
        digits = -np.log10(float(error.max()) / scale)
        text = f"right to {digits:.1f} digits, with no pattern: less precision on the way (float16, bfloat16, TF32)?"
        return Finding("precision", text)
    return None


# ---- what was not saved

Guess = tuple[str, str, dict[str, Function], Cut | None]  # id, text, wrong pieces, a gradient that is cut


def _upstream(name: str, graph: Graph, close: Close) -> Iterator[Finding]:
    """A mistake in pieces that the other side did not save, between what it did save and this array.

    A single number is soon met by chance: there every guess is tried, and more than one that fits is no finding.
    """
    guesses = itertools.islice(_guesses(name, graph), MOST_TRIES)
    fits = (Finding(id_, text, f, cut=cut) for id_, text, f, cut in guesses if close(graph.supposing(name, f, cut)))
    if np.size(graph.expected(name)) >= FEW:
        yield from itertools.islice(fits, 1)
        return
    found = list(fits)
    if len({finding.id for finding in found}) > 1:
        texts = " or ".join(dict.fromkeys(finding.text for finding in found[:4]))
        yield Finding("ambiguous", f"{texts}: save more arrays to decide")
    yield from found[:1]


def _guesses(name: str, graph: Graph) -> Iterator[Guess]:
    """The same mistake in all pieces of a kind, then gradients that are cut, then a mistake in one piece."""
    unsaved = graph.unsaved(name)
    pieces = [graph.pieces[n] for n in graph.pieces if n in unsaved]
    for kind in dict.fromkeys(piece.kind for piece in pieces):
        same = [piece for piece in pieces if piece.kind == kind]
        for row in zip(*(variants.of(piece, graph) for piece in same), strict=False):
            functions = {piece.name: variant.function for piece, variant in zip(same, row, strict=True)}
            where = same[0].name if len(same) == 1 else f"every {kind} from {same[0].name} to {same[-1].name}"
            yield row[0].id, f"as if at {where}: {row[0].text}", functions, None
    for array in [n.removeprefix("gradient/") for n in unsaved if n.startswith("gradient/")]:
        users = graph.consumers.get(array, [])
        for user in users if len(users) > 1 else ():
            text = f"as if what {user.name} hands back to {array} were missing: detached there"
            yield "detached", text, {}, (array, user.name)
    for piece in pieces:
        for variant in variants.of(piece, graph):
            yield variant.id, f"as if at {piece.name}: {variant.text}", {piece.name: variant.function}, None
