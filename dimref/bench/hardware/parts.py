"""The parts of `dimref hardware`; as a program, one of them: PART BACKEND quick|full → a line of JSON."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dimref import encoders, laws, ops, optim
from dimref.amdim import encoder as amdim_encoder
from dimref.backend import NUMPY, Backend, get_backend
from dimref.bench import compare
from dimref.bench.hardware import Found
from dimref.bench.work import distance, in_float64, norm_of_all
from dimref.bench.workers import Worker
from dimref.distributed.launch import available_cores
from dimref.encoders import Layout
from dimref.engine import kernels
from dimref.engine.products import product as multiplied
from dimref.errors import DimrefError, first_line
from dimref.tape import value_and_gradients
from dimref.training.choices import BENCH_PRESETS
from dimref.training.config import PRESETS, Config
from dimref.training.device_steps import DeviceSteps
from dimref.training.method import METHODS, AnyLayout
from dimref.training.metrics import finite
from dimref.training.state import initial_state
from dimref.training.task import Task
from dimref.trees import Array, Tree, leaves

FLOAT64, FLOAT32 = 1e-9, 5e-2  # admitted distances of gradients: near a ReLU's kink float32 switches units on and off
SHAPES = ((4096, 512, 512), (64, 4096, 1024), (37, 19, 53), (1, 7, 5), (8, 1, 3), (200, 300, 1))  # of products
LAYOUTS = ("rows", "columns", "part", "every second")
OBJECTIVES: dict[str, dict[str, Any]] = {
    **{name: options for name, options in PRESETS.items() if name != "amdim-large"},  # amdim, with other numbers
    "local-mine": {"bound": "mine"},
    "local-nwj": {"bound": "nwj"},
    "all-locations": {"bound": "infonce", "negatives": "all-locations"},
    "gradient-penalty": {"prior": "gaussian", "prior_loss": "non-saturating", "gradient_penalty": 1.0},
}


def products(backend: Backend, quick: bool) -> Found:
    """The largest error of x·y, relative to |x|·|y|, in units of float32's rounding; TF32 would show about 10⁴ of them."""
    rng, worst, where = np.random.default_rng(0), 0.0, ""
    for dtype in (np.float32, np.float64):
        for m, k, n in SHAPES[2 * quick :]:
            for layout in LAYOUTS:
                x, y = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n)))
                product = multiplied(_send(backend, x, layout), _send(backend, y, layout))
                found = backend.to_host(product).astype(np.float64)
                wide = x.astype(np.float64), y.astype(np.float64)
                error = np.abs(found - wide[0] @ wide[1]) / (np.abs(wide[0]) @ np.abs(wide[1]))
                units = float(error.max() / np.finfo(dtype).eps)
                if not units <= worst:
                    worst, where = units, f"({m}, {k}) · ({k}, {n}), {np.dtype(dtype)}, {layout}"
    return _found(worst <= 100, f"largest error {worst:.1f} units of rounding: {where}", units=worst)


def _send(backend: Backend, a: np.ndarray, layout: str) -> Array:
    """A matrix on the device, as one of the views that products get."""
    if layout == "columns":
        return backend.to_device(np.ascontiguousarray(a.T)).transpose((1, 0))
    if layout == "part":
        return backend.to_device(np.pad(a, 2))[2:-2, 2:-2]
    if layout == "every second":
        return backend.to_device(np.repeat(a, 2, axis=1))[:, ::2]
    return backend.to_device(a)


def fused(backend: Backend, quick: bool) -> Found:
    """The largest distance of the fused kernels' results from the plain forms', which the host computes."""
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal((64 if quick else 4096, 512), dtype=np.float32) for _ in range(2))
    x = 3 * x + 1

    def gradient(function: Callable[[Array], Array]) -> Callable[[Array, Array], Array]:
        return lambda x, g: value_and_gradients(lambda x: (ops.total(ops.multiply(function(x), g)), {}), x)[1]

    checked: dict[str, tuple[Callable[..., Array], tuple[np.ndarray, ...]]] = {
        "sigmoid": (ops.sigmoid, (10 * x,)),
        "relu": (gradient(ops.relu), (x, g)),
        "softplus": (gradient(ops.softplus), (x, g)),
        "adam": (_three_steps, (x, g)),
        "sums of squares": (_squares, (x,)),
    }
    for axis in (0, -1):

        def standardize(x: Array, axis: int = axis) -> Array:
            return ops.standardize(x, axis, 1e-5)

        checked[f"standardize, axis {axis}"] = (standardize, (x,))
        checked[f"standardize, axis {axis}, gradient"] = (gradient(standardize), (x, g))
    distances = {}
    for name, (function, arrays) in checked.items():
        expected = function(*(np.array(a) for a in arrays))
        found = backend.to_host(function(*(backend.to_device(np.array(a)) for a in arrays)))
        distances[name] = distance(found, expected)
    worst = max(distances, key=lambda name: distances[name])
    by = "plain" if kernels.of(backend.to_device(x[:1])) is None else "fused"
    said = f"largest distance {distances[worst]:.1e}: {worst} ({by})"
    return _found(distances[worst] <= 1e-4, said, distances=distances, by=by)


