"""The loop: what a step sees, what a run leaves behind, and that a run that was cut in two is the same run."""

import dataclasses
import math

import numpy as np
import pytest
import tiny_runs

from dimref import bounds, step
from dimref.training import checkpoint as checkpoints
from dimref.training import files, loop, metrics, run_directory
from dimref.training import state as states
from dimref.training.loop import Diverged, Interrupted
from dimref.trees import leaves

pytestmark = pytest.mark.usefixtures("narrow")


def run(task, path, stop_after=math.inf, resume=None):
    """Train in a run directory, and stop after a step."""
    if resume is None:
        with run_directory.create(path, task.config):
            pass
    seen = []
    state = loop.train(task, path, seen.append, lambda: len(seen) >= stop_after, resume)
    return state, seen


def resumed(task, path):
    """Go on from the newest checkpoint, as the command does."""
    checkpoint = checkpoints.load(path / run_directory.NEWEST)
    metrics.cut(path / run_directory.METRICS, checkpoint.step)
    return run(task, path, resume=checkpoint)


# ---- a step


def test_a_step_moves_every_parameter_and_the_model_state(prepare):
    task = prepare(global_weight=1.0)
    state = states.initial_state(task)
    before = {path: array.copy() for path, array in leaves({"p": state.parameters, "s": state.model})}
    state, _ = loop.train_step(task, state)
    assert state.step == 1
    for path, array in leaves({"p": state.parameters, "s": state.model}):
        assert not np.array_equal(array, before[path]), path


def test_held_out_terms_are_the_same_each_time_and_leave_the_state_alone(prepare):
    task = prepare(bound="mine", global_weight=1.0)
    state, _ = loop.train_step(task, states.initial_state(task))
    before = {path: np.array(array) for path, array in leaves({"p": state.parameters, "s": state.model})}
    assert loop.held_out_terms(task, state) == loop.held_out_terms(task, state)
    for path, array in leaves({"p": state.parameters, "s": state.model}):
        np.testing.assert_array_equal(array, before[path])


def test_held_out_draws_do_not_depend_on_the_step(prepare):
    task = prepare(global_weight=1.0)
    state = states.initial_state(task)
    assert loop.held_out_terms(task, dataclasses.replace(state, step=7)) == loop.held_out_terms(task, state)


def test_held_out_terms_are_means_over_batches_in_inference_mode(prepare, monkeypatch):
    task = prepare()
    task = dataclasses.replace(task, held_out=task.images[:9])  # two batches of 4; the ninth fills none
    calls = []

    def loss(parameters, state, images, noise, objective, layout, training=True):
        calls.append((len(images), training))
        return 0.0, {"terms": {"local": float(len(calls))}}

    tiny_runs.change_method(monkeypatch, "dim", loss=loss)
    assert loop.held_out_terms(task, states.initial_state(task)) == {"local": 1.5}
    assert calls == [(4, False), (4, False)]


def test_fewer_held_out_images_than_candidates_make_fewer_candidates(prepare):
    task = prepare(bound="infonce", local_scorer="concat", batch_size=8, candidates=8)  # 6 are held out
    assert math.isfinite(loop.held_out_terms(task, states.initial_state(task))["local"])
    assert task.objective.for_batch(6).ceiling("local", 6, task.locations) == math.log(6)
    assert task.objective.for_batch(8).ceiling("local", 8, task.locations) == math.log(8)


@pytest.mark.parametrize(("alpha", "beta", "value"), [(0.0, 1.0, 2.0), (1.0, 0.0, 3.0), (0.5, 1.0, 3.5)])
def test_best_is_judged_by_the_weighted_bounds_without_the_prior(prepare, alpha, beta, value):
    objective = prepare(global_weight=alpha, local_weight=beta).objective
    assert loop.weighted_bound(objective, {"local": 2.0, "global": 3.0, "prior": -9.0}) == value


# ---- a run


