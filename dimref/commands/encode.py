"""`dimref encode`: a dataset's features as a .npy file."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from dimref.commands.options import (
    folder_options,
    other_data,
    refuse_unwritable,
    say,
    set_threads,
    shared_among_ranks,
)
from dimref.distributed import launch
from dimref.errors import DimrefError
from dimref.training import choices


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", type=click.Choice(choices.DATA), help="The dataset.  [default: the run's]")
@click.option("--data-dir", metavar="PATH", help="Where its files lie.  [default: the run's, for its dataset]")
@click.option("--noise", type=float, help="Pixel noise of shapes.  [default: the run's]")
@click.option("--shared", metavar="FACTOR,…", help="What shapes share in the whole image.  [default: the run's]")
@folder_options
@click.option("--split", type=click.Choice(("train", "test")), default="train", help="Which part.  [default: train]")
@click.option("--limit", type=int, metavar="N", help="At most N images.  [default: all, whatever the run's limit]")
@click.option(
    "--features", "kind", type=click.Choice(choices.FEATURES),
    help="The last map flattened, the layer above it, or the representation.  [default: the first of them there is]",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="The .npy file.  [default: RUN/SPLIT-FEATURES.npy]")
@click.option(
    "--checkpoint", type=click.Choice(choices.CHECKPOINTS), default="newest", help="Which.  [default: newest]"
)
@click.option("--backend", type=click.Choice(choices.BACKENDS), default="numpy", help="CPU or GPU.  [default: numpy]")
@click.option("--threads", type=click.IntRange(min=1), help="BLAS threads.  [default: all cores]")
@shared_among_ranks
def encode(
    run: Path, data: str | None, data_dir: str | None, noise: float | None, shared: str | None,
    size: int | None, skip_bad: bool | None, split: str, limit: int | None, kind: str | None,
    out: Path | None, checkpoint: str, backend: str, threads: int | None,
) -> None:  # fmt: skip
    """Write what the encoder of RUN makes of every image of a dataset: float32 (N, features), in the dataset's order.

    NAME.labels.npy beside it holds the labels, int64 (N,), −1 where there are none. Images are in memory as bytes, as
    their reader gave them; features go to the file batch by batch, and np.load(FILE, mmap_mode="r") maps them.
    """
    set_threads(threads or launch.threads())
    from dimref import data as readers
    from dimref.backend import get_backend
    from dimref.distributed import mpi
    from dimref.export import features, inference
    from dimref.training.run_directory import CACHE

    if out is not None and out.suffix != ".npy":
        raise DimrefError(f"--out: expected a name that ends in .npy, found {out}")
    world = mpi.world()
    with mpi.agreed(world):
        encoder, saved = inference.load(run, get_backend(backend), f"{checkpoint}.npz", world)
        kind = kind or encoder.kinds[0]  # the best by every probe in dimref/evaluation/README.md
        out = out or run / f"{split}-{kind}.npy"
        for file in (out, features.labels_path(out)):
            refuse_unwritable("--out", file)
        if kind not in encoder.kinds:
            raise DimrefError(f"--features {kind}: the encoder of {run} has {', '.join(encoder.kinds)} alone")
        config = other_data(
            saved.config, data, None, data_dir=data_dir, noise=noise, shared=shared, size=size, skip_bad=skip_bad
        )
        images = readers.load(config.data, split, config.data_dir, limit, **config.reading, cache=run.parent / CACHE)
        encoder.refuse_other_images(images.images, images.source)
    encoder.need_same(images=images.images)
    start = time.perf_counter()
    hidden = sys.stderr is None or not sys.stderr.isatty() or launch.rank() > 0
    with click.progressbar(length=len(images.images), label="encoding", file=sys.stderr, hidden=hidden) as bar:
        labels = features.write_features(encoder, images, kind, out, bar.update)
    seconds = time.perf_counter() - start
    say(f"encoder   {run / checkpoint}.npz, step {saved.step}")
    say(f"data      {images.source}")
    for note in images.notes:
        say(f"note      {note}")
    say(f"features  {out}: {kind} of {len(images.images)} images, {len(images.images) / seconds:.0f} images/s")
    say(f"labels    {labels}")