def _three_steps(x: Array, g: Array) -> Array:
    """Of Adam, on two parameters: a matrix and its first row."""
    parameters = {"w": x + 0, "b": x[0] + 0}
    state = optim.init_adam(parameters)
    for factor in (1.0, -0.5, 2.0):
        parameters, state = optim.adam_step(parameters, {"w": factor * g, "b": factor * g[1]}, state, 1e-2)
    return parameters["w"] + parameters["b"]


def _squares(x: Array) -> Array:
    found = kernels.sums_of_squares([x, x[0], x[:3]])
    return found[0] if len(found) == 1 else np.stack(found)


def gradients(backend: Backend, quick: bool) -> Found:
    """The largest distance of loss and gradients on the device from the host's, in float64 and in float32."""
    worst: dict[str, dict[str, Any]] = {}
    for dtype, admitted in ((np.float64, FLOAT64), (np.float32, FLOAT32)):
        distances = {
            f"{name}: {path}": value
            for name in OBJECTIVES
            for path, value in _distances(backend, name, dtype, 4 if quick else 64)
        }
        at = max(distances, key=lambda name: distances[name])
        worst[np.dtype(dtype).name] = {"distance": distances[at], "at": at, "admitted": admitted}
    ok = all(w["distance"] <= w["admitted"] for w in worst.values())
    said = ", ".join(f"{w['distance']:.1e} in {dtype} ({w['at']})" for dtype, w in worst.items())
    return _found(ok, f"largest distance {said}", **worst)


def _distances(backend: Backend, name: str, dtype: type, batch: int) -> Iterator[tuple[str, float]]:
    config = Config(**OBJECTIVES[name], batch_size=batch)
    objective, layout, method = config.objective(), _layout(config), METHODS[config.method]
    rng = np.random.default_rng(0)
    parameters, state = method.init_parameters(rng, layout, objective)
    images = encoders.scale(
        rng.integers(0, 256, (batch, layout.size, layout.size, layout.channels), dtype=np.uint8), layout
    )
    noise = method.draw_noise(rng, objective, layout, batch)
    trees: list[Any] = [parameters, state, images, noise]
    if dtype == np.float64:
        trees = [in_float64(tree) for tree in trees]
    sides = []
    for side in (backend, NUMPY):
        value, found, _ = value_and_gradients(
            method.loss, *(side.tree_to_device(tree) for tree in trees), objective, layout
        )
        sides.append({"loss": side.to_host(value), **{p: side.to_host(g) for p, g in leaves(found) if g is not None}})
    floor = norm_of_all(sides[1].values()) / 1000
    for path, expected in sides[1].items():
        yield path, distance(sides[0][path], expected, floor)


def _layout(config: Config) -> AnyLayout:
    """The method's own, or one of a few units for a batch of a few images."""
    if config.method == "amdim":
        return amdim_encoder.Layout(32, 3) if config.batch_size > 4 else amdim_encoder.Layout(8, 1, ndf=2, nrkhs=8)
    return Layout(32, 3) if config.batch_size > 4 else Layout(8, 1, width=4, fc=16, representation=8)


def graph(backend: Backend, quick: bool) -> Found:
    """The largest distance of parameters after some steps with and without a graph, and the time of a step of each."""
    steps, results = (8 if quick else 60), dict[str, dict[str, Any]]()
    for name, options in OBJECTIVES.items():
        (ours, ms, refused), (theirs, plain_ms, _) = (
            _steps(backend, options, wanted, steps) for wanted in (True, False)
        )
        far = max(distance(a, b) for (_, a), (_, b) in zip(leaves(ours), leaves(theirs), strict=True))
        results[name] = {"distance": far, "refused": refused, "graph_ms": ms, "no_graph_ms": plain_ms}
    refusals = [line for row in results.values() for line in row["refused"]]
    worst = max(results, key=lambda name: results[name]["distance"])
    first, far = results[next(iter(results))], results[worst]["distance"]
    said = (
        f"largest distance {far:.1e} after {steps} steps ({worst}); {first['graph_ms']:.2f} ms a step against "
        f"{first['no_graph_ms']:.2f} (dim-local)"
    )
    return _found(far <= 1e-5 and not refusals, refusals[0] if refusals else said, objectives=results)


