"""What the tests of runs share: tiny images, narrow networks, dimref called in this process or started as its own."""

import contextlib
import dataclasses
import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dimref import discriminators, encoders
from dimref.cli import main
from dimref.evaluation import dv_critic, reconstruction
from dimref.evaluation.probes import classifier, linear, mlp
from dimref.training import checkpoint as checkpoints
from dimref.training.config import Config
from dimref.training.files import RunError
from dimref.training.method import METHODS

DIMREF = (sys.executable, "-m", "dimref")


def write_npz(path, n=60, side=8, channels=1, **changes):
    """Images in three grey levels, their label, with noise; an array given as None is left out."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    images = (rng.integers(0, 60, (n, side, side, channels)) + 70 * labels[:, None, None, None]).astype(np.uint8)
    arrays = {"images": images, "labels": labels, "test_images": images[::-2], "test_labels": labels[::-2], **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def narrow(monkeypatch):
    """Networks of a few units: the loop, the files and the messages do not depend on the paper's widths."""
    layout = functools.partial(encoders.Layout, width=4, fc=16, representation=8)
    change_method(monkeypatch, "dim", layout=layout)
    monkeypatch.setattr(discriminators, "init_concat", functools.partial(discriminators.init_concat, hidden=16))
    monkeypatch.setattr(discriminators, "init_dot", functools.partial(discriminators.init_dot, units=16))
    monkeypatch.setattr(discriminators, "init_prior", functools.partial(discriminators.init_prior, hidden=(16, 8)))
    shorten_probes(monkeypatch)


def shorten_probes(monkeypatch):
    """Probes, critics and decoders that are hardly fitted: how well they are is no matter where files and messages are."""
    for module in (classifier, dv_critic, reconstruction):
        monkeypatch.setattr(module, "LEAST_STEPS", 1)
    for module, epochs in ((linear, 1), (mlp, (1,)), (reconstruction, 1)):
        monkeypatch.setattr(module, "EPOCHS", epochs)
    monkeypatch.setattr(dv_critic, "ROUNDS", 2)
    monkeypatch.setattr(mlp, "UNITS", 8)
    monkeypatch.setattr(reconstruction, "WIDTH", 4)


def change_method(monkeypatch, name, **functions):
    """Give a method other functions."""
    monkeypatch.setitem(METHODS, name, dataclasses.replace(METHODS[name], **functions))


def config(path, **options):
    """A configuration for the images of `write_npz`: 54 to train on, 13 batches of 4 an epoch."""
    return Config(**{"data": "npz", "data_dir": str(path), "batch_size": 4, "steps": 3, **options})


def small(path, *more):
    """The same as options of the command line."""
    return ("train", "--data", "npz", "--data-dir", path, "--batch-size", 4, "--steps", 3, *more)


def invoke(*args):
    """dimref called in this process; an exception that is not the command line's own fails the test."""
    result = CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)
    assert "Traceback" not in result.output
    return result


def refused(*args, code=2):
    """The line that a call of dimref was refused with."""
    result = invoke(*args)
    assert result.exit_code == code, result.output
    line = result.stderr.splitlines()[-1]
    assert line.startswith("dimref: ")
    return line


@contextlib.contextmanager
def small_files(size):
    """The system refuses this process every file of more bytes."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def run_error(call, *args):
    """The one line that a call is refused with."""
    with pytest.raises(RunError) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def start(*args, before=None, **options):
    """dimref as a process that runs beside the test; with networks of a few units where there is code to run before."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "OPENBLAS_NUM_THREADS": "1", **options.pop("env", {})}
    narrowed = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\nimport pytest, tiny_runs\n"
        f"tiny_runs.narrow(pytest.MonkeyPatch())\n{before}\ntiny_runs.main(sys.argv[1:])"
    )
    command = DIMREF if before is None else (sys.executable, "-c", narrowed)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([*command, *map(str, args)], env=env, **pipes)


def process(*args, **options):
    """dimref as a process, to its end."""
    child = start(*args, **options)
    child.stdout_text, child.stderr_text = child.communicate(timeout=120)
    assert "Traceback" not in child.stderr_text, child.stderr_text
    return child


def change(path, how):
    """Have how(meta, arrays) change a checkpoint's description and arrays; its checksum is then that of the result."""
    with np.load(path, allow_pickle=False) as archive:
        named = dict(archive)
    meta = json.loads(str(named.pop("meta")))
    del meta["checksum"]
    how(meta, named)
    meta["checksum"] = checkpoints.checksum(meta, named)
    np.savez(path, meta=np.array(json.dumps(meta)), **named)


def arrays(path):
    """Every array of a checkpoint but its description."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files if name != "meta"}


def metrics(run):
    """The lines of a run's metrics, timings aside."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_second"} for line in lines]


def assert_same_run(run, other, best=True):
    """Parameters, model state, Adam's moments and metrics of two runs agree bit for bit."""
    for name in ("newest.npz", "best.npz") if best else ("newest.npz",):
        found, expected = arrays(run / name), arrays(other / name)
        assert found.keys() == expected.keys()
        for path, array in found.items():
            np.testing.assert_array_equal(array, expected[path], err_msg=path)
    assert metrics(run) == metrics(other)
