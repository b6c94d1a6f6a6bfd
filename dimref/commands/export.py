"""`dimref export`: a run's weights for others."""

from __future__ import annotations

from pathlib import Path

import click

from dimref.commands.options import checkpoint_option, choice, out_option, run_argument
from dimref.errors import DimrefError, counted
from dimref.training import choices

SUFFIX = {"safetensors": ".safetensors", "torch-layout-npz": ".npz"}


@click.command()
@run_argument
@choice("--format", choices.WEIGHT_FORMATS, "dimref's names and layouts, or PyTorch's.  [default: torch-layout-npz]",
        default="torch-layout-npz")  # fmt: skip
@out_option("The file.  [default: RUN/weights.safetensors or .npz]")
@checkpoint_option
@click.option("--scorers", is_flag=True, help="Also the critics and the prior's discriminator.")
@click.option("--list", "listed", is_flag=True, help="Print the name and the shape of each array.")
def export(run: Path, format: str, out: Path | None, checkpoint: str, scorers: bool, listed: bool) -> None:
    """Write the encoder's weights and running statistics under documented names.

    safetensors: dimref's names and shapes (encoder/conv1/w, encoder/norm1/mean). torch-layout-npz: those of a PyTorch
    state dict (encoder.conv1.weight in OIHW, encoder.fc.weight with its inputs in the order channel, row, column).
    """
    from dimref.export.weights import write_weights

    out = out or run / f"weights{SUFFIX[format]}"
    if out.suffix != SUFFIX[format]:
        raise DimrefError(f"--out: expected a name that ends in {SUFFIX[format]}, found {out}")
    named = write_weights(run, f"{checkpoint}.npz", format, out, scorers)
    if listed:
        for name, array in named.items():
            click.echo(f"{name:<40} {'×'.join(map(str, array.shape))}")
    click.echo(
        f"weights   {out}: {counted(len(named), 'array')}, {sum(a.size for a in named.values()):,} numbers, {format}"
    )
