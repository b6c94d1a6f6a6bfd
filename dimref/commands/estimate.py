"""`dimref estimate`: mutual information of samples in files."""

from __future__ import annotations

import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dimref import __version__
from dimref.commands.options import (
    backend_option,
    choice,
    json_option,
    printer,
    refuse_unwritable,
    set_threads,
    threads_option,
    write_json,
)
from dimref.errors import DimrefError
from dimref.training import choices

if TYPE_CHECKING:
    import numpy as np

    from dimref.estimation import Estimate, MutualInformation

TEXT = (".csv", ".tsv", ".txt")
MISSING = "KSG: for independent rows of numbers, without --given"
QUIET = 10  # seconds between two lines of progress where there is no terminal
TRAINED = ("infonce", "jsd", "dv", "nwj")  # what "all" trains; SMILE is read from JSD's critics


def _names(text: str | None) -> tuple[str, ...]:
    """Words separated by commas."""
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def _split(context: click.Context, option: click.Parameter, text: str | None) -> tuple[str, ...]:
    return _names(text)


@click.command()
@click.argument("x_file", metavar="X", type=click.Path(path_type=Path))
@click.argument("y_file", metavar="[Y]", type=click.Path(path_type=Path), required=False)
@choice("--bound", (*choices.ESTIMATED, "all"), "What critics are trained with.  [default: infonce]", default="infonce")
@choice("--critic", choices.CRITICS, "Dot product of two networks, or one on [x, y].  [default: separable]",
        default="separable")  # fmt: skip
@choice("--transform", choices.TRANSFORMS, "Of every column, fitted on the training part.  [default: rank]",
        default="rank")  # fmt: skip
@click.option("--steps", type=click.IntRange(min=0), default=3000, help="For one critic, at most.  [default: 3000]")
@click.option("--batch-size", type=click.IntRange(min=2), metavar="N",
              help="Samples per step.  [default: 256, concat 64]")  # fmt: skip
@click.option("--folds", type=click.IntRange(min=2), default=5, help="Each is held out once.  [default: 5]")
@click.option("--restarts", type=click.IntRange(min=1), default=1,
              help="Critics in each fold, their scores averaged.  [default: 1]")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of every draw.  [default: 0]")
@backend_option()
@threads_option("1")
@click.option(
    "--x", "x_names", callback=_split, metavar="a,b", help="Columns of a CSV file X, or an array of a .npz file."
)
@click.option("--y", "y_names", callback=_split, metavar="c", help="The same; without --x, the other columns are x.")
@click.option("--given", metavar="Z", help="Estimate I(x; y | z): a file as X and Y, or columns of X.")
@click.option("--categorical", callback=_split, metavar="x,y",
              help="Sides of integers or texts without an order; of x, y, given.")  # fmt: skip
@click.option("--blocks", type=click.IntRange(min=2), metavar="N",
              help="Hold out whole runs of rows, of N in all: for rows that depend on their neighbours.")  # fmt: skip
@click.option("--null", type=click.IntRange(min=0), default=0, metavar="N",
              help="A p-value from N permutations of y, each estimated anew.")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=50), metavar="N", help="Draw N rows of more.")