def test_metrics_have_a_line_every_so_many_steps_and_one_for_each_epoch(prepare, tmp_path):
    state, seen = run(prepare(steps=15, log_every=5, global_weight=1.0), tmp_path / "run")
    lines = metrics.read(tmp_path / "run" / run_directory.METRICS)
    assert [(line["kind"], line["step"], line["epoch"]) for line in lines] == [
        *(("step", n, 1) for n in (1, 2, 3, 4, 5, 10)), ("epoch", 13, 1), ("step", 15, 2), ("epoch", 15, 2),
    ]  # fmt: skip
    step, epoch = lines[0], lines[6]
    assert step["nats"].keys() == {"global", "local", "prior"}
    assert step["saturated"].keys() == {"global", "local"}
    assert step["gradient_norm"] > 0
    assert step["images_per_second"] > 0
    assert 1 <= step["effective_rank"] <= 8
    assert step["variance"] > 0
    assert epoch["held_out_nats"].keys() == step["nats"].keys()
    assert epoch["bound"] == epoch["held_out_nats"]["global"] + epoch["held_out_nats"]["local"]
    assert state.step == 15
    assert [p.step for p in seen] == list(range(1, 16))
    assert [p.step for p in seen if p.held_out] == [13, 15]


def test_the_best_checkpoint_is_that_of_the_best_held_out_bound(prepare, tmp_path, monkeypatch):
    values = iter([1.0, 3.0, 2.0, 2.5])
    monkeypatch.setattr(loop, "held_out_terms", lambda task, state: {"local": next(values)})
    state, _ = run(prepare(steps=None, epochs=4), tmp_path / "run")
    assert [line["best"] for line in tiny_runs.metrics(tmp_path / "run") if line["kind"] == "epoch"] == [1, 1, 0, 0]
    best = checkpoints.load(tmp_path / "run" / run_directory.BEST)
    assert (best.step, best.best) == (26, 3.0)
    assert state.best == 3.0
    newest = checkpoints.load(tmp_path / "run" / run_directory.NEWEST)
    assert (newest.step, newest.best) == (52, 3.0)


def test_at_the_best_epoch_both_checkpoints_are_the_same(prepare, tmp_path):
    run(prepare(), tmp_path / "run")
    newest, last = (
        checkpoints.load(tmp_path / "run" / run_directory.NEWEST),
        tiny_runs.metrics(tmp_path / "run")[-1],
    )
    assert (newest.step, newest.best) == (last["step"], last["bound"])
    assert (tmp_path / "run" / run_directory.NEWEST).read_bytes() == (
        tmp_path / "run" / run_directory.BEST
    ).read_bytes()


def test_the_best_so_far_is_remembered_by_a_resumed_run(prepare, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "held_out_terms", lambda task, state: {"local": -float(state.step)})
    task = prepare(steps=39, epochs=3)
    with pytest.raises(Interrupted):
        run(task, tmp_path / "run", stop_after=15)
    state, _ = resumed(task, tmp_path / "run")
    assert state.best == -13.0
    assert [line["best"] for line in tiny_runs.metrics(tmp_path / "run") if line["kind"] == "epoch"] == [1, 0, 0]
    assert checkpoints.load(tmp_path / "run" / run_directory.BEST).step == 13


def test_a_held_out_bound_of_minus_infinity_is_written_and_is_no_best(prepare, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "held_out_terms", lambda task, state: {"local": -math.inf})
    run(prepare(), tmp_path / "run")
    assert tiny_runs.metrics(tmp_path / "run")[-1]["bound"] == "-inf"
    assert not (tmp_path / "run" / run_directory.BEST).exists()
    assert checkpoints.load(tmp_path / "run" / run_directory.NEWEST).best == -math.inf


