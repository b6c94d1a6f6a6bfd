"""The results in words, for a terminal of 100 columns, and as a table in Markdown. Loads no NumPy."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from typing import Any

from dimref.errors import counted

LABELS = {"dimref": "dimref", "eager": "PyTorch eager", "compiled": "torch.compile"}
ROWS = 12  # of a profile
MIB = 2**20


def opening(result: dict[str, Any]) -> Iterator[str]:
    """The machine, both libraries, and how the times were taken."""
    machine, torch, options = result["machine"], result["torch"], result["options"]
    yield f"{'machine':<9} {_processor(machine)}"
    yield (
        f"{'dimref':<9} {result['version']}, NumPy {machine['numpy']} ({machine['blas']}), "
        f"autograd {machine['autograd']}, Python {machine['python']}"
    )
    if torch:
        yield f"{'PyTorch':<9} {torch['torch']} ({torch['blas']}) on {torch['device']}; {torch['adam']}"
    yield (
        f"{'timing':<9} {counted(options['rounds'], 'round')} in turns of {options['seconds']:g} s, a process per side; "
        "medians of turns, ratios turn by turn"
    )


def _processor(machine: dict[str, Any]) -> str:
    return machine["processor"] if machine["device"] == "cpu" else machine["device"]


def preset(measured: dict[str, Any]) -> Iterator[str]:
    """One preset at one batch size: the proof, the table, the profile."""
    threads = f"{measured['threads']} thread{'s' if measured['threads'] > 1 else ''}"
    yield f"{measured['preset']}, batch {measured['batch']}, {threads}: {measured['text']}"
    yield from _agreement(measured)
    if measured["graph"]:
        yield f"  dimref: {measured['graph']}"
    yield ""
    yield f"  {'':<20} {'ms/step':>9} {'images/s':>9} {'vs dimref':>10} {'GFLOP/s':>8} {'of products':>12} {'peak MiB':>9}"
    for side, row in measured["sides"].items():
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        yield (
            f"  {LABELS[side]:<20} {_ms(row['step_ms']):>9} {row['images_per_second']:>9.0f} {ratio:>10} "
            f"{row['gflop_per_second']:>8.0f} {100 * row['share_of_products']:>10.0f} % "
            f"{_mebibytes(measured['peak_bytes'].get(side)):>9}"
        )
    for side, name in (("dimref", "dimref" if measured["graph"] else "NumPy"), ("eager", "PyTorch")):
        if side in measured["sides"]:
            row = measured["sides"][side]
            yield (
                f"  {f'products, {name}':<20} {_ms(row['products_ms']):>9} {'':>9} {'':>10} "
                f"{row['products_gflop_per_second']:>8.0f}"
            )
    if measured["unsettled_turns"]:
        yield f"  note: after {measured['unsettled_turns']} turns a side's threads did not come to rest; run it again"
    if measured["profile"]:
        yield ""
        yield from _profile(**measured["profile"])


def _agreement(measured: dict[str, Any]) -> Iterator[str]:
    if not measured["agreement"]:
        yield "  no PyTorch beside it: dimref alone, against its own bare matrix products"
    for side, a in measured["agreement"].items():
        what = "loss and gradients" if a["adam"] is not None else "encodings"
        adam = "" if a["adam"] is None else ", and so does Adam"
        yield f"  {LABELS[side]}: {what} agree to {a['float64']:.0e} in float64, {a['float32']:.0e} in float32{adam}"
    for side, why in measured["failed"].items():
        yield f"  {LABELS[side]}: does not work here: {why}"[:100]


def _ms(milliseconds: float) -> str:
    """A device's steps are so short that a tenth would not distinguish them."""
    return f"{milliseconds:.2f}" if milliseconds < 10 else f"{milliseconds:.1f}"


def _mebibytes(count: int | None) -> str:
    """Bytes in MiB, or a dash where nothing was measured."""
    return "–" if count is None else f"{count / MIB:,.0f}"


def _profile(total: float, rows: list[dict[str, Any]]) -> Iterator[str]:
    yield f"  where dimref's step goes, in ms: {1e3 * total:.1f} under the profiler, threads one after another"
    rest = {"name": f"{len(rows) - ROWS} more", "seconds": sum(row["seconds"] for row in rows[ROWS:])}
    for row in [*rows[:ROWS], *([rest] if rows[ROWS:] else [])]:
        yield f"  {row['name']:<48} {1e3 * row['seconds']:>9.1f} {100 * row['seconds'] / total:>8.1f} %"


LEGEND = """\
vs dimref    this side's time over dimref's: at 1.30 dimref is 1.3 times as fast
products     the bare matrix products of the same step, by each side's own BLAS
of products  their time over the step's, so how near the step comes to their rate
peak         what building one side and three steps add to its imports, in a process of its own;
             on a device, to the memory in use there
profile      a function's own time with its NumPy operators; "autograd" is the tape"""


# ---- Markdown


def in_page(page: str, result: dict[str, Any]) -> str:
    """A page of Markdown with this result's section: in place of the one of the same machine, or at its end."""
    title, *rest = _section(result)
    section = "\n".join([title, *rest])
    place = re.compile(rf"^{re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if place.search(page):
        return place.sub(lambda _: section + "\n\n", page, count=1).rstrip("\n") + "\n"
    return f"{page.rstrip()}\n\n{section}\n".lstrip("\n")


def _section(result: dict[str, Any]) -> Iterator[str]:
    machine, torch, options = result["machine"], result["torch"], result["options"]
    yield f"## {_processor(machine)}{', TF32' if options['tf32'] else ''}"
    yield ""
    beside = f", PyTorch {torch['torch']} ({torch['blas']})" if torch else ""
    yield (
        f"`dimref bench`, {datetime.date.today()}, dimref {result['version']}, NumPy {machine['numpy']} "
        f"({machine['blas']}){beside}; medians of {options['rounds']} turns of {options['seconds']:g} s."
    )
    yield ""
    yield (
        "| step | batch | threads | dimref, ms | PyTorch eager, ms | eager / dimref | torch.compile / dimref "
        "| products by NumPy / by PyTorch, ms | peak MiB, dimref / PyTorch |"
    )
    yield "|---" * 9 + "|"
    for found in result["presets"]:
        ours, eager, compiled = (found["sides"].get(side) for side in LABELS)
        products = [_ms(row["products_ms"]) for row in (ours, eager) if row]
        cells = [
            found["preset"], found["batch"], found["threads"], _ms(ours["step_ms"]), _ms(eager["step_ms"]) if eager else "",
            *(f"{row['ratio']:.2f}" if row else "" for row in (eager, compiled)), " / ".join(products),
            " / ".join(map(_mebibytes, found["peak_bytes"].values())),
        ]  # fmt: skip
        yield f"| {' | '.join(map(str, cells))} |"
