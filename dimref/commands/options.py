"""What several commands share."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from dimref.distributed import launch, session
from dimref.errors import DimrefError, nearest, printable
from dimref.training import choices
from dimref.training.config import PRESETS, Config

ALONE = Path("-")  # what --json without a file stands for
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclasses.dataclass(frozen=True)
class Shown:
    """What `dimref train` prints and draws."""

    plot: bool | None  # None: where matplotlib is installed
    probe: bool
    quiet: bool
    verbose: bool


# ---- options that several commands have


class Choice(click.Choice):
    """One of some words; of a mistyped one, which it may be."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """What click says, and the nearest."""
        return super().get_invalid_choice_message(value, ctx).rstrip(".") + nearest(str(value), map(str, self.choices))


def choice(name: str, values: Sequence[str], text: str, **more: Any) -> Decorator:
    """An option that takes one of `values`."""
    return click.option(name, type=Choice(values), help=text, **more)


def preset_option(default: str) -> Decorator:
    """`--preset`, `--config`: one option by two names."""
    return click.option(
        "--preset", "--config", "preset", metavar="PRESET|FILE",
        shell_complete=lambda context, parameter, start: [name for name in PRESETS if name.startswith(start)],
        help=f"{', '.join(PRESETS)}; or a file of options, such as a run's config.json.  [default: {default}]",
    )  # fmt: skip


def threads_option(default: str = "all cores", **more: Any) -> Decorator:
    """Of a command that begins with `set_threads(threads)`."""
    text = f"Threads of BLAS.  [default: {default}]"
    return click.option("--threads", type=click.IntRange(min=1), metavar="N", help=text, **more)


def backend_option(default: str | None = "numpy", shown: str = "numpy") -> Decorator:
    """`--backend`."""
    return choice("--backend", choices.BACKENDS, f"CPU or CUDA GPU.  [default: {shown}]", default=default)


def out_option(text: str, metavar: str = "FILE", **more: Any) -> Decorator:
    """`-o`, `--out`."""
    return click.option("-o", "--out", type=click.Path(path_type=Path), metavar=metavar, help=text, **more)


def run_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """RUN: the directory of a run."""
    return click.argument("run", type=click.Path(path_type=Path), callback=_run)(command)


def _run(context: click.Context, parameter: click.Parameter, run: Path | None) -> Path | None:
    if run is not None:
        from dimref.training.run_directory import need_run

        need_run(run)
    return run


def checkpoint_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which of a run's checkpoints."""
    return choice("--checkpoint", choices.CHECKPOINTS, "Which.  [default: newest]", default="newest")(command)


def set_threads(count: int | None) -> None:
    """Have BLAS use `count` threads. It reads the environment once, when NumPy loads it.

    Raises:
        DimrefError: NumPy is loaded already.
    """
    if count is None:
        return
    if "numpy" in sys.modules:
        raise DimrefError(
            "--threads: expected to be set before NumPy is loaded, found it loaded; start dimref as a command"
        )
    for name in choices.THREAD_VARIABLES:
        os.environ[name] = str(count)


def other_data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which images an encoder is applied to, for `other_data`."""
    for option in (
        folder_options,
        click.option(
            "--shared", metavar="FACTOR,…", help="What shapes share in the whole image.  [default: the run's]"
        ),
        click.option("--noise", type=float, help="Pixel noise of shapes.  [default: the run's]"),
        click.option("--data-dir", metavar="PATH", help="Where its files lie.  [default: the run's, for its dataset]"),
        choice("--data", choices.DATA, "The dataset.  [default: the run's]"),
    ):
        command = option(command)
    return command


def folder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a folder of images is read."""
    for option in (
        click.option("--skip-bad", is_flag=True, default=None, help="Folders: leave out files that cannot be read."),
        click.option("--size", type=int, metavar="N",
                     help="Folders: the shorter side of each image to N, then its centre, N×N."),
    ):  # fmt: skip
        command = option(command)
    return command


def other_data(config: Config, data: str | None, limit: int | None, **requested: Any) -> Config:
    """The run's configuration with the requested data; the rest is the run's, unless it is of another dataset.

    Args:
        requested: data_dir, and the options of `Config.reading`; None where one was not typed.
    """
    if data not in (None, config.data):
        requested["skip_bad"] = bool(requested["skip_bad"])
        return dataclasses.replace(config, data=data, limit=limit, **requested)
    changes: dict[str, Any] = {**requested, "limit": limit}
    return dataclasses.replace(config, **{name: value for name, value in changes.items() if value is not None})


