"""What `dimref train` prints before the first step and after the last."""

from __future__ import annotations

import math
import shlex
from pathlib import Path

import click

from dimref import amdim, plots
from dimref.amdim import encoder as amdim_encoder
from dimref.commands import pictures, scores
from dimref.commands.options import say
from dimref.data import DataError
from dimref.errors import DimrefError
from dimref.evaluation import report
from dimref.evaluation.evaluate import PIXELS, RAW
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
    if isinstance(task.layout, amdim_encoder.Layout):
        _amdim(config, task.layout)
    else:
        _row("objective", _terms(config))
    graph = ", one graph a step" if task.backend.queue is not None and config.graph else ""
    where = f"{task.backend.name} on {task.backend.device}"
    _row("backend", f"{where}, seed {config.seed}, batches of {config.batch_size}{graph}")
    _row("run", f"{run}, {task.total_steps} steps" + (f", going on from step {checkpoint.step}" if checkpoint else ""))
    if checkpoint and checkpoint.meta.get("machine") != machine_of(task):
        click.echo("note: this machine, BLAS or number of threads is not the one the run was started with; the result is "
                   "as good, but not equal bit for bit")  # fmt: skip


def _terms(config: Config) -> str:
    """The weighted terms of Deep InfoMax."""
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
    """Print the objective, the views and the encoder of Augmented Multiscale Deep InfoMax."""
    objective = config.objective()
    assert isinstance(objective, amdim.Objective)
    pairs = ", ".join(scale.replace("-", "→") for scale in objective.scales)
    clipped = f"scores clipped to ±{objective.clip:g}" if objective.clip else "scores not clipped"
    _row("objective", f"InfoNCE {pairs} both ways, {clipped}, + {objective.penalty:g} × mean squared score")
    _row("views", pictures.how_augmented(objective.augmentation_for(layout)))
    _row("encoder", f"{layout.parameter_count:,} parameters for {layout.padded}×{layout.padded}: ndf {layout.ndf}, "
                    f"ndepth {layout.ndepth}, nrkhs {layout.nrkhs}")  # fmt: skip


def closing(task: Task, run: Path, state: State, plot: bool | None, quiet: bool) -> None:
    """Print bounds with their ceilings, probes beside their baselines, the pictures, the run and what to type next."""
    if not quiet:
        _bounds(report.held_out(task, state))
        _probes(task, state)
    if _drawable() if plot is None else plot:
        n = task.held_out_batch
        limits = report.ceilings(task.objective, n, task.locations)
        _row("curves", str(plots.curves(run, limits, pictures.title_of(task.config), n)))
        if not quiet:
            for name, text in pictures.of_encoder(run, report.encoder_of(task, state), task.config, state.step):
                _row(name, text)
    _row("run", str(run))
    size = run_directory.finish(run, task.config.keep)
    if not quiet:
        _row("size", size)
    if task.config.keep == "best":
        _row("next", f"dimref encode {shlex.quote(str(run))} --checkpoint best")
        return
    _row("next", f"dimref train --resume {shlex.quote(str(run))} {_twice_as_long(task, state)}")


def _bounds(held_out: report.HeldOut) -> None:
    """A row for each bound, and for the other terms."""
    terms = held_out.terms
    several = "loss" in terms  # AMDIM's pairs of scales, each with what it certifies
    for bound in held_out.bounds:
        ceiling = f"of at most {bound.ceiling:.3f}" if math.isfinite(bound.ceiling) else "no ceiling"
        certified = "" if bound.certified is None else f"{bound.certified:.3f}"
        beside = f"; {certified} certified" if several else ""
        _row(f"{bound.term} bound", f"{bound.nats:.3f} nats held out, {ceiling}{beside}")
        if certified and not several:
            _row("certified", f"{certified} nats: a bound on I, which all-locations itself is not")
        if bound.beyond_sample:
            log = math.log(held_out.images)
            _row("warning", f"above log of the {held_out.images} held-out images ({log:.3f}): "
                            "no longer certified by the sample")  # fmt: skip
    if several:
        _row("", "certified is a bound on I(anchor; other view's feature), the number before is not")
        _row("loss", f"{terms['loss']:.3f} as published, without log K; {terms['penalty']:.3f} of it the penalty")
    if "prior" in terms:
        _row("prior", f"{terms['prior']:.3f} nats, {-math.log(4):.3f} where y cannot be distinguished from the prior")


def _probes(task: Task, state: State) -> None:
    """The table of the linear probe, or why there is none."""
    try:
        probed = report.probed(task, state)
    except DataError as error:
        probed = str(error)
    if isinstance(probed, str):
        _row("probe", f"none: {probed}")
        return
    images = probed.images
    _row("linear probe", f"accuracy in % on {len(images.test[1]):,} test images ({images.origin}), trained on "
                         f"{len(images.train[1]):,}; {100 * images.chance:.0f} % by chance")  # fmt: skip
    click.echo(scores.header(probed.kinds, spread=False))
    for line in scores.rows("", list(probed.cells), probed.kinds, spread=False):
        click.echo(line)
    y, before, pixels = (probed.percent(*at) for at in (("trained", "y"), ("untrained", "y"), (RAW, PIXELS)))
    better = [f"{abs(gap):.0f} points {'more' if gap > 0 else 'fewer'} than" for gap in (y - pixels, y - before)]
    _row("learned", f"without labels: y shows a linear classifier the class of {y:.0f} % of the images, {better[0]} raw "
                    f"pixels and {better[1]} the untrained encoder")  # fmt: skip


def _drawable() -> bool:
    try:
        return plots.available()
    except DimrefError as error:
        _row("pictures", f"none: {error}")
        return False


def _twice_as_long(task: Task, state: State) -> str:
    epochs = -(-2 * state.step // task.steps_per_epoch)
    return f"--epochs {epochs}" + (f" --steps {2 * state.step}" if task.config.steps else "")


def _row(name: str, text: str) -> None:
    say(scores.row(name, text))
