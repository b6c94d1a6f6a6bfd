"""The comparison from options to data, with workers in this process."""

import dataclasses
import json
import subprocess
import sys

import pytest

from dimref.bench import compare, report, workers
from dimref.training.choices import BENCH_PRESETS


@pytest.fixture
def options(tiny_layouts):
    return compare.Options(
        presets=("dim-local",), batch_sizes=(4,), against="none", compiled=False, backend="numpy", threads=(1,), rounds=2,
        seconds=0.0, layouts=tiny_layouts,
    )  # fmt: skip


def run(options, start, watch=lambda result: None):
    return compare.compare(options, lambda text: None, start, watch)


def lines_of(result):
    return [*report.opening(result), *(line for found in result["presets"] for line in report.preset(found))]


@pytest.mark.parametrize("preset", BENCH_PRESETS)
def test_dimref_alone_against_its_products(options, local, preset):
    result = run(dataclasses.replace(options, presets=(preset,)), local)
    json.dumps(result, allow_nan=False)
    assert result["torch"] is None
    assert result["machine"]["backend"] == "numpy"
    (found,) = result["presets"]
    assert (found["preset"], found["batch"], found["agreement"], found["failed"]) == (preset, 4, {}, {})
    assert list(found["sides"]) == ["dimref"]
    assert list(found["peak_bytes"]) == ["dimref"]
    assert found["sides"]["dimref"]["ratio"] is None
    text = lines_of(result)
    assert "  no PyTorch beside it: dimref alone, against its own bare matrix products" in text
    assert max(map(len, text)) <= 100


def test_with_pytorch_every_side_has_its_row(options, local):
    pytest.importorskip("torch")
    watched = []
    result = run(
        dataclasses.replace(options, presets=("dim-mixed", "amdim", "encode"), against="torch"),
        local,
        lambda result: watched.append(len(result["presets"])),
    )
    assert watched == [0, 1, 2, 3]
    assert result["torch"]["threads"] == "1"
    assert "foreach" in result["torch"]["adam"]
    for found in result["presets"]:
        assert list(found["sides"]) == ["dimref", "eager"]
        assert list(found["peak_bytes"]) == ["dimref", "eager"]
        assert found["agreement"]["eager"]["float64"] < 1e-11
        assert len(found["sides"]["eager"]["turns"]["step"]) == 2
    text = lines_of(result)
    assert max(map(len, text)) <= 100
    assert sum(line.startswith("  PyTorch eager  ") for line in text) == 3
    assert sum(line.startswith("  products, PyTorch") for line in text) == 3


def test_a_wrong_twin_is_refused_before_anything_is_timed(options, local, monkeypatch):
    pytest.importorskip("torch")
    from dimref.errors import DimrefError
    from dimref.export import torch_layout

    linear_weight = torch_layout.linear_weight
    monkeypatch.setattr(torch_layout, "linear_weight", lambda w: 1.001 * linear_weight(w))
    asked = []

    class Asked(local):
        def ask(self, do, **arguments):
            asked.append(do)
            return super().ask(do, **arguments)

    with pytest.raises(DimrefError, match="nothing was timed") as refusal:
        run(dataclasses.replace(options, against="torch"), Asked)
    assert refusal.value.exit_code == 1
    assert "prove" in asked
    assert "turn" not in asked


ROWS = [{"name": f"f{k}", "seconds": 0.1} for k in range(20)]
SECONDS = {"dimref": 2.0, "eager": 3.0, "compiled": 1.0}


