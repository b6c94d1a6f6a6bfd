"""A run as one page of HTML that stands alone (`dimref.plots.page`): its pictures lie in the page itself."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dimref.plots.page import Markup, code, number, page, section, table, tag
from dimref.training.choices import FEATURES

PICTURES = {  # what each shows; those of lines on white are turned for a dark page, photographs are not
    "curves": ("wide lines", "The bound per batch and held out, below its ceiling; the prior's game, or what is certified; "
               "effective rank of y, and norm of the gradient."),
    "neighbours": ("wide images", "Images, and beside each its nearest neighbours by y and by pixels."),
    "filters": ("wide images", "The first layer's filters: as initialized, after training, and the change."),
    "components": ("lines", "The two principal components of y, one mark for each image, by class where classes are known."),
    "views": ("wide images", "Images, and the two random views that have to predict each other."),
}  # fmt: skip


@dataclass(frozen=True)
class RunPage:
    """What the page of a run shows; a text in place of a part is the reason why there is none."""

    title: str
    sentence: str  # what was trained
    bounds: Sequence[tuple[str, float, float]] | str  # term, held-out nats, ceiling (inf: none)
    health: str
    probes: tuple[Mapping[tuple[str, str, str], tuple[float, float]], float] | str  # as `read_probes`
    pictures: Mapping[str, bytes | str]  # by the names in `PICTURES`: a PNG
    typed: str  # the command that trains the same again
    options: Mapping[str, object]
    changed: Mapping[str, object]  # those of the options that are not the defaults
    machine: Mapping[str, str]
    commands: Mapping[str, str]  # what to type next, by what it does


def html(run: RunPage) -> str:
    """The page."""
    drawn = dict(run.pictures)
    curves = drawn.pop("curves")
    return page(
        run.title,
        tag("h1", run.title),
        tag("p", run.sentence),
        section("Bounds and curves", _bounds(run), tag("p", run.health, class_="soft"), _picture("curves", curves)),
        section("Probes: what a classifier reads from frozen features", _probes(run.probes)),
        *(section(name.capitalize(), _picture(name, content)) for name, content in drawn.items()),
        section("Configuration", code(run.typed, wrap=True), _options(run)),
        section("Machine", table(run.machine.items())),
        section("Go on", *(Markup(tag("p", what) + code(typed, wrap=True)) for what, typed in run.commands.items())),
    )


def _bounds(run: RunPage) -> Markup:
    if isinstance(run.bounds, str):
        return _none(run.bounds)
    rows = [(term, f"{nats:z.3f}", number(ceiling, 4)) for term, nats, ceiling in run.bounds]
    return table(rows, ("term", "nats, held out", "ceiling"))


def _probes(probes: tuple[Mapping[tuple[str, str, str], tuple[float, float]], float] | str) -> Markup:
    if isinstance(probes, str):
        return _none(probes)
    cells, chance = probes
    features = [f for f in FEATURES if any(f == feature for _, _, feature in cells)]
    rows = []
    for name, encoder in dict.fromkeys((name, encoder) for name, encoder, _ in cells):
        shown = [cells.get((name, encoder, feature)) for feature in features]
        if encoder == "raw":
            shown[0] = cells[name, encoder, "pixels"]
        rows.append((name, "raw pixels" if encoder == "raw" else encoder, *map(_percent, shown)))
    return Markup(
        table(rows, ("probe", "encoder", *features))
        + tag("p", f"Accuracy in % on test images; {chance:.0f} % by chance. Untrained: the encoder as it was drawn.",
              class_="soft")
    )  # fmt: skip


def _percent(cell: tuple[float, float] | None) -> str:
    return "" if cell is None else f"{cell[0]:.1f}" + (f" ± {cell[1]:.1f}" if cell[1] else "")


def _picture(name: str, content: bytes | str) -> Markup:
    if isinstance(content, str):
        return _none(content)
    kind, caption = PICTURES[name]
    source = "data:image/png;base64," + base64.b64encode(content).decode()
    image = tag("div", tag("img", src=source, alt=caption, class_=kind), class_="scroll")
    return tag("figure", image, tag("figcaption", caption))


def _options(run: RunPage) -> Markup:
    changed = table((_option(name), str(value)) for name, value in run.changed.items())
    every = table((_option(name), "—" if value is None else str(value)) for name, value in run.options.items())
    heading = "Options that are not the default" if run.changed else "Every option is the default"
    return Markup(tag("p", heading) + (changed if run.changed else "")
                  + tag("details", tag("summary", "All options"), every))  # fmt: skip


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _none(reason: str) -> Markup:
    return tag("p", f"None: {reason}", class_="soft")
