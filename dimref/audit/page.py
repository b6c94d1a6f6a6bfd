"""A report of an audit as one page of HTML that stands alone (`dimref.plots.page`)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from dimref.audit import provenance
from dimref.audit.answering import evaluate
from dimref.audit.callables import Counterexample, Report
from dimref.audit.checks import FAILS, NOT_MADE, PASSES, Outcome
from dimref.audit.matching import Fit, largest
from dimref.audit.numerical import asker, differences
from dimref.audit.report import pasted
from dimref.audit.vectors import SUITE
from dimref.audit.verdict import CONFORMS, CONVENTION, FAILED, MISTAKE, WITHIN
from dimref.laws import equations
from dimref.plots.page import Markup, code, heat_map, line_chart, page, section, table, tag
from dimref.trees import leaves

SENTENCES = {
    CONFORMS: "conforms: it computes",
    CONVENTION: "follows another valid convention:",
    WITHIN: "conforms within limits: it computes",
    MISTAKE: "makes a mistake:",
    FAILED: "could not be run:",
}
MOST_CELLS = 1024  # of a heat map
LINEAR = 1e-3  # nats: differences are drawn linearly within, logarithmically beyond
Curve = dict[str, list[tuple[float, float]]]


def curve(report: Report) -> Curve:
    """found − expected by dtype at growing magnitude of the scores, from the target, which must still be there.

    Expected is what a right target of its kind gives: its convention with its sign, factor and constant; for a mistake the
    reference with its sign.
    """
    form, judgement = report.form, report.judgement
    if not (form.objective and form.ranged) or form.reference is None or report.verdict == FAILED:
        return {}
    candidate = judgement.candidate
    right = candidate is not None and candidate.role != "mistake" and (report.verdict != MISTAKE or bool(report.range))
    if right and candidate is not None:
        function = form.reference if candidate.variant is None else candidate.variant.function
        fit = candidate.fit
    else:
        function, fit = form.reference, Fit(_sign(report), "", "zero", ())
    if fit.constant == "varies":
        return {}
    with np.errstate(all="ignore"):
        return differences(form, asker(form, report.target), function, fit, report.limits)


def _sign(report: Report) -> float:
    """−1 for a loss: the smallest case is held against the reference's negative."""
    example, of = report.counterexample, report.form.signature.main
    if example is None or report.form.reference is None or of not in example.expected.value:
        return 1.0
    reference = evaluate(report.form.reference, report.form.signature, example.inputs).value[of]
    return 1.0 if np.allclose(example.expected.value[of], reference, equal_nan=True) else -1.0


def html(report: Report, checks: Mapping[str, Outcome], found: Curve, target: str, command: str, seed: int) -> str:
    """The page.

    Args:
        checks: by `dimref.audit.checks.outcomes`.
        found: by `curve`.
        target: "module:function" or "file.py:function".
        command: the line that makes this page again.
    """
    judgement = report.judgement
    title = f"{report.target.name}: {report.verdict}"
    words = SENTENCES.get(report.verdict, report.verdict + ":")
    sentence = f"{report.target.name} {words} {judgement.diagnosis.rstrip('.')}."
    parts = [
        tag(
            "h1",
            tag("span", report.words.capitalize(), class_="good" if judgement.good else "bad"),
            f": {report.target.name}",
        ),
        tag("p", sentence),
        *(tag("p", f"Also: {also}.") for also in judgement.also),
    ]
    if judgement.source:
        parts.append(_source(judgement.source))
    if judgement.consequence:
        parts.append(section("Consequence", tag("p", judgement.consequence)))
    if judgement.fix:
        parts.append(section("Fix", tag("p", judgement.fix), *_lines(report)))
    if report.verdict != FAILED:
        parts.append(section("Checks", _checks(checks), *_laws(report)))
    if found:
        parts.append(section("found − expected at growing scores", _curve(found)))
    if report.counterexample is not None:
        parts.append(section("The smallest case", *_case(report.counterexample, report)))
    parts += [
        section("What it was held against", *_reference(report)),
        section("What was audited, and how", _how(report, target, seed)),
        *(section("Notes", tag("ul", *(tag("li", note) for note in report.notes))) for _ in report.notes[:1]),
        section("The command", code(command, wrap=True)),
    ]
    return page(title, *parts)


