"""`dimref check`: the laws of the theory, tried on this machine."""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path

import click

from dimref import __version__
from dimref.commands.options import backend_option, json_option, printer, set_threads, threads_option, write_json
from dimref.errors import counted


@click.command()
@backend_option()
@click.option(
    "--laws", "pattern", default="", metavar="PATTERN", help="Only laws whose name contains this; * and ? match."
)
@click.option("--examples", type=click.IntRange(min=1), default=50, help="Cases of each law.  [default: 50]")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of the cases.  [default: 0]")
@threads_option()
@click.option("--list", "only_list", is_flag=True, help="Print statements, reasons and sources; try nothing.")
@json_option
@click.pass_context
def check(
    context: click.Context, backend: str, pattern: str, examples: int, seed: int, threads: int | None, only_list: bool,
    json_file: Path | None,
) -> None:  # fmt: skip
    """Try every inequality and identity of the theory on this machine, and report how tight each came.

    A violated law prints its smallest counterexample as Python that can be pasted; the exit code is then 1.
    """
    set_threads(threads)
    from dimref import engine, laws
    from dimref.backend import get_backend
    from dimref.laws import report

    if only_list:
        for law in laws.matching(pattern):
            click.echo(f"{law.name}  ({law.kind})")
            for text, indent in ((law.statement, "    "), (law.why, "      "), (law.source, "      ")):
                click.echo(textwrap.fill(text, 100, initial_indent=indent, subsequent_indent=indent))
        return
    device = get_backend(backend)
    engine.turn_on()
    say = printer(json_file)
    results = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an overflow in a broken function shows in its slack
        for count, result in enumerate(laws.check(pattern, device, examples, seed)):
            if count == 0:
                say(report.HEADER)
            say(report.row(result))
            results.append(result)
    violated = [result for result in results if not result.obeyed]
    say(report.LEGEND)
    for result in violated:
        say("\n" + report.counterexample(result))
    cases = sum(result.examples for result in results)
    outcome = f"{len(violated)} VIOLATED" if violated else "all as stated"
    say(
        f"\n{counted(len(results), 'law')}, {counted(cases, 'case')} on {backend} ({device.device}), seed {seed}: {outcome}"
    )
    write_json(json_file, {
        "version": __version__, "backend": backend, "device": device.device, "seed": seed, "examples": examples,
        "laws": [report.as_json(result) for result in results],
    })  # fmt: skip
    if violated:
        context.exit(1)
