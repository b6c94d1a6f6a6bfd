"""The results in words, for a terminal of 100 columns. Loads no NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

LABELS = {"dimref": "dimref", "eager": "PyTorch eager", "compiled": "torch.compile"}
SMALL = 0.01  # of the step: rows below are added up in one
MIB, GIB = 2**20, 2**30


def opening(result: dict[str, Any]) -> Iterator[str]:
    """The machine, both libraries, and how the times were taken."""
    machine, torch, options = result["machine"], result["torch"], result["options"]
    on = machine["processor"] if machine["device"] == "cpu" else machine["device"]
    yield f"{'machine':<9} {on}, {threads(options)} on both sides"
    yield (
        f"{'dimref':<9} {result['version']}, NumPy {machine['numpy']} ({machine['blas']}), "
        f"autograd {machine['autograd']}, Python {machine['python']}"
    )
    if torch:
        yield f"{'PyTorch':<9} {torch['torch']} ({torch['blas']}) on {torch['device']}; {torch['adam']}"
    yield (
        f"{'timing':<9} {options['rounds']} rounds in turns of {options['seconds']:g} s, a process per side; "
        "medians of turns, ratios turn by turn"
    )


def threads(options: dict[str, Any]) -> str:
    """The number of threads in words."""
    return f"{options['threads']} thread" + ("s" if options["threads"] > 1 else "")


def preset(measured: dict[str, Any]) -> Iterator[str]:
    """One preset at one batch size: the proof, the table, the profile."""
    yield f"{measured['preset']}, batch {measured['batch']}: {measured['text']}"
    yield from _agreement(measured)
    if measured["graph"]:
        yield f"  dimref: {measured['graph']}"
    yield ""
    yield f"  {'':<20} {'ms/step':>9} {'images/s':>9} {'vs dimref':>10} {'GFLOP/s':>8} {'of products':>12} {'peak MiB':>9}"
    for side, row in measured["sides"].items():
        yield _row(LABELS[side], row, measured["peak_bytes"].get(side))
    on_device = bool(measured["graph"])
    for side, name in (("dimref", "dimref" if on_device else "NumPy"), ("eager", "PyTorch")):
        if side in measured["sides"]:
            row = measured["sides"][side]
            yield (
                f"  {f'products, {name}':<20} {_ms(row['products_ms']):>9} {'':>9} {'':>10} "
                f"{row['products_gflop_per_second']:>8.0f}"
            )
    if measured["unsettled_turns"]:
        yield f"  note: after {measured['unsettled_turns']} turns a side's threads did not come to rest; run it again"
    yield ""
    yield from _profile(measured["profile"], on_device)


def _agreement(measured: dict[str, Any]) -> Iterator[str]:
    if not measured["agreement"]:
        yield "  no PyTorch beside it: dimref alone, against its own bare matrix products"
    for side, a in measured["agreement"].items():
        what = "loss and gradients" if a["adam"] is not None else "encodings"
        adam = "" if a["adam"] is None else ", and so does Adam"
        yield f"  {LABELS[side]}: {what} agree to {a['float64']:.0e} in float64, {a['float32']:.0e} in float32{adam}"
    for side, why in measured["failed"].items():
        yield f"  {LABELS[side]}: does not work here: {why}"[:100]


def _row(label: str, row: dict[str, Any], peak: int | None) -> str:
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    return (
        f"  {label:<20} {_ms(row['step_ms']):>9} {row['images_per_second']:>9.0f} {ratio:>10} "
        f"{row['gflop_per_second']:>8.0f} {100 * row['share_of_products']:>10.0f} % {mebibytes(peak):>9}"
    )


def _ms(milliseconds: float) -> str:
    """A device's steps are so short that a tenth would not distinguish them."""
    return f"{milliseconds:.2f}" if milliseconds < 10 else f"{milliseconds:.1f}"


def mebibytes(count: int | None) -> str:
    """Bytes in MiB, or a dash where nothing was measured."""
    return "–" if count is None else f"{count / MIB:,.0f}"


