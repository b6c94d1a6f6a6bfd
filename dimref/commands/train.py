"""`dimref train`: options, progress, and what is printed at the end."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from dimref.commands import options as common
from dimref.distributed import launch
from dimref.errors import DimrefError
from dimref.training import choices, run_directory
from dimref.training import config as configs
from dimref.training.config import READING, Config
from dimref.training.signals import Stopped, handled

if TYPE_CHECKING:
    from dimref.distributed.mpi import World
    from dimref.training.checkpoint import Checkpoint
    from dimref.training.loop import Progress
    from dimref.training.task import Task

# What may change when a run is resumed: how long it goes on, and how it is watched. Everything else is the run.
RESUMABLE = (
    "epochs", "steps", "threads", "backend", "graph", "tf32", "data_dir", "log_every", "checkpoint_every", "keep",
)  # fmt: skip

UNSHOWN = ("prior", "penalty", "loss")  # in progress, where there is room for what is maximized


# The options in groups: the name of the first of each, its title, an example.
SECTIONS = {
    "data": ("Data", "--data folder --data-dir photos --size 64"),
    "preset": ("Objective", "--preset dim-global --bound infonce --prior gaussian"),
    "scales": ("AMDIM only", "--preset amdim --scales 1-5,1-7 --augmentation crop"),
    "epochs": ("Loop", "--epochs 10 --batch-size 128 --lr 2e-4"),
    "backend": ("Run", "--backend cupy -o runs/first --no-probe"),
}


class _Sectioned(click.Command):
    """A command whose help shows its options in `SECTIONS`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows: dict[str, list[tuple[str, str]]] = {}
        section = ""
        for parameter in self.get_params(ctx):
            section = parameter.name if parameter.name in SECTIONS else section
            if record := parameter.get_help_record(ctx):
                rows.setdefault(section, []).append(record)
        for name, records in rows.items():
            title, example = SECTIONS[name]
            with formatter.section(title):
                formatter.write_text(f"dimref train {example}")
                formatter.write_dl(records)


@click.command(cls=_Sectioned)
@common.choice("--data", choices.DATA, "The dataset.  [default: shapes]")
@click.option("--data-dir", metavar="PATH", help="Where the dataset's files lie (not for shapes).")
@click.option("--limit", type=int, metavar="N", help="Train on at most N images.")
@click.option("--noise", type=float, help="Pixel noise of shapes, as a standard deviation in [0, 1].  [default: 0.06]")
@click.option("--shared", metavar="FACTOR,…",
              help="Shapes: what the whole image shares: texture, shape, colour.  [default: texture]")  # fmt: skip
@common.folder_options
@common.preset_option("dim-local")
@common.choice("--bound", choices.BOUNDS, "The bound that is maximized.  [default: jsd]")
@common.choice("--local-scorer", choices.LOCAL_CRITICS, "The local critic.  [default: dot for infonce, else concat]")
@common.choice("--negatives", choices.NEGATIVES,
               "Which pairs stand for the product.  [default: the cheapest that fits]")  # fmt: skip
@click.option("--candidates", type=int, metavar="K", help="Candidates of --negatives sampled.  [default: 8]")
@click.option("--global-weight", type=float, metavar="α", help="Weight of the global bound.  [default: 0]")
@click.option("--local-weight", type=float, metavar="β", help="Weight of the local bound.  [default: 1]")
@click.option("--prior-weight", type=float, metavar="γ", help="Weight of the prior's game.  [default: 0.1]")
@common.choice("--prior", choices.PRIORS, "The prior that y is matched to.  [default: uniform]")
@common.choice("--prior-loss", choices.PRIOR_LOSSES, "The encoder's side of the game.  [default: minimax]")
@click.option("--gradient-penalty", type=float, help="Weight of R1 on the prior's discriminator.  [default: 0]")
@click.option(
    "--dot-critic",
    metavar="PIECE,…",
    help="Of the official dot critic: batch-norm, identity, unscaled.  [default: none]",
)
@common.choice(
    "--global-map", choices.GLOBAL_MAPS, "The map that the global critic sees.  [default: last; dim-global local]"
)
@click.option("--scales", metavar="A-B,…", help="Maps that predict maps.  [default: 1-5,1-7,5-5]")
@common.choice("--augmentation", choices.AUGMENTATIONS, "The views.  [default: shift at 32×32 or less, else crop]")
@click.option("--clip", type=float, metavar="C", help="Scores are clipped to ±C; 0: not.  [default: 20]")
@click.option("--score-penalty", type=float, metavar="λ", help="Weight of the mean squared score.  [default: 0.05]")
@click.option("--ndf", type=int, metavar="N", help="Channels of the first map.  [default: 32]")
@click.option("--ndepth", type=int, metavar="N", help="Residual layers in a block.  [default: 1]")
@click.option("--nrkhs", type=int, metavar="N", help="Dimension of the embeddings.  [default: 256]")
@click.option("--epochs", type=int, help="Passes over the data.  [default: 2]")
@click.option("--steps", type=int, help="End after this many steps, where the epochs would not yet.")
@click.option("--batch-size", type=int, metavar="N", help="Images per step.  [default: 64]")
@click.option("--lr", type=float, help="Adam's learning rate.  [default: 0.0001; AMDIM 0.0002]")
@click.option("--beta1", type=float, help="Adam's β₁.  [default: 0.9]")
@click.option("--seed", type=int, help="Seed of every draw but the images of shapes.  [default: 0]")
@click.option("--log-every", type=int, metavar="STEPS", help="Steps between lines of metrics.  [default: 20]")
@click.option(
    "--checkpoint-every", type=int, metavar="STEPS", help="Steps between checkpoints.  [default: 200; on a GPU 5000]"
)
@common.backend_option(default=None)
@click.option("--graph/--no-graph", default=True, help="On a GPU: replay the step as one CUDA graph.  [default: graph]")
@click.option("--tf32", is_flag=True, help="On a GPU: matrix products of float32 rounded to TF32.")
@common.threads_option()
@common.choice("--keep", choices.KEPT,
               "The checkpoints at the end; best: without newest, no --resume.  [default: both]")  # fmt: skip
