"""Which pictures a run gets, and what they are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from dimref import amdim, data, encoders, plots
from dimref.amdim import encoder as amdim_encoder
from dimref.data import Dataset, MissingSplit
from dimref.errors import DimrefError, counted
from dimref.evaluation.labelled import LABELLED
from dimref.evaluation.report import ceilings
from dimref.export.inference import Encoder, layout_of
from dimref.plots.neighbours import queries
from dimref.training.checkpoint import Checkpoint
from dimref.training.config import Config
from dimref.training.files import RunError
from dimref.training.method import method_of
from dimref.training.task import HELD, INIT, generator

IMAGES = 1000  # test images in the pictures that show some
VIEWED = 8  # images whose views are shown
AUGMENTED = {"shift": "shifted by up to 4 pixels", "crop": "cropped and enlarged", "none": "not augmented"}


def title_of(config: Config) -> str:
    """What the pictures of a run are called."""
    bound = f", {config.bound}" if config.method == "dim" else ""
    return f"{config.preset} on {config.data}{bound}, seed {config.seed}"


def ceilings_of(path: Path, saved: Checkpoint) -> tuple[dict[str, float], int]:
    """The ceiling of each bound of a run in nats, and how many images are held out together.

    Raises:
        DimrefError: the checkpoint of that path has no such number.
    """
    config = saved.config
    n = saved.meta.get("held_out_batch", config.batch_size)
    if type(n) is not int or not 2 <= n <= config.batch_size:
        raise DimrefError(f"{path}: expected a held-out batch of 2 to {config.batch_size} images, found {n!r}")
    return ceilings(config.objective(), n, layout_of(saved).local[0] ** 2), n


def of_encoder(run: Path, encoder: Encoder, config: Config, step: int) -> Iterator[tuple[str, str]]:
    """Draw filters, neighbours, components and, of AMDIM, views; yield each name, and its place or why it has none."""
    _, side = method_of(encoder.layout).first_layer
    yield "filters", drawn(lambda: plots.filters(run, _first_layers(encoder, config, step), side, title_of(config)))
    try:
        shown = some_images(config)
        encoder.refuse_other_images(shown.images, shown.source)
    except DimrefError as error:
        yield "images", f"no pictures of them: {error}"
        return
    y = encoder.features(shown.images)["y"]
    spaces = {"y": y, "pixels": encoders.scale(shown.images, encoder.layout).reshape(len(y), -1)}
    title = f"{title_of(config)}, step {step}, {shown.split} images"
    labels = shown.labels, shown.classes
    if len(y) > 1:
        yield "neighbours", drawn(lambda: plots.neighbours(run, shown.images, *labels, spaces, title))
    yield "components", drawn(lambda: plots.components(run, y, *labels, title))
    if isinstance(layout := encoder.layout, amdim_encoder.Layout):
        yield "views", drawn(lambda: _views(run, layout, config, shown))


def how_augmented(kind: str) -> str:
    """How views are made, in words."""
    return AUGMENTED[kind] + ("" if kind == "none" else ", colours jittered, a quarter of them grey")


def _views(run: Path, layout: amdim_encoder.Layout, config: Config, dataset: Dataset) -> Path:
    objective = config.objective()
    assert isinstance(objective, amdim.Objective)
    shown = queries(dataset.labels, VIEWED)
    images = encoders.scale(dataset.images[shown], layout)
    first, second = amdim.views(
        images, amdim.draw_noise(generator(config.seed, HELD, 0), objective, layout, len(shown))
    )
    rows = {name: 0.5 * x + 0.5 for name, x in (("image", images), ("one view", first), ("the other", second))}
    title = f"{title_of(config)}: two random views of {dataset.split} images"
    note = how_augmented(objective.augmentation_for(layout))
    return plots.views(run, rows, dataset.labels[shown], dataset.classes, title, note)


def drawn(draw: Callable[[], Path]) -> str:
    """Where a picture lies, or the line that says why there is nothing to draw.

    Raises:
        RunError: it cannot be written.
    """
    try:
        return str(draw())
    except RunError:
        raise
    except DimrefError as error:
        return f"none: {error}"


def _first_layers(encoder: Encoder, config: Config, step: int) -> dict[str, np.ndarray]:
    method = method_of(encoder.layout)
    fresh, _ = method.init_encoder(generator(config.seed, INIT, 0), encoder.layout)
    name, _ = method.first_layer
    first, now = fresh[name]["w"], encoder.backend.to_host(encoder.parameters[name]["w"])
    return {"as initialized": first, f"after {counted(step, 'step')}": now, "the change": now - first}


def some_images(config: Config) -> Dataset:
    """The first test images of a configuration's data, or training images where there are no others."""
    name = LABELLED.get(config.data, config.data)
    try:
        return data.load(name, "test", config.data_dir, IMAGES, **config.reading)
    except MissingSplit:
        return data.load(name, "train", config.data_dir, IMAGES, **config.reading)
