"""`dimref report`: a run as one page of HTML."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from dimref.commands.options import checkpoint_option, out_option, refuse_unwritable, run_argument, say
from dimref.errors import DimrefError

if TYPE_CHECKING:
    from dimref.plots.run_page import RunPage
    from dimref.training.checkpoint import Checkpoint

PNG = b"\x89PNG\r\n\x1a\n"
T = TypeVar("T")


@click.command("report")
@run_argument
@out_option("The page.  [default: RUN/report.html]")
@checkpoint_option
def report(run: Path, out: Path | None, checkpoint: str) -> None:
    """Write RUN as one page of HTML that stands alone: what was trained, curves, probes with their baselines, pictures,
    configuration, machine, and what to type next.

    It takes what lies in RUN and computes nothing: what is missing is named with the command that makes it.
    """
    from dimref.plots import run_page
    from dimref.training import checkpoint as checkpoints
    from dimref.training.files import replace

    out = out or run / "report.html"
    refuse_unwritable("--out", out)
    saved = checkpoints.load(run / f"{checkpoint}.npz")
    replace(out, run_page.html(_content(run, saved, checkpoint)).encode())
    say(f"{out}")


def _content(run: Path, saved: Checkpoint, checkpoint: str) -> RunPage:
    from dimref.commands import pictures
    from dimref.commands.report import sentence
    from dimref.plots.accuracies import EVALUATION, read_probes
    from dimref.plots.curves import read_terms
    from dimref.plots.run_page import PICTURES, RunPage
    from dimref.training.config import Config
    from dimref.training.run_directory import METRICS

    config, named = saved.config, shlex.quote(str(run))
    ceilings, _ = pictures.ceilings_of(run / f"{checkpoint}.npz", saved)
    metrics = _or_reason(lambda: read_terms(run / METRICS, tuple(ceilings)))
    bounds: list[tuple[str, float, float]] | str
    if isinstance(metrics, str) or not metrics[1]:
        bounds, health = metrics if isinstance(metrics, str) else "no epoch has ended", ""
    else:
        steps, epochs = metrics
        bounds = [
            (term, value, ceilings[term]) for term, value in epochs[-1]["held_out_nats"].items() if term in ceilings
        ]
        first, last = (line["effective_rank"] for line in (steps[0], steps[-1]))
        health = f"Effective rank of y: {last:.1f}, after the first step {first:.1f}."
    evaluate = f"dimref evaluate {named} writes it"
    probes = _or_reason(lambda: read_probes(run / EVALUATION)) if (run / EVALUATION).exists() else evaluate
    names = [name for name in PICTURES if name != "views" or config.method == "amdim"]
    options = dataclasses.asdict(config)
    changed = {name: value for name, value in options.items() if value != getattr(Config(), name)}
    return RunPage(
        title=f"{run.resolve().name}: {pictures.title_of(config)}",
        sentence=sentence(config, saved.images, saved.step),
        bounds=bounds,
        health=health,
        probes=probes,
        pictures={name: _png(run / f"{name}.png", f"dimref plot {named} draws it") for name in names},
        typed=f"dimref train --config {shlex.quote(str(run / 'config.json'))}",
        options=options,
        changed=changed,
        machine=dict(saved.meta["machine"]),
        commands={
            "Train longer": f"dimref train --resume {named} {config.twice_as_long(saved.step, saved.images)}",
            "Probes, MINE, independence of y's dimensions, reconstruction": f"dimref evaluate {named}",
            "Features of every image, as a .npy file": f"dimref encode {named}",
            "Weights for PyTorch": f"dimref export {named}",
            "All pictures again": f"dimref plot {named}",
        },
    )


def _or_reason(read: Callable[[], T]) -> T | str:
    try:
        return read()
    except DimrefError as error:
        return str(error)


def _png(path: Path, missing: str) -> bytes | str:
    from dimref.training.files import read_small

    if not path.exists():
        return missing
    try:
        content = read_small(path)
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return content if content.startswith(PNG) else f"{path}: no PNG"