@common.out_option("The run directory.  [default: runs/NAME-NNN]", metavar="RUN")
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Continue a run that was stopped.")
@click.option("--plot/--no-plot", default=None, help="Draw pictures.  [default: if matplotlib is installed]")
@click.option("--probe/--no-probe", default=True, help="Evaluate by a linear probe at the end.  [default: probe]")
@click.option("-q", "--quiet", is_flag=True, help="Print errors and where the run lies; no probe.")
@click.option("-v", "--verbose", is_flag=True, help="A line on each step that metrics are written of.")
@common.shared_among_ranks
@click.pass_context
def train(context: click.Context, **options: Any) -> None:
    """Learn a representation of images by Deep InfoMax or its successor AMDIM, and report what was learned.

    An explicit option overrides the preset or the file of options. With no option at all: DIM(L) with the prior on images
    drawn from known factors.
    """
    preset, out, resume = (options.pop(name) for name in ("preset", "out", "resume"))
    shown = common.Shown(**{field.name: options.pop(field.name) for field in dataclasses.fields(common.Shown)})
    typed = {name: options[name] for name in options if context.get_parameter_source(name) != ParameterSource.DEFAULT}
    if launch.rank() > 0:
        shown = common.Shown(plot=False, probe=False, quiet=True, verbose=False)
    _train(preset, out, resume, shown, typed)


def _train(
    preset: str | None, out: Path | None, resume: Path | None, shown: common.Shown, typed: dict[str, Any]
) -> None:
    if resume is not None:
        if preset or out:
            raise DimrefError(
                "--resume: continues a run with its own configuration; leave out --preset, --config and --out"
            )
        run_directory.need_run(resume)
        _continue(resume, typed, shown)
    else:
        stored = configs.chosen(preset or "dim-local")
        if typed.get("data") != stored.get("data") and "data" in typed:  # these belong to the other dataset
            stored = {name: value for name, value in stored.items() if name not in ("data_dir", *READING)}
        config = Config(**{**stored, **typed})
        _refuse_idle_options(config, typed)
        common.set_threads(config.threads or launch.threads())
        _start(config, out, shown)


def _refuse_idle_options(config: Config, typed: dict[str, Any]) -> None:
    """An option that was typed but cannot matter is a mistake of the user's, not a wish."""
    others = configs.AMDIM_OPTIONS if config.method == "dim" else configs.DIM_OPTIONS
    idle: dict[str, str | bool] = {
        "local_scorer": config.local_weight == 0 and "--local-weight is 0",
        "dot_critic": (config.local_weight == 0 or config.critic != "dot") and "there is no dot critic",
        "global_map": config.global_weight == 0 and "--global-weight is 0",
        "prior": config.prior_weight == 0 and "--prior-weight is 0",
        "prior_loss": config.prior_weight == 0 and "--prior-weight is 0",
        "candidates": not config.samples_candidates and "the negatives are not sampled",
        "graph": config.backend == "numpy" and "--backend is numpy",
        "tf32": config.backend == "numpy" and "--backend is numpy",
        **dict.fromkeys(("noise", "shared"), config.data != "shapes" and f"--data is {config.data}, not shapes"),
        **dict.fromkeys(("size", "skip_bad"), config.data != "folder" and f"--data is {config.data}, not folder"),
        **dict.fromkeys(others, f"the method is {config.method}"),
    }
    for name, reason in idle.items():
        if name in typed and reason:
            written = "--graph/--no-graph" if name == "graph" else f"--{name.replace('_', '-')}"
            raise DimrefError(f"{written}: has no effect, since {reason}; leave it out")


