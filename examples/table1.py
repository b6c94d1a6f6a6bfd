"""The paper's Table 1 (arXiv 1808.06670) made here: objectives as rows, probes of conv, fc and y as columns, seeds.

Beside each objective stand the untrained encoder, raw pixels, and the ceiling of these images: a supervised encoder of the
same layout. Every cell is stored in OUT/cells.json as soon as it is known and every encoder in a run directory, so the
script goes on where it was stopped. It writes OUT/table1.md and OUT/table1.png, the paper's values beside its own.
Run: python examples/table1.py --data-dir D [--scale cpu]; D has CIFAR-10's binary files, tiny draws its own images.
"""

import argparse
import contextlib
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np

from dimref import encoders, layers, ops
from dimref.evaluation.labelled import Labelled, labelled_images
from dimref.evaluation.probes import PROBES, problem_of
from dimref.export.inference import Encoder, load, untrained
from dimref.plots import style
from dimref.training import checkpoint, loop, run_directory
from dimref.training.choices import FEATURES
from dimref.training.config import PRESETS, Config
from dimref.training.files import replace
from dimref.training.fit import Schedule, fit, shuffled
from dimref.training.task import INIT, Task, generator, prepare
from dimref.trees import Array, Tree

DOT = {"local_scorer": "dot"}  # with every pair of the batch as negatives, as in the paper's table
TRAINED: dict[str, dict[str, Any]] = {
    "DIM(G)": PRESETS["dim-global"],
    "DIM(L) DV": {**DOT, "bound": "dv"},
    "DIM(L) JSD": DOT,
    "DIM(L) InfoNCE": {**DOT, "bound": "infonce", "negatives": "all-locations"},
    "DIM(L+G)": {**PRESETS["dim-mixed"], **DOT},
}
UNTRAINED, PIXELS, SUPERVISED = "untrained", "raw pixels", "supervised"
ROWS = (*TRAINED, UNTRAINED, PIXELS, SUPERVISED)
PAPER = {  # Table 1, CIFAR-10, accuracy in % on conv, fc, y
    "DIM(G)": (52.20, 52.84, 43.17),
    "DIM(L) JSD": (73.25, 73.62, 66.96),
    "DIM(L) InfoNCE": (75.21, 75.57, 69.13),
    "VAE": (60.71, 60.54, 54.61),
    SUPERVISED: (75.39,),
}
COLUMNS = (*(f"{probe} {feature}" for probe in ("mlp", "linear") for feature in FEATURES), "svm-hinge y")


@dataclass(frozen=True)
class Scale:
    """Images to train and to test on, epochs, seeds, columns, and where it runs."""

    images: int
    epochs: int
    seeds: int
    columns: tuple[str, ...] = COLUMNS
    data: str = "cifar10"
    backend: str = "numpy"


SCALES = {
    "tiny": Scale(100, 1, 2, ("mlp y", "linear y"), "shapes"),
    "cpu": Scale(10_000, 10, 2),
    "gpu": Scale(50_000, 100, 1, COLUMNS[:6], backend="cupy"),
}
Cells = dict[str, dict[str, Any]]  # "row, seed, column" → accuracy in %, seconds, what was chosen


class Stopped(Exception):
    """The minutes are over."""


class Table:
    """The cells on the disk, and the settings that all of them have."""

    def __init__(self, out: Path, settings: dict[str, Any]) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._path, self._settings = out / "cells.json", settings
        stored = json.loads(self._path.read_text()) if self._path.exists() else {"settings": settings, "cells": {}}
        if stored["settings"] != settings:
            raise SystemExit(
                f"{self._path}: expected cells of {settings}, found {stored['settings']}; use another --out"
            )
        self.cells: Cells = stored["cells"]

    def add(self, row: str, seed: int, column: str, accuracy: float, start: float, **chosen: Any) -> None:
        """Store a cell whose work began at `start`."""
        seconds = round(time.perf_counter() - start, 1)
        self.cells[f"{row}, {seed}, {column}"] = {"accuracy": round(100 * accuracy, 2), "seconds": seconds, **chosen}
        content = json.dumps({"settings": self._settings, "cells": self.cells}, indent=1)
        replace(self._path, content.encode())
        print(f"{row:<16} seed {seed}  {column:<12} {100 * accuracy:6.2f} %  {seconds:7.1f} s", flush=True)

    def missing(self, row: str, seed: int, columns: tuple[str, ...]) -> tuple[str, ...]:
        """The columns that a row has no cell of."""
        return tuple(column for column in columns if f"{row}, {seed}, {column}" not in self.cells)

    def values(self, row: str, column: str) -> list[float]:
        """The accuracies of a row over seeds."""
        keys = [key for key in self.cells if (key.startswith(f"{row}, ") and key.endswith(f", {column}"))]
        return [self.cells[key]["accuracy"] for key in keys]


