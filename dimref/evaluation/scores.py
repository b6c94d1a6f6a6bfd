"""What an evaluation prints: a row for each encoder, with its numbers under conv, fc and y."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from dimref.evaluation.evaluate import PIXELS, RAW, Cell, Requested
from dimref.evaluation.labelled import Labelled
from dimref.evaluation.report import IN_NATS
from dimref.evaluation.ssim import scales
from dimref.export.inference import Encoder
from dimref.training.choices import FEATURES

NAMES = {
    "linear": "linear", "mlp": "mlp", "svm": "linear SVM", "svm-hinge": "SVM, hinge", "knn": "k-NN",
    "mine": "MINE, nats", "ndm": "NDM, nats", "ms-ssim": "MS-SSIM",
    "sandwich": "I, nats",
}  # fmt: skip
SCALE = {"probe": 100, "measure": 1}  # accuracies in %
DIGITS = {"probe": 1, "measure": 3}


def opening(checkpoint: Path, step: int, images: Labelled, requested: Requested, encoder: Encoder) -> Iterator[str]:
    """The encoder, the images and the seeds of an evaluation."""
    counts = f"{len(images.train[1]):,} training and {len(images.test[1]):,} test images ({images.origin})"
    seeds = ", ".join(map(str, requested.seeds))
    yield row("encoder", f"{checkpoint}, step {step}")
    yield row("data", images.source)
    yield row("evaluated on", counts)
    yield row("seeds", f"{seeds}, of probes and critics; encoder and images stay")
    yield row("backend", f"{encoder.backend.name} on {encoder.backend.device}")


def table(cells: list[Cell], images: Labelled, requested: Requested, layout_size: int) -> Iterator[str]:
    """Every cell, with what the numbers mean."""
    columns = tuple(
        column
        for column in FEATURES
        if (requested.probes and column in requested.features) or (requested.measures and column == "y")
    )
    spread = len(requested.seeds) > 1
    limit = math.log(len(images.test[1]))
    if requested.probes:
        over = ", mean ± standard deviation over seeds" if spread else ""
        yield f"accuracy in % on test images{over}; {100 * images.chance:.0f} % by chance"
    yield header(columns, spread)
    for name in (*requested.probes, *requested.measures):
        of_name = [cell for cell in cells if cell.name == name]
        yield from rows(NAMES[name], of_name, columns, spread, limit if name in IN_NATS else math.inf)
    for name in requested.measures:
        start = f"{NAMES[name].split(',')[0]:<13} "
        text = _meaning(name, limit, layout_size, requested.sigma)
        yield from textwrap.wrap(text, 98, initial_indent=start, subsequent_indent=" " * 14)


def header(columns: Iterable[str], spread: bool) -> str:
    """The names of the columns above the rows."""
    return f"{'':<13} {'':<10} " + " ".join(f"{column:>{_width(spread)}}" for column in columns)


def rows(
    name: str, cells: list[Cell], columns: tuple[str, ...], spread: bool, limit: float = math.inf
) -> Iterator[str]:
    """A row for each encoder of one probe or measure: mean, or mean ± standard deviation; an interval behind it.

    Args:
        name: of the first row.
        limit: nats that the sample of test images can certify; a measure above is marked.
    """
    for encoder in dict.fromkeys(cell.encoder for cell in cells):
        of_feature = {cell.feature: cell for cell in cells if cell.encoder == encoder}
        if encoder == RAW:  # its one feature stands below the first
            of_feature[columns[0]] = of_feature.pop(PIXELS)
        numbers = " ".join(
            f"{_number(of_feature[column], spread) if column in of_feature else '':>{_width(spread)}}"
            for column in columns
        )
        notes = "".join(f"  {note}" for cell in of_feature.values() for note in _notes(cell, limit))
        yield f"{name:<13} {'raw pixels' if encoder == RAW else encoder:<10} {numbers}{notes}".rstrip()
        name = ""


def row(name: str, text: str) -> str:
    """A line of output: its name, then the text."""
    return f"{name:<13} {text}"


def _width(spread: bool) -> int:
    return 14 if spread else 6


def _number(cell: Cell, spread: bool) -> str:
    scale, digits = SCALE[cell.kind], DIGITS[cell.kind]
    deviation = f" ± {scale * cell.std:z.{digits}f}" if spread and cell.std is not None else ""
    return f"{scale * cell.mean:z.{digits}f}{deviation}"


def _notes(cell: Cell, limit: float) -> Iterator[str]:
    if cell.interval:
        yield f"[{cell.interval[0]:z.3f}, {cell.interval[1]:z.3f}]"
    if cell.mean > limit:
        yield f"above {limit:.3f}"


def _meaning(name: str, limit: float, size: int, sigma: float) -> str:
    """What a measure's rows mean."""
    if name == "sandwich":
        return (
            f"I(x; y + noise of {sigma:g} standard deviations of y): the multi-sample lower bound, at most {limit:.3f}; "
            "in brackets from the lower end of its 95 % interval to the upper end of that of the leave-one-out upper bound. "
            "No critic is trained: the conditional is known"
        )
    if name == "ms-ssim":
        weights = scales(size)
        listed = ", ".join(f"{weight:.3f}" for weight in weights)
        return (
            "between test images and what a decoder draws from their y, 1 where equal; "
            f"scales of {size}×{size}: {len(weights)}, weights {listed}"
        )
    certified = f"No sample of that many test images certifies more than about their log, {limit:.3f}."
    if name == "mine":
        return (
            "held-out DV between image and y by a trained critic, a lower bound on I(x; y). The 95 % interval in "
            "brackets covers what that critic attains in expectation over test images, and not I, which lies above "
            f"(the entropy of x: infinite, or log of the distinct images). {certified}"
        )
    return (
        f"held-out DV between y and y with each dimension shuffled: 0 where the dimensions are independent. {certified}"
    )
