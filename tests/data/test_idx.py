"""IDX files written by `struct`, packed and not, sound and damaged."""

import gzip
import struct
import zlib

import numpy as np
import pytest

from dimref.data import MissingSplit, load

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (4, 3, 5), dtype=np.uint8)
LABELS = np.array([7, 0, 9, 7])


def images_file(pixels=PIXELS, magic=2051, shape=None):
    out = struct.pack(">4I", magic, *(shape or pixels.shape))
    return out + bytes(
        int(image[r, c]) for image in pixels for r in range(image.shape[0]) for c in range(image.shape[1])
    )


def labels_file(labels=LABELS, magic=2049, count=None):
    return struct.pack(">2I", magic, len(labels) if count is None else count) + bytes(int(k) for k in labels)


def write(folder, images, labels, stem="t10k", packed=False):
    for content, name in ((images, f"{stem}-images-idx3-ubyte"), (labels, f"{stem}-labels-idx1-ubyte")):
        path = folder / (name + (".gz" if packed else ""))
        path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("stem", ["t10k", "emnist-letters-test"])
def test_layout(stem, packed, tmp_path):
    write(tmp_path, images_file(), labels_file(), stem, packed)
    dataset = load("idx", "test", tmp_path)
    assert np.array_equal(dataset.images, PIXELS[..., None])
    assert np.array_equal(dataset.labels, LABELS)
    assert dataset.classes == tuple("0123456789")
    few = load("idx", "test", tmp_path, limit=3)
    assert np.array_equal(few.images, PIXELS[:3, ..., None])
    assert few.labels.tolist() == [7, 0, 9]
    assert bool(dataset.notes) == (stem != "t10k")  # EMNIST's rows are columns
    assert few.source.startswith("idx test: 3 images 3x5x1 from ")


def test_the_spelling_with_a_dot_and_mixed_packing(tmp_path):
    (tmp_path / "train-images.idx3-ubyte").write_bytes(images_file())
    (tmp_path / "train-labels.idx1-ubyte.gz").write_bytes(gzip.compress(labels_file(LABELS + 20)))
    dataset = load("idx", "train", tmp_path)
    assert dataset.labels.tolist() == [27, 20, 29, 27]
    assert len(dataset.classes) == 30


def test_an_unpacked_file_comes_before_its_packed_twin(tmp_path):
    write(tmp_path, images_file(), labels_file())
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(b"broken")
    assert len(load("idx", "test", tmp_path).images) == 4


def test_one_of_two_datasets_must_be_chosen(tmp_path, refuses):
    for stem in ("emnist-letters-test", "emnist-digits-test"):
        write(tmp_path, images_file(), labels_file(), stem)
    refuses(
        "idx", "test", tmp_path, "expected test images of one dataset, found those of emnist-digits, emnist-letters"
    )
    write(tmp_path, images_file(PIXELS[:1]), labels_file([3]), "t10k")
    assert len(load("idx", "test", tmp_path).images) == 1


def test_missing_files(tmp_path, refuses):
    write(tmp_path, images_file(), labels_file())
    refuses("idx", "train", tmp_path, "expected a train image file", "found t10k-images-idx3-ubyte", kind=MissingSplit)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    refuses("idx", "test", tmp_path, "expected the labels t10k-labels-idx1-ubyte .or .gz. beside t10k-images")
    (tmp_path / "t10k-labels-idx1-ubyte").mkdir()
    refuses("idx", "test", tmp_path, "t10k-labels-idx1-ubyte: expected a file, found a directory")


BAD_IMAGES = {
    "magic": (images_file(magic=2049), "expected magic number 2051"),
    "type of floats": (images_file(magic=0x0D03), "expected magic number 2051"),
    "no bytes": (b"", "expected 16 more bytes, found the end after 0"),
    "half a header": (images_file()[:9], "found the end after 9"),
    "half an image": (images_file()[:-1], "expected .*60|header's shape"),
    "too many": (images_file() + b"x", "expected 76 bytes for the header's shape .4, 3, 5., found more"),
    "no images": (images_file(PIXELS[:0]), "shape .0, 3, 5."),
    "no rows": (images_file(shape=(4, 0, 5)), "shape .4, 0, 5."),
    "absurd shape": (images_file(shape=(2**32 - 1, 2**32 - 1, 2**32 - 1)), "shape .4294967295"),
    "absurd count": (images_file(shape=(2**31, 3, 5)), "shape .2147483648"),
    "fewer than labels": (images_file(PIXELS[:3]), "expected 3 labels, one for each image .*, found 4"),
}