@choice("--base", choices.BASES, "Unit of what is printed.  [default: nats]", default="nats")
@click.option("--plot", "picture", type=click.Path(path_type=Path), metavar="PNG", help="Draw the training there.")
@click.option("--html", "page_file", type=click.Path(path_type=Path), metavar="FILE", help="The result as one page.")
@json_option
def estimate(
    x_file: Path, y_file: Path | None, bound: str, threads: int | None, x_names: tuple[str, ...],
    y_names: tuple[str, ...], given: str | None, picture: Path | None, page_file: Path | None, json_file: Path | None,
    **parameters: Any,
) -> None:  # fmt: skip
    """Estimate the mutual information of x and y, in nats, with an interval.

    X and Y are .npy files of numbers, (N,) or (N, D), or .csv files, row i of both being one sample; or X alone is a .npz
    file with arrays x and y, or a .csv file with columns that --y names. The samples must be independent of each other:
    neighbours in time are not (--blocks). No pickle is read.
    """
    _use_threads(threads)
    from dimref.estimation import MutualInformation, report

    _refuse_picture(picture)
    if page_file is not None:
        refuse_unwritable("--html", page_file)
    printed: list[str] = []
    show = printer(json_file)

    def say(line: str) -> None:
        printed.append(line)
        show(line)

    samples = _read(x_file, y_file, {"x": x_names, "y": y_names}, given, parameters["categorical"])
    fits = [MutualInformation(bound=each, **parameters) for each in (TRAINED if bound == "all" else (bound,))]
    parts = fits[0].read(*samples)
    for line in report.opening(parts, fits):
        say(line)
    start = time.perf_counter()
    with _progress(len(fits) * fits[0].folds * (len(parts) - 1 + fits[0].null)) as watch:
        for each in fits:
            each.fit(*samples[:2], watch, given=samples[2])
    seconds = time.perf_counter() - start
    neighbours = _ksg(parts, fits[0])
    for line in report.closing(fits, neighbours, seconds):
        say(line)
    if picture is not None:
        from dimref.estimation.picture import draw

        draw(picture, fits, neighbours if math.isfinite(neighbours) else None)
        say(f"picture       {picture}")
    if page_file is not None:
        from dimref.estimation.page import render
        from dimref.training.files import replace

        command = shlex.join(["dimref", "estimate", *sys.argv[2:]])
        replace(page_file, render(fits, command, printed).encode())
        say(f"page          {page_file}")
    write_json(json_file, _as_json(parts, fits, neighbours, seconds))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; elsewhere a line on the standard error whenever ten seconds have passed."""
    if sys.stderr is not None and sys.stderr.isatty():
        with click.progressbar(length=total, label="training", file=sys.stderr) as bar:
            yield lambda done: bar.update(1)
        return
    count, shown = 0, time.perf_counter()

    def watch(_: int) -> None:
        nonlocal count, shown
        count += 1
        if sys.stderr is not None and time.perf_counter() - shown > QUIET:
            shown = time.perf_counter()
            click.echo(f"{count}/{total} folds", err=True)

    yield watch


def _use_threads(count: int | None) -> None:
    """One thread unless the user says otherwise: the products are small, and threads would wait for each other."""
    if count is None and ("numpy" in sys.modules or any(name in os.environ for name in choices.THREAD_VARIABLES)):
        return
    set_threads(count or 1)


Named = dict[str, tuple[str, ...]]  # of x and y, the names of columns that were typed


def _read(
    x_file: Path, y_file: Path | None, named: Named, given: str | None, categorical: tuple[str, ...]
) -> tuple[Any, Any, Any]:
    """x, y and z, or None for z."""
    z = None if given is None or not Path(given).is_file() else _array(Path(given), "given" in categorical)
    names = () if given is None or z is not None else _names(given)
    table = x_file.suffix in TEXT and y_file is None
    if not table and x_file.suffix != ".npz" and (names or named["x"] or named["y"]):
        what = f"--given {given}" if names else "--x, --y"
        raise DimrefError(
            f"{what}: expected a file, or names of columns of one .csv file or arrays of one .npz, found neither"
        )
    if table:
        return _of_table(x_file, named, names, z, categorical)
    if y_file is not None:
        return _array(x_file, "x" in categorical), _array(y_file, "y" in categorical), z
    if x_file.suffix != ".npz":
        raise DimrefError(f"{x_file}: expected a .npz file with arrays x and y, or a second file with y, found neither")
    return _of_archive(x_file, named, names, z, categorical)


def _array(path: Path, categorical: bool) -> np.ndarray:
    """The array of a .npy file, or all columns of a .csv file."""
    import numpy as np

    from dimref.data.csv_file import numbers_of, read_csv
    from dimref.data.npy import numbers, numbers_or_texts, read_npy

    if path.suffix not in TEXT:
        return read_npy(path, numbers_or_texts if categorical else numbers)
    columns = read_csv(path)
    return np.column_stack([each if categorical else numbers_of(path, n, each) for n, each in columns.items()])


def _of_table(
    path: Path, named: Named, given: tuple[str, ...], z: np.ndarray | None, categorical: tuple[str, ...]
) -> tuple[Any, Any, Any]:
    """Columns of one .csv file."""
    import numpy as np

    from dimref.data.csv_file import numbers_of, read_csv
    from dimref.data.dataset import fault

    columns = read_csv(path)
    listed = ", ".join(columns)
    if not named["y"]:
        raise fault(path, f"--y and the columns that are y, of {listed}", "none (or give a second file with y)")
    rest = tuple(name for name in columns if name not in (*named["y"], *given))
    chosen = {"x": named["x"] or rest, "y": named["y"], "given": given}
    for side, names in chosen.items():
        if missing := [name for name in names if name not in columns]:
            raise fault(f"{path}, --{side}", f"columns of {listed}", missing[0])
    if not chosen["x"]:
        raise fault(path, "a column for x beside those of --y and --given", "none")
    parts = {
        side: np.column_stack([columns[n] if side in categorical else numbers_of(path, n, columns[n]) for n in names])
        for side, names in chosen.items()
        if names
    }
    return parts["x"], parts["y"], parts.get("given", z)


def _of_archive(
    path: Path, named: Named, given: tuple[str, ...], z: np.ndarray | None, categorical: tuple[str, ...]
) -> tuple[Any, Any, Any]:
    """Arrays of one .npz file."""
    from dimref.data.dataset import fault
    from dimref.data.files import MOST_UNPACKED
    from dimref.data.npy import npz_header, npz_names, numbers, numbers_or_texts, open_npz, read_npz_array

    keys = {"x": (named["x"] or ("x",)), "y": (named["y"] or ("y",)), **({"given": given} if given else {})}
    with open_npz(path) as archive:
        names = npz_names(archive)
        wanted = [key for of_side in keys.values() for key in of_side]
        if not set(wanted) <= set(names) or len(wanted) > len(keys):
            raise fault(path, f"arrays {' and '.join(wanted)}", ", ".join(names) or "none")
        headers = {key: npz_header(path, archive, key) for key in wanted}
        rows = [(*shape, 0)[0] for shape, _ in headers.values()]
        if rows[0] != rows[1]:
            raise fault(path, f"one row of {wanted[1]} for each of {wanted[0]}", f"{rows[0]} and {rows[1]} rows")
        found: dict[str, Any] = {"given": z}
        for side, (key,) in keys.items():
            # Every number becomes one of 8 bytes, whatever it is stored as.
            most = MOST_UNPACKED * headers[key][1].itemsize // 8
            check = numbers_or_texts if side in categorical else numbers
            found[side] = read_npz_array(path, archive, key, check, most_bytes=most)[0]
    return found["x"], found["y"], found["given"]


def _refuse_picture(picture: Path | None) -> None:
    """A picture that cannot be drawn or written is refused before the training, not after."""
    if picture is None:
        return
    from dimref import plots

    if not plots.available():
        raise DimrefError(plots.MISSING)
    refuse_unwritable("--plot", picture)


def _ksg(parts: dict[str, np.ndarray], fit: MutualInformation) -> float:
    """The nearest-neighbour estimate in nats, of different rows; NaN where it is not for these samples."""
    import numpy as np

    from dimref.estimation.dependence import copies
    from dimref.estimation.ksg import NEIGHBOURS, ksg

    x, y = parts["x"], parts["y"]
    if "given" in parts or fit.categorical or fit.blocks:
        return math.nan
    rows = np.arange(len(x)) if (same := copies(x, y)) is None else np.unique(same)
    return ksg(x[rows], y[rows], fit.transform, seed=fit.seed) if len(rows) > NEIGHBOURS else math.nan


def _as_json(
    parts: dict[str, np.ndarray], fits: list[MutualInformation], neighbours: float, seconds: float
) -> dict[str, Any]:
    first = fits[0]
    content: dict[str, Any] = {
        "version": __version__,
        "samples": len(first.units_),
        "dimensions": [part.shape[1] for part in parts.values()],
        "parameters": {name: value for name, value in first.get_params().items() if name != "bound"},
        "held_out_together": first.held_out_,
        "estimates": [
            {"trained_with": fit.bound, **_estimate_as_json(each)} for fit in fits for each in fit.estimates_.values()
        ],
        "nearest_neighbours": {"nats": neighbours} if math.isfinite(neighbours) else {"missing": MISSING},
        "notes": list(first.notes_),
        "seconds": round(seconds, 3),
    }  # fmt: skip
    if first.terms_:
        content["terms"] = [
            {"term": name, "trained_with": fit.bound, **_estimate_as_json(each)}
            for fit in fits for name, of in fit.terms_.items() for each in of.values()
        ]  # fmt: skip
    if first.null:
        content["null"] = [{"trained_with": f.bound, "p_value": f.p_value_, "nats": f.null_.tolist()} for f in fits]
    if first.table_ is not None:
        content["table"] = {"nats": first.table_[0], "corrected": first.table_[1]}
    return content


def _estimate_as_json(estimate: Estimate) -> dict[str, Any]:
    return {
        "reading": estimate.reading,
        "nats": _number(estimate.nats),
        "bits": _number(estimate.bits),
        "standard_error": _number(estimate.error),
        "interval": [_number(end) for end in estimate.interval],
        "ceiling": estimate.ceiling if math.isfinite(estimate.ceiling) else None,
        "is_bound": estimate.is_bound,
        "notes": list(estimate.notes),
    }


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
