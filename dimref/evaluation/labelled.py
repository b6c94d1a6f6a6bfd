"""Images with labels, for what is judged by labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dimref import data
from dimref.config import Config
from dimref.data import DataError, MissingSplit

LIMIT = 10_000  # training images, and test images, unless told otherwise
LABELLED = {"stl10-unlabeled": "stl10"}  # where the labels of an unlabelled set come from


@dataclass(frozen=True)
class Labelled:
    """Training and test images (N, H, W, C) uint8 with labels (N,) int64, and a word on where the test images come from."""

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    origin: str

    @property
    def chance(self) -> float:
        """The accuracy of always guessing the commonest test label."""
        return float(np.unique(self.test[1], return_counts=True)[1].max() / len(self.test[1]))


def labelled_images(config: Config, limit: int | None = None) -> Labelled | None:
    """At most `limit` (10,000) training and test images of a configuration's data; None where labels are missing.

    Raises:
        DataError: the data cannot be read, or the test images are of another size.
    """
    limit = limit or LIMIT
    name = LABELLED.get(config.data, config.data)
    train = data.load(name, "train", config.data_dir, min(limit, config.limit or limit), config.noise)
    try:
        test = data.load(name, "test", config.data_dir, limit, config.noise)
    except MissingSplit:
        cut = np.random.default_rng(0).permutation(len(train.labels))
        fifth, rest = cut[: len(cut) // 5], cut[len(cut) // 5 :]
        pairs = [(train.images[i], train.labels[i]) for i in (rest, fifth)]
        origin = "a fifth of the training images, since there is no test split; the encoder has seen them"
        return _if_labelled(Labelled(pairs[0], pairs[1], origin))
    if test.images.shape[1:] != train.images.shape[1:]:
        sizes = ["×".join(map(str, found.images.shape[1:])) for found in (train, test)]
        raise DataError(
            f"{test.source}: expected test images of the training images' size {sizes[0]}, found {sizes[1]}"
        )
    return _if_labelled(Labelled((train.images, train.labels), (test.images, test.labels), "test split"))


def _if_labelled(found: Labelled) -> Labelled | None:
    both = np.concatenate([found.train[1], found.test[1]])
    return None if both.min() < 0 or both.min() == both.max() else found