def _start(config: Config, out: Path | None, shown: common.Shown) -> None:
    from dimref.distributed import mpi
    from dimref.training.task import prepare

    world = mpi.world()
    with mpi.agreed(world):
        task = prepare(config, cache=(out.parent if out else Path("runs")) / run_directory.CACHE, world=world)
        _refuse_too_large(task)
        _refuse_missing_matplotlib(shown.plot)
    _need_same(world, task, config)
    with contextlib.ExitStack() as stack:
        run = out or Path("runs")  # of the other ranks, which write nothing
        with mpi.agreed(world):
            if world is None or world.rank == 0:
                run = out or run_directory.make_next(Path("runs"), f"{config.preset}-{config.data}")
                stack.enter_context(run_directory.create(run, config))
        _go(task, run, None, shown)


def _need_same(world: World | None, task: Task, config: Config) -> None:
    """Ranks that were given other options, files or versions would compute another thing, or wait for each other."""
    if world is not None:
        from dimref.training.state import machine_of

        options = dataclasses.asdict(dataclasses.replace(config, data_dir=None, threads=None))
        options = {f"--{name.replace('_', '-')}": value for name, value in options.items()}
        versions = {name: machine_of(task)[name] for name in ("dimref", "numpy", "autograd", "python", "backend")}
        world.need_same({**options, "images": task.fingerprint, **versions})


def _continue(run: Path, typed: dict[str, Any], shown: common.Shown) -> None:
    started_with = Config(**configs.read(run / "config.json"))
    common.set_threads(typed.get("threads", started_with.threads) or launch.threads())
    from dimref.distributed import mpi
    from dimref.training import checkpoint as checkpoints
    from dimref.training import metrics
    from dimref.training.files import replace
    from dimref.training.run_directory import CACHE, CONFIG, METRICS, NEWEST, locked
    from dimref.training.state import restore
    from dimref.training.task import prepare

    world = mpi.world()
    with contextlib.ExitStack() as stack:
        with mpi.agreed(world):
            if world is None or world.rank == 0:
                stack.enter_context(locked(run))
        with mpi.agreed(world):
            checkpoint = checkpoints.newest(run)
            _refuse_other_run(run, typed, started_with, "; start a new run for another configuration")
            config = dataclasses.replace(started_with, **typed)
            if checkpoint is not None:  # one that does not fit must not touch the run
                of_checkpoint = dataclasses.asdict(checkpoint.config)
                _refuse_other_run(run, of_checkpoint, started_with, "; the checkpoint is another run's")
                if _ended(config, run, checkpoint):  # before the images are read
                    metrics.read(run / METRICS)
                    if launch.rank() == 0:
                        _say_ended(config, run, checkpoint)
                    return
            task = prepare(config, cache=run.parent / CACHE, world=world)
            if checkpoint is not None:
                restore(task, run / NEWEST, checkpoint)
            _refuse_missing_matplotlib(shown.plot)
        _need_same(world, task, config)

        def write() -> None:
            if checkpoint is None:
                replace(run / METRICS, b"")
            else:
                metrics.cut(run / METRICS, checkpoint.step)
            replace(run / CONFIG, configs.write(config).encode())

        task.once(write)
        _go(task, run, checkpoint, shown)


def _ended(config: Config, run: Path, checkpoint: Checkpoint) -> bool:
    """Whether a run has no step left.

    Raises:
        DimrefError: it is to end before the step that it has reached.
    """
    if not checkpoint.images:
        return False  # `restore` refuses it
    end = config.total_steps(checkpoint.images)
    if end < checkpoint.step:
        raise DimrefError(
            f"--resume {run}: expected --epochs and --steps to end at or after the checkpoint's step {checkpoint.step}, "
            f"found an end at {end}"
        )
    return end == checkpoint.step


def _say_ended(config: Config, run: Path, checkpoint: Checkpoint) -> None:
    named, step = shlex.quote(str(run)), checkpoint.step
    common.say(f"{run}: has ended, after step {step} of {step}; {run_directory.finish(run, config.keep)}")
    common.say(f"  longer    dimref train --resume {named} {config.twice_as_long(step, checkpoint.images)}")
    common.say(f"  evaluate  dimref evaluate {named}")
    common.say(f"  pictures  dimref plot {named}")