@pytest.mark.parametrize(("content", "message"), BAD_IMAGES.values(), ids=BAD_IMAGES.keys())
@pytest.mark.parametrize("packed", [False, True])
def test_bad_images(content, message, packed, tmp_path, refuses):
    write(tmp_path, content, labels_file(), packed=packed)
    refuses("idx", "test", tmp_path, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (labels_file(magic=2051), "labels.*expected magic number 2049 .bytes in 1 dimensions., found 2051"),
        (labels_file()[:-1], "labels.*expected as many bytes as the header's shape|labels.*expected 4 more bytes"),
        (labels_file() + b"x", "labels.*found more"),
        (labels_file([]), "labels.*shape .0.$|labels.*shape"),
    ],
)
def test_bad_labels(content, message, tmp_path, refuses):
    write(tmp_path, images_file(), content)
    refuses("idx", "test", tmp_path, message)


@pytest.mark.parametrize(
    "damage",
    [lambda z: z[:-1], lambda z: z[:-9], lambda z: z[:5], lambda z: z[:-8] + bytes(4) + z[-4:], lambda z: b"PK" + z],
    ids=["cut in the length", "cut in the data", "cut in the header", "wrong checksum", "no gzip"],
)
def test_damaged_gzip(damage, tmp_path, refuses):
    write(tmp_path, images_file(), labels_file(), packed=True)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    refuses("idx", "test", tmp_path, "t10k-images-idx3-ubyte.gz: expected a sound gzip stream")


def test_a_gzip_bomb_is_not_unpacked(tmp_path, refuses, monkeypatch):
    """The header promises four images; two gigabytes follow. Only a few blocks may be unpacked."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(images_file()) + packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    write(tmp_path, b"", labels_file())
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(bomb + block * 2047)
    unpacked = 0
    original = gzip._GzipReader.read

    def counted(self, size=-1):
        nonlocal unpacked
        piece = original(self, size)
        unpacked += len(piece)
        return piece

    monkeypatch.setattr(gzip._GzipReader, "read", counted)
    refuses("idx", "test", tmp_path, "expected 76 bytes for the header's shape .4, 3, 5., found more")
    assert 76 < unpacked < 1 << 21


def test_another_count_of_labels_is_not_read(tmp_path, refuses):
    """A GiB of them is packed into one MiB, for four images."""
    write(tmp_path, images_file(), labels_file())
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(labels_file([], count=1 << 27)) + bytes(1 << 20))
    refuses("idx", "test", tmp_path, "t10k-labels-idx1-ubyte.gz: expected 4 labels, .*, found 134217728")
    path.write_bytes(gzip.compress(labels_file([], count=(1 << 27) + 1)) + bytes(1 << 20))
    refuses("idx", "test", tmp_path, "t10k-labels-idx1-ubyte.gz: expected as many bytes as the header's shape")


def test_a_small_file_is_not_unpacked_to_gigabytes(tmp_path, refuses):
    """A header that deflate could keep: two GiB in four MiB."""
    write(tmp_path, b"", labels_file())
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    packed = gzip.compress(images_file([], shape=(4, 1 << 14, 1 << 15))) + bytes(4 << 20)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(packed)
    refuses(
        "idx", "test", tmp_path, r"shape \[4, 16384, 32768\], found a file of 41\d+ bytes .if it truly holds them, unp"
    )


def test_real_mnist(real_data):
    folder = real_data("t10k-images-idx3-ubyte.gz").parent
    test = load("idx", "test", folder)
    assert test.images.shape == (10_000, 28, 28, 1)
    assert test.labels[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
