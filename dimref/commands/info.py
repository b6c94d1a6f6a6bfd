"""`dimref info`."""

from __future__ import annotations

import click

from dimref.commands.options import backend_option


@click.command()
@backend_option()
def info(backend: str) -> None:
    """Print backend, device, BLAS, threads and versions."""
    from dimref.backend import get_backend
    from dimref.distributed import mpi
    from dimref.training import machine

    for name, value in machine.description(backend, get_backend(backend).device).items():
        click.echo(f"{name:<10} {value}")
    click.echo(f"{'mpi':<10} {mpi.description()}")
