"""The curves of a run: bounds with their ceilings, the prior's game or what the bounds certify, the health of y."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from dimref.errors import DimrefError
from dimref.plots.style import BLUE, GREEN, GREY, ORANGE, legend_below, new_figure, save, tidy
from dimref.training import metrics
from dimref.training.run_directory import CURVES, METRICS

EQUILIBRIUM = -math.log(4)  # of the prior's game, where its discriminator is at chance
LARGEST = 3.5e38  # finite number of a run, which computes in float32; axes cannot hold those near float64's limit


def curves(run: Path, ceilings: dict[str, float], title: str, n: int) -> Path:
    """Draw a run's metrics into curves.png: bounds with their ceilings, the prior's game, the health of y.

    Without a prior the middle shows the certified forms of the bounds, of those that are none themselves.

    Args:
        ceilings: in nats, by the name of the term; inf is not drawn.
        n: images of a batch; nothing certified lies above its log.
    Returns:
        The path of the picture.
    Raises:
        DimrefError: matplotlib is missing, or the run has no metrics yet.
    """
    steps, epochs = read_terms(run / METRICS, tuple(ceilings))
    figure = new_figure(12, 4.2)
    left, middle, right = figure.subplots(1, 3)
    _draw_bounds(left, steps, epochs, ceilings)
    _draw_middle(middle, steps, epochs, n)
    _draw_health(right, steps)
    for axes in (left, middle, right):
        axes.set_xlabel("step")
        tidy(axes)
    figure.suptitle(title)
    return save(figure, run / CURVES)


def read_terms(path: Path, terms: tuple[str, ...]) -> tuple[list[dict], list[dict]]:
    """The lines of steps and of ends of epochs, every number that is drawn as a float ("inf" and "nan" are text there)."""
    lines = metrics.read(path)
    try:
        steps = [_step(line, terms) for line in lines if line["kind"] == "step"]
        epochs = [
            {"step": line["step"], "held_out_nats": _nats(line["held_out_nats"], terms)}
            for line in lines
            if line["kind"] == "epoch"
        ]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DimrefError(f"{path}: expected the metrics of a run, found a fault at {error}") from None
    if not steps:
        raise DimrefError(f"{path}: expected at least one line of metrics, found none")
    for nats in (*(line["nats"] for line in steps), *(line["held_out_nats"] for line in epochs)):
        if nats.keys() != steps[0]["nats"].keys():
            raise DimrefError(f"{path}: expected the same terms on every line, found {', '.join(nats)} on one")
    return steps, epochs


def _step(line: dict, terms: tuple[str, ...]) -> dict:
    return {
        "step": line["step"],
        "nats": _nats(line["nats"], terms),
        **{name: _number(line[name]) for name in ("effective_rank", "gradient_norm")},
    }


def _nats(nats: dict, terms: tuple[str, ...]) -> dict[str, float]:
    """The terms, and the other drawn quantities that a line has."""
    more = (name for name in (*map(certified, terms), "prior") if name in nats)
    return {name: _number(nats[name]) for name in (*terms, *more)}


def _number(entry: Any) -> float:
    value = float(entry)
    if LARGEST < abs(value) < math.inf:
        raise ValueError(f"the number {value:g}")
    return value


def certified(term: str) -> str:
    """The name of a term's certified form in the metrics."""
    return f"{term}_certified"


def _draw_bounds(axes: Any, steps: list[dict], epochs: list[dict], ceilings: dict[str, float]) -> None:
    axes.set_title("bound that is maximized")
    _draw_terms(axes, steps, epochs, ceilings)


def _draw_terms(axes: Any, steps: list[dict], epochs: list[dict], ceilings: dict[str, float]) -> None:
    for term, colour in zip(ceilings, (BLUE, ORANGE, GREEN), strict=False):
        label = term.removesuffix("_certified")
        x = [line["step"] for line in steps]
        batch = [line["nats"][term] for line in steps]
        axes.plot(x, batch, color=colour, lw=1, alpha=0.6, label=f"{label}, batch")
        axes.plot(
            [line["step"] for line in epochs],
            [line["held_out_nats"][term] for line in epochs],
            color=colour, marker="o", lw=2, label=f"{label}, held out",
        )  # fmt: skip
    low, high = axes.get_ylim()
    for ceiling in sorted({c for c in ceilings.values() if math.isfinite(c)}):
        if ceiling < high + (high - low):
            axes.axhline(ceiling, color=GREY, ls="--", lw=1, label=f"ceiling {ceiling:.3f}")
        else:  # as a line it would flatten the curves
            axes.plot([], [], color=GREY, marker=r"$\uparrow$", ls="", label=f"ceiling {ceiling:.3f}, above")
    axes.set_ylabel("nats")
    _legend(axes, axes.get_lines())


def _draw_middle(axes: Any, steps: list[dict], epochs: list[dict], n: int) -> None:
    nats = steps[0]["nats"]
    if "prior" in nats:
        axes.set_title("prior's game")
        _draw_game(axes, steps)
    elif bounds := [certified(term) for term in nats if certified(term) in nats]:
        axes.set_title("what is certified of it")
        _draw_terms(axes, steps, epochs, dict.fromkeys(bounds, math.log(n)))
    else:
        axes.set_title("prior's game")
        axes.text(0.5, 0.5, "no prior (weight 0)", ha="center", va="center", transform=axes.transAxes, color=GREY)
        axes.set(xticks=[], yticks=[])


def _draw_game(axes: Any, steps: list[dict]) -> None:
    axes.set_ylabel("nats")
    values = [s["nats"]["prior"] for s in steps]
    axes.plot([s["step"] for s in steps], values, color=GREEN, label="E log D(z) + E log(1 − D(y))")
    axes.axhline(EQUILIBRIUM, color=GREY, ls="--", lw=1, label="−log 4: y cannot be distinguished from the prior")
    _legend(axes, axes.get_lines())


def _draw_health(axes: Any, steps: list[dict]) -> None:
    x = [line["step"] for line in steps]
    axes.plot(x, [line["effective_rank"] for line in steps], color=BLUE, label="effective rank of y")
    axes.set_title("health of the representation")
    axes.set_ylabel("effective rank of y in a batch", color=BLUE)
    axes.set_ylim(bottom=0)
    twin = axes.twinx()
    twin.plot(x, [line["gradient_norm"] for line in steps], color=ORANGE, lw=1, alpha=0.8, label="gradient norm")
    twin.set_ylabel("gradient norm", color=ORANGE)
    twin.set_ylim(bottom=0)
    twin.spines["top"].set_visible(False)
    _legend(axes, [*axes.get_lines(), *twin.get_lines()])


def _legend(axes: Any, lines: list[Any]) -> None:
    legend_below(axes, lines, columns=2 if len(lines) > 2 else 1)
