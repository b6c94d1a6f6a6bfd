"""A run that ends before or after any of its calls to the file system begins again or goes on to the same bits."""

import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import killing
import pytest
import tiny

from dimref import training

pytestmark = [
    pytest.mark.usefixtures("narrow"),
    pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs Linux"),
]

# Four steps an epoch: a checkpoint at 3, the epochs' ends at 4 and 8, lines of metrics at 2, 4, 6 and 8.
OPTIONS = ("--steps", 8, "--epochs", 9, "--log-every", 2, "--checkpoint-every", 3, "--quiet", "--bound", "mine")


@dataclass
class Scenario:
    """A command in a directory as another one left it."""

    images: Path
    arguments: tuple
    left: Path | None = None  # what lies in the run directory before
    before: object = lambda: None  # done in the child before the run
    named: bool = True  # by --out or --resume; or runs/dim-local-npz-NNN

    def train(self, run):
        """The command line; in the run's parent where the run has no name."""
        where = ("--resume", run) if self.left else (*tiny.small(self.images)[1:], *OPTIONS, "--out", run)
        return ("train", *(where if self.named else where[:-2]), *self.arguments)


def interrupted_after(step):
    """Have a signal come in the middle of the step before."""
    real = training.train_step

    def asked(task, state):
        if state.step == step - 1:
            os.kill(os.getpid(), signal.SIGINT)
        return real(task, state)

    def change():
        training.train_step = asked

    return change


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory):
    """Every scenario, and the run that nothing ended."""
    root = tmp_path_factory.mktemp("kills")
    images = tiny.write_npz(root / "images.npz", n=20)
    with pytest.MonkeyPatch.context() as patch:
        tiny.narrow(patch)
        start = Scenario(images, ("--no-plot",))
        assert killing.child(start.train(root / "whole"), root).code == 0
        shutil.copytree(root / "whole", root / "drawn")
        assert killing.child(("train", "--resume", root / "drawn", "--quiet", "--plot"), root).code == 0
        stopped = root / "stopped"
        ended = killing.child(start.train(stopped), root, before=interrupted_after(7))
        assert ended.code == 130
    with (stopped / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "step": 8}\n{"kind": "st')
    (stopped / ".newest.npz.1.tmp").write_bytes(b"half")
    return {
        "start": start,
        "resume": Scenario(images, ("--no-plot", "--quiet"), stopped),
        "ctrl-c": Scenario(images, ("--no-plot",), before=interrupted_after(7)),
        "plot": Scenario(images, ("--plot", "--quiet"), root / "whole"),
        "numbered": Scenario(images, ("--no-plot",), named=False),
        "whole": root / "whole",
        "drawn": root / "drawn",
    }


def ended_at(scenario, run, end, at):
    """The child of a scenario that ends at a point, in a fresh directory."""
    if scenario.left:
        shutil.copytree(scenario.left, run)
    run.parent.mkdir(parents=True, exist_ok=True)

    def before():
        os.chdir(run.parent)
        scenario.before()

    return killing.child(scenario.train(run), run.parent, end, at, before)


def assert_goes_on(scenario, run, whole, drawn):
    """Nothing had begun and the same command works again, or --resume ends as the whole run did."""
    begun = (run / "config.json").exists()
    again = ("train", "--resume", run, "--quiet", *scenario.arguments) if begun else scenario.train(run)
    ended = killing.child(again, run.parent, before=lambda: os.chdir(run.parent))
    assert ended.code == 0, ended.errors
    runs = [path.parent for path in run.parent.rglob("config.json")]
    assert len(runs) == 1
    expected = drawn if "--plot" in scenario.arguments else whole
    assert sorted(p.name for p in runs[0].iterdir()) == sorted(p.name for p in expected.iterdir())
    for path in expected.iterdir():
        if path.name != "metrics.jsonl":
            assert (runs[0] / path.name).read_bytes() == path.read_bytes(), path.name
    assert tiny.metrics(runs[0]) == tiny.metrics(whole)


ENDS = {"killed": killing.kill, "power": killing.power_loss, "interrupted": killing.interrupt}
EVERY = [(name, end) for name in ("start", "resume", "ctrl-c", "plot", "numbered") for end in ENDS]


def check(scenarios, tmp_path, name, end, every):
    """End a scenario at every so-manieth point."""
    scenario = scenarios[name]
    # Of what has no name, only what makes the name is of interest.
    number = len(ended_at(scenario, tmp_path / "0" / "run", killing.kill, 0).points)
    chosen = range(1, number + 1)[::every]
    failed = []
    for k in chosen:
        run = tmp_path / f"{k}" / "run"
        ended = ended_at(scenario, run, ENDS[end], k)
        point = f"{k}: {ended.points[k - 1] if len(ended.points) >= k else '?'}"
        try:
            if end == "interrupted":
                assert ended.code == 130, ended.errors
                assert len(ended.errors.splitlines()) <= 1
                assert not list(run.parent.rglob(".*.tmp"))
            else:
                assert ended.code == killing.KILLED, ended.errors
            assert_goes_on(scenario, run, scenarios["whole"], scenarios["drawn"])
        except AssertionError as error:
            failed.append(f"{point}: {str(error)[:300]}")
        shutil.rmtree(run.parent)
    print(name, end, len(chosen), "points,", len(failed), "failed")
    assert not failed, "\n".join(failed)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "end"), EVERY)
def test_every_point(scenarios, tmp_path, name, end):
    check(scenarios, tmp_path, name, end, 1)
