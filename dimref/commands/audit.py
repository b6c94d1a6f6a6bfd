"""`dimref audit`: another implementation held against this one."""

from __future__ import annotations

import click

from dimref.commands import audit_callable
from dimref.commands.audit_adapter import adapter
from dimref.commands.audit_catalogue import catalogue
from dimref.commands.audit_distributed import distributed
from dimref.commands.audit_trace import trace
from dimref.commands.audit_vectors import vectors
from dimref.training import choices


@click.group()
def audit() -> None:
    """Hold another implementation against this one."""


for kind in choices.AUDIT_KINDS:
    audit.add_command(audit_callable.command(kind))
for command in (distributed, catalogue, adapter, trace, vectors):
    audit.add_command(command)
