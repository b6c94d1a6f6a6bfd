"""`dimref equations`: from a paper's equation to function, laws and tests."""

from __future__ import annotations

import textwrap

import click


@click.command()
@click.argument("paper", default="", metavar="[PAPER[:NUMBER]]")
def equations(paper: str) -> None:
    """Print which functions, laws and tests stand for each equation: 1905.06922, or 1905.06922:10 for one of them."""
    from dimref.laws.equations import TESTS, select

    before = None
    for entry in select(paper):
        if entry.paper != before:
            before = entry.paper
            click.echo(f"arXiv {before}" if before[0].isdigit() else before)
        place = entry.place or "(whole)"
        for title, names in (("functions", entry.functions), ("laws", entry.laws), ("tests", entry.tests)):
            if names:
                text = f"  {place:<16} {title:<10} {', '.join(names)}"
                click.echo(textwrap.fill(text, 108, subsequent_indent=" " * 30, break_on_hyphens=False))
                place = ""
    if not TESTS.is_dir():
        click.echo("(tests are listed in a checkout only: an installed package has none)")
