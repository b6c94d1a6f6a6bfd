"""`dimref audit distributed NAME TARGET`: a loss that several ranks compute together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dimref.commands.audit_callable import need_time_limit, target_options
from dimref.commands.options import choice, json_option, printer, status, write_json


class _Command(click.Command):
    """A command whose help ends with the names that it takes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from dimref.audit.distributed.quantities import QUANTITIES

        with formatter.section("NAME, and how the target is called with one rank's rows"):
            formatter.write_dl([(name, each.meaning) for name, each in QUANTITIES.items()])


@click.command(cls=_Command, short_help="Audit a loss that several ranks compute together.")
@click.argument("name")
@click.argument("target")
@click.option("--ranks", type=int, default=4, metavar="W", help="How many ranks, 2 to 4.  [default: 4]")
@click.option(
    "--rows", type=click.IntRange(min=1), default=None, metavar="N", help="Of the whole batch.  [default: 3·W]"
)
@choice("--reduction", ("mean", "sum"),
        "Of the ranks' gradients; mean is DistributedDataParallel's.  [default: mean in PyTorch, else sum]")  # fmt: skip
@target_options
@json_option
@click.pass_context
def distributed(
    context: click.Context, name: str, target: str, strict: bool, json_file: Path | None, **how: Any
) -> None:
    """Hold the losses and the gradient of W ranks against one process on all rows.

    TARGET is as in the other audits. In PyTorch it runs in W processes whose torch.distributed is gloo's; in NumPy or
    autograd in W threads, and takes an argument named ranks, with ranks.all_gather(x) and ranks.all_sum(x). {rank},
    {world_size}, {rows} (this rank's) and {ranks} may stand in --call; arguments of these names are passed too.

    Exit code 0: it conforms, or follows another valid convention. 1: it does not. 2: it could not be run.
    """
    need_time_limit(how["time_limit"])
    from dimref.audit.distributed import audit, report
    from dimref.audit.distributed.quantities import QUANTITIES
    from dimref.audit.distributed.ranked import OFFERED
    from dimref.audit.loading import expression
    from dimref.audit.verdict import FAILED

    if how["call"] and name in QUANTITIES:
        expression(how["call"], QUANTITIES[name].signature.arguments, OFFERED)
    given = {key: value for key, value in how.items() if value is not None}
    with status() as show:
        show(f"{target} on {how['ranks']} ranks")
        result = audit.audit_distributed(target, name, **given)
    printer(json_file)(report.text(result))
    write_json(json_file, report.as_json(result))
    if result.judgement.verdict == FAILED:
        context.exit(2)
    if not result.passes(strict):
        context.exit(1)
