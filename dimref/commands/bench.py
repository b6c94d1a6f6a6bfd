"""`dimref bench` and `dimref scale`: how fast a step is, and how cost grows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dimref.commands.options import json_option, printer, status, write_json
from dimref.errors import DimrefError
from dimref.training import choices

PICTURE = Path("runs") / "scale.png"
LONGEST = 3600  # seconds
MOST = 10**9  # images or candidates: as many as nobody has memory for


def _backend_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--backend", type=click.Choice(choices.BACKENDS), default="numpy", help="CPU or CUDA GPU.  [default: numpy]"
    )(function)


def _threads_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--threads", type=click.IntRange(min=1), help="Threads of every library.  [default: all cores]"
    )(function)


@click.command()
@click.option(
    "--against", type=click.Choice(["torch", "none"]), help="The other side.  [default: torch, where installed]"
)
@click.option(
    "--preset", "presets", type=click.Choice([*choices.BENCH_PRESETS, "all"]), multiple=True, default=["local-jsd"],
    help="What a step computes; may be repeated.  [default: local-jsd]",
)  # fmt: skip
@click.option(
    "--batch-size", "batch_sizes", type=click.IntRange(2, 16_384), multiple=True, default=[64], metavar="N",
    help="Images per step; may be repeated.  [default: 64]",
)  # fmt: skip
@_backend_option
@_threads_option
@click.option("--rounds", type=click.IntRange(min=1), default=7, help="Turns of each side.  [default: 7]")
@click.option("--seconds", type=float, default=1.0, help="Length of a turn.  [default: 1]")
@click.option("--compile/--no-compile", "compiled", default=True, help="torch.compile too.  [default: compile]")
@click.option("--graph/--no-graph", default=True, help="On a GPU: replay dimref's step as one graph.  [default: graph]")
@click.option("--tf32", is_flag=True, help="On a GPU: matrix products of both sides rounded to TF32.")
@json_option
def bench(
    against: str | None, presets: tuple[str, ...], batch_sizes: tuple[int, ...], backend: str, threads: int | None,
    rounds: int, seconds: float, compiled: bool, graph: bool, tf32: bool, json_file: Path | None,
) -> None:  # fmt: skip
    """Time a training step beside the same step in PyTorch and beside its bare matrix products.

    The twin in PyTorch has the same weights, batch and draws. Nothing is timed before its loss and gradients are
    proved to be dimref's; if they are not, the exit code is 1.
    """
    from dimref.bench import compare, report, workers

    _refuse_seconds(seconds)
    if backend == "numpy" and (tf32 or not graph):
        written = "--tf32" if tf32 else "--no-graph"
        raise DimrefError(f"{written}: has no effect, since --backend is numpy; leave it out")
    options = compare.Options(
        presets=choices.BENCH_PRESETS if "all" in presets else tuple(dict.fromkeys(presets)),
        batch_sizes=tuple(dict.fromkeys(batch_sizes)),
        against=against or ("torch" if _torch_installed() else "none"),
        compiled=compiled,
        backend=backend,
        threads=threads or _cores(),
        rounds=rounds,
        seconds=seconds,
        graph=graph,
        tf32=tf32,
    )
    say = printer(json_file)
    with status() as show:

        def watch(result: dict[str, Any]) -> None:
            show("")
            lines = report.preset(result["presets"][-1]) if result["presets"] else report.opening(result)
            say("\n".join(lines) + "\n")

        result = compare.compare(options, show, workers.Worker, watch)
    say(report.LEGEND)
    write_json(json_file, result)


@click.command()
@click.option("--candidates", type=click.IntRange(2, MOST), default=16_384, metavar="N",
              help="The largest batch of InfoNCE.  [default: 16384]")  # fmt: skip
@click.option("--train-images", type=click.IntRange(2, MOST), default=1_048_576, metavar="N",
              help="The largest dataset to train on.  [default: 1048576]")  # fmt: skip
@click.option("--encode-images", type=click.IntRange(2, MOST), default=8192, metavar="N",
              help="The largest dataset to encode.  [default: 8192]")  # fmt: skip
@click.option("--batch-size", "batch", type=click.IntRange(2, 16_384), default=64, metavar="N",
              help="Images per training step.  [default: 64]")  # fmt: skip
@_backend_option
@_threads_option
@click.option("--seconds", type=float, default=1.0,
              help="How long to measure each size.  [default: 1]")  # fmt: skip
@click.option("--plot/--no-plot", default=None, help="Draw runs/scale.png.  [default: if matplotlib is installed]")
@json_option
def scale(
    candidates: int, train_images: int, encode_images: int, batch: int, backend: str, threads: int | None,
    seconds: float, plot: bool | None, json_file: Path | None,
) -> None:  # fmt: skip
    """Show how time and memory grow with the candidates of InfoNCE and with the size of the dataset.

    Each size is measured in a process of its own. A size that would not fit into the memory that is free is left out.
    """
    from dimref.bench import growth, report, workers

    _refuse_seconds(seconds)
    drawn = _picture(plot)
    if batch > train_images:
        raise DimrefError(f"--train-images: expected at least one batch of {batch} images, found {train_images}")
    options = growth.Options(candidates, train_images, encode_images, backend, batch, threads or _cores(), seconds)
    with status() as show:
        result = growth.grow(options, show, workers.Worker)
    say = printer(json_file)
    for line in report.growth(result):
        say(line)
    if drawn:
        from dimref.bench import picture

        picture.draw(result, PICTURE)
        say(f"\npicture   {PICTURE}")
    write_json(json_file, result)


def _picture(plot: bool | None) -> bool:
    """Whether to draw; one that was requested and cannot be drawn is refused before the measurements."""
    from dimref import plots

    if plot and not plots.available():
        raise DimrefError(plots.MISSING)
    return plots.available() if plot is None else plot


def _torch_installed() -> bool:
    from importlib.util import find_spec

    return find_spec("torch") is not None


def _cores() -> int:
    from dimref.training.machine import available_cores

    return available_cores()


def _refuse_seconds(seconds: float) -> None:
    if not 0 <= seconds <= LONGEST:
        raise DimrefError(f"--seconds: expected a number from 0 to {LONGEST}, found {seconds:g}")