def test_checkpoints_hold_float32_alone_and_all_that_a_run_is(prepare, tmp_path):
    run(prepare(bound="mine", global_weight=1.0), tmp_path / "run")
    arrays = tiny_runs.arrays(tmp_path / "run" / run_directory.NEWEST)
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    assert {path.split("/")[0] for path in arrays} == {"parameters", "state", "adam"}
    assert {"state/mine/local", "state/mine/global", "state/encoder/norm1/mean"} <= arrays.keys()
    parameters = {path.split("/", 1)[1] for path in arrays if path.startswith("parameters/")}
    for moment in ("m", "v"):
        assert {path.split("/", 2)[2] for path in arrays if path.startswith(f"adam/{moment}/")} == parameters


def test_the_checkpoint_records_the_machine_and_the_images(prepare, tmp_path):
    task = prepare()
    run(task, tmp_path / "run")
    meta = checkpoints.load(tmp_path / "run" / run_directory.NEWEST).meta
    assert meta["machine"] == states.machine_of(task)
    assert meta["images"].startswith("54 of 8×8×1")


@pytest.mark.parametrize(
    "options",
    [{"bound": "mine", "global_weight": 1.0}, {"bound": "infonce"}, {"prior": "gaussian", "gradient_penalty": 1.0},
     {"method": "amdim", "ndf": 2, "nrkhs": 8}],
)  # fmt: skip
@pytest.mark.parametrize("stop", [14, *(pytest.param(stop, marks=pytest.mark.exhaustive) for stop in (1, 6, 13, 17))])
def test_a_run_stopped_anywhere_and_resumed_is_the_uninterrupted_one(prepare, tmp_path, options, stop):
    task = prepare(steps=18, log_every=4, checkpoint_every=5, **options)
    whole, _ = run(task, tmp_path / "whole")
    with pytest.raises(Interrupted, match=f"after step {stop} of 18; go on with: dimref train --resume"):
        run(task, tmp_path / "cut", stop_after=stop)
    assert checkpoints.load(tmp_path / "cut" / run_directory.NEWEST).step == stop
    state, _ = resumed(task, tmp_path / "cut")
    assert (state.step, state.best) == (whole.step, whole.best)
    tiny_runs.assert_same_run(tmp_path / "cut", tmp_path / "whole")


@pytest.mark.parametrize("crash", [3, 12, 15])
def test_a_run_that_crashed_between_checkpoints_is_the_uninterrupted_one(prepare, tmp_path, monkeypatch, crash):
    """The newest checkpoint is some steps old then, and the metrics run ahead of it."""
    task = prepare(steps=18, log_every=1, checkpoint_every=5)
    run(task, tmp_path / "whole")
    step = loop.train_step

    def crashing(task, state):
        if state.step == crash:
            raise ZeroDivisionError
        return step(task, state)

    monkeypatch.setattr(loop, "train_step", crashing)
    with pytest.raises(ZeroDivisionError):
        run(task, tmp_path / "cut")
    monkeypatch.setattr(loop, "train_step", step)
    resumed(task, tmp_path / "cut")
    tiny_runs.assert_same_run(tmp_path / "cut", tmp_path / "whole")


def test_a_run_that_is_moved_away_ends_and_leaves_the_new_one_in_its_place_alone(prepare, tmp_path):
    task = prepare(steps=18, log_every=1, checkpoint_every=5)
    run(task, tmp_path / "whole")

    def move(progress):
        if progress.step == 7:
            (tmp_path / "run").rename(tmp_path / "moved")
            (tmp_path / "run").mkdir()

    with (
        pytest.raises(files.RunError, match="found it moved away or removed"),
        run_directory.create(tmp_path / "run", task.config),
    ):
        loop.train(task, tmp_path / "run", move, lambda: False)
    assert not list((tmp_path / "run").iterdir())
    resumed(task, tmp_path / "moved")
    tiny_runs.assert_same_run(tmp_path / "moved", tmp_path / "whole")