def trained(task: Task, run: Path, late: Callable[[], bool]) -> Encoder:
    """The encoder of a run, which is begun, continued or only read."""
    begun = (run / run_directory.NEWEST).exists()
    with run_directory.locked(run) if begun else run_directory.create(run, task.config):
        saved = checkpoint.load(run / run_directory.NEWEST) if begun else None
        try:
            loop.train(task, run, lambda progress: None, late, saved)
        except loop.Interrupted:
            raise Stopped from None
    return load(run, task.backend)[0]


def supervised(task: Task, found: Labelled) -> float:
    """The test accuracy of the same encoder with a linear layer on y, trained by its labels for as many steps."""
    images, labels = found.train
    size, classes = task.config.batch_size, int(max(labels.max(), found.test[1].max())) + 1
    rng = generator(task.config.seed, INIT, 0)
    parameters, running = map(task.backend.tree_to_device, encoders.init_encoder(rng, task.layout))
    head = task.backend.tree_to_device(layers.init_linear(rng, task.layout.representation, classes))

    def batch(rows: np.ndarray) -> tuple[Array, Array]:
        one_hot = (labels[rows, None] == np.arange(classes)).astype(np.float32)
        return task.backend.to_device(encoders.scale(images[rows], task.layout)), task.backend.to_device(one_hot)

    def loss(parameters: Tree, running: Tree, batch: tuple[Array, Array]) -> tuple[Array, Tree]:
        encoding, running = encoders.encode(parameters["encoder"], running, batch[0], task.layout, True)
        scores = layers.linear(parameters["head"], encoding.y)
        right = ops.total(ops.multiply(scores, batch[1])) * (1 / size)
        return ops.mean(ops.logsumexp(scores, axis=1)) - right, running

    steps = len(images) // size * task.config.epochs
    schedule = Schedule(steps, task.config.lr, cosine=True)
    start = {"encoder": parameters, "head": head}
    ended = fit(loss, start, map(batch, shuffled(rng, len(images), size)), schedule, running)
    y = Encoder(task.layout, task.backend, ended.parameters["encoder"], ended.state).features(found.test[0], ("y",))[
        "y"
    ]
    scores = y @ task.backend.to_host(ended.parameters["head"]["w"]) + task.backend.to_host(
        ended.parameters["head"]["b"]
    )
    return float((scores.argmax(axis=1) == found.test[1]).mean())


def fill(
    table: Table, row: str, seed: int, options: argparse.Namespace, found: Labelled, late: Callable[[], bool]
) -> None:
    """Every cell that a row of a seed still lacks.

    Raises:
        Stopped: the time is over.
    """
    scale: Scale = options.chosen
    columns = {PIXELS: ("mlp pixels", "linear pixels"), SUPERVISED: ("own head",)}.get(row, scale.columns)
    if not table.missing(row, seed, columns):
        return
    config = Config(**{
        "data": scale.data, "data_dir": options.data_dir, "limit": scale.images, "epochs": scale.epochs, "seed": seed,
        "backend": scale.backend, **TRAINED.get(row, {}),
    })  # fmt: skip
    start, task = time.perf_counter(), prepare(config)
    if row == SUPERVISED:
        return table.add(row, seed, columns[0], supervised(task, found), start)
    encoder = None
    if row in TRAINED:
        encoder = trained(task, options.out / f"{row.replace(' ', '-')}-{seed}", late)
    elif row == UNTRAINED:
        encoder = untrained(config, task.layout, task.backend, task.images[:10_000])

    def features(images: np.ndarray, kind: str) -> np.ndarray:
        if encoder is None:
            return encoders.scale(images, task.layout).reshape(len(images), -1)
        return encoder.features(images, (kind,))[kind]

    problems: dict[str, Any] = {}
    for column in table.missing(row, seed, columns):
        if late():
            raise Stopped
        probe, kind = column.split()
        if kind not in problems:
            parts = [(features(images, kind), labels) for images, labels in (found.train, found.test)]
            problems = {kind: problem_of(*parts)}
        result = PROBES[probe](problems[kind], seed, task.backend)
        table.add(row, seed, column, result.accuracy, start, **result.chosen)
        start = time.perf_counter()


# ---- the table, in words and as a picture


