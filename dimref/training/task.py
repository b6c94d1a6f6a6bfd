"""What a run trains on: images, their split, the sizes that follow, and every draw of the run.

All randomness is drawn on the host from (seed, stream, position), never from a generator that lives on between steps: a
resumed run needs no generator's state, and both backends see the same draws.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dimref import data
from dimref.backend import Backend, get_backend
from dimref.data import Dataset, shapes
from dimref.distributed.mpi import World
from dimref.distributed.ranks import Ranks
from dimref.errors import DimrefError
from dimref.ranks import OneRank
from dimref.training.config import Config
from dimref.training.method import METHODS, AnyLayout, AnyObjective, Method
from dimref.trees import Array, Tree

HELD_OUT = 512  # images held out for the held-out bound at most; a tenth of fewer, or a batch beside --limit
START = 21  # the first step and 20 more: the curves of a short run are not empty
CHUNK = 256  # images of which the checksum is computed at once
INIT, ORDER, STEP, HELD = range(4)  # streams of randomness


@dataclass(frozen=True)
class Rows:
    """Some images of a mapped file, which are read where they are used: (n, H, W, C) uint8."""

    images: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: Any) -> np.ndarray:
        return np.asarray(self.images[self.rows[places]])

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array that has these images alone."""
        return (len(self.rows), *self.images.shape[1:])