def _steps(backend: Backend, options: dict[str, Any], wanted: bool, steps: int) -> tuple[Tree, float, list[str]]:
    """Steps on random images: parameters on the host, ms a step once warm, and the reported lines."""
    assert backend.queue is not None
    batch = 4 if steps <= 8 else 64
    config = Config(**options, steps=steps, epochs=steps, batch_size=batch, graph=wanted)
    layout = _layout(config)
    shape = (4 * batch, layout.size, layout.size, layout.channels)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    task = Task(config, config.objective(), layout, backend, "random images", images, images[:batch])
    refused: list[str] = []
    queue, warm = backend.queue(), min(10, steps // 2)
    state = initial_state(task)
    with queue.running():
        run = DeviceSteps(task, state, queue, refused.append)
        for k in range(steps):
            if k == warm:
                queue.wait()
                start = time.perf_counter()
            state = run.run(state)
        queue.wait()
        ms = 1e3 * (time.perf_counter() - start) / (steps - warm)
        run.read()
        return backend.tree_to_host(state.parameters), ms, refused


def all_laws(backend: Backend, quick: bool) -> Found:
    """Every law of the theory on the device."""
    results = list(laws.check("", backend, 2 if quick else 50, 0))
    violated = [result.law.name for result in results if not result.obeyed]
    cases = sum(result.examples for result in results)
    said = f"{len(results)} laws, {cases:,} cases, " + (
        f"violated: {', '.join(violated[:3])}" if violated else "all hold"
    )
    return _found(not violated, said, violated=violated, cases=cases)


def train(backend: Backend, quick: bool) -> Found:
    """The first steps beside NumPy's, then a run of an epoch or two to its end and once more from its checkpoint."""
    with tempfile.TemporaryDirectory() as place:
        first = {}
        for side, name in (("host", "numpy"), ("device", backend.name)):
            _dimref(place, "--backend", name, "--steps", "5", "--log-every", "1", "--out", side)
            first[side] = [line["nats"] for line in _metrics(place, side) if line["kind"] == "step"]
        pairs = zip(first["host"], first["device"], strict=True)
        far = max(abs(ours[term] - theirs[term]) for ours, theirs in pairs for term in ours)
        length = ("--limit", "512") if quick else ("--limit", "10000")
        _dimref(place, "--backend", backend.name, "--epochs", "2", *length, "--out", "run")
        run = _metrics(place, "run")
        epochs = [line["bound"] for line in run if line["kind"] == "epoch"]
        speed = [line["images_per_second"] for line in run if line["kind"] == "step"][-1]
        _dimref(place, "--resume", "run", "--epochs", "3")
        resumed = [line["bound"] for line in _metrics(place, "run") if line["kind"] == "epoch"]
    ok = far <= 1e-2 and math.isfinite(epochs[-1]) and len(resumed) == 3
    said = (
        f"first 5 steps within {far:.1e} nats of NumPy's; held-out bound {epochs[0]:.3f} → {epochs[-1]:.3f}, resumed → "
        f"{resumed[-1]:.3f} nats; {speed:,.0f} images/s"
    )
    return _found(ok, said, first_steps=far, bounds=resumed, images_per_second=speed)


def _dimref(place: str, *options: str) -> None:
    command = [sys.executable, "-m", "dimref", "train", "--no-plot", "--quiet", *options]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing was printed"])[-1]
        raise DimrefError(f"dimref train {' '.join(options)}: exit code {done.returncode}: {last}")


def _metrics(place: str, run: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(place) / run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def bench(backend: Backend, quick: bool, tf32: bool = False) -> Found:
    """ms a step of every preset, and the ratio to PyTorch's where PyTorch has this device.

    Without torch.compile, which takes a minute for each preset and size: `dimref bench` has it.
    """
    against = "torch" if _torch_has_cuda() else "none"
    options = compare.Options(
        presets=("dim-local", "encode") if quick else BENCH_PRESETS,
        batch_sizes=(64,) if quick else (64, 256),
        against=against,
        compiled=False,
        backend=backend.name,
        threads=(available_cores(),),
        rounds=1 if quick else 5,
        seconds=0.1 if quick else 0.5,
        tf32=tf32,
    )
    result = compare.compare(options, lambda text: None, Worker, lambda result: None)
    said = []
    for row in result["presets"]:
        ratio = row["sides"].get("eager", {}).get("ratio")
        times = f" ({ratio:.2f}×)" if ratio else ""
        said.append(f"{row['preset']}, {row['batch']}: {row['sides']['dimref']['step_ms']:.2f} ms{times}")
    beside = "PyTorch eager's time / dimref's" if against == "torch" else "no PyTorch with CUDA"
    return _found(True, f"{'; '.join(said)}; × = {beside}", result=result)


def _torch_has_cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def _found(ok: bool, said: str, **numbers: Any) -> Found:
    return {"ok": bool(ok), "said": said, **numbers}


FUNCTIONS: dict[str, Callable[[Backend, bool], Found]] = {
    "products": products,
    "kernels": fused,
    "gradients": gradients,
    "graph": graph,
    "laws": all_laws,
    "training": train,
    "bench": bench,
    "bench-tf32": lambda backend, quick: bench(backend, quick, tf32=True),
}


def main(name: str, backend: str, how: str) -> None:
    """Run one part and print its result."""
    try:
        with np.errstate(all="ignore"):
            found = FUNCTIONS[name](get_backend(backend), how == "quick")
    except DimrefError as error:
        found = _found(False, str(error))
    except Exception as error:  # whatever it is, it is this part's result
        found = _found(False, f"{type(error).__name__}: {first_line(error)}")
    sys.stdout.write("\n" + json.dumps(finite(found), allow_nan=False) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
