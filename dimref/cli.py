"""The command line. NumPy is loaded inside the commands, after `--threads` has been heard."""

from __future__ import annotations

from typing import Any

import click

from dimref import __version__
from dimref.commands.info import info
from dimref.commands.train import train
from dimref.errors import DimrefError


class Group(click.Group):
    """A group of commands that tells a mistake in one line and exits with its code, never with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DimrefError as error:
            click.echo(f"dimref: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("dimref: stopped", err=True)
            ctx.exit(130)
        except MemoryError:
            click.echo(
                "dimref: memory: expected enough for the arrays, found none left; lower --batch-size or --limit",
                err=True,
            )
            ctx.exit(2)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="dimref")
def main() -> None:
    """The reference implementation of Deep InfoMax (arXiv 1808.06670)."""


main.add_command(train)
main.add_command(info)
