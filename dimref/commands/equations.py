"""`dimref equations`: from a paper's equation to its function, its law and its oracle test."""

from __future__ import annotations

import textwrap

import click


@click.command()
@click.argument("paper", default="", metavar="[PAPER[:NUMBER]]")
def equations(paper: str) -> None:
    """Print function, law and oracle test of each equation of a paper: 1905.06922, or 1905.06922:10 for one of them.

    The oracle test holds the function against an independent implementation; further tests are listed after it.
    """
    from dimref.laws.equations import TESTS, select

    before = None
    for entry in select(paper):
        if entry.paper != before:
            before = entry.paper
            click.echo(f"arXiv {before}" if before[0].isdigit() else before)
        place = entry.place or "(whole)"
        rows = {"function": entry.functions, "law": entry.laws, "oracle test": entry.oracles, "more tests": entry.tests}
        for title, names in rows.items():
            if names:
                text = f"  {place:<16} {title:<12} {', '.join(names)}"
                click.echo(textwrap.fill(text, 108, subsequent_indent=" " * 32, break_on_hyphens=False))
                place = ""
    if not TESTS.is_dir():
        click.echo("(tests are listed in a checkout only: an installed package has none)")
