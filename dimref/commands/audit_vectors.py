"""`dimref audit vectors`: golden vectors for tests in other languages."""

from __future__ import annotations

from pathlib import Path

import click

from dimref.commands.options import out_option


@click.command(short_help="Write golden vectors for tests in any language.")
@out_option("Where to write them.", metavar="DIR", required=True)
def vectors(out: Path) -> None:
    """Write small inputs, outputs and gradients of every public mathematical function, as .npz and as JSON,
    with what known mistakes give."""
    from dimref.audit.vectors import write

    cases, arrays = write.write(out)
    click.echo(
        f"{out}  {cases} cases, {arrays} arrays in an .npz and a .json for each module; {write.MANIFEST} says what they are"
    )
