"""`dimref encode`: a dataset's features as a .npy file."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from dimref.commands import options as common
from dimref.distributed import launch
from dimref.errors import DimrefError, counted
from dimref.training import choices


@click.command()
@common.run_argument
@common.other_data_options
@common.choice("--split", ("train", "test"), "Which part.  [default: train]", default="train")
@click.option("--limit", type=int, metavar="N", help="At most N images.  [default: all, whatever the run's limit]")
@common.choice("--features", choices.FEATURES, "The last map flattened, the layer above it, or the representation.  "
               "[default: the first of them there is]")  # fmt: skip
@common.out_option("The .npy file.  [default: RUN/SPLIT-FEATURES.npy]")
@common.checkpoint_option
@common.backend_option()
@common.threads_option()
@common.shared_among_ranks
def encode(
    run: Path, split: str, limit: int | None, features: str | None, out: Path | None, checkpoint: str, backend: str,
    threads: int | None, **other: Any,
) -> None:  # fmt: skip
    """Write what the encoder of RUN makes of every image of a dataset: float32 (N, features), in the dataset's order.

    NAME.labels.npy beside it holds the labels, int64 (N,), −1 where there are none. Images are in memory as bytes, as
    their reader gave them; features go to the file batch by batch, and np.load(FILE, mmap_mode="r") maps them.
    """
    common.set_threads(threads or launch.threads())
    from dimref import data as readers
    from dimref.backend import get_backend
    from dimref.distributed import mpi
    from dimref.export import features as files
    from dimref.export import inference
    from dimref.training.run_directory import CACHE

    if out is not None and out.suffix != ".npy":
        raise DimrefError(f"--out: expected a name that ends in .npy, found {out}")
    world = mpi.world()
    with mpi.agreed(world):
        encoder, saved = inference.load(run, get_backend(backend), f"{checkpoint}.npz", world)
        features = features or encoder.kinds[0]  # the best by every probe in dimref/evaluation/README.md
        out = out or run / f"{split}-{features}.npy"
        for file in (out, files.labels_path(out)):
            common.refuse_unwritable("--out", file)
        if features not in encoder.kinds:
            raise DimrefError(f"--features {features}: the encoder of {run} has {', '.join(encoder.kinds)} alone")
        config = common.other_data(saved.config, limit=None, **other)
        images = readers.load(config.data, split, config.data_dir, limit, **config.reading, cache=run.parent / CACHE)
        encoder.refuse_other_images(images.images, images.source)
    encoder.need_same(images=images.images)
    start = time.perf_counter()
    hidden = sys.stderr is None or not sys.stderr.isatty() or launch.rank() > 0
    with click.progressbar(length=len(images.images), label="encoding", file=sys.stderr, hidden=hidden) as bar:
        labels = files.write_features(encoder, images, features, out, bar.update)
    seconds = time.perf_counter() - start
    common.say(f"encoder   {run / checkpoint}.npz, step {saved.step}")
    common.say(f"data      {images.source}")
    for note in images.notes:
        common.say(f"note      {note}")
    common.say(
        f"features  {out}: {features} of {counted(len(images.images), 'image')}, {len(images.images) / seconds:.0f} images/s"
    )
    common.say(f"labels    {labels}")
