"""`dimref train` from its options to its run directory, in this process where that will do, as a process where not."""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import fake_stream
import numpy as np
import pytest
import tiny_runs

from dimref.commands import report
from dimref.engine import cuda_graph
from dimref.evaluation import labelled
from dimref.training import checkpoint as checkpoints
from dimref.training import choices, loop, run_directory, task
from dimref.training import config as configs
from dimref.training.config import PRESETS, Config

pytestmark = pytest.mark.usefixtures("narrow")


@pytest.fixture
def train(images, tmp_path):
    """Train on tiny images in this process; the run directory, and what was printed."""

    def call(*options, name="run"):
        run = tmp_path / name
        result = tiny_runs.invoke(*tiny_runs.small(images, "--out", run, "--no-plot", *options))
        assert result.exit_code == 0, result.output
        return run, result

    return call


def stored(run):
    return Config(**configs.read(run / "config.json"))


# ---- precedence


@pytest.mark.parametrize("option", ["--config", "--preset"])
@pytest.mark.parametrize("source", ["file", "dim-global"])
def test_an_option_beats_the_preset_or_the_file_which_beats_the_default(train, tmp_path, source, option):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({**PRESETS["dim-global"], "seed": 5}))
    run, _ = train(option, file if source == "file" else source, "--seed", 0, "--quiet")
    found = stored(run)
    assert found.seed == 0  # the option, though it is the default
    assert (found.global_weight, found.local_weight, found.prior_weight) == (1.0, 0.0, 1.0)
    assert found.lr == Config().lr  # the default


def test_a_runs_configuration_gives_the_same_run_again(train, tmp_path):
    run, _ = train("--bound", "nwj", "--negatives", "roll", "--global-weight", 0.5, "--lr", 3e-4)
    result = tiny_runs.invoke("train", "--config", run / "config.json", "--out", tmp_path / "again", "--no-plot")
    assert result.exit_code == 0
    tiny_runs.assert_same_run(tmp_path / "again", run)
    assert (tmp_path / "again" / "config.json").read_text() == (run / "config.json").read_text()
    tiny_runs.invoke("train", "--config", run / "config.json", "--seed", 1, "--out", tmp_path / "other", "--no-plot")
    runs = (tiny_runs.arrays(path / "newest.npz")["parameters/encoder/y/w"] for path in (run, tmp_path / "other"))
    assert not np.array_equal(*runs)


