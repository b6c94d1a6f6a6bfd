"""`dimref evaluate`: how good a trained encoder is, in the measures of the paper."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dimref.commands.options import (
    folder_options,
    json_option,
    other_data,
    printer,
    refuse_unwritable,
    set_threads,
    shared_among_ranks,
    write_json,
)
from dimref.distributed import launch
from dimref.errors import DimrefError
from dimref.training import choices

if TYPE_CHECKING:
    from dimref.evaluation.evaluate import Requested
    from dimref.evaluation.labelled import Labelled
    from dimref.export.inference import Encoder
    from dimref.training.config import Config

DEFAULT_PROBES = ("linear", "mlp")
NOTHING = "none"


def _words(allowed: tuple[str, ...], empty: bool = True) -> Callable[..., tuple[str, ...] | None]:
    """Read a list of words separated by commas; `none` is no word at all, where that makes sense."""

    def read(context: click.Context, option: click.Parameter, text: str | None) -> tuple[str, ...] | None:
        if text is None or (empty and text.strip() == NOTHING):
            return None if text is None else ()
        requested = [word.strip() for word in text.split(",")]
        for word in requested:
            if word not in allowed:
                listed = ", ".join(allowed) + (f", or {NOTHING}" if empty else "")
                raise DimrefError(f"{option.opts[0]}: expected some of {listed}, with commas between, found {word!r}")
        return tuple(word for word in allowed if word in requested)

    return read


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", type=click.Choice(choices.DATA), help="The dataset.  [default: the run's]")
@click.option("--data-dir", metavar="PATH", help="Where its files lie.  [default: the run's, for its dataset]")
@click.option("--noise", type=float, help="Pixel noise of shapes.  [default: the run's]")
@click.option("--shared", metavar="FACTOR,…", help="What shapes share in the whole image.  [default: the run's]")
@folder_options
@click.option("--limit", type=int, metavar="N",
              help="At most N training and N test images.  [default: 10000, and the run's limit]")  # fmt: skip
@click.option("--features", callback=_words(choices.FEATURES, empty=False), metavar="conv,fc,y",
              help="What the probes see.  [default: all there are]")  # fmt: skip
@click.option("--probe", "probes", callback=_words(choices.PROBES), metavar="linear,mlp,svm,svm-hinge,knn",
              help="Classifiers of the features; or none.  [default: linear,mlp]")  # fmt: skip
@click.option("--measures", callback=_words(choices.ALL_MEASURES), metavar="mine,ndm,ms-ssim,sandwich",
              help="Measures of y; or none.  [default: the first three]")  # fmt: skip
@click.option("--sigma", type=click.FloatRange(min=0, min_open=True), metavar="S",
              help="Sandwich: I(x; y + noise) of S standard deviations of y.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1, max=1000), default=1, metavar="N",
              help="Each probe and critic N times, from the run's seed on.  [default: 1]")  # fmt: skip
@click.option(
    "--checkpoint", type=click.Choice(choices.CHECKPOINTS), default="newest", help="Which.  [default: newest]"
)
@click.option("--backend", type=click.Choice(choices.BACKENDS), default="numpy", help="CPU or GPU.  [default: numpy]")
@click.option("--threads", type=click.IntRange(min=1), help="BLAS threads.  [default: all cores]")
@json_option
@shared_among_ranks
def evaluate(
    run: Path, data: str | None, data_dir: str | None, noise: float | None, shared: str | None,
    size: int | None, skip_bad: bool | None, limit: int | None,
    features: tuple[str, ...] | None, probes: tuple[str, ...] | None, measures: tuple[str, ...] | None,
    sigma: float | None, seeds: int, checkpoint: str, backend: str, threads: int | None, json_file: Path | None,
) -> None:  # fmt: skip
    """Evaluate the encoder of RUN: probes of its features, and measures of its representation.

    Beside it stand the encoder that the run started from and the raw pixels. The table is printed and written to
    RUN/evaluation.json, the probes' accuracies are drawn in RUN/accuracies.png.
    """
    set_threads(threads or launch.threads())
    from dimref.backend import get_backend
    from dimref.commands import scores
    from dimref.distributed import mpi
    from dimref.evaluation import evaluate as evaluation
    from dimref.evaluation import report
    from dimref.evaluation.labelled import labelled_images
    from dimref.export import inference
    from dimref.plots.accuracies import EVALUATION

    path, world = run / f"{checkpoint}.npz", mpi.world()
    with mpi.agreed(world):
        encoder, saved = inference.load(run, get_backend(backend), path.name, world)
        refuse_unwritable("RUN", run / EVALUATION)
        config = other_data(
            saved.config, data, limit, data_dir=data_dir, noise=noise, shared=shared, size=size, skip_bad=skip_bad
        )
        images = labelled_images(config, limit)
        encoder.refuse_other_images(images.train[0], images.source)
        requested, left_out = _requested(images, encoder, features, probes, measures)
        if ("sandwich" in requested.measures) != (sigma is not None):
            found = "--sigma without it" if sigma is not None else "no --sigma"
            raise DimrefError(
                f"--measures sandwich: expected --sigma S, the noise in standard deviations of y, found {found}"
            )
        chosen = tuple(range(config.seed, config.seed + seeds))
        requested = dataclasses.replace(requested, seeds=chosen, sigma=sigma or 1.0)
    encoder.need_same(images=images.train[0], test_images=images.test[0])
    say = printer(json_file)
    for line in scores.opening(path, saved.step, images, requested, encoder):
        say(line)
    with _progress(requested.count(encoders=2)) as watch:
        watch("the untrained encoder's batch statistics", 0)
        encoders = {
            "trained": encoder,
            "untrained": inference.untrained(saved.config, encoder.layout, encoder.backend, images.train[0], world),
        }
        cells = list(evaluation.evaluate(encoders, images, requested, watch))
    if launch.rank() > 0:
        return
    for line in scores.table(cells, images, requested, encoder.layout.size):
        say(line)
    for name, reason in left_out.items():
        say(scores.row("left out", f"{name}: {reason}"))
    content = report.as_json(path, saved.step, images, requested, cells, left_out, encoder)
    write_json(run / EVALUATION, content)
    write_json(json_file, content)
    say(scores.row("results", str(run / EVALUATION)))
    if requested.probes:
        say(scores.row("accuracies", _picture(run, config, saved.step)))


def _requested(
    images: Labelled, encoder: Encoder, features: tuple[str, ...] | None, probes: tuple[str, ...] | None,
    measures: tuple[str, ...] | None,
) -> tuple[Requested, dict[str, str]]:  # fmt: skip
    """What to evaluate, and which of the defaults are left out for what reason.

    Raises:
        DimrefError: a probe or measure that was requested cannot be had, or none is left.
    """
    from dimref.evaluation.evaluate import Requested, obstacle

    chosen, left_out = {}, {}
    for option, names, default in (("probe", probes, DEFAULT_PROBES), ("measures", measures, choices.MEASURES)):
        obstacles = {name: obstacle(name, images, encoder.layout) for name in (default if names is None else names)}
        for name, reason in obstacles.items():
            if reason and names is not None:
                raise DimrefError(f"--{option} {name}: {reason}; leave it out")
            if reason:
                left_out[name] = reason
        chosen[option] = tuple(name for name, reason in obstacles.items() if not reason)
    if not chosen["probe"] and not chosen["measures"]:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise DimrefError(f"evaluate: expected a probe or a measure, found none ({reasons or 'none requested'})")
    if features and not chosen["probe"]:
        raise DimrefError("--features: has no effect, since there is no probe; leave it out")
    for feature in features or ():
        if feature not in encoder.kinds:
            raise DimrefError(f"--features {feature}: this encoder has {', '.join(encoder.kinds)} alone")
    return Requested(chosen["probe"], chosen["measures"], (), features or encoder.kinds), left_out


def _picture(run: Path, config: Config, step: int) -> str:
    from dimref import plots
    from dimref.commands import pictures

    return pictures.drawn(lambda: plots.accuracies(run, f"{pictures.title_of(config)}, step {step}"))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str, int], None]]:
    """A bar on a terminal, a line per value elsewhere, on the standard error."""
    if sys.stderr is None or launch.rank() > 0:
        yield lambda text, done: None
    elif sys.stderr.isatty():
        with click.progressbar(length=total, item_show_func=lambda text: text, file=sys.stderr, show_pos=True,
                               show_eta=False, label="evaluating", width=24) as bar:  # fmt: skip

            def watch(text: str, done: int) -> None:
                bar.current_item = text  # also where nothing is done yet: the value under way
                bar.update(done, text)
                bar.render_progress()

            yield watch
    else:
        yield _lines(total)


def _lines(total: int) -> Callable[[str, int], None]:
    count, since = 0, time.perf_counter()

    def watch(text: str, done: int) -> None:
        nonlocal count, since
        if done:
            count += done
            now = time.perf_counter()
            click.echo(f"{count}/{total}  {text}  {now - since:.1f} s", err=True)
            since = now

    return watch
