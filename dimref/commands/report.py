"""What `dimref train` prints before the first step and after the last."""

from __future__ import annotations

import math
import shlex
from pathlib import Path

import click

from dimref import amdim, plots
from dimref.amdim import encoder as amdim_encoder
from dimref.commands import pictures
from dimref.commands.options import Shown, evaluating, say, write_json
from dimref.data import DataError
from dimref.errors import DimrefError, counted
from dimref.evaluation import report, scores
from dimref.evaluation.evaluate import PIXELS, RAW
from dimref.plots.accuracies import EVALUATION
from dimref.training import run_directory
from dimref.training.checkpoint import Checkpoint
from dimref.training.config import Config
from dimref.training.state import State, machine_of
from dimref.training.task import Task


def opening(task: Task, run: Path, checkpoint: Checkpoint | None) -> None:
    """Print what is about to be trained on what."""
    config = task.config
    _row("data", f"{task.source}; {len(task.images)} to train on, {len(task.held_out)} held out")
    for note in task.notes:
        _row("note", note)
    _row("objective", _objective(config))
    if isinstance(task.layout, amdim_encoder.Layout):
        _amdim(config, task.layout)
    graph = ", one graph a step" if task.backend.queue is not None and config.graph else ""
    where = f"{task.backend.name} on {task.backend.device}"
    _row("backend", f"{where}, seed {config.seed}, batches of {config.batch_size}{graph}")
    _row(
        "run",
        f"{run}, {counted(task.total_steps, 'step')}"
        + (f", going on from step {checkpoint.step}" if checkpoint else ""),
    )
    if checkpoint and checkpoint.meta.get("machine") != machine_of(task):
        click.echo("note: this machine, BLAS or number of threads is not the one the run was started with; the result is "
                   "as good, but not equal bit for bit")  # fmt: skip


def sentence(config: Config, images: int, step: int) -> str:
    """What was trained on what, for the page of a run."""
    method = "AMDIM" if config.method == "amdim" else "Deep InfoMax"
    passes = step * config.batch_size / max(images, 1)
    return (
        f"{method}, {_objective(config)}, on {counted(images, 'image')} of {config.data}, without labels: "
        f"{counted(step, 'step')} of {config.batch_size} images, {passes:.3g} passes over the data, Adam at {config.lr:g}, "
        f"seed {config.seed}, by {config.backend}."
    )


def _objective(config: Config) -> str:
    """What is maximized, in words."""
    objective = config.objective()
    if isinstance(objective, amdim.Objective):
        pairs = ", ".join(scale.replace("-", "→") for scale in objective.scales)
        clipped = f"scores clipped to ±{objective.clip:g}" if objective.clip else "scores not clipped"
        return f"InfoNCE {pairs} both ways, {clipped}, + {objective.penalty:g} × mean squared score"
    terms = [
        f"{weight:g} × {name} {config.bound.upper() if config.bound != 'infonce' else 'InfoNCE'}"
        f" ({config.critic if name == 'local' else 'concat'}, {config.negatives_of(name)})"
        for name, weight in (("global", config.global_weight), ("local", config.local_weight))
        if weight
    ]
    if config.prior_weight:
        terms.append(f"{config.prior_weight:g} × {config.prior} prior")
    return " + ".join(terms)


def _amdim(config: Config, layout: amdim_encoder.Layout) -> None:
    """Print the views and the encoder of Augmented Multiscale Deep InfoMax."""
    objective = config.objective()
    assert isinstance(objective, amdim.Objective)
    _row("views", pictures.how_augmented(objective.augmentation_for(layout)))
    _row("encoder", f"{layout.parameter_count:,} parameters for {layout.padded}×{layout.padded}: ndf {layout.ndf}, "
                    f"ndepth {layout.ndepth}, nrkhs {layout.nrkhs}")  # fmt: skip


