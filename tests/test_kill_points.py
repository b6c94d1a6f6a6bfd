"""A run that ends before or after any of its calls to the file system begins again or goes on to the same bits."""

import os
import re
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path

import kill_points
import pytest
import tiny_runs

from dimref.training import loop

pytestmark = [
    pytest.mark.usefixtures("narrow"),
    pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs Linux"),
]

# Four steps an epoch: a checkpoint at 3, the epochs' ends at 4 and 8, lines of metrics at 2, 4, 6 and 8.
OPTIONS = ("--steps", 8, "--epochs", 9, "--log-every", 2, "--checkpoint-every", 3, "--quiet", "--bound", "mine")
LEFT = ".newest.npz.1.tmp"  # by a process that was killed


@dataclass
class Scenario:
    """A command in a directory as another one left it."""

    images: Path
    arguments: tuple
    left: Path | None = None  # what lies in the run directory before
    before: object = lambda: None  # done in the child before the run
    named: bool = True  # by --out or --resume; or runs/dim-local-npz-NNN
    points: tuple = (None, None)  # those that no other scenario has
    tried: list = field(default_factory=list)  # what was left in the run directory

    def train(self, run):
        """The command line; in the run's parent where the run has no name."""
        where = ("--resume", run) if self.left else (*tiny_runs.small(self.images)[1:], *OPTIONS, "--out", run)
        return ("train", *(where if self.named else where[:-2]), *self.arguments)


def interrupted_after(step):
    """Have a signal come in the middle of the step before."""
    real = loop.train_step

    def asked(task, state):
        if state.step == step - 1:
            os.kill(os.getpid(), signal.SIGINT)
        return real(task, state)

    def change():
        loop.train_step = asked

    return change


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory):
    """Every scenario, and the run that nothing ended."""
    root = tmp_path_factory.mktemp("kills")
    images = tiny_runs.write_npz(root / "images.npz", n=20)
    with pytest.MonkeyPatch.context() as patch:
        tiny_runs.narrow(patch)
        start = Scenario(images, ("--no-plot",))
        assert (
            tiny_runs.invoke(*Scenario(images, ("--plot",)).train(root / "here")).exit_code == 0
        )  # imports for every child
        assert kill_points.child(start.train(root / "whole"), root).code == 0
        shutil.copytree(root / "whole", root / "drawn")
        assert kill_points.child(("train", "--resume", root / "drawn", "--quiet", "--plot"), root).code == 0
        stopped = root / "stopped"
        ended = kill_points.child(start.train(stopped), root, before=interrupted_after(7))
        assert ended.code == 130
    with (stopped / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "step": 8}\n{"kind": "st')
    (stopped / LEFT).write_bytes(b"half")
    return {
        "start": start,
        "resume": Scenario(images, ("--no-plot", "--quiet"), stopped),
        "ctrl-c": Scenario(images, ("--no-plot",), before=interrupted_after(7), points=(-40, None)),
        "plot": Scenario(images, ("--plot", "--quiet"), root / "whole", points=(-24, None)),
        "numbered": Scenario(images, ("--no-plot",), named=False, points=(0, 20)),
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

    return kill_points.child(scenario.train(run), run.parent, end, at, before)


def assert_goes_on(scenario, run, whole):
    """Nothing had begun and the same command works again, or --resume ends as the whole run did."""
    begun = [path.parent for path in run.parent.rglob("config.json")]
    again = ("train", "--resume", *begun, "--quiet", *scenario.arguments) if begun else scenario.train(run)
    ended = kill_points.child(again, run.parent, before=lambda: os.chdir(run.parent))
    assert ended.code == 0, ended.errors
    (config,) = run.parent.rglob("config.json")
    found = contents(config.parent)
    assert found.keys() == contents(whole).keys()
    for name, content in contents(whole).items():
        assert found[name] == content, name


def contents(directory):
    """Every file's bytes by its path, whatever process wrote it."""
    files = [path for path in directory.rglob("*") if not path.is_dir()]
    return {re.sub(r"\.\d+\.tmp$", "", str(path.relative_to(directory))): path.read_bytes() for path in files}


ENDS = {"killed": kill_points.kill, "power": kill_points.power_loss, "interrupted": kill_points.interrupt}


def check(scenarios, tmp_path, name, end, every=1):
    """End a scenario at each of its points, or at some, and hold what follows beside the run that nothing ended."""
    scenario = scenarios[name]
    points = list(enumerate(ended_at(scenario, tmp_path / "0" / "run", kill_points.kill, 0).points, start=1))
    points = points[slice(*scenario.points)]
    if end == "power":  # elsewhere it leaves what a kill does
        points = [(at, point) for at, point in points if kill_points.UNFLUSHED in point]
    chosen, failed = points[::every], []
    for at, point in chosen:
        run = tmp_path / f"{at}" / "run"
        ended = ended_at(scenario, run, ENDS[end], at)
        try:
            if end == "interrupted":
                assert ended.code == 130, ended.errors
                assert len(ended.errors.splitlines()) <= 1
                assert not [path for path in run.parent.rglob(".*.tmp") if path.name != LEFT]
            else:
                assert ended.code == kill_points.KILLED, ended.errors
            state = sorted(contents(run.parent).items())
            if state not in scenario.tried:
                scenario.tried.append(state)
                assert_goes_on(scenario, run, scenarios["drawn" if "--plot" in scenario.arguments else "whole"])
        except AssertionError as error:
            failed.append(f"{at}, {point}: {str(error)[:300]}")
        shutil.rmtree(run.parent)
    print(f"{name}, {end}: {len(chosen)} points, {len(failed)} failed")
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize(("name", "end"), [("start", "power"), ("resume", "interrupted")])
def test_a_run_that_ends_at_a_call_goes_on_to_the_same_bits(scenarios, tmp_path, name, end):
    check(scenarios, tmp_path, name, end, every=19)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("name", "end"),
    [(name, end) for name in ("start", "resume", "ctrl-c", "plot", "numbered") for end in ("killed", "interrupted")]
    + [(name, "power") for name in ("start", "resume", "ctrl-c")],
)
def test_a_run_that_ends_at_any_call_goes_on_to_the_same_bits(scenarios, tmp_path, name, end):
    check(scenarios, tmp_path, name, end)
