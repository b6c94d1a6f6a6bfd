"""Files of NumPy arrays: the names understood, the types refused, the archives damaged."""

import io
import zipfile

import numpy as np
import pytest

from dimref.data import MissingSplit, load

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (5, 4, 3, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (2, 4, 3), dtype=np.uint8)
LABELS = np.array([0, 3, 1, -1, 2])


@pytest.mark.parametrize(
    "names", [("images", "labels"), ("x_train", "y_train"), ("train_images", "train_labels")], ids=lambda n: n[0]
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_train(names, save, tmp_path):
    save(tmp_path / "a.npz", **{names[0]: COLOUR, names[1]: LABELS})
    for where in (tmp_path, tmp_path / "a.npz"):
        dataset = load("npz", "train", where)
        assert np.array_equal(dataset.images, COLOUR)
        assert np.array_equal(dataset.labels, LABELS)
    assert dataset.classes == ("0", "1", "2", "3")
    few = load("npz", "train", tmp_path, limit=2)
    assert np.array_equal(few.images, COLOUR[:2])
    assert (few.labels.tolist(), len(few.classes)) == ([0, 3], 4)


@pytest.mark.parametrize("names", [("test_images", "test_labels"), ("x_test", "y_test")], ids=lambda n: n[0])
def test_grey_test_set_with_a_column_of_labels(names, tmp_path):
    arrays = {names[0]: GREY, names[1]: np.array([[1], [4]], np.uint8), "images": COLOUR, "labels": LABELS}
    np.savez(tmp_path / "a.npz", **arrays)
    dataset = load("npz", "test", tmp_path)
    assert np.array_equal(dataset.images, GREY[..., None])
    assert dataset.labels.tolist() == [1, 4]
    assert dataset.classes == load("npz", "train", tmp_path).classes == tuple("01234")


def test_unlabelled(tmp_path):
    np.savez(tmp_path / "a.npz", images=COLOUR)
    dataset = load("npz", "train", tmp_path)
    assert dataset.labels.tolist() == [-1] * 5
    assert dataset.classes == ()


@pytest.mark.parametrize("limit", [None, 2])
def test_arrays_stored_by_columns(limit, tmp_path):
    np.savez(tmp_path / "a.npz", images=np.asfortranarray(COLOUR), labels=LABELS.astype(">i2"))
    dataset = load("npz", "train", tmp_path, limit=limit)
    assert np.array_equal(dataset.images, COLOUR[:limit])
    assert np.array_equal(dataset.labels, LABELS[:limit])


def test_missing_split_and_missing_arrays(tmp_path, refuses):
    np.savez(tmp_path / "a.npz", x_test=GREY)
    refuses(
        "npz", "train", tmp_path, "a.npz: expected an array 'images' or 'x_train'.*, found x_test", kind=MissingSplit
    )
    np.savez(tmp_path / "a.npz", pictures=GREY, tags=LABELS)
    refuses("npz", "train", tmp_path, "a.npz: expected an array 'images'.*, found pictures, tags")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"images": COLOUR.astype(np.float32)},
            r"array 'images': expected floats from 0 to 1, or uint8 .*, found 0 to 2",
        ),
        ({"images": COLOUR / 255 - 0.1}, "expected floats from 0 to 1, or uint8 .*, found -0"),
        ({"images": np.full((5, 4, 4), np.nan)}, "found nan to nan"),
        (
            {"images": COLOUR.transpose(0, 3, 1, 2)[..., :2]},
            r"expected channels last: .*transpose\(0, 2, 3, 1\), found .*first",
        ),
        (
            {"images": COLOUR.astype(np.int64)},
            "expected uint8 pixels from 0 to 255, or floats from 0 to 1, found int64",
        ),
        ({"images": COLOUR.astype(object)}, "found object"),
        ({"images": COLOUR[0, 0]}, r"expected shape \(N, H, W\) or \(N, H, W, C\).*, found \(3, 3\)"),
        ({"images": np.uint8(3)}, r"found \(\)"),
        ({"images": COLOUR[:, :, :2].transpose(0, 3, 1, 2)}, r"found channels first, \(5, 3, 4, 2\)"),
        ({"images": COLOUR[..., :2]}, r"found \(5, 4, 3, 2\)"),
        ({"images": COLOUR[:0]}, r"found \(0, 4, 3, 3\)"),
        ({"labels": LABELS[:3]}, "expected 5 labels, one for each of 'images', found 3 in 'labels'"),
        ({"labels": LABELS / 2}, "array 'labels': expected integer labels, or names, of shape .N,., found float64"),
        ({"labels": LABELS.astype(object)}, "array 'labels': expected integer labels, .*, found object"),
        ({"labels": np.eye(5, dtype=int)}, r"found int64 \(5, 5\)"),
        ({"labels": LABELS - 1}, "labels from -1 to 65535, found -2 to 2"),
        ({"labels": abs(LABELS) * 30_000}, "labels from -1 to 65535, found 0 to 90000"),
        ({"test_images": GREY, "test_labels": LABELS}, "expected 2 labels, one for each of 'test_images', found 5"),
        ({"test_images": GREY, "test_labels": np.array(["a", "b"])}, "labels of both splits as numbers, or as names"),
        ({"test_images": GREY, "test_labels": LABELS[:2] / 2}, "array 'test_labels': expected integer labels"),
    ],
)
def test_wrong_arrays(arrays, message, tmp_path, refuses):
    np.savez(tmp_path / "a.npz", **{"images": COLOUR, "labels": LABELS} | arrays)
    refuses("npz", "train", tmp_path, "a.npz", message)