def _lines(report: Report) -> list[Markup]:
    """The line of the reference that the target has changed, as found and as it should be."""
    candidate = report.judgement.candidate
    if candidate is None or candidate.variant is None or candidate.variant.lines is None:
        return []
    before, after = candidate.variant.lines()
    return [code(f"- {after}\n+ {before}")]


def _checks(checks: Mapping[str, Outcome]) -> Markup:
    styles = {PASSES: "good", FAILS: "bad", NOT_MADE: "soft"}
    rows = []
    for name, outcome in checks.items():
        late = " (it passes: take this out)" if outcome.expected and outcome.status == PASSES else ""
        result = tag("span", outcome.status, class_=styles[outcome.status])
        rows.append((name, result, outcome.words, outcome.expected + late))
    width = 4 if any(row[3] for row in rows) else 3
    return table([row[:width] for row in rows], ("check", "result", "measured", "expected to fail")[:width])


def _laws(report: Report) -> list[Markup]:
    """Every law that was tried on the target."""
    rows = []
    for law in report.laws:
        slack = f" (slack {law.slack.value + 0.0:.1e})"
        result = law.why_not or (f"holds{slack}" if law.holds else tag("span", f"violated{slack}", class_="bad"))
        rows.append((law.statement, result, law.source))
    return [table(rows, ("law", "tried on the target", "source"))] if rows else []


def _curve(found: Curve) -> Markup:
    drawing = line_chart(found, "magnitude of the scores in nats", "found − expected in nats", True, LINEAR)
    words = (
        f"The largest difference over the patterns of signs that are tried, within ±{LINEAR:g} drawn linearly. A cross: the "
        "target gives ∞, −∞ or NaN. Left out: where the quantity itself leaves the number range."
    )
    return tag("figure", drawing, tag("figcaption", words))


def _case(example: Counterexample, report: Report) -> list[Markup]:
    """The case to paste, and both gradients as heat maps of one scale."""
    theirs, ours = dict(leaves(example.found.gradients)), dict(leaves(example.expected.gradients))
    parts = [code("\n".join(pasted(example, report)))]
    for name, found in theirs.items():
        if name not in ours or not 0 < np.size(found) <= MOST_CELLS:
            continue
        scale = largest({"found": found, "expected": ours[name]})
        both = {"found": found, "expected": ours[name]}
        maps = [heat_map(each, scale, f"gradient in {name}: {which}") for which, each in both.items()]
        parts.append(tag("div", *maps, class_="beside"))
    return parts


def _reference(report: Report) -> list[Markup]:
    """The contract, and the equation as the function of that name states it."""
    contract = report.contract
    named = {name: f for name, f in equations.public_functions().items() if name.rpartition(".")[2] == contract.name}
    parts = [tag("p", f"{contract.kind} {contract.name}: {contract.title}.")]
    for name, function in named.items():
        equation = (inspect.getdoc(function) or "").partition("\n\n")[0].partition("Source:")[0].strip()
        parts.append(code(f"dimref.{name}: {equation}", wrap=True))
    sources = [source for source in map(equations.source_of, named.values()) if source] or [contract.source]
    return parts + [_source(source) for source in sources if source]


def _source(text: str) -> Markup:
    return tag("p", f"Source: {text.rstrip('.')}.", class_="soft")


def _how(report: Report, target: str, seed: int) -> Markup:
    versions = provenance.libraries(report.target.framework)
    rows: list[tuple[str, Any]] = [("target", target), *provenance.of_target(target).items()]
    rows += [
        ("called as", f"{report.form.name}: {report.form.meaning}"),
        ("framework", report.target.framework),
        ("cases", f"{report.cases}, seed {seed}"),
        ("suite", SUITE),
        ("libraries", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    if str(report.limits):
        rows.append(("taken only", str(report.limits)))
    return table([(name, tag("code", value) if name in ("SHA-256", "commit", "target", "file") else value)
                  for name, value in rows])  # fmt: skip