def shared_among_ranks(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--ranks`: the command on W ranks, started here or by mpiexec, which end together; rank 0 alone prints."""

    @click.option(
        "--ranks", type=click.IntRange(min=1), metavar="W", help="Share each batch among W processes, by MPI."
    )
    @click.pass_context
    @functools.wraps(command)
    def run(context: click.Context, ranks: int | None, **options: Any) -> None:
        started = launch.started()
        if ranks is not None and ranks > 1 and started == 1:
            context.exit(launch.run(context.find_root().obj, ranks))
        with session.session():
            if ranks is not None and ranks != started:
                raise DimrefError(
                    f"--ranks: expected {started}, as many as mpiexec started, found {ranks}; leave it out"
                )
            command(**options)

    return run


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`: the result as JSON and nothing else; `--json FILE`: into a file, beside what is printed.

    The command gets `json_file`, prints what people read through `printer(json_file)`, and ends with
    `write_json(json_file, result)`. A place that cannot be written to is refused before the command begins.
    """
    return click.option(
        "--json",
        "json_file",
        is_flag=False,
        flag_value=str(ALONE),
        type=click.Path(path_type=Path),
        callback=_writable,
        metavar="[FILE]",
        help="Print the result as JSON and nothing else; with FILE, write it there too.",
    )(command)


def _writable(context: click.Context, option: click.Parameter, json_file: Path | None) -> Path | None:
    if json_file not in (None, ALONE):
        refuse_unwritable("--json", json_file)
    return json_file


def refuse_unwritable(option: str, file: Path) -> None:
    """Raise DimrefError where a file cannot be written: before the work, not after."""
    parent = file.absolute().parent
    if file.is_dir() or not parent.is_dir():
        raise DimrefError(f"{option} {file}: expected a file in a directory that exists, found none")
    if file.exists() and not file.is_file():
        raise DimrefError(f"{option} {file}: expected a file, found a device or a pipe")
    if not os.access(parent, os.W_OK):
        raise DimrefError(f"{option} {file}: expected a directory that can be written to, found none")


def say(text: str, err: bool = False) -> None:
    """Print lines for people. Every line that may have words of a file, a name or an exception in it goes through here."""
    click.echo("\n".join(map(printable, text.split("\n"))), err=err)


def printer(json_file: Path | None) -> Callable[[str], None]:
    """What prints a line for people: on the standard output, or not at all where JSON is to be alone there."""
    return say if json_file != ALONE else lambda text: None


def write_json(json_file: Path | None, content: Any) -> None:
    """Do what `json_option` promises. Infinite numbers have no name in JSON: write them as texts."""
    if json_file is None:
        return
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if json_file == ALONE:
        click.echo(text, nl=False)
    else:
        from dimref.training.files import replace

        replace(json_file, text.encode())


def typed(context: click.Context, *without: str) -> list[str]:
    """The arguments and options of a command as they were typed, but for some."""
    words: list[str] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in without or context.get_parameter_source(name) != ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        for each in value if isinstance(value, tuple) else (value,):
            if not isinstance(parameter, click.Option):
                words.append(str(each))
            elif parameter.is_flag:
                words.append(parameter.opts[0] if each else parameter.secondary_opts[0])
            else:
                words += [parameter.opts[0], str(each)]
    return words


@contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """What is being done, on one line of a terminal that is wiped at the end; nothing elsewhere."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda text: None
        return

    def show(text: str) -> None:
        click.echo(f"\r\x1b[K{text[:99]}", nl=False, err=True)

    try:
        yield show
    finally:
        show("")


@contextmanager
def evaluating(total: int) -> Iterator[Callable[[str, int], None]]:
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
    """For each value a line with its time."""
    count, since = 0, time.perf_counter()

    def watch(text: str, done: int) -> None:
        nonlocal count, since
        if done:
            count += done
            now = time.perf_counter()
            click.echo(f"{count}/{total}  {text}  {now - since:.1f} s", err=True)
            since = now

    return watch
