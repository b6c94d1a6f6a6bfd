"""Mutation score of modules, each by its own test file: `python tests/mutation/run.py bounds negatives`.

Cosmic Ray makes the mutants in a copy of the tree and keeps the results, in `build/mutation/<module>.sqlite`. A run that
was cut short goes on where it stopped; survivors are tried again, since a new test may kill them; a changed module
starts anew. Where Cosmic Ray would start Python for every mutant, this forks a process that has NumPy and pytest loaded.
"""

import argparse
import contextlib
import gc
import hashlib
import io
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).resolve().parents[2]
SESSIONS = ROOT / "build" / "mutation"
CONFIG = Path(__file__).with_name("cosmic-ray.toml")
MODULES = ["ops", "layers", "bounds", "negatives", "discriminators", "objectives", "tape", "optim", "step"]
MODULES += [f"theory/{n}" for n in ("information", "probability_tables", "f_divergences", "channels", "gaussian")]
MODULES += [f"engine/{n}" for n in ("convolution", "batch_norm", "pair_layer")]
MEMORY = 8 << 30  # a mutant of a size may ask for any number of bytes
LEAST_TIMEOUT = 10
QUIET = ("-q", "-x", "--tb=line", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:unraisableexception")
WARM = """
import autograd.extend, autograd.numpy, numpy
from hypothesis import given, settings, strategies as st

@settings(database=None)
@given(st.integers(), st.lists(st.floats()), st.data())
def test(n, floats, data):
    data.draw(st.sampled_from([1, 2]))
"""

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "DIMREF_HYPOTHESIS_PROFILE": "ci"}
sys.dont_write_bytecode = True


def preload():
    """What every test needs and no mutant touches. The score owes nothing to PyTorch or CuPy."""
    sys.modules.update(torch=None, cupy=None)
    with tempfile.TemporaryDirectory() as place:
        warm = Path(place) / "test_warm.py"  # pytest and Hypothesis load most of themselves when they first run
        warm.write_text(WARM, encoding="utf-8")
        with contextlib.redirect_stdout(io.StringIO()):
            pytest.main([*QUIET, f"--rootdir={place}", str(warm)])
    assert not any(name.split(".")[0] == "dimref" for name in sys.modules), "the mutated package is loaded already"
    gc.freeze()


class NoShrinking:
    """A pytest plugin: a killed mutant needs no smaller example."""

    def pytest_configure(self):
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", settings.get_profile("ci"), phases=phases)
        settings.load_profile("mutants")


def run_tests(test_file, timeout, bytecode=False):
    """The exit status of pytest on one file, in a fork, and the seconds of CPU it took: the clock of a busy machine lies."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CPU, (timeout, timeout))
            for stream in (1, 2):
                os.dup2(os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
            sys.path.insert(0, os.getcwd())
            sys.dont_write_bytecode = not bytecode
            status = int(pytest.main([*QUIET, test_file], plugins=[NoShrinking()]))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime


def open_session(module, copy):
    """The session's file, with a mutant for every place and operator that the configuration leaves."""
    source = f"dimref/{module}.py"
    settings = CONFIG.read_text(encoding="utf-8").replace('"dimref"', f'"{source}"')
    session = SESSIONS / f"{module}.sqlite"
    session.parent.mkdir(parents=True, exist_ok=True)
    stamp = session.with_suffix(".sha256")
    digest = hashlib.sha256((copy / source).read_bytes() + settings.encode()).hexdigest()
    if not session.exists() or not stamp.exists() or stamp.read_text() != digest:
        session.unlink(missing_ok=True)
        (copy / "config.toml").write_text(settings, encoding="utf-8")
        subprocess.run([tool("cosmic-ray"), "init", "config.toml", session], cwd=copy, check=True)
        subprocess.run([tool("cr-filter-operators"), session, "config.toml"], cwd=copy, check=True)
        stamp.write_text(digest)
    return session


def tool(name):
    return str(Path(sys.executable).with_name(name))


def score(module):
    from cosmic_ray import mutating
    from cosmic_ray.work_db import use_db
    from cosmic_ray.work_item import TestOutcome, WorkerOutcome

    path = Path(module)
    test_file = f"tests/{path.with_name(f'test_{path.name}.py')}"
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place)
        for part in ("dimref", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        os.chdir(copy)
        session = open_session(module, copy)
        status, seconds = run_tests(test_file, 600, bytecode=True)
        if status != 0:
            sys.exit(f"{test_file} fails without a mutant:\n{Path('output.txt').read_text(encoding='utf-8')}")
        for compiled in (copy / "dimref" / path.parent / "__pycache__").glob(f"{path.name}.*"):
            compiled.unlink()  # of all that the tests load, a mutant changes this alone
        timeout = max(LEAST_TIMEOUT, math.ceil(10 * seconds))

        def outcome(command, seconds):
            status, _ = run_tests(command, seconds)
            return TestOutcome.SURVIVED if status == 0 else TestOutcome.KILLED, f"exit status {status}"

        mutating.run_tests = outcome
        with use_db(session) as results:
            again = [
                item for item, result in results.completed_work_items if result.test_outcome == TestOutcome.SURVIVED
            ]
            for item in (*again, *results.pending_work_items):
                results.set_result(item.job_id, mutating.mutate_and_test(item.mutations, test_file, timeout))
            done = [r for _, r in results.completed_work_items if r.worker_outcome != WorkerOutcome.SKIPPED]
        os.chdir(ROOT)
    survivors = [r.diff for r in done if r.test_outcome == TestOutcome.SURVIVED]
    strange = [r.output for r in done if r.test_outcome == TestOutcome.INCOMPETENT]
    print("\n".join(sorted(survivors) + strange))
    killed = len(done) - len(survivors) - len(strange)
    print(f"{module}: {killed} of {len(done)} mutants killed, {killed / max(len(done), 1):.1%}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", default=MODULES, metavar="MODULE", help="default: all")
    preload()
    for module in parser.parse_args().modules:
        score(module)