def test_which_file(tmp_path, refuses):
    refuses("npz", "train", tmp_path, "expected exactly one .npz file in this folder .*, found none")
    for name in ("a.npz", "b.npz"):
        np.savez(tmp_path / name, images=COLOUR)
    refuses("npz", "train", tmp_path, "found a.npz, b.npz")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "c.npz").mkdir()
    refuses("npz", "train", tmp_path / "inner", "c.npz: expected a file, found a directory")
    np.save(tmp_path / "a.npy", COLOUR)
    refuses("npz", "train", tmp_path / "a.npy", "found a .npy file of one array; np.savez")


def archive(tmp_path, content):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("images.npy", content)


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy(COLOUR)[:-1], "expected 180 more bytes, found the end after 179"),
        (npy(COLOUR) + b"x", "expected 180 bytes for shape .*, found more"),
        (npy(COLOUR).replace(b"(5, 4, 3, 3)", b"(9999999999,4,3,3)"), "a.npz"),
        (npy(COLOUR).replace(b"(5, 4,", b"(-5,4,"), "expected shape .*, found .-5, 4, 3, 3."),
        (npy(COLOUR).replace(b"{'descr'", b"{'d()cr'"), "expected a sound .npz"),
        (npy(COLOUR)[:20], "expected a sound .npz"),
        (b"\x93NUMPY\x03\x00" + npy(COLOUR)[8:], "array format 1.0 or 2.0, found 3.0"),
        (b"no array", "expected a sound .npz"),
    ],
)
def test_wrong_members(content, message, tmp_path, refuses):
    archive(tmp_path, content)
    refuses("npz", "train", tmp_path, message)


def test_a_header_that_promises_too_much_reserves_nothing(tmp_path, refuses):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 9, 9)})
    archive(tmp_path, stream.getvalue() + bytes(81))
    refuses("npz", "train", tmp_path, "expected 81000000000000 bytes for shape .*, found at most 209")


def test_another_count_of_labels_is_not_read(tmp_path, refuses, monkeypatch):
    """Zeros by the million are packed into a few bytes."""
    np.savez_compressed(tmp_path / "a.npz", images=COLOUR, labels=np.zeros(10**6, np.uint8))
    monkeypatch.setattr("dimref.data.npy.read_exactly", None)
    refuses("npz", "train", tmp_path, "expected 5 labels, one for each of 'images', found 1000000 in 'labels'")


def test_more_labels_than_any_dataset_has_are_not_read(tmp_path, refuses, monkeypatch):
    np.savez(tmp_path / "a.npz", images=COLOUR, labels=LABELS)
    monkeypatch.setattr("dimref.data.npy.read_exactly", None)
    monkeypatch.setattr("dimref.data.npz.MOST_IMAGES", 4)
    refuses("npz", "train", tmp_path, r"expected integer labels, or names, of shape \(N,\), found int64 \(5,\)")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_from_0_to_1_are_rounded_to_bytes_and_said_to_be(dtype, tmp_path):
    np.savez(tmp_path / "a.npz", images=(COLOUR / 255).astype(dtype))
    dataset = load("npz", "train", tmp_path)
    assert np.array_equal(dataset.images, COLOUR)
    assert dataset.notes[0].startswith(f"{np.dtype(dtype)} pixels in [")


def test_texts_are_classes_that_both_splits_share(tmp_path):
    arrays = {"labels": np.array(list("cabba")), "test_images": GREY, "test_labels": np.array(["c", "deer"])}
    np.savez(tmp_path / "a.npz", images=COLOUR, **arrays)
    train, test = (load("npz", split, tmp_path) for split in ("train", "test"))
    assert train.classes == test.classes == ("a", "b", "c", "deer")
    assert (train.labels.tolist(), test.labels.tolist()) == ([2, 0, 1, 1, 0], [2, 3])