@dataclass(frozen=True)
class Task:
    """What a configuration trains on: images, their split, and the sizes that follow."""

    config: Config
    objective: AnyObjective
    layout: AnyLayout
    backend: Backend
    source: str
    images: np.ndarray | Rows  # (n, H, W, C) uint8, to train on
    held_out: np.ndarray  # (h, H, W, C) uint8, for the held-out bound
    notes: tuple[str, ...] = ()  # on the data, for people
    world: World | None = None  # the ranks of mpiexec, None for one process

    @property
    def method(self) -> Method:
        """The functions of the configuration's method."""
        return METHODS[self.config.method]

    def loss(
        self, parameters: Tree, state: Tree, images: Array, noise: Tree, training: bool = True
    ) -> tuple[Array, dict[str, Any]]:
        """What a step minimizes: the method's loss with the task's objective and layout."""
        return self.method.loss(parameters, state, images, noise, self.objective, self.layout, training)

    def ranks(self, n: int) -> OneRank:
        """Those that share a batch of n images."""
        return OneRank() if self.world is None else Ranks(self.world, n)

    def any(self, flag: bool) -> bool:
        """Whether it is true on any rank."""
        return flag if self.world is None else self.world.any(flag)

    def once(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function that writes, on one rank alone; its error is every rank's."""
        if self.world is None:
            function(*arguments)
        else:
            with self.world.agreed():
                if self.world.rank == 0:
                    function(*arguments)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the images to train on."""
        return len(self.images) // self.config.batch_size

    @property
    def total_steps(self) -> int:
        """Where the run ends."""
        return self.config.total_steps(len(self.images))

    def logs(self, step: int) -> bool:
        """Whether metrics are written after a step: the last, each of --log-every, and those of the start."""
        every = self.config.log_every
        return step <= min(every, START) or step % every == 0 or step == self.total_steps

    @cached_property
    def fingerprint(self) -> str:
        """Identifies the images: their count, size and checksum."""
        return fingerprint(self.images, self.held_out)

    @property
    def locations(self) -> int:
        """L of the local map."""
        return self.layout.local[0] ** 2

    @property
    def held_out_batch(self) -> int:
        """N of the held-out bound: the batch size, or all held-out images if they are fewer."""
        return min(self.config.batch_size, len(self.held_out))


def fingerprint(*parts: np.ndarray | Rows) -> str:
    """The count and size of the images in the first part, and a checksum of all parts."""
    total = 0
    for images in parts:
        for start in range(0, len(images), CHUNK):
            total = zlib.crc32(np.ascontiguousarray(images[start : start + CHUNK]).data, total)
    return f"{len(parts[0])} of {'×'.join(map(str, parts[0].shape[1:]))}, CRC {total:08x}"


def prepare(
    config: Config, dataset: Dataset | None = None, cache: Path | None = None, world: World | None = None
) -> Task:
    """Load the data and work out the sizes.

    Args:
        dataset: the images, where they are not to be read. cache: as in `data.load`.
    Raises:
        DimrefError: the backend, the data or their combination with the configuration cannot work.
    """
    backend = get_backend(config.backend, config.tf32)
    most = None if config.limit is None else config.limit + min(HELD_OUT, max(config.limit // 9, config.batch_size))
    if dataset is None:
        drawn = [shapes.COUNTS["train"]] if config.data == "shapes" else []
        if known := [*drawn, *filter(None, [most])]:
            _refuse_batch_size(config, min(known), config.data)
        dataset = data.load(config.data, "train", config.data_dir, most, **config.reading, cache=cache)
    layout = layout_of(dataset, config)
    images, source = dataset.images, dataset.source
    held_out = _held_out_indices(len(images), config)
    training = np.setdiff1d(np.arange(len(images)), held_out)
    if len(held_out) < 2:
        raise DimrefError(f"{source}: expected at least 20 images, to hold out a tenth of them, found {len(images)}")
    _refuse_batch_size(config, len(images), source)
    most_ranks = min(config.batch_size, len(held_out))
    if world is not None and world.size > most_ranks:
        raise DimrefError(
            f"--ranks: expected at most {most_ranks}, an image of each batch for every rank ({config.batch_size} in a "
            f"batch, {len(held_out)} held out), found {world.size}"
        )
    chosen = Rows(images, training) if isinstance(images, np.memmap) else images[training]
    return Task(config, config.objective(), layout, backend, source, chosen, images[held_out], dataset.notes, world)


def layout_of(dataset: Dataset, config: Config) -> AnyLayout:
    """The encoder's layout for a dataset's images.

    Raises:
        DimrefError: the images are not square, or too small, or the encoder's widths do not fit each other.
    """
    _, high, wide, channels = dataset.images.shape
    method = METHODS[config.method]
    if high != wide:
        raise DimrefError(
            f"{dataset.source}: expected square images, found {high}×{wide}; use --size N for a folder, or crop them"
        )
    try:
        return method.layout(high, channels, *(getattr(config, name) for name in method.widths))
    except ValueError as error:
        raise DimrefError(f"{dataset.source}: {error}") from None


def _held_out_indices(n: int, config: Config) -> np.ndarray:
    """Evenly spaced, so that files sorted by class are held out class by class."""
    return np.linspace(0, n - 1, _held_out(n, config)).astype(np.int64)


def _held_out(n: int, config: Config) -> int:
    """How many of n images are held out: what is beyond --limit, or a tenth."""
    return min(HELD_OUT, max(n // 10, n - (config.limit or n)))


def _refuse_batch_size(config: Config, n: int, source: str) -> None:
    held_out = _held_out(n, config)
    if n - held_out < config.batch_size:
        raise DimrefError(
            f"{source}: expected at least one batch of {config.batch_size} images beside the {held_out} held out, found "
            f"{n - held_out}; use a smaller --batch-size or more images"
        )


# ---- draws


def generator(seed: int, stream: int, position: int) -> np.random.Generator:
    """The generator of one position of one stream of a run's seed."""
    return np.random.default_rng([seed, stream, position])


def batch_at(task: Task, step: int) -> np.ndarray:
    """The uint8 images of a step: every epoch goes through a new order, and drops what does not fill a batch."""
    epoch, position = divmod(step, task.steps_per_epoch)
    size = task.config.batch_size
    return task.images[_order(task.config.seed, epoch, len(task.images))[position * size : (position + 1) * size]]


@lru_cache(maxsize=2)  # an epoch's order is drawn once, not once a step
def _order(seed: int, epoch: int, n: int) -> np.ndarray:
    order = generator(seed, ORDER, epoch).permutation(n)
    order.flags.writeable = False
    return order


def noise_at(task: Task, stream: int, position: int, n: int) -> Tree:
    """A step's draws, on the device."""
    return task.backend.tree_to_device(host_noise_at(task, stream, position, n))


def host_noise_at(task: Task, stream: int, position: int, n: int) -> Tree:
    """A step's draws, on the host."""
    return task.method.draw_noise(
        generator(task.config.seed, stream, position), task.objective.for_batch(n), task.layout, n
    )