def _profile(profile: dict[str, Any], on_device: bool) -> Iterator[str]:
    """Rows of the primitives that take a share worth a line, and the groups."""
    total = profile["total"]
    how = "each primitive waited for, not as a graph" if on_device else "threads one after another"
    yield f"  where dimref's step goes, in ms: {1e3 * total:.1f} under the stopwatch, {how}"
    yield f"  {'':<20} {'forward':>9} {'backward':>9} {'share':>10}"
    rows = profile["rows"]
    large = [row for row in rows if row["forward"] + row["backward"] >= SMALL * total]
    for row in large:
        yield _profile_row(row["name"], row["forward"], row["backward"], total)
    rest = [row for row in rows if row not in large]
    if rest:
        forward, backward = (sum(row[sweep] for row in rest) for sweep in ("forward", "backward"))
        yield _profile_row(f"{len(rest)} more", forward, backward, total)
    shares = [f"{name} {100 * seconds / total:.1f} %" for name, seconds in profile["groups"].items()]
    yield "  " + ", ".join(shares[:3]) + ","
    yield "  " + ", ".join(shares[3:])


def _profile_row(name: str, forward: float, backward: float, total: float) -> str:
    sweeps = [f"{1e3 * s:.1f}" if s else "" for s in (forward, backward)]
    return f"  {name:<20} {sweeps[0]:>9} {sweeps[1]:>9} {100 * (forward + backward) / total:>8.1f} %"


LEGEND = """\
vs dimref    this side's time over dimref's: at 1.30 dimref is 1.3 times as fast
products     the bare matrix products of the same step, by each side's own BLAS
of products  their time over the step's, so how near the step comes to their rate
peak         what building one side and three steps add to its imports, in a process of its own;
             on a device, to the memory in use there
tape         what is neither a primitive nor Adam: boxes, nodes, checks, memory given back
stopwatch    what looking at the clock takes, measured alone"""


# ---- growth


def growth(result: dict[str, Any]) -> Iterator[str]:
    """The three ladders."""
    machine, options = result["machine"], result["options"]
    on = machine["processor"] if machine["device"] == "cpu" else machine["device"]
    yield f"machine   {on}, {threads(options)}, NumPy {machine['numpy']} ({machine['blas']})"
    yield from _infonce(result["infonce"])
    yield from _train(result["train"], options["batch"])
    yield from _encode(result["encode"])


def _infonce(measured: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield "InfoNCE of N pairs, K = N, from embeddings of width 64"
    yield f"  {'N':>9} {'loss ms':>10} {'with gradient':>14} {'ns per pair':>12} {'peak MiB':>9} {'bytes per pair':>15}"
    for row in measured["rows"]:
        pairs = row["n"] ** 2
        yield (
            f"  {row['n']:>9,} {1e3 * row['loss']:>10.2f} {1e3 * row['gradient']:>14.2f} "
            f"{1e9 * row['gradient'] / pairs:>12.2f} {mebibytes(row['peak']):>9} {_per(row['peak'], pairs):>15}"
        )
    yield from _grows(measured, "loss and gradient", "N")


def _train(measured: dict[str, Any], batch: int) -> Iterator[str]:
    yield ""
    yield f"A step of dimref train (DIM(L), JSD, prior; batch {batch}) against the number of images in the dataset"
    yield f"  {'images':>9} {'ms a step':>10} {'images/s':>14} {'peak MiB':>22}"
    for row in measured["rows"]:
        speed = batch / row["step"]
        yield f"  {row['n']:>9,} {1e3 * row['step']:>10.1f} {speed:>14.0f} {mebibytes(row['peak']):>22}"
    yield from _grows(measured, "a step", "images")


def _encode(measured: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield "Encoding a dataset, batch by batch, nothing kept"
    yield f"  {'images':>9} {'seconds':>10} {'images/s':>14} {'peak MiB':>22}"
    for row in measured["rows"]:
        speed = row["n"] / row["seconds"]
        yield f"  {row['n']:>9,} {row['seconds']:>10.2f} {speed:>14.0f} {mebibytes(row['peak']):>22}"
    yield from _grows(measured, "encoding", "images")


def _per(count: int | None, pairs: int) -> str:
    return "–" if count is None else f"{count / pairs:.1f}"


def _grows(measured: dict[str, Any], what: str, of: str) -> Iterator[str]:
    if measured["stopped"]:
        yield "  " + measured["stopped"]
    if measured["exponent"] is not None:
        before, last = measured["rows"][-3]["n"], measured["rows"][-1]["n"]
        yield f"  {what}: grows as {of} to the power {measured['exponent']:.2f} from {before:,} to {last:,}"