# ---- refusals


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lr", "0"], "--lr: expected a number above 0"),
        (["--batch-size", "100000"], "expected at least one batch of 100000 images"),
        (["--limit", "1"], "found 1; use a smaller --batch-size or more images"),
        (["--threads", "1"], "--threads: expected to be set before NumPy is loaded"),
        (
            ["--preset", "dim-global", "--local-scorer", "dot"],
            "--local-scorer: has no effect, since --local-weight is 0",
        ),
        (["--prior-weight", "0", "--prior", "gaussian"], "--prior: has no effect, since --prior-weight is 0"),
        (["--prior-weight", "0", "--prior-loss", "minimax"], "--prior-loss: has no effect, since --prior-weight is 0"),
        (["--beta1", "1"], "--beta1: expected a number of at least 0 and below 1, found 1.0"),
        (["--dot-critic", "identity"], "--dot-critic: has no effect, since there is no dot critic"),
        (
            ["--bound", "infonce", "--dot-critic", "relu"],
            "--dot-critic: expected some of batch-norm, identity, unscaled",
        ),
        (["--global-map", "local"], "--global-map: has no effect, since --global-weight is 0"),
        (["--candidates", "4"], "--candidates: has no effect, since the negatives are not sampled"),
        (["--noise", "0.1"], "--noise: has no effect, since --data is npz"),
        (["--shared", "colour"], "--shared: has no effect, since --data is npz, not shapes"),
        (["--no-graph"], "--graph/--no-graph: has no effect, since --backend is numpy"),
        (["--tf32"], "--tf32: has no effect, since --backend is numpy"),
        (["--data", "shapes"], "expected none, since shapes are drawn"),
        (["--data-dir", "nowhere"], "nowhere: expected a .npz file, or a folder with one"),
        (["--data", "cifar10"], "expected a directory"),
        (["--config", "nowhere.json"], "nowhere.json: expected a preset"),
        (["--config", "."], "found: a directory"),
        (["--resume", "nowhere", "--preset", "dim-global"], "leave out --preset, --config and --out"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(images, tmp_path, options, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert words in tiny_runs.refused(*tiny_runs.small(images, *options))
    assert [path.name for path in tmp_path.iterdir()] == ["images.npz"]


def test_a_device_is_asked_for_what_the_options_say(images, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(task, "get_backend", lambda name, tf32: asked.append((name, tf32)) or fake_stream.device())
    for options, graph in (([], True), (["--tf32"], True), (["--no-graph"], False)):
        run = tmp_path / str(len(asked))
        result = tiny_runs.invoke(*tiny_runs.small(images, "--backend", "cupy", "--out", run, "--no-plot", *options))
        assert result.exit_code == 0, result.output
        assert ("one graph a step" in result.stdout) == graph
    assert asked == [("cupy", False), ("cupy", True), ("cupy", False)]


def test_a_step_that_is_not_captured_is_told_in_one_line(images, tmp_path, monkeypatch):
    def failing(self, function):
        raise RuntimeError("no capture")

    monkeypatch.setattr(task, "get_backend", lambda name, tf32: fake_stream.device())
    monkeypatch.setattr(cuda_graph.Queue, "capture", failing)
    small = tiny_runs.small(images, "--backend", "cupy", "--out", tmp_path / "run", "--no-plot", "--steps", 5)
    lines = tiny_runs.invoke(*small).stderr.splitlines()
    assert [line for line in lines if line.startswith("graph")] == [
        "graph: expected the step to be captured, found: no capture; its kernels are queued one by one"
    ]


# ---- every objective


def combinations():
    """Every bound, scorer and negatives that exist together."""
    for bound in choices.BOUNDS:
        for scorer in choices.LOCAL_CRITICS:
            for negatives in choices.NEGATIVES:
                with contextlib.suppress(configs.DimrefError):
                    Config(bound=bound, local_scorer=scorer, negatives=negatives)
                    yield bound, scorer, negatives


def test_the_combinations_are_those_of_the_paper_and_its_codes():
    pairs = {(b, "concat", n) for b in choices.PAIR_BOUNDS for n in ("shuffle", "roll")}
    pairs |= {(b, "dot", "all-pairs") for b in choices.PAIR_BOUNDS}
    candidates = {("dot", "same-location"), ("dot", "all-locations"), ("concat", "sampled")}
    assert set(combinations()) == pairs | {("infonce", *rest) for rest in candidates}


@pytest.mark.parametrize(("bound", "scorer", "negatives"), list(combinations()))
def test_every_objective_trains(train, bound, scorer, negatives):
    more = ("--candidates", 3) if negatives == "sampled" else ()
    run, result = train("--bound", bound, "--local-scorer", scorer, "--negatives", negatives, *more)
    assert f"({scorer}, {negatives})" in result.stdout
    assert all(np.isfinite(line["nats"]["local"]) for line in tiny_runs.metrics(run) if line["kind"] == "step")


@pytest.mark.parametrize(
    ("preset", "bound"),
    [(name, b) for name in PRESETS if name.startswith("dim") for b in ("jsd", "infonce")]
    + [(name, name.removeprefix("paper-")) for name in PRESETS if name.startswith("paper")],
)
def test_every_preset_trains_its_terms_and_has_no_parameters_for_others(train, preset, bound):
    run, result = train("--preset", preset, "--bound", bound)
    terms = {term for term in ("local", "global", "prior") if getattr(Config(**PRESETS[preset]), f"{term}_weight")}
    assert {path.split("/")[1] for path in tiny_runs.arrays(run / "newest.npz") if path.startswith("parameters/")} == {
        "encoder", *terms,
    }  # fmt: skip
    for term in terms - {"prior"}:
        assert f"{term} bound" in result.stdout


@pytest.mark.parametrize(
    "options",
    [
        ["--prior", "gaussian", "--prior-loss", "non-saturating"],
        ["--gradient-penalty", "10"],
        ["--prior-weight", "0"],
    ],
)
def test_every_prior_trains(train, options):
    run, result = train(*options)
    assert ("prior " in result.stdout) == (options[0] != "--prior-weight")
    assert ("prior" in tiny_runs.metrics(run)[0]["nats"]) == (options[0] != "--prior-weight")


# ---- every kind of data


@pytest.mark.parametrize(("side", "channels"), [(4, 1), (13, 3), (28, 1)])
def test_every_size_trains(tmp_path, side, channels):
    path = tiny_runs.write_npz(tmp_path / "x.npz", side=side, channels=channels)
    result = tiny_runs.invoke(*tiny_runs.small(path, "--out", tmp_path / "run", "--no-plot"))
    assert result.exit_code == 0
    assert f"60 images {side}x{side}x{channels}" in result.stdout


def test_shapes_train_without_files(tmp_path, monkeypatch):
    monkeypatch.setattr(labelled, "LIMIT", 50)
    options = ("--limit", 64, "--steps", 1, "--batch-size", 8, "--noise", 0.1, "--out", tmp_path / "run", "--no-plot")
    result = tiny_runs.invoke("train", *options)
    assert result.exit_code == 0
    assert "64 to train on" in result.stdout


REAL = {"cifar10": "cifar-10-batches-bin", "idx": "t10k-images-idx3-ubyte.gz"}


@pytest.mark.parametrize("name", REAL)
def test_real_images_train(tmp_path, name):
    """The test images stand for training images: some machines have no others."""
    source = os.environ.get("DIMREF_TEST_DATA", "")
    real = next(Path(source).glob(f"**/{REAL[name]}"), None) if source else None
    if real is None:
        pytest.skip(f"no {REAL[name]}: set DIMREF_TEST_DATA to the folder that holds it")
    root = tmp_path / "data"
    root.mkdir()
    if name == "cifar10":
        shutil.copy(real / "test_batch.bin", root / "data_batch_1.bin")
    else:
        for part in ("images-idx3", "labels-idx1"):
            shutil.copy(real.with_name(f"t10k-{part}-ubyte.gz"), root / f"train-{part}-ubyte.gz")
    options = ("--data", name, "--data-dir", root, "--limit", 300, "--batch-size", 8, "--steps", 3, "--no-plot")
    result = tiny_runs.invoke("train", *options, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "since there is no test split" in result.stdout


# ---- the run directory


def test_the_run_directory_is_complete(train):
    run, result = train("--log-every", 1)
    names = {"config.json", "metrics.jsonl", "newest.npz", "best.npz", "evaluation.json"}
    assert {path.name for path in run.iterdir()} == names
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(line["kind"], line["step"]) for line in lines] == [("step", 1), ("step", 2), ("step", 3), ("epoch", 3)]
    assert all(line["images_per_second"] > 0 for line in lines[:3])
    assert stored(run).steps == 3
    for name in ("newest.npz", "best.npz"):
        assert tiny_runs.arrays(run / name)
        assert checkpoints.load(run / name).step == 3
    assert f"run           {run}" in result.stdout


def test_runs_without_a_name_are_numbered(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        tiny_runs.invoke(*tiny_runs.small(images, "--no-plot", "--quiet"))
    tiny_runs.invoke(*tiny_runs.small(images, "--no-plot", "--quiet", "--global-weight", 0.25))
    tiny_runs.invoke(*tiny_runs.small(images, "--no-plot", "--quiet", "--preset", "dim-global", "--prior-weight", 0.5))
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "dim-global-npz-001", "dim-local-npz-001", "dim-local-npz-002", "dim-mixed-npz-001",
    ]  # fmt: skip


def test_a_run_that_is_there_is_refused_and_kept(run, images):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    line = tiny_runs.refused(*tiny_runs.small(images, "--out", run))
    assert f"{run}: expected a new run directory, found a run; continue it with --resume {run}" in line
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_directory_below_a_file_or_a_file_is_refused(images):
    assert "Not a directory" in tiny_runs.refused(*tiny_runs.small(images, "--out", images / "run"))
    assert "File exists" in tiny_runs.refused(*tiny_runs.small(images, "--out", images))


@pytest.mark.parametrize("name", ["a b", "ü×", "-dash", "it's", "new\nline"])
def test_any_name_will_do_and_the_next_command_can_be_typed(images, tmp_path, name):
    run = tmp_path / "x" / name
    result = tiny_runs.invoke(*tiny_runs.small(images, "--out", run, "--no-plot", "--quiet"))
    assert result.exit_code == 0
    typed = result.stdout.split("next          ")[1]
    found = subprocess.run(["bash", "-c", f"printf '%s|' {typed}"], capture_output=True, text=True, check=True).stdout
    assert found.split("|")[:4] == ["dimref", "train", "--resume", str(run)]
    again = tiny_runs.invoke(*found.split("|")[1:-1], "--no-plot")
    assert again.exit_code == 0
    assert checkpoints.load(run / "newest.npz").step == 6


def test_a_run_behind_a_link_is_written_and_resumed(images, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert tiny_runs.invoke(*tiny_runs.small(images, "--out", tmp_path / "link", "--no-plot")).exit_code == 0
    assert tiny_runs.invoke("train", "--resume", tmp_path / "link", "--steps", 4, "--no-plot").exit_code == 0
    assert checkpoints.load(tmp_path / "real" / "newest.npz").step == 4
    assert (tmp_path / "link").is_symlink()


# ---- resuming


def test_a_finished_run_says_so_before_its_images_are_read_and_nothing_changes(run):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    (run.parent / "images.npz").unlink(missing_ok=True)
    tiny_runs.change(run / "newest.npz", lambda meta, arrays: meta["config"].update(data_dir="gone"))
    before["newest.npz"] = (run / "newest.npz").read_bytes()
    result = tiny_runs.invoke("train", "--resume", run)
    assert result.exit_code == 0
    first, longer, evaluate, _ = result.stdout.splitlines()
    assert first.startswith(f"{run}: has ended, after step 3 of 3; ")
    assert longer.endswith(f"dimref train --resume {run} --epochs 1 --steps 6")
    assert evaluate.endswith(f"dimref evaluate {run}")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_probe_that_is_not_wanted_is_left_out(train):
    run, result = train("--no-probe", "--steps", 26, "--verbose", "--log-every", 20)
    assert "linear probe" not in result.stdout
    assert "local bound" in result.stdout
    assert not (run / "evaluation.json").exists()
    lines = [line for line in result.stderr.splitlines() if "  step " in line]
    assert [int(line.split("  step ")[1].split("/")[0]) for line in lines] == [*range(1, 21), 26]
    assert "held out" in lines[-1]
    assert " held out" not in lines[0]


def test_the_probes_report_their_progress_and_leave_their_results(train):
    run, result = train()
    assert [line.split()[0] for line in result.stderr.splitlines() if "linear of" in line] == [
        f"{k}/7" for k in range(1, 8)
    ]
    assert len(json.loads((run / "evaluation.json").read_text())["results"]) == 7


def test_a_batch_that_cannot_be_filled_is_refused_before_images_are_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dimref.data.shapes.draw", None)
    line = tiny_runs.refused("train", "--batch-size", 20_000)
    assert "at least one batch of 20000 images beside the 512 held out, found 9488" in line
    assert "beside the 64 held out, found 60" in tiny_runs.refused("train", "--limit", 60, "--batch-size", 64)


def test_the_next_command_goes_on_for_as_long_again(train):
    run, result = train("--epochs", 1, "--steps", 5)
    assert result.stdout.splitlines()[-1] == f"next          dimref train --resume {run} --epochs 1 --steps 10"
    again = tiny_runs.invoke("train", "--resume", run, "--no-plot", "--epochs", 1, "--steps", 10)
    assert checkpoints.load(run / "newest.npz").step == 10
    assert again.stdout.splitlines()[-1].endswith("--epochs 2 --steps 20")


def test_a_resumed_run_records_its_new_length(run):
    tiny_runs.invoke("train", "--resume", run, "--steps", 7, "--log-every", 2, "--no-plot")
    assert (stored(run).steps, stored(run).log_every) == (7, 2)
    assert checkpoints.load(run / "newest.npz").config == stored(run)


@pytest.mark.parametrize(
    ("option", "value"),
    [("seed", 1), ("lr", 0.01), ("batch-size", 8), ("bound", "dv"), ("limit", 30), ("preset", "dim-local")],
)
def test_another_configuration_is_refused_by_the_name_of_the_option(run, option, value):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert f"--{option}" in tiny_runs.refused("train", "--resume", run, f"--{option}", value)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_an_option_that_repeats_the_runs_own_is_no_other_configuration(run):
    assert tiny_runs.invoke("train", "--resume", run, "--global-weight", 0.5, "--no-plot").exit_code == 0


def test_another_runs_checkpoint_in_its_place_is_refused(run):
    tiny_runs.change(run / "newest.npz", lambda meta, arrays: meta["config"].update(seed=1))
    line = tiny_runs.refused("train", "--resume", run)
    assert "--seed: expected 0" in line
    assert "another run's" in line
    assert stored(run).seed == 0


def test_what_is_no_run_is_refused(tmp_path, images):
    assert "no run directory nowhere" in tiny_runs.refused("train", "--resume", "nowhere")
    for path in (images, tmp_path):
        assert f"{path}: expected a run's directory, found none" in tiny_runs.refused("train", "--resume", path)


@pytest.mark.parametrize("name", ["newest.npz", "metrics.jsonl", "config.json"])
def test_a_damaged_file_is_refused_and_the_rest_is_left_alone(run, name):
    content = (run / name).read_bytes()
    (run / name).write_bytes(b"{]\n" + content[len(content) // 2 :])
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert name in tiny_runs.refused("train", "--resume", run, "--steps", 9)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_run_that_another_process_holds_is_refused(run):
    with run_directory.locked(run):
        assert "another process" in tiny_runs.refused("train", "--resume", run)


def test_another_number_of_threads_is_noted(run, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "17")
    result = tiny_runs.invoke("train", "--resume", run, "--no-plot", "--no-probe", "--steps", 4)
    assert "not equal bit for bit" in result.stdout


# ---- progress


def test_without_a_terminal_there_is_a_line_for_each_epoch(train):
    _, result = train("--steps", 26)
    assert [line.split()[:4] for line in result.stderr.splitlines() if line.startswith("epoch")] == [
        ["epoch", "1", "step", "13/26"], ["epoch", "2", "step", "26/26"],
    ]  # fmt: skip
    assert "nats held out" in result.stderr
    assert "images/s" in result.stderr


def test_quiet_prints_where_the_run_lies_alone(train):
    run, result = train("--quiet")
    assert result.stderr == ""
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["run", "next"]
    assert str(run) in result.stdout


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo terminals")
def test_on_a_terminal_there_is_a_bar_with_bound_speed_and_time_left(images, tmp_path):
    mine, its = os.openpty()
    slow = (  # the time left is known after a second
        "import time\nfrom dimref.training import loop\nstep = loop.train_step\n"
        "loop.train_step = lambda *state: (time.sleep(0.12), step(*state))[1]"
    )
    args = tiny_runs.small(images, "--steps", 13, "--no-plot", "--out", tmp_path / "run")
    child = tiny_runs.start(*args, before=slow, stderr=its, env={"TERM": "xterm"})
    os.close(its)
    text = b""
    with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
        while piece := os.read(mine, 65536):
            text += piece
    child.communicate(timeout=60)
    os.close(mine)
    assert child.returncode == 0
    shown = text.decode()
    assert "training" in shown
    assert "#" in shown
    assert "13/13" in shown
    for pattern in (r"local -?\d+\.\d{3} nats", r"\d+ images/s", r"\d+:\d\d:\d\d left"):
        assert re.search(pattern, shown), pattern


# ---- processes: threads, signals, kills, disks


def test_threads_take_effect_and_are_recorded(images, tmp_path):
    """BLAS starts one thread less than it uses; where rows are shared, so does dimref. The main thread is one more."""
    sharing = importlib.util.find_spec("threadpoolctl") is not None
    script = tmp_path / "count.py"
    script.write_text(
        "import os, sys\nfrom dimref.cli import main\nmain(sys.argv[1:], standalone_mode=False)\n"
        "print('threads', len(os.listdir('/proc/self/task')))\n"
    )
    for count in (1, 2):
        run = tmp_path / f"run{count}"
        args = map(str, tiny_runs.small(images, "--threads", count, "--out", run, "--no-plot", "--quiet", "--steps", 1))
        env = {name: value for name, value in os.environ.items() if name not in choices.THREAD_VARIABLES}
        found = subprocess.run([sys.executable, script, *args], capture_output=True, text=True, check=True, env=env)
        assert checkpoints.load(run / "newest.npz").meta["machine"]["threads"].startswith(f"{count} (")
        if os.path.isdir("/proc/self/task") and count <= os.cpu_count():
            assert found.stdout.splitlines()[-1] == f"threads {2 * count - 1 if sharing else count}"


SLOW = (
    "import time\nfrom dimref.training import loop\nstep = loop.train_step\n"
    "loop.train_step = lambda *state: (time.sleep(0.01), step(*state))[1]"
)
LONG = ("--steps", 40, "--epochs", 9, "--log-every", 1, "--checkpoint-every", 4, "--bound", "mine", "--no-plot")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run of 40 steps, 13 an epoch, beside which the interrupted ones are held."""
    root = tmp_path_factory.mktemp("whole")
    path = tiny_runs.write_npz(root / "images.npz")
    with pytest.MonkeyPatch.context() as patch:
        tiny_runs.narrow(patch)
        assert tiny_runs.invoke(*tiny_runs.small(path, *LONG, "--quiet", "--out", root / "run")).exit_code == 0
    return root / "run"


def wait_for(condition, child):
    """Until the condition holds; a child that ends before fails the test."""
    for _ in range(6000):
        if condition():
            return
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.005)
    raise AssertionError("nothing happened")


def lines(run):
    path = run / "metrics.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def begin(whole, run, at_line, quiet=False, **options):
    """Start the run of `whole` anew, and wait until its metrics have so many lines."""
    small = tiny_runs.small(whole.parent / "images.npz", *LONG, "--out", run, *["--quiet"] * quiet)
    child = tiny_runs.start(*small, **{"before": SLOW, **options})
    wait_for(lambda: lines(run) >= at_line, child)
    return child


def assert_resumes_to(whole, run):
    result = tiny_runs.invoke("train", "--resume", run, "--no-plot", "--quiet")
    assert result.exit_code == 0, result.output
    tiny_runs.assert_same_run(run, whole)
    assert not list(run.glob(".*.tmp"))


@pytest.mark.exhaustive
def test_a_run_killed_in_the_middle_of_an_epoch_resumes_to_the_same_bits(whole, tmp_path):
    run = tmp_path / "run"
    child = begin(whole, run, 18)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    step = checkpoints.load(run / "newest.npz").step
    assert 0 < step < 40
    for name in ("newest.npz", "filters.png"):
        (run / f".{name}.{child.pid}.tmp").write_bytes(b"what was being written when it was killed")
    assert_resumes_to(whole, run)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        *(pytest.param(number, marks=pytest.mark.exhaustive) for number in (signal.SIGTERM, signal.SIGHUP)),
    ],
)
def test_a_run_that_is_stopped_saves_its_state_says_how_to_go_on_and_does(whole, tmp_path, number):
    run = tmp_path / "a run"
    child = begin(whole, run, 7)
    child.send_signal(number)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    step = checkpoints.load(run / "newest.npz").step
    assert errors.splitlines()[-1] == (
        f"dimref: stopped after step {step} of 40; go on with: dimref train --resume '{run}'"
    )
    assert step >= 7
    assert_resumes_to(whole, run)


@pytest.mark.exhaustive
def test_a_hangup_that_is_ignored_stays_so(whole, tmp_path):
    """As after nohup."""
    child = begin(whole, tmp_path / "run", 7, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    child.send_signal(signal.SIGHUP)
    child.communicate(timeout=60)
    assert child.returncode == 0
    assert checkpoints.load(tmp_path / "run" / "newest.npz").step == 40


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_before_the_first_step_a_run_ends_at_once(images, tmp_path, monkeypatch, number):
    def drawn(task):
        os.kill(os.getpid(), number)
        pytest.fail("went on")

    monkeypatch.setattr(loop, "initial_state", drawn)
    line = tiny_runs.refused(*tiny_runs.small(images, "--out", tmp_path / "run"), code=130)
    assert line.splitlines()[-1] == "dimref: stopped"


def test_a_second_interrupt_ends_the_run_at_once_with_the_last_checkpoint(whole, tmp_path):
    run = tmp_path / "run"
    waits = (  # the step after which the first interrupt would be seen never ends
        "import time\nfrom dimref.training import loop\nstep = loop.train_step\n"
        "def slow(task, state):\n    if state.step == 6:\n        print('waiting', flush=True)\n        time.sleep(60)\n"
        "    return step(task, state)\n"
        "loop.train_step = slow"
    )
    child = begin(whole, run, 6, before=waits, quiet=True)
    assert child.stdout.readline() == "waiting\n"
    child.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=20)
    assert child.returncode == 130
    assert errors == "dimref: stopped\n"
    assert checkpoints.load(run / "newest.npz").step == 4
    assert_resumes_to(whole, run)


def test_an_interrupt_while_the_end_is_evaluated_says_that_the_run_is_saved(images, tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "_probes", interrupted)
    line = tiny_runs.refused(*tiny_runs.small(images, "--out", tmp_path / "run", "--no-plot"), code=130)
    assert "stopped after training; the run is saved" in line
    assert checkpoints.load(tmp_path / "run" / "newest.npz").step == 3


@pytest.mark.exhaustive
def test_a_full_disk_leaves_the_old_checkpoint(whole, tmp_path):
    """A memory disk with room for one and a half checkpoints, mounted where no other process sees it."""
    run, size = tmp_path / "disk" / "run", (whole / "newest.npz").stat().st_size * 3 // 2
    run.parent.mkdir()
    steps = (
        f"mount -t tmpfs -o size={size} tmpfs {run.parent} || exit 77",
        " ".join(map(str, (*tiny_runs.DIMREF, *tiny_runs.small(whole.parent / "images.npz", "--quiet", "--out", run)))),
        "echo $?",
        f"ls -A {run}",
        f"{sys.executable} -c 'import pathlib\nfrom dimref.training import checkpoint\n"
        f'print(checkpoint.load(pathlib.Path("{run}/newest.npz")).step)\'',
    )
    unshare = shutil.which("unshare")
    command = [unshare or "unshare", "-rm", "sh", "-c", "\n".join(steps)]
    found = subprocess.run(command, capture_output=True, text=True, check=False) if unshare else None
    if found is None or found.returncode:
        pytest.skip("no disk can be mounted here")
    assert found.stderr.count("\n") == 1
    assert "expected to write it, found: No space left on device" in found.stderr
    assert found.stdout.split() == ["2", "config.json", "metrics.jsonl", "newest.npz", "0"]


def test_a_learning_rate_beyond_all_bounds_ends_with_one_line(images, tmp_path):
    small = tiny_runs.small(images, "--lr", 1e30, "--bound", "nwj", "--quiet", "--out", tmp_path / "run")
    line = tiny_runs.refused(*small, code=1)
    assert line.startswith("dimref: step ")
    assert "the local term" in line
    assert str(tmp_path / "run" / "newest.npz") in line
    assert checkpoints.load(tmp_path / "run" / "newest.npz").step < 3


def test_a_run_killed_before_its_first_checkpoint_starts_again(run, trained):
    (run / "best.npz").unlink()
    (run / "metrics.jsonl").rename(run / "kept")
    line = tiny_runs.refused("train", "--resume", run)  # a checkpoint had metrics
    assert "metrics.jsonl: expected the run's metrics, found: No such file" in line
    (run / "kept").rename(run / "metrics.jsonl")
    (run / "newest.npz").unlink()
    # With metrics there was a checkpoint once: starting again would lose what they tell.
    assert "newest.npz: expected a checkpoint" in tiny_runs.refused("train", "--resume", run)
    (run / "metrics.jsonl").write_text("")
    assert tiny_runs.invoke("train", "--resume", run, "--no-plot").exit_code == 0
    tiny_runs.assert_same_run(run, trained)


@pytest.mark.exhaustive
def test_of_runs_that_start_together_in_one_directory_one_is_trained(whole, tmp_path):
    path, run = whole.parent / "images.npz", tmp_path / "run"
    children = [
        tiny_runs.start(*tiny_runs.small(path, *LONG, "--quiet", "--seed", seed, "--out", run)) for seed in range(4)
    ]
    ends = [(child.communicate(timeout=120), child.returncode) for child in children]
    (winner,) = [seed for seed, (_, code) in enumerate(ends) if code == 0]
    for (_, errors), code in ends[:winner] + ends[winner + 1 :]:
        assert code == 2
        assert re.search("found a run; continue it with --resume|found another process training it", errors)
    assert stored(run).seed == winner
    assert tiny_runs.process("train", "--resume", run, "--no-plot", "--quiet").returncode == 0


def test_a_stored_configuration_still_chooses_the_scorer_that_fits_another_bound(run, train):
    found = stored(train("--config", run / "config.json", "--bound", "infonce", "--quiet", name="other")[0])
    assert (found.bound, found.critic) == ("infonce", "dot")


def test_what_belongs_to_a_stored_dataset_is_dropped_with_it(train, tmp_path):
    (tmp_path / "config.json").write_text('{"data": "shapes", "noise": 0.1}')
    run, _ = train("--config", tmp_path / "config.json", "--quiet")
    assert (stored(run).data, stored(run).noise) == ("npz", None)


def test_a_run_is_not_resumed_to_an_end_that_lies_behind_it(run):
    before = (run / "config.json").read_bytes()
    line = tiny_runs.refused("train", "--resume", run, "--steps", 2)
    assert "at or after the checkpoint's step 3, found an end at 2" in line
    assert (run / "config.json").read_bytes() == before


# ---- what cannot be


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (("--ndepth", 10**6), "encoder: ndepth must be at most 1000, was 1000000"),
        (("--ndepth", 10**29), "encoder: ndepth must be at most 1000"),
        (("--ndf", 10**5, "--nrkhs", 10**6), "GB; lower --ndf, --ndepth or --nrkhs"),
        (("--ndf", 10**29, "--nrkhs", 10**30), "encoder: expected to find "),
    ],
)
def test_an_encoder_beyond_memory_is_refused_before_it_is_drawn(images, tmp_path, sizes, words):
    line = tiny_runs.refused("train", "--data", "npz", "--data-dir", images, "--preset", "amdim", "--batch-size", 4,
                        *sizes, "--out", tmp_path / "run")  # fmt: skip
    assert words in line
    assert not (tmp_path / "run").exists()


def test_a_matplotlib_that_cannot_be_loaded_costs_the_pictures_alone(images, tmp_path):
    pytest.importorskip("matplotlib")
    broken = {"MPLBACKEND": "garbage"}
    child = tiny_runs.process(*tiny_runs.small(images, "--out", tmp_path / "run", "--quiet"), env=broken)
    assert child.returncode == 0
    assert "pictures      none: pictures: expected matplotlib to load, found ValueError: " in child.stdout_text
    assert checkpoints.load(tmp_path / "run" / "newest.npz").step == 3


@pytest.mark.parametrize(("keep", "kept"), [("both", 2), ("newest", 1), ("best", 1)])
def test_checkpoints_that_are_not_to_be_kept_are_gone_at_the_end(keep, kept, tmp_path):
    path = tiny_runs.write_npz(tmp_path / "images.npz")
    done = tiny_runs.invoke(*tiny_runs.small(path, "--out", tmp_path / "run", "--keep", keep, "--no-plot"))
    assert done.exit_code == 0, done.output
    names = sorted(file.name for file in (tmp_path / "run").glob("*.npz"))
    assert names == (["best.npz", "newest.npz"] if kept == 2 else [f"{keep}.npz"])
    assert ("--resume" in done.output) == (keep != "best")
    if keep == "best":
        for typed in (("train", "--resume"), ("encode",)):
            line = tiny_runs.refused(*typed, tmp_path / "run")
            assert line.endswith(
                "newest.npz: expected a checkpoint, found no such file; the run kept its best one alone: --checkpoint best"
            )
        assert tiny_runs.invoke("encode", tmp_path / "run", "--checkpoint", "best").exit_code == 0
    total = sum(file.stat().st_size for file in (tmp_path / "run").iterdir()) / 1e6
    assert f"size          {total:.1f} MB, of these {names[-1]}" in done.output or kept == 2


def test_a_folder_of_photographs(tmp_path):
    image = pytest.importorskip("PIL.Image")
    rng, photos = np.random.default_rng(0), tmp_path / "photos" / "2019"
    photos.mkdir(parents=True)
    for k in range(30):
        high, wide = rng.integers(20, 60, 2)
        image.fromarray(rng.integers(0, 256, (high, wide, 3), dtype=np.uint8)).save(
            photos.parent / "2019"[: k % 2 * 4] / f"{k}.jpg"
        )
    (photos / "broken.jpg").write_bytes(b"no image")
    typed = ("train", "--data", "folder", "--data-dir", photos.parent, "--batch-size", 4, "--steps", 2, "--no-plot")
    typed = (*typed, "--out", tmp_path / "run")
    assert "--size N makes all images N×N" in tiny_runs.refused(*typed)
    assert "broken.jpg: expected a sound image" in (line := tiny_runs.refused(*typed, "--size", 16))
    assert line.endswith("; --skip-bad leaves it out")
    assert not (tmp_path / "run").exists()
    done = tiny_runs.invoke(*typed, "--size", 16, "--skip-bad")
    assert done.exit_code == 0, done.output
    assert "30 images 16x16x3 of 31" in done.stdout
    assert "note          left out 1 of 31 files that cannot be read: 2019/broken.jpg (" in done.stdout
    assert "probe         none: the images have no labels" in done.stdout
    done = tiny_runs.invoke("encode", tmp_path / "run", "--out", tmp_path / "y.npy")
    assert "left out 1 of 31" in done.stdout
    assert np.load(tmp_path / "y.npy").shape[0] == 30
    line = tiny_runs.refused("train", "--size", 16, "--no-plot", "--out", tmp_path / "other")
    assert line == "dimref: --size: has no effect, since --data is shapes, not folder; leave it out"
