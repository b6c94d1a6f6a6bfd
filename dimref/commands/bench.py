"""`dimref bench`: how fast a step is."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from dimref.commands import options as common
from dimref.distributed.launch import available_cores
from dimref.errors import DimrefError
from dimref.training import choices

LONGEST = 3600  # seconds


@click.command()
@common.choice("--against", ("torch", "none"), "The other side.  [default: torch, where installed]")
@common.choice("--preset", (*choices.BENCH_PRESETS, "all"), "What a step computes, all but dim-mixed without the prior; may "
               "be repeated.  [default: dim-local]", multiple=True, default=["dim-local"])  # fmt: skip
@click.option(
    "--batch-size", type=click.IntRange(2, 16_384), multiple=True, default=[64], metavar="N",
    help="Images per step; may be repeated.  [default: 64]",
)  # fmt: skip
@common.backend_option()
@common.threads_option("all cores; may be repeated", multiple=True)
@click.option("--rounds", type=click.IntRange(min=1), default=7, help="Turns of each side.  [default: 7]")
@click.option("--seconds", type=float, default=1.0, help="Length of a turn.  [default: 1]")
@click.option("--compile/--no-compile", "compiled", default=True, help="torch.compile too.  [default: compile]")
@click.option("--graph/--no-graph", default=True, help="On a GPU: replay dimref's step as one graph.  [default: graph]")
@click.option("--tf32", is_flag=True, help="On a GPU: matrix products of both sides rounded to TF32.")
@click.option(
    "--write", "page", type=click.Path(path_type=Path), metavar="FILE",
    help="Put the results into a Markdown file, as the section of this machine.",
)  # fmt: skip
@common.json_option
def bench(
    against: str | None, preset: tuple[str, ...], batch_size: tuple[int, ...], backend: str,
    threads: tuple[int, ...], page: Path | None, json_file: Path | None, **how: Any,
) -> None:  # fmt: skip
    """Time a training step beside the same step in PyTorch and beside its bare matrix products.

    The twin in PyTorch has the same weights, batch and draws. Nothing is timed before its loss and gradients are
    proved to be dimref's; if they are not, the exit code is 1.
    """
    from dimref.bench import compare, report, workers

    if not 0 <= how["seconds"] <= LONGEST:
        raise DimrefError(f"--seconds: expected a number from 0 to {LONGEST}, found {how['seconds']:g}")
    if page is not None:
        common.refuse_unwritable("--write", page)
        _read(page)
    if backend == "numpy" and (how["tf32"] or not how["graph"]):
        written = "--tf32" if how["tf32"] else "--no-graph"
        raise DimrefError(f"{written}: has no effect, since --backend is numpy; leave it out")
    options = compare.Options(
        presets=choices.BENCH_PRESETS if "all" in preset else tuple(dict.fromkeys(preset)),
        batch_sizes=tuple(dict.fromkeys(batch_size)), threads=tuple(dict.fromkeys(threads)) or (available_cores(),),
        against=against or ("torch" if find_spec("torch") else "none"), backend=backend, **how,
    )  # fmt: skip
    say = common.printer(json_file)
    with common.status() as show:

        def watch(result: dict[str, Any]) -> None:
            show("")
            lines = report.preset(result["presets"][-1]) if result["presets"] else report.opening(result)
            say("\n".join(lines) + "\n")

        result = compare.compare(options, show, workers.Worker, watch)
    say(report.LEGEND)
    if page is not None:
        from dimref.training.files import replace

        replace(page, report.in_page(_read(page), result).encode())
    common.write_json(json_file, result)


def _read(page: Path) -> str:
    from dimref.training.files import read_text

    try:
        return read_text(page) if page.exists() else ""
    except UnicodeError:
        raise DimrefError(f"--write {page}: expected a page of Markdown in UTF-8, found other bytes") from None
