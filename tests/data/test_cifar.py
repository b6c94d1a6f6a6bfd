"""CIFAR-10 and CIFAR-100, binary and pickled, against files written byte by byte."""

import pickle

import numpy as np
import pytest

from dimref.data import DataError, MissingSplit, load

RNG = np.random.default_rng(0)


def binary(pixels, *label_columns):
    """Records written pixel by pixel: labels, then red, green and blue, each by rows."""
    out = bytearray()
    for i, image in enumerate(pixels):
        out += bytes(int(column[i]) for column in label_columns)
        for channel in range(3):
            for row in range(32):
                out += bytes(int(image[row, column, channel]) for column in range(32))
    return bytes(out)


def some(n, classes=10):
    return RNG.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), RNG.integers(0, classes, n)


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
def test_cifar10_binary(inner, tmp_path):
    folder = tmp_path / inner
    folder.mkdir(exist_ok=True)
    parts = [some(n) for n in (3, 1, 2)]
    for number, (pixels, labels) in enumerate(parts, 1):
        (folder / f"data_batch_{number}.bin").write_bytes(binary(pixels, labels))
    train = load("cifar10", "train", tmp_path)
    assert np.array_equal(train.images, np.concatenate([pixels for pixels, _ in parts]))
    assert np.array_equal(train.labels, np.concatenate([labels for _, labels in parts]))
    assert train.classes[3] == "cat"
    assert train.source == f"cifar10 train: 6 images 32x32x3 from 3 files in {folder}"
    few = load("cifar10", "train", tmp_path, limit=4)
    assert np.array_equal(few.images, train.images[:4])
    assert "from 2 files" in few.source


def test_ten_batches_come_in_the_order_of_their_numbers(tmp_path):
    for number in range(1, 11):
        (tmp_path / f"data_batch_{number}.bin").write_bytes(bytes([number - 1]) + bytes(3072))
    assert load("cifar10", "train", tmp_path).labels.tolist() == list(range(10))


def test_a_limit_stops_before_the_next_file(tmp_path, refuses):
    (tmp_path / "data_batch_1.bin").write_bytes(binary(*some(2)))
    (tmp_path / "data_batch_2.bin").write_bytes(b"broken")
    assert len(load("cifar10", "train", tmp_path, limit=2).images) == 2
    refuses(
        "cifar10", "train", tmp_path, "data_batch_2.bin: expected a whole number of 3073-byte records, found 6 bytes"
    )


def test_cifar100_binary_takes_the_fine_label(tmp_path):
    pixels, fine = some(4, 100)
    (tmp_path / "test.bin").write_bytes(binary(pixels, fine // 5, fine))
    test = load("cifar100", "test", tmp_path)
    assert np.array_equal(test.images, pixels)
    assert np.array_equal(test.labels, fine)
    assert (len(test.classes), len(set(test.classes)), list(test.classes)) == (100, 100, sorted(test.classes))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_cifar10_pickled(protocol, as_bytes, tmp_path):
    pixels, labels = some(3)
    rows = np.stack([np.concatenate([image[:, :, c].ravel() for c in range(3)]) for image in pixels])
    content = {"data": rows, "labels": labels.tolist(), "batch_label": "one", "filenames": ["a", "b", "c"]}
    if as_bytes:
        content = {key.encode(): value for key, value in content.items()}
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        (folder / name).write_bytes(pickle.dumps(content, protocol))
    (folder / "batches.meta").write_bytes(b"not read")
    test = load("cifar10", "test", tmp_path)
    assert np.array_equal(test.images, pixels)
    assert np.array_equal(test.labels, labels)
    assert np.array_equal(load("cifar10", "train", tmp_path, limit=4).images, np.concatenate([pixels, pixels[:1]]))


def test_cifar100_pickled(tmp_path):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    data = RNG.integers(0, 256, (2, 3072), dtype=np.uint8)
    content = {"data": data, "fine_labels": [99, 0], "coarse_labels": [19, 0]}
    (folder / "train").write_bytes(pickle.dumps(content, 2))
    train = load("cifar100", "train", tmp_path)
    assert train.labels.tolist() == [99, 0]
    assert train.images[1, 31, 30, 2] == data[1, 2 * 1024 + 31 * 32 + 30]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"data": np.zeros((2, 3071), np.uint8)}, "3071"),
        ({"data": np.zeros((2, 3072), np.float32)}, "another type than uint8"),
        ({"data": [1, 2]}, "keys"),
        ({"data": np.zeros((0, 3072), np.uint8), "labels": []}, "0 labels"),
        ({"labels": [1]}, "1 labels"),
        ({"labels": [1, 10]}, "found 10 in record 1"),
        ({"labels": [1, -1]}, "found -1 in record 1"),
        ({"labels": [1, 10**30]}, "whole numbers"),
        ({"labels": [1, "x"]}, "whole numbers"),
        ({"labels": None}, "keys"),
    ],
)
def test_wrong_content_of_a_pickle(change, found, tmp_path, refuses):
    content = {"data": np.zeros((2, 3072), np.uint8), "labels": [1, 2]} | change
    (tmp_path / "test_batch").write_bytes(pickle.dumps(content, 4))
    refuses("cifar10", "test", tmp_path, "test_batch: expected", found)


def test_hostile_batch(tmp_path, refuses):
    program = f"cos\nsystem\n(S'touch {tmp_path}/mark'\ntR.".encode()
    (tmp_path / "test_batch").write_bytes(program)
    refuses("cifar10", "test", tmp_path, r"test_batch.*it asks for os\.system")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("size", [1, 3072, 3074, 2 * 3073 - 1, 0])
def test_no_whole_number_of_records(size, tmp_path, refuses):
    (tmp_path / "test_batch.bin").write_bytes(bytes(size))
    refuses("cifar10", "test", tmp_path, "test_batch.bin: expected a whole number of 3073-byte", f"found {size} bytes")


def test_label_out_of_range(tmp_path, refuses):
    pixels, _ = some(3)
    (tmp_path / "test_batch.bin").write_bytes(binary(pixels, [0, 9, 10]))
    refuses("cifar10", "test", tmp_path, "test_batch.bin: expected labels from 0 to 9, found 10 in record 2")
    assert load("cifar10", "test", tmp_path, limit=2).labels.tolist() == [0, 9]


def test_a_missing_batch_or_split_is_not_passed_over(tmp_path, refuses):
    for number in (1, 3):
        (tmp_path / f"data_batch_{number}.bin").write_bytes(binary(*some(1)))
    refuses("cifar10", "train", tmp_path, "numbered from 1 without a gap, found 1, 3")
    refuses("cifar10", "test", tmp_path, "cifar10's test files", kind=MissingSplit)


def test_a_directory_in_place_of_a_file(tmp_path, refuses):
    (tmp_path / "test_batch.bin").mkdir()
    refuses("cifar10", "test", tmp_path, "test_batch.bin: expected a file, found a directory")
    (tmp_path / "train").mkdir()
    refuses("cifar100", "train", tmp_path, "expected cifar100's files", kind=DataError)


def test_real_cifar10(real_data):
    folder = real_data("cifar-10-batches-bin")
    test = load("cifar10", "test", folder.parent, limit=300)
    assert test.images.shape == (300, 32, 32, 3)
    # Photographs are smooth: neighbours differ less than pixels 16 apart, in both directions and in every colour.
    pixels = test.images.astype(float)
    for axis in (1, 2):
        near, far = (np.abs(pixels - np.roll(pixels, step, axis)).mean((0, 1, 2)) for step in (1, 16))
        assert np.all(near < 0.5 * far)
    assert set(test.labels) == set(range(10))
