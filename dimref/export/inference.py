"""A trained encoder in inference mode: read from a run, or as the run began, and applied to images."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dimref import encoders, engine
from dimref.backend import Backend
from dimref.data import DataError
from dimref.distributed.mpi import World
from dimref.errors import named
from dimref.training import checkpoint as checkpoints
from dimref.training.checkpoint import Checkpoint, check_same_shapes
from dimref.training.config import Config
from dimref.training.files import RunError
from dimref.training.method import METHODS, AnyLayout, method_of
from dimref.training.run_directory import NEWEST
from dimref.training.task import INIT, ORDER, fingerprint, generator
from dimref.trees import Array, Tree, leaves

BATCH = 100  # images; of 32×32, the columns of their second convolution are 26 MB where they are not made in blocks
WARM_UP = 50  # batches that an untrained encoder's running statistics are measured on


@dataclass(frozen=True)
class Encoder:
    """An encoder's parameters and running statistics on a device, and the sizes that it was made for."""

    layout: AnyLayout
    backend: Backend
    parameters: Tree
    running: Tree
    world: World | None = None  # the ranks of mpiexec that share each batch, None for one process

    def refuse_other_images(self, images: np.ndarray, source: str) -> None:
        """Raise DataError unless images (N, H, W, C) have the encoder's size and channels."""
        size, channels = self.layout.size, self.layout.channels
        expected, shape = ("×".join(map(str, s)) for s in ((size, size, channels), images.shape[1:]))
        if shape != expected:
            raise DataError(f"{source}: expected images of {expected}, which the encoder was made for, found {shape}")

    def need_same(self, **images: np.ndarray) -> None:
        """Raise DimrefError unless every rank has the same encoder and the same images."""
        if self.world is not None:
            flat = [
                np.ravel(self.backend.to_host(a)) for tree in (self.parameters, self.running) for _, a in leaves(tree)
            ]
            arrays = {"checkpoint": np.concatenate(flat), **images}
            self.world.need_same({name: fingerprint(array) for name, array in arrays.items()})

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of its features: conv, fc and y; of a multi-scale encoder y alone, its 1×1 features."""
        return method_of(self.layout).features

    @property
    def critic_layout(self) -> encoders.Layout:
        """The layout whose sizes critics and decoders of y take: Deep InfoMax's, whatever this encoder is."""
        layout = self.layout
        return layout if isinstance(layout, encoders.Layout) else encoders.Layout(layout.size, layout.channels)

    @cached_property
    def _inference(self) -> Callable[[Array], dict[str, Array]]:
        return method_of(self.layout).inference(self.parameters, self.running, self.layout)

    def batches(self, images: np.ndarray, kinds: tuple[str, ...] | None = None) -> Iterator[dict[str, np.ndarray]]:
        """Each of its kinds of features of uint8 images (N, H, W, C), some or all, a batch at a time, on the host.

        W ranks encode W batches at a time, and each has the rows of all, in the order of the images.

        conv is (n, side²·channels), fc (n, fc), y (n, D).

        Raises:
            ValueError: the images are not of the layout's size and channels.
        """
        size = max(1, min(BATCH, BATCH * 32**2 // self.layout.padded**2))  # larger images in smaller batches
        rank, ranks = (0, 1) if self.world is None else (self.world.rank, self.world.size)
        for start in range(0, len(images), ranks * size):
            rows = [len(images[start + r * size : start + (r + 1) * size]) for r in range(ranks)]
            first = start + rank * size if rows[rank] else start  # one without an image encodes another's in vain
            batch = self.backend.to_device(encoders.scale(images[first : first + max(1, rows[rank])], self.layout))
            with engine.sharing():
                features = self._inference(batch)
            own = {kind: self.backend.to_host(features[kind])[: rows[rank]] for kind in kinds or self.kinds}
            yield own if self.world is None else {k: self.world.gather(x, tuple(rows)) for k, x in own.items()}

    def features(self, images: np.ndarray, kinds: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
        """The same for all images at once: conv (N, side²·channels), fc (N, fc), y (N, D), float32; some or all kinds."""
        kinds = kinds or self.kinds
        parts = list(self.batches(images, kinds))
        return {kind: np.concatenate([part.pop(kind) for part in parts]) for kind in kinds}


def layout_of(saved: Checkpoint) -> AnyLayout:
    """The layout of the encoder in a checkpoint."""
    sizes = {name: operator.index(n) for name, n in saved.meta["layout"].items()}
    return METHODS[saved.config.method].layout(**sizes)


def load(
    run: Path, backend: Backend, checkpoint: str = NEWEST, world: World | None = None
) -> tuple[Encoder, Checkpoint]:
    """The encoder in a run's newest.npz or best.npz, on the backend, and the checkpoint that it came from.

    Raises:
        RunError: there is no such checkpoint, it is damaged, or its arrays are not those of its layout, or not finite.
    """
    path = run / checkpoint
    saved = checkpoints.load(path)
    trees = [saved.trees.get(part, {}).get("encoder", {}) for part in ("parameters", "state")]
    count = sum(np.size(array) for _, array in leaves(trees[0]))
    try:
        method, layout = METHODS[saved.config.method], layout_of(saved)
        if layout.parameter_count > 2 * count:  # it would take memory that its arrays do not
            raise ValueError(f"one of {layout.parameter_count:,} numbers beside arrays of {count:,}")
        expected = method.init_encoder(np.random.default_rng(0), layout)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path}: expected the layout of an encoder, found {named(error)}") from None
    for tree, fresh in zip(trees, expected, strict=True):
        check_same_shapes(path, tree, fresh)
        for name, array in leaves(tree):
            if not np.isfinite(array).all() or (name.endswith("/variance") and (array < 0).any()):
                raise RunError(f"{path}: expected finite numbers and no variance below 0, found others in {name}")
    parameters, running = map(backend.tree_to_device, trees)
    return Encoder(layout, backend, parameters, running, world), saved


def untrained(
    config: Config, layout: AnyLayout, backend: Backend, images: np.ndarray, world: World | None = None
) -> Encoder:
    """The encoder that the run started from, its running statistics measured on training images (N, H, W, C) uint8.

    As initialized they are 0 and 1, which would handicap this baseline: a batch norm that does not normalize.
    """
    method = method_of(layout)
    parameters, running = map(backend.tree_to_device, method.init_encoder(generator(config.seed, INIT, 0), layout))
    order = generator(config.seed, ORDER, 0).permutation(len(images))
    size = min(config.batch_size, len(images))
    for k in range(WARM_UP):
        start = k % (len(images) // size) * size
        batch = backend.to_device(encoders.scale(images[order[start : start + size]], layout))
        _, running = method.encode(parameters, running, batch, layout, training=True)
    return Encoder(layout, backend, parameters, running, world)
