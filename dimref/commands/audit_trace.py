"""`dimref audit trace`: one training step as a file of named arrays, and another implementation's beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from dimref.commands import options as common
from dimref.training import config as configs
from dimref.training.config import Config


@click.group(short_help="Compare one training step of a whole model, in any language.")
def trace() -> None:
    """Compare a whole model, in any language: one training step, array by array."""


@trace.command(short_help="Write all arrays of one training step.")
@common.preset_option("dim-local")
@click.option("--seed", type=int, help="Seed of weights, batch and noise.  [default: the configuration's]")
@click.option("--batch-size", type=int, metavar="N", help="Images in the batch.  [default: 8]")
@click.option(
    "--after", type=click.IntRange(min=0), default=0, metavar="STEPS", help="Train so many steps before.  [default: 0]"
)
@common.choice("--dtype", ("float32", "float64"), "Precision of the step.  [default: float32]", default="float32")
@common.backend_option(default=None, shown="the configuration's")
@common.threads_option()
@common.out_option("The .npz to write.", required=True)
@click.option(
    "--manifest",
    "manifest_file",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Write the manifest there too, as JSON; - prints it.",
)
def export(
    preset: str | None, seed: int | None, batch_size: int | None, after: int, dtype: str, backend: str | None,
    threads: int | None, out: Path, manifest_file: Path | None,
) -> None:  # fmt: skip
    """Write weights, a batch, the noise, and every intermediate array and gradient of one training step."""
    common.set_threads(threads)
    config = _config(preset or "dim-local", {"seed": seed, "batch_size": batch_size, "backend": backend})
    from dimref.audit.trace import export as exporter
    from dimref.training.files import replace
    from dimref.training.task import prepare

    traced = exporter.trace(prepare(config), dtype, after)
    size = exporter.write(out, traced)
    text = json.dumps(traced.manifest, ensure_ascii=False, indent=1) + "\n"
    if manifest_file is not None and str(manifest_file) == "-":
        click.echo(text, nl=False)
        return
    if manifest_file is not None:
        replace(manifest_file, text.encode())
    click.echo(
        f"{out}  {len(traced.arrays)} arrays, {size / 1e6:.0f} MB: step {after + 1} with seed {config.seed}, {dtype}"
    )
    click.echo(f"loss {float(traced.arrays['loss']):.7g}, equal to training's own to rounding")
    click.echo(f"next  save your arrays under the same names, then dimref audit trace compare {out} theirs.npz")


def _config(source: str, changes: dict[str, Any]) -> Config:
    options = configs.chosen(source)
    default = {} if "batch_size" in options else {"batch_size": 8}
    return Config(**{**options, **default, **{name: value for name, value in changes.items() if value is not None}})


@trace.command(short_help="Name the first array that departs, and how.")
@click.argument("reference", type=click.Path(path_type=Path))
@click.argument("theirs", type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="List every name, not only the first few.")
@common.json_option
@click.pass_context
def compare(context: click.Context, reference: Path, theirs: Path, everything: bool, json_file: Path | None) -> None:
    """Name the first array of THEIRS that departs from the trace REFERENCE, how, and what follows from it.

    Exit code 0: what is there conforms. 1: something departs. 2: the files cannot be compared.
    """
    from dimref.audit.trace import compare as comparing
    from dimref.audit.trace import report

    result = comparing.compare(reference, theirs)
    common.printer(json_file)(report.text(result, everything))
    common.write_json(json_file, report.as_json(result))
    if result.departures:
        context.exit(1)
