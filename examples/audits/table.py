"""CONFORMANCE.md from the results."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

LONGEST = 160  # characters of a smallest case in the list

WORDS = {
    "conforms": "conform",
    "another valid convention": "follow another valid convention",
    "mistake": "are mistakes",
    "conforms within": "within limits alone",
    "could not run": "could not run",
}

HEAD = """# Public implementations held against dimref

Written by `python examples/audits/run.py --clones DIR` from `manifest.toml`; the adapters are `dimref`'s own. *Verdict* is
the audit's. *Computed* is independent of it: value and gradient of the implementation beside a naive loop over Python
numbers (`naive.py`) at ordinary and at extreme inputs; the worst departure is shown. A relative error of
1e-4 counts as none. Of what runs on several ranks the gradient of two processes, averaged as DistributedDataParallel does,
is compared with the loop's on all rows, by central differences.

"""


def write(file: Path, results: Path, entries: dict[str, Any], of: Callable[..., str], command: Callable[..., str],
          outcome: Callable[..., list[str]]) -> None:  # fmt: skip
    """Write the table of the results that there are."""
    found = {name: json.loads(path.read_text(encoding="utf-8"))
             for name in entries if (path := results / f"{name}.json").exists()}  # fmt: skip
    lines = [HEAD + counts(found, entries, outcome), ""]
    lines += ["| implementation | quantity | verdict | computed |", "|---|---|---|---|"]
    for name, result in found.items():
        entry = entries[name]
        verdict = result["verdict"] + (f": {result['diagnosis']}" if result["verdict"] != "conforms" else "")
        computed = result["facts"][0] if result["facts"] else "agrees"
        words = [f"**{entry['says']}**, {of(entry)}", f"{entry['audit']}", verdict, computed]
        lines.append("| " + " | ".join(word.replace("|", "\\|").replace("\n", " ") for word in words) + " |")
    wrong = {name: words for name, result in found.items() if (words := outcome(entries[name], result))}
    lines += ["", "## Verdicts that are not right yet", ""]
    lines += [f"- `{name}`: {'; '.join(words)}" for name, words in wrong.items()] or ["None."]
    lines += ["", "## Smallest cases", "", "Found by the audit, for what does not conform."]
    for name, result in found.items():
        if result.get("counterexample"):
            lines += ["", f"**{entries[name]['says']}**, {of(entries[name])}", "", "```", command(entries[name])]
            for part in ("inputs", "found", "expected"):
                lines.append(f"{part:<9}{textwrap.shorten(' '.join(result['counterexample'][part].split()), LONGEST)}")
            lines.append("```")
    missing = [name for name in entries if name not in found]
    if missing:
        lines += ["", f"Not run: {', '.join(missing)}."]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def counts(found: dict[str, Any], entries: dict[str, Any], outcome: Callable[..., list[str]]) -> str:
    """A sentence of how many there are of each verdict."""
    verdicts = Counter(result["verdict"] for result in found.values())
    sources = len({entries[name]["of"] for name in found})
    right = sum(not outcome(entries[name], result) for name, result in found.items())
    parts = ", ".join(f"{count} {WORDS.get(verdict, verdict)}" for verdict, count in verdicts.most_common())
    return (f"{len(found)} functions of {sources} packages and repositories: {parts}. "
            f"{right} verdicts are as expected and confirmed by the computation.")  # fmt: skip
