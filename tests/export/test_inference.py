"""Encoders in inference mode: whole features in order, read back from a run bit for bit, untrained, from damaged runs."""

import numpy as np
import pytest
import tiny_runs
from fake_cupy import STRICT

from dimref import encoders
from dimref.backend import NUMPY
from dimref.data import DataError
from dimref.export import inference
from dimref.training import loop, run_directory
from dimref.training import state as states
from dimref.training.files import RunError
from dimref.trees import leaves


@pytest.fixture
def encoder(prepare):
    """An untrained encoder and images for it."""
    task = prepare()
    return inference.untrained(task.config, task.layout, NUMPY, task.images), task.images


def changed(run, name, change):
    """The run's newest checkpoint with its description (name "meta") or one of its arrays changed."""

    def how(meta, arrays):
        if name == "meta":
            change(meta)
        else:
            arrays[name] = change(arrays[name])

    tiny_runs.change(run / "newest.npz", how)
    return run


def test_features_are_those_of_inference_whatever_the_batches(encoder, monkeypatch):
    loaded, images = encoder
    found = loaded.features(images)
    assert {name: value.shape for name, value in found.items()} == {"conv": (54, 32), "fc": (54, 16), "y": (54, 8)}
    assert {value.dtype for value in found.values()} == {np.dtype(np.float32)}
    direct, _ = encoders.encode(
        loaded.parameters, loaded.running, encoders.scale(images, loaded.layout), loaded.layout, training=False
    )
    for name, expected in (("conv", direct.last_map.reshape(54, -1)), ("fc", direct.fc), ("y", direct.y)):
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)
    monkeypatch.setattr(inference, "BATCH", 7)
    for name, value in loaded.features(images).items():
        np.testing.assert_allclose(value, found[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("side", "expected"), [(8, [8, 2]), (32, [8, 2]), (64, [2] * 5), (96, [1] * 10)])
def test_larger_images_come_in_smaller_batches(monkeypatch, side, expected):
    monkeypatch.setattr(inference, "BATCH", 8)
    layout = encoders.Layout(side, 1, width=1, fc=2, representation=1)
    loaded = inference.Encoder(layout, NUMPY, *encoders.init_encoder(np.random.default_rng(0), layout))
    assert [len(batch["y"]) for batch in loaded.batches(np.zeros((10, side, side, 1), np.uint8))] == expected


def test_features_do_not_depend_on_the_backend(encoder):
    loaded, images = encoder
    move = STRICT.tree_to_device
    device = inference.Encoder(loaded.layout, STRICT, move(loaded.parameters), move(loaded.running))
    for name, value in device.features(images).items():
        assert isinstance(value, np.ndarray)
        np.testing.assert_array_equal(value, loaded.features(images)[name])


def test_a_run_is_read_back_bit_for_bit(run, prepare):
    loaded, checkpoint = inference.load(run, NUMPY)
    task = prepare(global_weight=0.5, local_weight=0.1, global_map="local")
    state = states.initial_state(task)
    for _ in range(3):
        state, _ = loop.train_step(task, state)
    assert checkpoint.step == 3
    assert loaded.layout == task.layout
    for tree, expected in ((loaded.parameters, state.parameters), (loaded.running, state.model)):
        for (path, found), (_, wanted) in zip(leaves(tree), leaves(expected["encoder"]), strict=True):
            np.testing.assert_array_equal(found, wanted, err_msg=path)


def test_the_best_checkpoint_is_read_where_it_is_asked_for(run):
    assert inference.load(run, NUMPY, run_directory.BEST)[1].step == 3
    (run / run_directory.BEST).unlink()
    with pytest.raises(RunError, match=r"best\.npz: expected a checkpoint, found no such file"):
        inference.load(run, NUMPY, run_directory.BEST)


@pytest.mark.parametrize(
    "change",
    [
        lambda meta: meta.pop("layout"),
        lambda meta: meta.update(layout=[1]),
        lambda meta: meta["layout"].update(depth=3),
        lambda meta: meta["layout"].update(channels=2),
        lambda meta: meta["layout"].update(size="8"),
        lambda meta: meta["layout"].update(width=4.5),
        lambda meta: meta["layout"].update(size=float("nan")),
        lambda meta: meta["layout"].update(fc=float("inf")),
        lambda meta: meta["layout"].update(fc=-3),
        lambda meta: meta["layout"].update(fc=10**9),  # would take all memory
        lambda meta: meta["layout"].update(size=10**9),
    ],
)
def test_a_checkpoint_without_a_sound_layout_is_refused(run, change):
    with pytest.raises(RunError, match=r"newest\.npz: expected the layout of an encoder"):
        inference.load(changed(run, "meta", change), NUMPY)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("parameters/encoder/y/w", r"expected y/w as float32 \(16, 8\), found float32 \(16, 1\)"),
        ("state/encoder/norm1/mean", r"expected norm1/mean as float32 \(4,\), found float32 \(1,\)"),
    ],
)
def test_arrays_of_another_layout_are_refused(run, name, words):
    with pytest.raises(RunError, match=words):
        inference.load(changed(run, name, lambda array: array[..., :1]), NUMPY)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("parameters/encoder/conv1/w", np.nan),
        ("state/encoder/norm2/mean", -np.inf),
        ("state/encoder/norm_fc/variance", -1e-3),
    ],
)
def test_numbers_that_no_encoder_computes_with_are_refused(run, name, number):
    def spoil(array):
        array = array.copy()
        array.flat[-1] = number
        return array

    words = rf"expected finite numbers and no variance below 0, found others in {name.split('/', 2)[2]}$"
    with pytest.raises(RunError, match=words):
        inference.load(changed(run, name, spoil), NUMPY)


def test_the_untrained_baseline_has_initial_parameters_and_measured_statistics(prepare, encoder):
    loaded, images = encoder
    fresh = states.initial_state(prepare())
    for (path, first), (_, second) in zip(leaves(fresh.parameters["encoder"]), leaves(loaded.parameters), strict=True):
        np.testing.assert_array_equal(first, second, err_msg=path)
    assert 0.2 < loaded.features(images)["fc"].std() < 2  # normalized by what was measured
    assert not np.array_equal(fresh.model["encoder"]["norm1"]["mean"], loaded.running["norm1"]["mean"])


def test_a_baseline_of_fewer_images_than_a_batch_is_measured_on_what_there_is(prepare):
    task = prepare()
    loaded = inference.untrained(task.config, task.layout, NUMPY, task.images[:3])
    assert all(np.isfinite(array).all() for _, array in leaves(loaded.running))


def test_images_of_another_size_are_refused(encoder):
    loaded, images = encoder
    loaded.refuse_other_images(images, "these")
    with pytest.raises(DataError, match="these: expected images of 8×8×1, which the encoder was made for, found 8×7×1"):
        loaded.refuse_other_images(images[:, :, 1:], "these")