def markdown(table: Table, options: argparse.Namespace) -> str:
    """Means over seeds ± their standard deviation, the paper's values in a row of their own."""
    columns = options.chosen.columns
    lines = [f"| accuracy in % | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for row in (*ROWS, "VAE"):
        own = {column: said(table.values(row, column)) for column in columns}
        if row in (PIXELS, SUPERVISED):  # one number: of pixels a probe has, of its own head the supervised encoder
            own |= {c: said(table.values(row, "own head" if row == SUPERVISED else f"{c.split()[0]} pixels")) for c in
                    (columns[:1] if row == SUPERVISED else [c for c in columns if c.endswith(" y")])}  # fmt: skip
        if any(own.values()):
            lines.append(f"| {row} | {' | '.join(own[column] for column in columns)} |")
        if row in PAPER:
            paper = dict(zip((f"mlp {feature}" for feature in FEATURES), PAPER[row], strict=False))
            lines.append(f"| {row}, paper | {' | '.join(f'{paper[c]:.2f}' if c in paper else '' for c in columns)} |")
    note = "Raw pixels stand in the columns of y; in the first column stands the supervised encoder's own accuracy."
    return "\n".join([*lines, "", note]) + "\n"


def said(values: list[float]) -> str:
    """Mean ± standard deviation over seeds."""
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread}" if values else ""


def draw(table: Table, path: Path, options: argparse.Namespace) -> None:
    """The mlp probe of conv, fc and y: a filled mark for each row, a hollow one for the paper; needs matplotlib."""
    kinds = [column.split()[1] for column in options.chosen.columns if column.startswith("mlp ")]
    figure = style.new_figure(3.4 * len(kinds) + 1.4, 4.2)
    panels = np.atleast_1d(figure.subplots(1, len(kinds), sharey=True))
    rows = [*TRAINED, UNTRAINED]
    lines = ((PIXELS, "mlp pixels", style.GREY, ":", -0.75), (SUPERVISED, "own head", style.GREEN, "--", -0.45))
    for axes, kind in zip(panels, kinds, strict=True):
        for place, row in enumerate(rows):
            values, paper = table.values(row, f"mlp {kind}"), PAPER.get(row, ())
            if values:
                spread = statistics.stdev(values) if len(values) > 1 else 0
                axes.errorbar(statistics.fmean(values), place, xerr=spread, fmt="o", color=style.BLUE, capsize=3)
            if paper:
                axes.plot(paper[FEATURES.index(kind)], place, "o", mfc="none", color=style.ORANGE, ms=9)
        for row, column, colour, dashes, height in lines:
            if values := table.values(row, column):
                axes.axvline(statistics.fmean(values), color=colour, ls=dashes)
                axes.text(statistics.fmean(values), height, row, color=colour, ha="center", fontsize="small")
        style.tidy(axes)
        axes.set(title=kind, xlabel="accuracy (%)", ylim=(len(rows) - 0.5, -1), yticks=range(len(rows)))
        axes.set_yticklabels(rows)
    count = len({key.split(", ")[1] for key in table.cells})
    figure.suptitle(f"{options.chosen.data}, {options.chosen.images} images, {options.chosen.epochs} epochs, {count} seeds: "
                    "filled here, hollow the paper's Table 1", fontsize="medium")  # fmt: skip
    style.save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=SCALES, default="cpu")
    parser.add_argument("--data-dir", metavar="D", help="CIFAR-10's binary files")
    parser.add_argument("--out", type=Path, default=Path("runs/table1"))
    parser.add_argument("--rows", default=",".join(ROWS), help="some of the rows, with commas between")
    for name in ("images", "epochs", "seeds"):
        parser.add_argument(f"--{name}", type=int, help="in place of the scale's")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="stop after about so long; run again to go on"
    )
    options = parser.parse_args()
    unknown = [row for row in options.rows.split(",") if row not in ROWS]
    if unknown:
        parser.error(f"--rows: expected some of {', '.join(ROWS)}, found {unknown[0]!r}")
    fill_in(options)


def fill_in(options: argparse.Namespace) -> None:
    """Fill the table and write it, as far as the minutes go."""
    given = {name: getattr(options, name) for name in ("images", "epochs", "seeds") if getattr(options, name)}
    options.chosen = scale = changed(SCALES[options.scale], **given)
    end = time.monotonic() + 60 * options.minutes
    table = Table(options.out, {"scale": options.scale, "images": scale.images, "epochs": scale.epochs})
    reading = Config(data=scale.data, data_dir=options.data_dir)
    found = labelled_images(reading, scale.images)
    with contextlib.suppress(Stopped):
        for seed in range(scale.seeds):
            for row in options.rows.split(","):
                fill(table, row, seed, options, found, lambda: time.monotonic() > end)
    text = markdown(table, options)
    replace(options.out / "table1.md", text.encode())
    print(text)
    if style.available():
        draw(table, options.out / "table1.png", options)


if __name__ == "__main__":
    main()
