"""The task: what is trained on, what is held out, and draws that depend on seed, stream and position alone."""

import dataclasses

import numpy as np
import pytest
import tiny_runs
from fake_cupy import STRICT, DeviceArray

from dimref import data
from dimref.errors import DimrefError
from dimref.training import task as tasks
from dimref.training.config import Config
from dimref.trees import leaves

pytestmark = pytest.mark.usefixtures("narrow")


# ---- preparing


def test_a_tenth_of_the_images_is_held_out_and_never_trained_on(prepare):
    task = prepare()
    assert (len(task.images), len(task.held_out)) == (54, 6)
    trained = {image.tobytes() for image in task.images}
    assert trained.isdisjoint(image.tobytes() for image in task.held_out)


@pytest.mark.parametrize(("n", "count"), [(9, 0), (19, 1), (60, 6), (5120, 512), (50_000, 512)])
def test_held_out_images_are_spread_evenly_and_at_most_512(n, count):
    indices = tasks._held_out_indices(n, Config())
    assert len(set(indices.tolist())) == count
    if count > 1:
        assert (indices[0], indices[-1]) == (0, n - 1)
        assert np.ptp(np.diff(indices)) <= 1


def test_a_limit_is_the_number_of_images_trained_on(prepare):
    """A batch of 4 is held out beside it, so that the images read are those trained on and those held out."""
    task = prepare(limit=20)
    assert (len(task.images), len(task.held_out), " 24 images" in task.source) == (20, 4, True)
    assert len(prepare(limit=10**30).images) == 54


@pytest.mark.parametrize(
    ("options", "steps"),
    [({"steps": None}, 26), ({"steps": 5}, 5), ({"steps": 500}, 26), ({"steps": None, "epochs": 3}, 39)],
)
def test_steps_end_a_run_where_the_epochs_would_not_yet(prepare, options, steps):
    task = prepare(**options)
    assert task.steps_per_epoch == 13  # the two images that fill no batch are left out of an epoch
    assert task.total_steps == steps


@pytest.mark.parametrize("options", [{"batch_size": 55}, {"batch_size": 10**9}, {"limit": 3}])
def test_too_few_images_for_a_batch_are_refused(prepare, options):
    with pytest.raises(DimrefError, match=r"at least one batch of .* beside the [46] held out, found"):
        prepare(**options)


def test_too_few_images_to_hold_any_out_are_refused(tmp_path):
    path = tiny_runs.write_npz(tmp_path / "few.npz", n=19)
    with pytest.raises(DimrefError, match="expected at least 20 images, to hold out a tenth of them, found 19"):
        tasks.prepare(tiny_runs.config(path))


@pytest.mark.parametrize(("shape", "words"), [((8, 9), "square images, found 8×9"), ((3, 3), "at least 4×4")])
def test_images_of_a_wrong_shape_are_refused_with_their_source(tmp_path, shape, words):
    np.savez(tmp_path / "x.npz", images=np.zeros((40, *shape), np.uint8))
    with pytest.raises(DimrefError, match=words) as caught:
        tasks.prepare(tiny_runs.config(tmp_path / "x.npz"))
    assert "x.npz" in str(caught.value)


def test_the_default_is_the_papers_encoder_on_shapes(monkeypatch):
    monkeypatch.undo()
    layout = tasks.layout_of(data.load("shapes", "train", limit=4), Config())
    assert (layout.widths, layout.fc, layout.representation, layout.local) == ((64, 128, 256), 1024, 64, (8, 128))


# ---- draws


def test_an_epoch_visits_each_image_once_in_an_order_of_its_own(prepare):
    task = prepare(batch_size=6)  # 54 images: 9 whole batches

    def order(task, epoch):
        return [image.tobytes() for step in range(9) for image in tasks.batch_at(task, epoch * 9 + step)]

    first, second, other = order(task, 0), order(task, 1), order(prepare(batch_size=6, seed=1), 0)
    everything = sorted(image.tobytes() for image in task.images)
    assert sorted(first) == sorted(second) == sorted(other) == everything
    assert len({tuple(first), tuple(second), tuple(other)}) == 3
    assert first == order(task, 0)


@pytest.mark.parametrize("options", [{}, {"bound": "infonce", "local_scorer": "concat"}])
def test_draws_depend_on_seed_stream_and_step_alone_and_are_those_of_every_backend(prepare, options):
    task = prepare(global_weight=1.0, candidates=3, **options)
    device = dataclasses.replace(task, backend=STRICT)

    def draws(task, *place):
        found = dict(leaves(tasks.noise_at(task, *place, 4)))
        return {path: a.get() if isinstance(a, DeviceArray) else a for path, a in found.items()}

    host = draws(task, tasks.STEP, 5)
    for path, array in draws(device, tasks.STEP, 5).items():
        np.testing.assert_array_equal(array, host[path])
    z = "prior/z"
    assert host[z].dtype == np.float32
    for stream, step in ((tasks.STEP, 6), (tasks.HELD, 5)):
        assert not np.array_equal(draws(task, stream, step)[z], host[z])
    kinds = {path: isinstance(a, DeviceArray) for path, a in leaves(tasks.noise_at(device, tasks.STEP, 5, 4))}
    assert all(on_device != path.endswith("shifts") for path, on_device in kinds.items())


def test_the_random_streams_are_apart():
    streams = (tasks.INIT, tasks.ORDER, tasks.STEP, tasks.HELD)
    assert len(set(streams)) == 4


def test_images_of_a_mapped_file_are_trained_on_without_being_copied(prepare, tmp_path):
    plain = prepare()
    np.save(tmp_path / "images.npy", data.load("npz", "train", plain.config.data_dir).images)
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    dataset = dataclasses.replace(data.load("npz", "train", plain.config.data_dir), images=images)
    mapped = tasks.prepare(plain.config, dataset)
    assert not isinstance(mapped.images, np.ndarray)
    assert mapped.fingerprint == plain.fingerprint
    for step in range(20):
        np.testing.assert_array_equal(tasks.batch_at(mapped, step), tasks.batch_at(plain, step))
