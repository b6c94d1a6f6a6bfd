"""`dimref audit`: another implementation held against this one."""

from __future__ import annotations

import click

from dimref.commands.audit_trace import trace
from dimref.commands.audit_vectors import vectors


@click.group()
def audit() -> None:
    """Hold another implementation against this one."""


audit.add_command(trace)
audit.add_command(vectors)