def closing(task: Task, run: Path, state: State, shown: Shown) -> None:
    """Print bounds with their ceilings, probes beside their baselines, the pictures, the run and what to type next."""
    if not shown.quiet:
        _bounds(report.held_out(task, state))
        if shown.probe:
            _probes(task, run, state)
    if _drawable() if shown.plot is None else shown.plot:
        n = task.held_out_batch
        limits = report.ceilings(task.objective, n, task.locations)
        _row("curves", str(plots.curves(run, limits, pictures.title_of(task.config), n)))
        if not shown.quiet:
            for name, text in pictures.of_encoder(run, report.encoder_of(task, state), task.config, state.step):
                _row(name, text)
    _row("run", str(run))
    size = run_directory.finish(run, task.config.keep)
    if not shown.quiet:
        _row("size", size)
    if task.config.keep == "best":
        _row("next", f"dimref encode {shlex.quote(str(run))} --checkpoint best")
        return
    _row(
        "next",
        f"dimref train --resume {shlex.quote(str(run))} {task.config.twice_as_long(state.step, len(task.images))}",
    )


def _bounds(held_out: report.HeldOut) -> None:
    """A row for each bound, and for the other terms."""
    terms = held_out.terms
    several = "loss" in terms  # AMDIM's pairs of scales, each with what it certifies
    for bound in held_out.bounds:
        ceiling = f"of at most {bound.ceiling:.3f}" if math.isfinite(bound.ceiling) else "no ceiling"
        certified = "" if bound.certified is None else f"{bound.certified:z.3f}"
        beside = f"; {certified} certified" if several else ""
        _row(f"{bound.term} bound", f"{bound.nats:z.3f} nats held out, {ceiling}{beside}")
        if certified and not several:
            _row("certified", f"{certified} nats: a bound on I, which all-locations itself is not")
        if bound.beyond_sample:
            log = math.log(held_out.images)
            _row("warning", f"above log of the {held_out.images} held-out images ({log:.3f}): "
                            "no longer certified by the sample")  # fmt: skip
    if several:
        _row("", "certified is a bound on I(anchor; other view's feature), the number before is not")
        _row("loss", f"{terms['loss']:z.3f} as published, without log K; {terms['penalty']:z.3f} of it the penalty")
    if "prior" in terms:
        _row("prior", f"{terms['prior']:z.3f} nats, {-math.log(4):.3f} where y cannot be distinguished from the prior")


def _probes(task: Task, run: Path, state: State) -> None:
    """The table of the linear probe, or why there is none; and evaluation.json, as `dimref evaluate` writes it."""
    try:
        probed = report.probed(task, state, evaluating)
    except DataError as error:
        probed = str(error)
    if isinstance(probed, str):
        _row("probe", f"none: {probed}")
        return
    images = probed.images
    _row("linear probe", f"accuracy in % on {len(images.test[1]):,} test images ({images.origin}), trained on "
                         f"{len(images.train[1]):,}; {100 * images.chance:.0f} % by chance")  # fmt: skip
    kinds, cells = probed.requested.features[::-1], list(probed.cells)
    click.echo(scores.header(kinds, spread=False))
    for line in scores.rows("", cells, kinds, spread=False):
        click.echo(line)
    y, before, pixels = (probed.percent(*at) for at in (("trained", "y"), ("untrained", "y"), (RAW, PIXELS)))
    places = [f"{abs(gap):.0f} points {'above' if gap > 0 else 'below'}" for gap in (y - pixels, y - before)]
    _row("learned", f"y tells {y:.0f} % of classes: {places[0]} raw pixels, {places[1]} the untrained y")
    encoder = report.encoder_of(task, state)
    content = report.as_json(run / run_directory.NEWEST, state.step, images, probed.requested, cells, {}, encoder)
    write_json(run / EVALUATION, content)


def _drawable() -> bool:
    try:
        return plots.available()
    except DimrefError as error:
        _row("pictures", f"none: {error}")
        return False


def _row(name: str, text: str) -> None:
    say(scores.row(name, text))
