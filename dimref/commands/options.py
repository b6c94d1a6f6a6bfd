"""What several commands share."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dimref.distributed import launch, session
from dimref.errors import DimrefError, printable
from dimref.training.choices import THREAD_VARIABLES

if TYPE_CHECKING:
    from dimref.training.config import Config

ALONE = Path("-")  # what --json without a file stands for


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
    for name in THREAD_VARIABLES:
        os.environ[name] = str(count)


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
