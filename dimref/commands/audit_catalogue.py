"""`dimref audit list`: what can be audited, and the known mistakes."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dimref.commands.options import choice, json_option, printer, write_json
from dimref.training import choices

if TYPE_CHECKING:
    from dimref.audit.contract import Contract, Variant

WIDTH = 98


@click.command("list", short_help="Print the catalogue of known mistakes.")
@choice("--kind", choices.AUDIT_KINDS, "Only these.  [default: all]")
@json_option
def catalogue(kind: str | None, json_file: Path | None) -> None:
    """Print the catalogue: what can be audited, other valid conventions, and the known mistakes with their fixes."""
    from dimref.audit import contract

    entries = [_entry(each) for each in contract.contracts(kind or "")]
    say = printer(json_file)
    for entry in entries:
        say("\n".join(_lines(entry)) + "\n")
    conventions = sum(len(entry["conventions"]) for entry in entries)
    mistakes = sum(len(entry["mistakes"]) for entry in entries)
    say(f"{len(entries)} quantities, {conventions} other conventions, {mistakes} known mistakes")
    write_json(json_file, entries)


def _entry(contract: Contract) -> dict[str, Any]:
    """A contract's part of the catalogue; what several forms share stands once."""
    conventions: dict[str, Any] = {}
    mistakes: dict[str, Any] = {}
    for form in contract.forms:
        for known, variants in ((conventions, form.conventions), (mistakes, (*form.mistakes, *form.numerical))):
            for variant in variants:
                known.setdefault(variant.key, _described(variant))["forms"].append(form.name)
    return {
        "kind": contract.kind, "name": contract.name, "title": contract.title, "source": contract.source,
        "forms": [{"name": form.name, "meaning": form.meaning} for form in contract.forms],
        "conventions": list(conventions.values()), "mistakes": list(mistakes.values()),
    }  # fmt: skip


def _described(variant: Variant) -> dict[str, Any]:
    return {"key": variant.key, "title": variant.title, "consequence": variant.consequence, "mend": variant.fix,
            "source": variant.source, "forms": []}  # fmt: skip


def _lines(entry: dict[str, Any]) -> list[str]:
    lines = textwrap.wrap(f"{entry['kind']} {entry['name']}: {entry['title']}", WIDTH, subsequent_indent="    ")
    for form in entry["forms"]:
        lines += textwrap.wrap(f"--form {form['name']}: {form['meaning']}", WIDTH, initial_indent="  ",
                               subsequent_indent="      ")  # fmt: skip
    for word in ("convention", "mistake"):
        for variant in entry[f"{word}s"]:
            lines += textwrap.wrap(f"{word} {variant['key']}: {variant['title']}", WIDTH, initial_indent="  ",
                                   subsequent_indent="      ")  # fmt: skip
            for title, text in (("consequence", variant["consequence"]), ("fix", variant["mend"])):
                if text:
                    lines += textwrap.wrap(text, WIDTH, initial_indent=f"      {title:<13}",
                                           subsequent_indent=" " * 19)  # fmt: skip
    return lines
