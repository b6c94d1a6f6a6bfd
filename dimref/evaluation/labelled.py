"""The images of an evaluation: training and test images, with their labels where they have some."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dimref import data
from dimref.data import DataError, Dataset, MissingSplit
from dimref.evaluation.probes.problem import FEWEST
from dimref.training.config import Config

LIMIT = 10_000  # training images, and test images, by default
LABELLED = {"stl10-unlabeled": "stl10"}  # where the labels of an unlabelled set come from


@dataclass(frozen=True)
class Labelled:
    """Training and test images (N, H, W, C) uint8 with labels (N,) int64, −1 = none, and words on where they come from."""

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    origin: str  # of the test images
    source: str  # of both

    @property
    def unfit(self) -> str | None:
        """Why no classifier can be evaluated by these labels; None where one can."""
        if min(labels.min() for _, labels in (self.train, self.test)) < 0:
            return "the images have no labels, or some have none"
        if len(self.train[1]) < FEWEST:
            return f"{len(self.train[1])} training images are too few, {FEWEST} are the least"
        if self.train[1].min() == self.train[1].max():
            return "the training images are all of one class"
        return None

    @property
    def chance(self) -> float:
        """The accuracy of always guessing the commonest test label."""
        return float(np.unique(self.test[1], return_counts=True)[1].max() / len(self.test[1]))


def too_few(least: int, train: int, test: int) -> str | None:
    """Why so many training and test images are too few; None where they are enough."""
    enough = min(train, test) >= least
    return None if enough else f"needs {least} training and {least} test images, found {train} and {test}"


def labelled_images(config: Config, limit: int | None = None, most: int = LIMIT) -> Labelled:
    """At most `limit` training and test images of a configuration's data.

    Without a limit: 10,000, and of the training images `most` and no more than the configuration's own limit.

    Raises:
        DataError: the data cannot be read, or the test images are of another size.
    """
    name = LABELLED.get(config.data, config.data)
    train = data.load(name, "train", config.data_dir, limit or min(most, config.limit or most), **config.reading)
    try:
        test = data.load(name, "test", config.data_dir, limit or LIMIT, **config.reading)
    except MissingSplit:
        pairs = _cut(train)
        origin = "a fifth of the training images, since there is no test split; the encoder has seen them"
        return Labelled(pairs[0], pairs[1], origin, train.source)
    if test.images.shape[1:] != train.images.shape[1:]:
        sizes = ["×".join(map(str, part.images.shape[1:])) for part in (train, test)]
        raise DataError(
            f"{test.source}: expected test images of the training images' size {sizes[0]}, found {sizes[1]}"
        )
    if train.labels.max() < 0 <= test.labels.min():
        pairs = _cut(test)
        origin = "a fifth of the test images; the classifier has the others, since the training images have no labels"
        return Labelled(pairs[0], pairs[1], origin, test.source)
    return Labelled((train.images, train.labels), (test.images, test.labels), "test split", train.source)


def _cut(dataset: Dataset) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images and labels in two parts at random: four fifths, and one."""
    cut = np.random.default_rng(0).permutation(len(dataset.labels))
    fifth, rest = cut[: len(cut) // 5], cut[len(cut) // 5 :]
    return [(dataset.images[i], dataset.labels[i]) for i in (rest, fifth)]
