"""`dimref estimate`: mutual information of samples in files."""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dimref import __version__
from dimref.commands.options import json_option, printer, refuse_unwritable, set_threads, write_json
from dimref.errors import DimrefError
from dimref.training import choices

if TYPE_CHECKING:
    import numpy as np

    from dimref.estimation import Estimate, MutualInformation

TRAINED = ("infonce", "jsd", "dv", "nwj")  # what "all" trains; SMILE is read from JSD's critics


@click.command()
@click.argument("x_file", metavar="X", type=click.Path(path_type=Path))
@click.argument("y_file", metavar="[Y]", type=click.Path(path_type=Path), required=False)
@click.option("--bound", type=click.Choice((*choices.ESTIMATED, "all")), default="infonce",
              help="What critics are trained with.  [default: infonce]")  # fmt: skip
@click.option("--critic", type=click.Choice(choices.CRITICS), default="separable",
              help="Dot product of two networks, or one on [x, y].  [default: separable]")  # fmt: skip
@click.option("--transform", type=click.Choice(choices.TRANSFORMS), default="rank",
              help="Of every column, fitted on the training part.  [default: rank]")  # fmt: skip
@click.option("--steps", type=click.IntRange(min=0), default=3000, help="For one critic, at most.  [default: 3000]")
@click.option("--batch-size", type=click.IntRange(min=2), metavar="N",
              help="Samples per step.  [default: 256, concat 64]")  # fmt: skip
@click.option("--folds", type=click.IntRange(min=2), default=5, help="Each is held out once.  [default: 5]")
@click.option("--restarts", type=click.IntRange(min=1), default=1,
              help="Critics in each fold, their scores averaged.  [default: 1]")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of every draw.  [default: 0]")
@click.option("--backend", type=click.Choice(choices.BACKENDS), default="numpy", help="CPU or GPU.  [default: numpy]")
@click.option("--threads", type=click.IntRange(min=1), help="BLAS threads.  [default: 1]")
@click.option("--plot", "picture", type=click.Path(path_type=Path), metavar="PNG", help="Draw the training there.")
@json_option
def estimate(
    x_file: Path, y_file: Path | None, bound: str, threads: int | None, picture: Path | None, json_file: Path | None,
    **parameters: Any,
) -> None:  # fmt: skip
    """Estimate the mutual information of x and y, in nats, with an interval.

    X and Y are .npy files of numbers, (N,) or (N, D), row i of both being one sample; or X alone is a .npz file with
    arrays x and y. The samples must be independent of each other: neighbours in time are not. No pickle is read.
    """
    _use_threads(threads)
    from dimref.estimation import MutualInformation, report
    from dimref.estimation.samples import as_pairs

    _refuse_picture(picture)
    say = printer(json_file)
    x, y = as_pairs(*_read(x_file, y_file))
    fits = [MutualInformation(bound=each, **parameters) for each in (TRAINED if bound == "all" else (bound,))]
    for line in report.opening(x, y, fits[0]):
        say(line)
    start = time.perf_counter()
    with click.progressbar(
        length=len(fits) * fits[0].folds, label="training", file=sys.stderr,
        hidden=sys.stderr is None or not sys.stderr.isatty(),
    ) as bar:  # fmt: skip
        for each in fits:
            each.fit(x, y, lambda done: bar.update(1))
    seconds = time.perf_counter() - start
    neighbours = _ksg(x, y, parameters["transform"], parameters["seed"])
    for line in report.closing(fits, neighbours, seconds):
        say(line)
    if picture is not None:
        from dimref.estimation.picture import draw

        draw(picture, fits, neighbours if isinstance(neighbours, float) else None)
        say(f"picture       {picture}")
    write_json(json_file, _as_json(x, y, fits, neighbours, seconds))


def _use_threads(count: int | None) -> None:
    """One thread unless the user says otherwise: the products are small, and threads would wait for each other."""
    if count is None and ("numpy" in sys.modules or any(name in os.environ for name in choices.THREAD_VARIABLES)):
        return
    set_threads(count or 1)


def _read(x_file: Path, y_file: Path | None) -> tuple[np.ndarray, np.ndarray]:
    from dimref.data.dataset import fault
    from dimref.data.files import MOST_UNPACKED
    from dimref.data.npy import npz_header, npz_names, open_npz, read_npy, read_npz_array

    if y_file is not None:
        return read_npy(x_file), read_npy(y_file)
    if x_file.suffix != ".npz":
        raise DimrefError(f"{x_file}: expected a .npz file with arrays x and y, or a second file with y, found neither")
    with open_npz(x_file) as archive:
        names = npz_names(archive)
        if not {"x", "y"} <= set(names):
            raise fault(x_file, "arrays x and y", ", ".join(names) or "none")
        headers = {key: npz_header(x_file, archive, key) for key in ("x", "y")}
        rows = [(*shape, 0)[0] for shape, _ in headers.values()]
        if rows[0] != rows[1]:
            raise fault(x_file, "one row of y for each of x", f"{rows[0]} and {rows[1]} rows")
        # Every number becomes one of 8 bytes, whatever it is stored as.
        most = {key: MOST_UNPACKED * dtype.itemsize // 8 for key, (_, dtype) in headers.items()}
        x, y = (read_npz_array(x_file, archive, key, most_bytes=most[key])[0] for key in ("x", "y"))
    return x, y


def _refuse_picture(picture: Path | None) -> None:
    """A picture that cannot be drawn or written is refused before the training, not after."""
    if picture is None:
        return
    from dimref import plots

    if not plots.available():
        raise DimrefError(plots.MISSING)
    refuse_unwritable("--plot", picture)


def _ksg(x: np.ndarray, y: np.ndarray, transform: str, seed: int) -> float | str:
    """The nearest-neighbour estimate in nats, or why there is none."""
    from dimref.estimation.ksg import ksg

    try:
        return ksg(x, y, transform, seed=seed)
    except DimrefError as error:
        return str(error)


def _as_json(
    x: np.ndarray, y: np.ndarray, fits: list[MutualInformation], neighbours: float | str, seconds: float
) -> dict[str, Any]:
    return {
        "version": __version__,
        "samples": len(x),
        "dimensions": [x.shape[1], y.shape[1]],
        "parameters": {name: value for name, value in fits[0].get_params().items() if name != "bound"},
        "held_out_together": fits[0].held_out_,
        "estimates": [
            {"trained_with": fit.bound, **_estimate_as_json(each)} for fit in fits for each in fit.estimates_.values()
        ],
        "nearest_neighbours": {"nats": neighbours} if isinstance(neighbours, float) else {"missing": neighbours},
        "notes": list(fits[0].notes_),
        "seconds": round(seconds, 3),
    }


def _estimate_as_json(estimate: Estimate) -> dict[str, Any]:
    return {
        "reading": estimate.reading,
        "nats": _number(estimate.nats),
        "standard_error": _number(estimate.error),
        "interval": [_number(end) for end in estimate.interval],
        "ceiling": estimate.ceiling if math.isfinite(estimate.ceiling) else None,
        "is_bound": estimate.is_bound,
        "notes": list(estimate.notes),
    }


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
