"""An estimate as one page of HTML that stands alone."""

from __future__ import annotations

from dimref.estimation.estimator import MutualInformation
from dimref.estimation.report import CLOSING, kind, label
from dimref.plots.page import COLOURS, Markup, code, line_chart, page, section, table, tag
from dimref.theory.information import LOG_2


def render(fits: list[MutualInformation], command: str, printed: list[str]) -> str:
    """The result in a sentence, the table, the training of every critic, what was printed, and the command."""
    first, unit = fits[0], LOG_2 if fits[0].base == "bits" else 1.0
    best = first.estimate()
    quantity = "I(x; y | z)" if first.terms_ else "I(x; y)"
    low, high = (f"{end / unit:z.3f}" for end in best.interval)
    value = f"{best.nats / unit:z.3f}"
    sentence = f"{quantity}: {value} {first.base}, 95 % interval {low} to {high}; {kind(best)}."
    notes = [
        *first.notes_,
        *(f"{label(fit.bound, e.reading)}: {n}" for fit in fits for e in fit.estimates_.values() for n in e.notes),
    ]
    if first.p_value_ is not None:
        notes.append(f"p = {first.p_value_:.3g} from {len(first.null_)} permutations of y")
    rows = [
        (
            label(fit.bound, e.reading),
            f"{e.nats / unit:z.3f}",
            f"{e.interval[0] / unit:z.3f} … {e.interval[1] / unit:z.3f}",
            kind(e),
        )
        for fit in fits
        for e in fit.estimates_.values()
    ]
    return page(
        f"Mutual information: {value} {first.base}",
        tag("h1", "Mutual information from samples"),
        tag("p", tag("strong", sentence)),
        *(tag("p", note) for note in notes),
        section("Estimates", table(rows, ("estimate", first.base, "95 % interval", "is")), tag("p", CLOSING, class_="soft")),
        section("Training", tag("p", "On the samples that stop it, the first four critics.", class_="soft"),
                tag("div", *(_training(fit, unit) for fit in fits), class_="beside")),
        section("As printed", code("\n".join(printed))),
        section("Command", code(command, wrap=True)),
    )  # fmt: skip


def _training(fit: MutualInformation, unit: float) -> Markup:
    lines = {f"{k + 1}": [(s, v / unit) for s, v in history] for k, history in enumerate(fit.histories_[:COLOURS])}
    return tag("figure", tag("figcaption", f"{fit.objective}"), line_chart(lines, "training step", fit.base))