class Scripted:
    """A worker that answers from a script: every call takes as long as its side's name says."""

    compiler_fails = False

    def __init__(self, threads):
        self.side = None

    def ask(self, do, side=None, **arguments):
        self.side = side or self.side
        if do == "prove" and self.side == "compiled" and self.compiler_fails:
            raise workers.WorkerFailed("prove: expected an answer, found RuntimeError: no compiler")
        step = SECONDS.get(self.side, 0.0)
        return {
            "describe": dict.fromkeys(("processor", "numpy", "blas", "torch"), "abacus") | {"device": "cpu"},
            "open": "words",
            "products": 6.0,
            "prove": {"float64": 0.0, "float64_at": "a", "float32": 0.0, "float32_at": "a", "adam": None},
            "turn": {
                "seconds": [9.0, step, step] if arguments.get("what") == "step" else [1.0],
                "settled": self.side != "eager",
            },
            "profile": {"graph": "", "profile": {"total": 2.0, "rows": ROWS}},
            "peak": 7,
        }[do]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def test_ratios_and_rates_from_known_times(options):
    result = run(dataclasses.replace(options, against="torch", compiled=True, rounds=3), Scripted)
    (found,) = result["presets"]
    sides = found["sides"]
    assert {side: row["step_ms"] for side, row in sides.items()} == {"dimref": 2e3, "eager": 3e3, "compiled": 1e3}
    assert {side: row["ratio"] for side, row in sides.items()} == {"dimref": None, "eager": 1.5, "compiled": 0.5}
    assert sides["eager"]["images_per_second"] == 4 / 3
    assert sides["eager"]["gflop_per_second"] == 2.0
    assert sides["eager"]["products_gflop_per_second"] == 6.0
    assert sides["dimref"]["share_of_products"] == 0.5
    assert sides["compiled"]["share_of_products"] == 1.0  # of eager's products
    assert found["unsettled_turns"] == 6  # step and products of eager, in three rounds
    assert found["peak_bytes"] == {"dimref": 7, "eager": 7}


def test_a_compiler_that_fails_takes_its_side_out(options, monkeypatch):
    monkeypatch.setattr(Scripted, "compiler_fails", True)
    result = run(dataclasses.replace(options, against="torch", compiled=True, batch_sizes=(4, 8)), Scripted)
    for found in result["presets"]:
        assert list(found["sides"]) == ["dimref", "eager"]
        assert "no compiler" in found["failed"]["compiled"]
        assert any("torch.compile: does not work here" in line for line in report.preset(found))


def test_a_peak_that_the_system_does_not_report_is_a_dash(options, monkeypatch):
    ask = Scripted.ask
    monkeypatch.setattr(Scripted, "ask", lambda self, do, **rest: None if do == "peak" else ask(self, do, **rest))
    result = run(options, Scripted)
    assert result["presets"][0]["peak_bytes"] == {"dimref": None}
    (row,) = [line for line in report.preset(result["presets"][0]) if line.startswith("  dimref  ")]
    assert row.endswith("–")


def test_a_profile_shows_the_largest_rows_and_the_rest_together(options):
    lines = list(report.preset(run(options, Scripted)["presets"][0]))
    assert [line.split() for line in lines[-2:]] == [["f11", "100.0", "5.0", "%"], ["8", "more", "800.0", "40.0", "%"]]


def test_every_number_of_threads_has_workers_of_its_own(options):
    started = []

    class Counted(Scripted):
        def __init__(self, threads):
            started.append(threads)
            super().__init__(threads)

    result = run(dataclasses.replace(options, threads=(1, 2), presets=("dim-global", "encode")), Counted)
    assert [(found["preset"], found["threads"]) for found in result["presets"]] == [
        (preset, threads) for threads in (1, 2) for preset in ("dim-global", "encode")
    ]
    assert started == [1, 1, 1, 2, 2, 2]  # the side, and two peaks


# ---- Markdown


def test_a_page_has_one_section_for_each_machine(options):
    result = run(dataclasses.replace(options, against="torch", compiled=True), Scripted)
    page = report.in_page("# Mine\n\nwords\n", result)
    assert page.startswith("# Mine\n\nwords\n\n## abacus\n\n`dimref bench`, ")
    assert page.splitlines()[-1] == "| dim-local | 4 | 1 | 2000.0 | 3000.0 | 1.50 | 0.50 | 1000.0 / 1000.0 | 0 / 0 |"
    alone = run(options, Scripted)
    alone["machine"]["processor"] = "an abacus (old) *"
    two = report.in_page(page, alone)
    assert two.startswith(page)
    assert two.splitlines()[-1] == "| dim-local | 4 | 1 | 2000.0 |  |  |  | 1000.0 | 0 |"
    assert report.in_page(two, alone) == two
    assert report.in_page(two, result) == two
    result["presets"] = []
    assert report.in_page(two, result).count("| dim-local ") == 1
    assert "words" in report.in_page(two, result)
    assert report.in_page("", alone).startswith("## an abacus (old) *\n")


def test_nothing_that_compares_loads_numpy():
    code = (
        "import sys, dimref.bench.compare, dimref.bench.report; "
        "print([m for m in ('numpy', 'autograd', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
