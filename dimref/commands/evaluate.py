"""`dimref evaluate`: how good a trained encoder is, in the measures of the paper."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dimref.commands import options as common
from dimref.distributed import launch
from dimref.errors import DimrefError, nearest
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
                listed = ", ".join(allowed) + (f", or {NOTHING}" if empty else "") + ", with commas between"
                raise DimrefError(
                    f"{option.opts[0]}: expected some of {listed}, found {word!r}{nearest(word, allowed)}"
                )
        return tuple(word for word in allowed if word in requested)

    return read


@click.command()
@common.run_argument
@common.other_data_options
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
@common.checkpoint_option
@common.backend_option()
@common.threads_option()
@common.json_option
@common.shared_among_ranks
def evaluate(
    run: Path, limit: int | None, features: tuple[str, ...] | None, probes: tuple[str, ...] | None,
    measures: tuple[str, ...] | None, sigma: float | None, seeds: int, checkpoint: str, backend: str, threads: int | None,
    json_file: Path | None, **other: Any,
) -> None:  # fmt: skip
    """Evaluate the encoder of RUN: probes of its features, and measures of its representation.

    Beside it stand the encoder that the run started from and the raw pixels. The table is printed and written to
    RUN/evaluation.json, the probes' accuracies are drawn in RUN/accuracies.png.
    """
    common.set_threads(threads or launch.threads())
    from dimref.backend import get_backend
    from dimref.distributed import mpi
    from dimref.evaluation import evaluate as evaluation
    from dimref.evaluation import report, scores
    from dimref.evaluation.labelled import labelled_images
    from dimref.export import inference
    from dimref.plots.accuracies import EVALUATION

    path, world = run / f"{checkpoint}.npz", mpi.world()
    with mpi.agreed(world):
        encoder, saved = inference.load(run, get_backend(backend), path.name, world)
        common.refuse_unwritable("RUN", run / EVALUATION)
        config = common.other_data(saved.config, limit=limit, **other)
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
    say = common.printer(json_file)
    for line in scores.opening(path, saved.step, images, requested, encoder):
        say(line)
    with common.evaluating(requested.count(encoders=2)) as watch:
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
    common.write_json(run / EVALUATION, content)
    common.write_json(json_file, content)
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
