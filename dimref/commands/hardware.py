"""`dimref hardware`: everything that only a real device shows."""

from __future__ import annotations

import textwrap
from pathlib import Path

import click

from dimref.bench import hardware as parts
from dimref.commands.options import choice, json_option, printer, write_json
from dimref.errors import counted


@click.command()
@choice("--part", tuple(parts.PARTS), "Only this part; may be repeated.  [default: all]", multiple=True)
@click.option("--quick", is_flag=True, help="Small sizes and short turns: whether it works, not how fast.")
@json_option
@click.pass_context
def hardware(context: click.Context, part: tuple[str, ...], quick: bool, json_file: Path | None) -> None:
    """Check --backend cupy on this machine's GPU: numbers, graphs, the theory, training, and speed beside PyTorch.

    Each part is a process of its own. The exit code is 1 if a part failed, and 2 if there is no GPU.
    """
    from dimref.backend import get_backend

    device = get_backend("cupy").device
    say, results = printer(json_file), {}
    say(f"device     {device}")
    for name, found in parts.run(tuple(dict.fromkeys(part)) or tuple(parts.PARTS), quick, parts.in_a_process):
        results[name] = found
        indent = " " * 18
        text = textwrap.fill(
            found["said"], 100, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        ).lstrip()
        say(f"{name:<10} {'ok' if found['ok'] else 'FAILED':<6} {text}")
    result = parts.report(device, results)
    failed = [name for name, found in results.items() if not found["ok"]]
    say(f"{counted(len(results), 'part')}: " + (f"{', '.join(failed)} FAILED" if failed else "all as expected"))
    write_json(json_file, result)
    if failed:
        context.exit(1)
