"""`dimref plot`: every picture of a run that can be drawn."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from dimref.commands.options import say, set_threads
from dimref.errors import DimrefError
from dimref.training import choices


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data-dir", metavar="PATH", help="Where the dataset's files lie.  [default: where they lay]")
@click.option(
    "--checkpoint", type=click.Choice(choices.CHECKPOINTS), default="newest", help="Which.  [default: newest]"
)
@click.option("--backend", type=click.Choice(choices.BACKENDS), default="numpy", help="CPU or GPU.  [default: numpy]")
@click.option("--threads", type=click.IntRange(min=1), help="BLAS threads.  [default: all cores]")
def plot(run: Path, data_dir: str | None, checkpoint: str, backend: str, threads: int | None) -> None:
    """Draw a run's pictures into its directory: curves, filters, neighbours, components, views, accuracies.

    A picture whose files are missing is left out, with the reason: accuracies need what dimref evaluate writes. Only AMDIM
    has views.
    """
    set_threads(threads)
    from dimref import plots
    from dimref.backend import get_backend
    from dimref.commands import pictures, scores
    from dimref.evaluation.report import ceilings
    from dimref.export import inference
    from dimref.plots.accuracies import EVALUATION

    if not plots.available():
        raise DimrefError(plots.MISSING)
    encoder, saved = inference.load(run, get_backend(backend), f"{checkpoint}.npz")
    config = saved.config if data_dir is None else dataclasses.replace(saved.config, data_dir=data_dir)
    n = saved.meta.get("held_out_batch", config.batch_size)
    if type(n) is not int or not 2 <= n <= config.batch_size:
        raise DimrefError(
            f"{run / checkpoint}.npz: expected a held-out batch of 2 to {config.batch_size} images, found {n!r}"
        )
    limits = ceilings(config.objective(), n, encoder.layout.local[0] ** 2)
    title = pictures.title_of(config)
    say(scores.row("curves", pictures.drawn(lambda: plots.curves(run, limits, title, n))))
    for name, text in pictures.of_encoder(run, encoder, config, saved.step):
        say(scores.row(name, text))
    if (run / EVALUATION).exists():
        say(scores.row("accuracies", pictures.drawn(lambda: plots.accuracies(run, title))))
    else:
        say(scores.row("accuracies", f"none: {EVALUATION} is not there; dimref evaluate {run} writes it"))
