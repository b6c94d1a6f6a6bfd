"""`dimref plot`: every picture of a run that can be drawn."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from dimref.commands.options import backend_option, checkpoint_option, run_argument, say, set_threads, threads_option
from dimref.errors import DimrefError


@click.command()
@run_argument
@click.option("--data-dir", metavar="PATH", help="Where the dataset's files lie.  [default: where they lay]")
@checkpoint_option
@backend_option()
@threads_option()
def plot(run: Path, data_dir: str | None, checkpoint: str, backend: str, threads: int | None) -> None:
    """Draw a run's pictures into its directory: curves, filters, neighbours, components, views, accuracies.

    A picture whose files are missing is left out, with the reason: accuracies need what dimref evaluate writes. Only AMDIM
    has views.
    """
    set_threads(threads)
    from dimref import plots
    from dimref.backend import get_backend
    from dimref.commands import pictures
    from dimref.evaluation import scores
    from dimref.export import inference
    from dimref.plots.accuracies import EVALUATION

    if not plots.available():
        raise DimrefError(plots.MISSING)
    encoder, saved = inference.load(run, get_backend(backend), f"{checkpoint}.npz")
    config = saved.config if data_dir is None else dataclasses.replace(saved.config, data_dir=data_dir)
    limits, n = pictures.ceilings_of(run / f"{checkpoint}.npz", saved)
    title = pictures.title_of(config)
    say(scores.row("curves", pictures.drawn(lambda: plots.curves(run, limits, title, n))))
    for name, text in pictures.of_encoder(run, encoder, config, saved.step):
        say(scores.row(name, text))
    if (run / EVALUATION).exists():
        say(scores.row("accuracies", pictures.drawn(lambda: plots.accuracies(run, title))))
    else:
        say(scores.row("accuracies", f"none: {EVALUATION} is not there; dimref evaluate {run} writes it"))