def _refuse_too_large(task: Task) -> None:
    """An encoder that cannot be trained here is refused before it is drawn: the system may not say no, but stop."""
    from dimref.training import memory

    numbers, free = task.layout.parameter_count, memory.available()
    needed = 16 * numbers  # bytes: parameters, gradients and both moments of Adam
    if free is not None and needed > free:
        what = "--ndf, --ndepth or --nrkhs" if task.config.method == "amdim" else "the size of the images"
        raise DimrefError(
            f"encoder: expected to find {needed / 1e9:.1f} GB of memory for its {numbers:,} numbers, their gradients and "
            f"Adam's moments, found {free / 1e9:.1f} GB; lower {what}"
        )


def _refuse_missing_matplotlib(plot: bool | None) -> None:
    """A picture that was requested and cannot be drawn is refused before the training, not after."""
    from dimref import plots

    if plot and not plots.available():
        raise DimrefError(plots.MISSING)


def _refuse_other_run(run: Path, options: dict[str, Any], started_with: Config, advice: str) -> None:
    for name, value in options.items():
        if name not in RESUMABLE and value != getattr(started_with, name):
            raise DimrefError(
                f"--{name.replace('_', '-')}: expected {getattr(started_with, name)}, as the run {run} was started with, "
                f"found {value}{advice}"
            )


def _go(task: Task, run: Path, checkpoint: Checkpoint | None, shown: common.Shown) -> None:
    """Train with progress on the terminal, then report."""
    from dimref.commands import report
    from dimref.training import loop

    if not shown.quiet:
        report.opening(task, run, checkpoint)
    with _signals() as stopped, _progress(task, shown) as watch:
        state = loop.train(task, run, watch, stopped, checkpoint, lambda line: click.echo(line, err=True))
    if task.world is not None and task.world.rank > 0:
        return
    task = dataclasses.replace(task, world=None)  # the other ranks have ended
    try:
        report.closing(task, run, state, shown)
    except KeyboardInterrupt:
        again = f"dimref evaluate {shlex.quote(str(run))}"
        raise loop.Interrupted(f"stopped after training; the run is saved, evaluate it with: {again}") from None


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Ctrl-C, SIGTERM and SIGHUP end the run after the step at hand; a second one, or one before any step, at once."""
    stepped, requested = threading.Event(), threading.Event()

    def stopped() -> bool:  # called after each step
        stepped.set()
        return requested.is_set()

    def request(number: int, frame: FrameType | None) -> None:
        if requested.is_set() or not stepped.is_set():
            raise Stopped
        requested.set()

    with handled(request, "SIGINT", "SIGTERM", "SIGHUP"):
        yield stopped


@contextmanager
def _progress(task: Task, shown: common.Shown) -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal; a line per epoch elsewhere, per line of metrics if verbose; nothing when quiet."""
    if shown.quiet or sys.stderr is None:
        yield lambda progress: None
    elif shown.verbose:
        yield lambda progress: _line(progress) if progress.held_out or task.logs(progress.step) else None
    elif not sys.stderr.isatty():
        yield lambda progress: _line(progress) if progress.held_out is not None else None
    else:
        with click.progressbar(length=task.total_steps, item_show_func=_beside_the_bar, file=sys.stderr, show_pos=True,
                               show_eta=False, label="training", width=24) as bar:  # fmt: skip
            done = 0

            def watch(progress: Progress) -> None:
                nonlocal done
                # The first call of a resumed run brings the bar to where the run is.
                bar.update(progress.step - done, progress)
                done = progress.step

            yield watch


def _beside_the_bar(progress: Progress | None) -> str:
    if progress is None:
        return ""
    return f"{_nats(progress.terms)}  {progress.images_per_second:.0f} images/s  {_time_left(progress)}"


def _time_left(progress: Progress) -> str:
    """From this process's own speed: the bar's estimate would count the steps before a resume as if done now."""
    seconds = progress.images_left / max(progress.images_per_second, 1e-9)
    minutes, rest = divmod(round(min(seconds, 359_999)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} left"


def _line(progress: Progress) -> None:
    click.echo(
        f"epoch {progress.epoch}  step {progress.step}/{progress.total}  {_nats(progress.held_out or progress.terms)} "
        f"{'held out  ' if progress.held_out else ' '}"
        f"{progress.images_per_second:.0f} images/s",
        err=True,
    )


def _nats(terms: dict[str, float]) -> str:
    bounds = {name: value for name, value in terms.items() if name not in UNSHOWN and not name.endswith("_certified")}
    return "  ".join(f"{name} {value:z.3f}" for name, value in bounds.items()) + " nats"