def test_more_epochs_go_on_as_if_there_had_been_no_end(prepare, tmp_path):
    run(prepare(steps=None, epochs=1), tmp_path / "run")
    resumed(prepare(steps=None, epochs=2), tmp_path / "run")
    run(prepare(steps=None, epochs=2), tmp_path / "whole")
    for name in (run_directory.NEWEST, run_directory.BEST):
        found, expected = tiny_runs.arrays(tmp_path / "run" / name), tiny_runs.arrays(tmp_path / "whole" / name)
        for path, array in found.items():
            np.testing.assert_array_equal(array, expected[path])
    assert tiny_runs.metrics(tmp_path / "run") == tiny_runs.metrics(tmp_path / "whole")


def test_a_finished_run_resumed_does_nothing(prepare, tmp_path):
    task = prepare()
    run(task, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    state, seen = resumed(task, tmp_path / "run")
    assert (state.step, seen) == (3, [])
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


# ---- checkpoints that do not fit


def test_a_checkpoint_of_another_layout_or_objective_is_refused(prepare, tmp_path):
    run(prepare(), tmp_path / "run")
    checkpoint = checkpoints.load(tmp_path / "run" / run_directory.NEWEST)
    wider = tiny_runs.write_npz(tmp_path / "colour.npz", channels=3)
    for task in (
        dataclasses.replace(prepare(), layout=dataclasses.replace(prepare().layout, fc=20)),
        prepare(global_weight=1.0),
        prepare(prior_weight=0.0),
        prepare(local_scorer="dot"),
    ):
        with pytest.raises(files.RunError, match="another configuration"):
            states.restore(task, tmp_path / "newest.npz", checkpoint)
    with pytest.raises(files.RunError, match=r"the images it was trained on \(54 of 8×8×1, .*found 54 of 8×8×3"):
        states.restore(prepare(data_dir=str(wider)), tmp_path / "newest.npz", checkpoint)


@pytest.mark.parametrize("branch", ["parameters", "adam", "state"])
def test_a_checkpoint_with_a_branch_missing_is_refused(prepare, tmp_path, branch):
    run(prepare(), tmp_path / "run")
    checkpoint = checkpoints.load(tmp_path / "run" / run_directory.NEWEST)
    del checkpoint.trees[branch]
    with pytest.raises(files.RunError, match="another configuration"):
        states.restore(prepare(), tmp_path / "newest.npz", checkpoint)


@pytest.mark.parametrize("average", [np.zeros(3, np.float32), np.zeros(16), np.float32(0)], ids=["3", "float64", "()"])
def test_an_average_of_mine_that_does_not_fit_is_refused(prepare, tmp_path, average):
    task = prepare(bound="mine")
    run(task, tmp_path / "run")
    checkpoint = checkpoints.load(tmp_path / "run" / run_directory.NEWEST)
    checkpoint.trees["state"]["mine"]["local"] = np.asarray(average)
    with pytest.raises(files.RunError, match="another configuration"):
        states.restore(task, tmp_path / "newest.npz", checkpoint)


def test_images_that_changed_since_are_refused(prepare, tmp_path, images):
    run(prepare(), tmp_path / "run")
    checkpoint = checkpoints.load(tmp_path / "run" / run_directory.NEWEST)
    with np.load(images) as archive:
        arrays = dict(archive)
    arrays["images"][17, 3, 3] ^= 1
    np.savez(images, **arrays)
    with pytest.raises(files.RunError, match="the images it was trained on"):
        states.restore(prepare(), tmp_path / "newest.npz", checkpoint)


# ---- divergence


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_term_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(prepare, tmp_path, monkeypatch, value):
    task = prepare(steps=8, checkpoint_every=3)
    step, jsd = loop.train_step, bounds.jsd

    def fail_at_5(task, state):
        if state.step == 4:
            monkeypatch.setattr(bounds, "jsd", lambda joint, product: jsd(joint, product) * value)
        return step(task, state)

    monkeypatch.setattr(loop, "train_step", fail_at_5)
    words = (
        r"step 5: expected finite numbers, found the local term \(.*\) not finite; the last good checkpoint is .*newest"
    )
    with pytest.raises(Diverged, match=words) as caught:
        run(task, tmp_path / "run")
    assert caught.value.exit_code == 1
    checkpoint = checkpoints.load(tmp_path / "run" / run_directory.NEWEST)
    assert checkpoint.step == 3
    assert states.restore(task, tmp_path, checkpoint).step == 3


def test_a_gradient_that_is_not_finite_is_named(prepare, monkeypatch):
    task = prepare()
    real = step.value_and_gradients

    def spoiled(*args):
        value, gradients, report = real(*args)
        gradients["encoder"]["conv2"]["w"] = gradients["encoder"]["conv2"]["w"] * np.float32(np.nan)
        return value, gradients, report

    monkeypatch.setattr(step, "value_and_gradients", spoiled)
    state = states.initial_state(task)
    before = {path: array.copy() for path, array in leaves(state.parameters)}
    with pytest.raises(Diverged, match="the gradient of encoder/conv2/w"):
        loop.train_step(task, state)
    for path, array in leaves(state.parameters):
        np.testing.assert_array_equal(array, before[path])


def test_a_learning_rate_beyond_all_bounds_stops_without_a_warning(prepare, tmp_path):
    """Warnings are errors in these tests: the line of `Diverged` is all that is said."""
    for name, options in {"jsd": {"lr": 1e300}, "nwj": {"lr": 1e3, "bound": "nwj"}}.items():
        with pytest.raises(Diverged, match=r"step \d+: expected finite numbers"):
            run(prepare(steps=12, checkpoint_every=1, **options), tmp_path / name)
        for array in tiny_runs.arrays(tmp_path / name / run_directory.NEWEST).values():
            assert np.isfinite(array).all()


def test_a_state_that_is_not_finite_is_never_saved(prepare, tmp_path):
    task = prepare()
    state = states.initial_state(task)
    states.save(task, tmp_path / "newest.npz", state)
    state.parameters["encoder"]["y"]["b"][0] = np.inf
    with pytest.raises(Diverged, match="encoder/y/b not finite"):
        states.save(task, tmp_path / "newest.npz", state)
    assert np.isfinite(tiny_runs.arrays(tmp_path / "newest.npz")["parameters/encoder/y/b"]).all()


def test_a_full_disk_keeps_the_old_checkpoint_and_leaves_nothing_else(prepare, tmp_path, monkeypatch):
    task = prepare(steps=8, checkpoint_every=3)
    save = checkpoints.np.savez

    def full(file, **arrays):
        save(file, **{name: array for name, array in list(arrays.items())[:3]})
        raise OSError(28, "No space left on device")

    def fill(progress):
        if progress.step == 4:
            monkeypatch.setattr(checkpoints.np, "savez", full)

    with run_directory.create(tmp_path / "run", task.config):
        pass
    with pytest.raises(files.RunError, match=r"newest.npz: expected to write it, found: No space left on device"):
        loop.train(task, tmp_path / "run", fill, lambda: False)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"config.json", "metrics.jsonl", "newest.npz"}
    assert checkpoints.load(tmp_path / "run" / run_directory.NEWEST).step == 3
    monkeypatch.undo()


def test_the_speed_is_that_of_the_images_of_this_process(monkeypatch, prepare, tmp_path):
    task = prepare(steps=4)
    with pytest.raises(Interrupted):
        run(task, tmp_path / "run", stop_after=2)
    monkeypatch.setattr(loop, "images_per_second", lambda images, start: images)
    _, seen = resumed(task, tmp_path / "run")
    assert [progress.images_per_second for progress in seen] == [task.config.batch_size, 2 * task.config.batch_size]


def test_the_speed_counts_from_the_start(monkeypatch):
    monkeypatch.setattr(loop.time, "perf_counter", lambda: 102.0)
    assert loop.images_per_second(20, 100.0) == 10.0
