"""The parts of the hardware check, on a device that is not there: they pass where all is right, and fail where it is not."""

import json
import math

import fake_cupy
import fake_stream
import numpy as np
import pytest
import tiny_runs

from dimref import bounds, laws, ops
from dimref.backend import NUMPY
from dimref.bench import hardware
from dimref.bench.hardware import parts
from dimref.engine import cuda_graph, kernels
from dimref.errors import DimrefError
from dimref.training.choices import BENCH_PRESETS


@pytest.fixture
def there():
    return fake_stream.device()


def test_every_part_that_is_named_is_there():
    assert list(parts.FUNCTIONS) == list(hardware.PARTS)


def test_products_and_a_product_that_rounds_its_factors(there, monkeypatch):
    found = parts.products(there, True)
    assert found["ok"]
    assert found["units"] < 100

    def tf32(x, y):
        def rounded(a):
            if a.dtype != np.float32:
                return a
            return fake_cupy.DeviceArray((a.get().view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32))

        return rounded(x) @ rounded(y)

    monkeypatch.setattr(kernels, "_OF", {fake_cupy.DeviceArray: kernels.Kernels(tf32, {}, None, None, None, None)})
    found = parts.products(there, True)
    assert not found["ok"]
    assert "float32" in found["said"]


def test_kernels_and_one_that_is_wrong(there, monkeypatch):
    found = parts.fused(there, True)
    assert found["ok"]
    assert set(found["distances"].values()) == {0.0}
    step = parts.optim.adam_step
    wrong = iter([1.0] * 3 + [1.1] * 3)  # the host's three steps come first
    monkeypatch.setattr(parts.optim, "adam_step", lambda p, g, state, lr: step(p, g, state, lr * next(wrong)))
    found = parts.fused(there, True)
    assert not found["ok"]
    assert "adam" in found["said"]


@pytest.mark.usefixtures("narrow")
def test_gradients_of_every_objective_and_one_that_is_wrong(there, monkeypatch):
    found = parts.gradients(there, True)
    assert found["ok"]
    assert found["float64"]["distance"] == 0.0
    softplus = ops.softplus
    monkeypatch.setattr(
        bounds.ops, "softplus", lambda x: softplus(x) * (1.01 if isinstance(x._value, fake_cupy.DeviceArray) else 1.0)
    )
    found = parts.gradients(there, True)
    assert not found["ok"]
    assert "dim-" in found["said"]


@pytest.mark.usefixtures("narrow")
@pytest.mark.exhaustive
def test_graphs_of_every_objective_and_one_that_is_refused(there, monkeypatch):
    found = parts.graph(there, True)
    assert found["ok"]
    assert found["objectives"].keys() == parts.OBJECTIVES.keys()
    assert {row["distance"] for row in found["objectives"].values()} == {0.0}

    def failing(self, function):
        raise RuntimeError("no capture")

    monkeypatch.setattr(cuda_graph.Queue, "capture", failing)
    monkeypatch.setattr(parts, "OBJECTIVES", {"dim-local": {}})
    found = parts.graph(there, True)
    assert not found["ok"]
    assert found["said"].startswith("graph: expected the step to be captured, found: no capture")


def test_laws(there, monkeypatch):
    check = laws.check
    monkeypatch.setattr(laws, "check", lambda pattern, *rest: check("jsd", *rest))
    found = parts.all_laws(there, True)
    assert found["ok"]
    assert found["violated"] == []
    monkeypatch.setattr(bounds, "jsd", lambda joint, product: bounds.dv(joint, product) + 1.0)
    found = parts.all_laws(there, True)
    assert not found["ok"]
    assert "violated: " in found["said"]


@pytest.mark.usefixtures("narrow")
def test_training(tmp_path, monkeypatch):
    images = tiny_runs.write_npz(tmp_path / "images.npz")

    def dimref(place, *options):
        monkeypatch.chdir(place)
        of_start = ("--data", "npz", "--data-dir", images, "--batch-size", 4) if "--resume" not in options else ()
        result = tiny_runs.invoke("train", "--no-plot", "--quiet", *of_start, *options)
        assert result.exit_code == 0, result.output

    monkeypatch.setattr(parts, "_dimref", dimref)
    found = parts.train(NUMPY, False)
    assert found["ok"]
    assert found["first_steps"] == 0.0
    assert len(found["bounds"]) == 3
    monkeypatch.chdir(tmp_path)


def test_a_training_that_fails_says_so(tmp_path):
    with pytest.raises(parts.DimrefError, match="dimref train --lr 0: exit code 2: dimref: --lr: expected a number"):
        parts._dimref(str(tmp_path), "--lr", "0")


def test_bench_is_the_comparison(monkeypatch):
    rows = [
        {"preset": "dim-global", "batch": 64, "sides": {"dimref": {"step_ms": 2.0}, "eager": {"ratio": 1.5}}},
        {"preset": "encode", "batch": 64, "sides": {"dimref": {"step_ms": 1.0}}},
    ]
    seen = []
    monkeypatch.setattr(parts.compare, "compare", lambda options, *rest: seen.append(options) or {"presets": rows})
    monkeypatch.setattr(parts, "_torch_has_cuda", lambda: True)
    found = parts.FUNCTIONS["bench-tf32"](NUMPY, True)
    assert found["said"] == "dim-global, 64: 2.00 ms (1.50×); encode, 64: 1.00 ms; × = PyTorch eager's time / dimref's"
    parts.FUNCTIONS["bench"](NUMPY, False)
    assert [(options.against, options.tf32) for options in seen] == [("torch", True), ("torch", False)]
    assert seen[1].presets == BENCH_PRESETS


def test_a_part_prints_one_line_of_json_whatever_happens(monkeypatch, capsys):
    monkeypatch.setattr(parts, "get_backend", lambda name: NUMPY)

    def refused(place):
        raise DimrefError("dimref train : no")

    monkeypatch.setattr(parts, "_dimref", refused)
    for value, expected in {
        lambda backend, quick: {"ok": quick, "said": "well", "n": [math.inf, (1.0,)]}: {
            "ok": True,
            "said": "well",
            "n": ["inf", [1.0]],
        },
        lambda backend, quick: parts._dimref("."): {"ok": False, "said": "dimref train : no"},
        lambda backend, quick: 1 / 0: {"ok": False, "said": "ZeroDivisionError: division by zero"},
    }.items():
        monkeypatch.setattr(parts, "FUNCTIONS", {"products": value})
        parts.main("products", "numpy", "quick")
        assert json.loads(capsys.readouterr().out.splitlines()[-1]) == expected
