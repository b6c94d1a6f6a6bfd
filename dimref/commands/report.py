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
from dimref.evaluation.evaluate import Requested, evaluate
from dimref.evaluation.labelled import labelled_images
from dimref.export.inference import Encoder, untrained
from dimref.training import loop
from dimref.training.checkpoint import Checkpoint
from dimref.training.config import Config
from dimref.training.state import State, machine_of
from dimref.training.task import Task


def opening(task: Task, run: Path, checkpoint: Checkpoint | None) -> None:
    """Say what is about to be trained on what."""
    config = task.config
    _row("data", f"{task.source}; {len(task.images)} to train on, {len(task.held_out)} held out")
    if isinstance(task.layout, amdim_encoder.Layout):
        _amdim(config, task.layout)
    else:
        _row("objective", _terms(config))
    graph = ", one graph a step" if task.backend.queue is not None and config.graph else ""
    _row(
        "backend",
        f"{task.backend.name} on {task.backend.device}, seed {config.seed}, batches of {config.batch_size}{graph}",
    )
    _row("run", f"{run}, {task.total_steps} steps" + (f", going on from step {checkpoint.step}" if checkpoint else ""))
    if checkpoint and checkpoint.meta.get("machine") != machine_of(task):
        click.echo("note: this machine, BLAS or number of threads is not the one the run was started with; the result is "
                   "as good, but not equal bit for bit")  # fmt: skip


def _terms(config: Config) -> str:
    """The weighted terms of Deep InfoMax."""
    terms = [
        f"{weight:g} × {name} {config.bound.upper() if config.bound != 'infonce' else 'InfoNCE'}"
        f" ({config.scorer if name == 'local' else 'concat'}, {config.negatives_of(name)})"
        for name, weight in (("global", config.global_weight), ("local", config.local_weight))
        if weight
    ]
    if config.prior_weight:
        terms.append(f"{config.prior_weight:g} × {config.prior} prior")
    return " + ".join(terms)


def _amdim(config: Config, layout: amdim_encoder.Layout) -> None:
    """The objective, the views and the encoder of Augmented Multiscale Deep InfoMax."""
    objective = config.objective()
    assert isinstance(objective, amdim.Objective)
    pairs = ", ".join(scale.replace("-", "→") for scale in objective.scales)
    clipped = f"scores clipped to ±{objective.clip:g}" if objective.clip else "scores not clipped"
    _row("objective", f"InfoNCE {pairs} both ways, {clipped}, + {objective.penalty:g} × mean squared score")
    _row("views", pictures.how_augmented(objective.augmentation_for(layout)))
    _row("encoder", f"{layout.parameter_count:,} parameters for {layout.padded}×{layout.padded}: ndf {layout.ndf}, "
                    f"ndepth {layout.ndepth}, nrkhs {layout.nrkhs}")  # fmt: skip


def closing(task: Task, run: Path, state: State, plot: bool | None, quiet: bool) -> None:
    """Bounds with their ceilings, probes beside their baselines, the pictures, the run and what to type next."""
    held = loop.held_out_terms(task, state)
    n = task.held_out_batch
    m = len(task.held_out) // n * n  # what fills no batch is not evaluated
    ceilings = pictures.ceilings(task.objective, n, task.locations)
    if not quiet:
        several = isinstance(task.objective, amdim.Objective)
        for term, ceiling in ceilings.items():
            certified = f"; {held[f'{term}_certified']:.3f} certified" if several else ""
            _row(f"{term} bound", f"{held[term]:.3f} nats held out, {_of_at_most(ceiling)}{certified}")
            if f"{term}_certified" in held and not several:
                _row(
                    "certified",
                    f"{held[f'{term}_certified']:.3f} nats: a bound on I, which all-locations itself is not",
                )
            if math.isinf(ceiling) and held[term] > math.log(m):
                _row(
                    "warning",
                    f"above log of the {m} held-out images ({math.log(m):.3f}): no longer certified by the sample",
                )
        if several:
            _row("", "certified is a bound on I(anchor; other view's feature), the number before is not")
            _row("loss", f"{held['loss']:.3f} as published, without log K; {held['penalty']:.3f} of it the penalty")
        if "prior" in held:
            _row("prior", f"{held['prior']:.3f} nats, {-math.log(4):.3f} when y cannot be told from the prior")
        _print_probes(task, state)
    if _drawable() if plot is None else plot:
        _row("curves", str(plots.curves(run, ceilings, pictures.title_of(task.config), n)))
        if not quiet:
            for name, text in pictures.of_encoder(run, _trained(task, state), task.config, state.step):
                _row(name, text)
    _row("run", str(run))
    _row("next", f"dimref train --resume {shlex.quote(str(run))} {_twice_as_long(task, state)}")


def _drawable() -> bool:
    try:
        return plots.available()
    except DimrefError as error:
        _row("pictures", f"none: {error}")
        return False


def _twice_as_long(task: Task, state: State) -> str:
    epochs = -(-2 * state.step // task.steps_per_epoch)
    return f"--epochs {epochs}" + (f" --steps {2 * state.step}" if task.config.steps else "")


def _of_at_most(ceiling: float) -> str:
    return f"of at most {ceiling:.3f}" if math.isfinite(ceiling) else "no ceiling"


def _row(name: str, text: str) -> None:
    say(scores.row(name, text))


# ---- probes


def _trained(task: Task, state: State) -> Encoder:
    return Encoder(task.layout, task.backend, state.parameters["encoder"], state.model["encoder"])


def _print_probes(task: Task, state: State) -> None:
    try:
        images = labelled_images(task.config)
    except DataError as error:
        _row("probe", f"none: {error}")
        return
    if images.unfit:
        _row("probe", f"none: {images.unfit}")
        return
    _row("linear probe", f"accuracy in % on {len(images.test[1]):,} test images ({images.origin}), trained on "
                         f"{len(images.train[1]):,}; {100 * images.chance:.0f} % by chance")  # fmt: skip
    trained = _trained(task, state)
    click.echo(scores.header(trained.kinds, spread=False))
    encoders = {
        "trained": trained,
        "untrained": untrained(task.config, task.layout, task.backend, images.train[0]),
    }
    cells = list(evaluate(encoders, images, Requested(("linear",), (), (task.config.seed,), trained.kinds)))
    for line in scores.rows("", cells, trained.kinds, spread=False):
        click.echo(line)
