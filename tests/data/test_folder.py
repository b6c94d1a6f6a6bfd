"""Folders of images, against pixels drawn here and decoded by Pillow alone."""

import builtins
import io
import os
import re
import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from dimref.data import DataError, MissingSplit, decoding, load

Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")

RNG = np.random.default_rng(0)


def pixels(*shape):
    return RNG.integers(0, 256, shape or (6, 4, 3), dtype=np.uint8)


def save(path, array=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels() if array is None else array).save(path, **options)
    return path


def decoded(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "JPEG", "bmp", "gif", "webp", "ppm", "tif"])
def test_formats(suffix, tmp_path):
    path = save(tmp_path / "cat" / f"x.{suffix}")
    dataset = load("folder", "train", tmp_path)
    assert np.array_equal(dataset.images, decoded(path)[None])
    assert (dataset.classes, dataset.labels.tolist()) == (("cat",), [0])


def test_labels_follow_the_sorted_names(tmp_path):
    sent = {}
    for name in ("zebra", "ant", "10", "9"):
        for i in range(2):
            array = pixels()
            sent[array.tobytes()] = name
            save(tmp_path / name / f"{i}.png", array)
    dataset = load("folder", "train", tmp_path)
    assert dataset.classes == ("10", "9", "ant", "zebra")
    assert [dataset.classes[k] for k in dataset.labels] == [sent[image.tobytes()] for image in dataset.images]
    assert dataset.source == f"folder train: 8 images 6x4x3 of 8 from {tmp_path}"


@pytest.mark.parametrize("test_name", ["test", "val"])
def test_two_parts_share_the_classes_and_classes_may_nest(test_name, tmp_path):
    for name in ("a", "b", "c"):
        save(tmp_path / "train" / name / "images" / "x.JPEG")
    (tmp_path / "train" / "a" / "boxes.txt").write_text("1 2 3")
    save(tmp_path / test_name / "c" / "x.png")
    train, test = load("folder", "train", tmp_path), load("folder", "test", tmp_path)
    assert train.classes == test.classes == ("a", "b", "c")
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1, 2], [2])


@pytest.mark.parametrize("train_name", ["train", "Train", "TRAIN", "training", "Training"])
@pytest.mark.parametrize("test_name", ["Test", "testing", "Testing", "Val", "valid", "Valid", "validation"])
def test_parts_are_found_by_their_usual_names(train_name, test_name, tmp_path):
    """By any other name they would be two classes, and the test images trained on."""
    sent = {}
    for part in (train_name, test_name):
        for label in ("cat", "dog"):
            save(tmp_path / part / label / "x.png", array := pixels())
            sent[part, label] = array
    for split, part in (("train", train_name), ("test", test_name)):
        dataset = load("folder", split, tmp_path)
        assert (dataset.classes, dataset.labels.tolist()) == (("cat", "dog"), [0, 1])
        assert np.array_equal(dataset.images, [sent[part, "cat"], sent[part, "dog"]])


def test_a_test_set_is_taken_before_a_validation_set(tmp_path):
    for part, count in (("train", 3), ("test", 2), ("valid", 1)):
        for i in range(count):
            save(tmp_path / part / "a" / f"{i}.png")
    assert len(load("folder", "test", tmp_path).images) == 2


@pytest.mark.parametrize(
    ("names", "split", "words"),
    [
        (("train", "training"), "train", "one folder called train or training, found train, training"),
        (("train", "test", "Test"), "test", "one folder called test or testing, found Test, test: rename"),
        (("train", "val", "validation"), "test", "called val or valid or validation, found val, validation"),
    ],
)
def test_two_folders_for_one_part_are_refused(names, split, words, tmp_path, refuses):
    for name in names:
        save(tmp_path / name / "a" / "x.png")
    if len(list(tmp_path.iterdir())) == len(names):  # where capitals make two names
        refuses("folder", split, tmp_path, words)


def test_hidden_folders_are_passed_over(tmp_path):
    shown = save(tmp_path / "train" / "a" / "x.png")
    for hidden in (".ipynb_checkpoints", ".trash/deep", "images/.thumbs"):
        save(tmp_path / "train" / "a" / hidden / "x-checkpoint.png")
    dataset = load("folder", "train", tmp_path)
    assert np.array_equal(dataset.images, decoded(shown)[None])


@pytest.mark.parametrize("orientation", [None, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
@pytest.mark.parametrize(
    ("suffix", "array"), [("png", pixels()), ("png", pixels(6, 4)), ("tif", pixels()), ("jpg", pixels())]
)
def test_images_are_turned_as_exif_says(orientation, suffix, array, tmp_path):
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    path = save(tmp_path / "a" / f"x.{suffix}", array, exif=exif)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image)).reshape(*load("folder", "train", tmp_path).images.shape)
    assert np.array_equal(load("folder", "train", tmp_path).images, upright)
    if suffix == "png" and orientation == 6:  # the camera was held upright: what is on top was stored at the left
        assert np.array_equal(upright[0], np.rot90(array, -1).reshape(upright.shape[1:]))


def test_images_are_of_one_size_once_they_are_upright(tmp_path, refuses):
    exif = Image.Exif()
    exif[0x0112] = 8
    save(tmp_path / "a" / "x.png", pixels(6, 4, 3))
    save(tmp_path / "a" / "y.png", pixels(4, 6, 3), exif=exif)
    assert load("folder", "train", tmp_path).images.shape == (2, 6, 4, 3)
    save(tmp_path / "a" / "z.png", pixels(6, 4, 3), exif=exif)
    refuses("folder", "train", tmp_path, r"a/.\.png: expected .* like .*, found")


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"]
)
def test_damaged_exif_is_no_fault_of_the_pixels(exif, tmp_path):
    path = save(tmp_path / "a" / "x.png", exif=exif)
    assert np.array_equal(load("folder", "train", tmp_path).images, decoded(path)[None])


def test_limit_is_a_prefix_with_the_classes_mixed(tmp_path):
    for name, count in (("a", 9), ("b", 5), ("c", 2)):
        for i in range(count):
            save(tmp_path / name / f"{i}.png")
    whole = load("folder", "train", tmp_path)
    assert np.bincount(whole.labels).tolist() == [9, 5, 2]
    for limit in range(1, 17):
        few = load("folder", "train", tmp_path, limit=limit)
        assert np.array_equal(few.images, whole.images[:limit])
        assert np.array_equal(few.labels, whole.labels[:limit])
    assert np.bincount(whole.labels[:6]).tolist() == [2, 2, 2]
    assert len({image.tobytes() for image in whole.images}) == 16


def test_the_order_is_not_the_file_system_s(tmp_path, monkeypatch):
    for i in range(5):
        save(tmp_path / "a" / f"{i}.png")
    images, walk = load("folder", "train", tmp_path).images, os.walk
    for order in (1, -1):
        listed = lambda *a, order=order, **k: [(d, f, sorted(n)[::order]) for d, f, n in walk(*a, **k)]  # noqa: E731
        monkeypatch.setattr(os, "walk", listed)
        assert np.array_equal(load("folder", "train", tmp_path).images, images)


def test_a_limit_decodes_no_more_than_it_takes(tmp_path):
    save(tmp_path / "a" / "x.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.png").write_bytes(b"broken")
    assert len(load("folder", "train", tmp_path, limit=1).images) == 1


def test_grey_stays_grey_unless_one_has_colour(tmp_path):
    grey = [pixels(6, 4) for _ in range(3)]
    for i, array in enumerate(grey):
        save(tmp_path / "a" / f"{i}.png", array)
    images = load("folder", "train", tmp_path).images
    assert images.shape == (3, 6, 4, 1)
    assert {image.tobytes() for image in images} == {array.tobytes() for array in grey}
    save(tmp_path / "b" / "x.png", colour := pixels())
    images = load("folder", "train", tmp_path).images
    assert images.shape == (4, 6, 4, 3)
    expected = {np.repeat(array[..., None], 3, 2).tobytes() for array in grey} | {colour.tobytes()}
    assert {image.tobytes() for image in images} == expected


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "CMYK"])
def test_other_modes(mode, tmp_path):
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "x.tif"
    Image.fromarray(pixels()).convert(mode).save(path)
    images = load("folder", "train", tmp_path).images
    assert images.shape[3] == (1 if mode in ("1", "LA") else 3)
    assert np.array_equal(np.broadcast_to(images[0], (6, 4, 3)), decoded(path))


def test_what_is_no_image_is_passed_over(tmp_path):
    save(tmp_path / "a" / "x.png")
    for name in (".DS_Store", "notes.txt", "._x.png", "x.png.part"):
        (tmp_path / "a" / name).write_bytes(b"?")
    (tmp_path / "readme.txt").write_text("?")
    (tmp_path / ".cache").mkdir()
    assert load("folder", "train", tmp_path).classes == ("a",)
    assert len(load("folder", "train", tmp_path).images) == 1


def test_sizes_must_agree(tmp_path, refuses):
    save(tmp_path / "a" / "x.png")
    save(tmp_path / "b" / "y.png", pixels(5, 4, 3))
    refuses("folder", "train", tmp_path, r"b/y.png: expected 4x6 like .*a/x.png \(--size N .*\), found 4x5")


def test_a_missing_test_set(tmp_path, refuses):
    save(tmp_path / "a" / "x.png")
    refuses("folder", "test", tmp_path, "expected a test set in a folder test or val", kind=MissingSplit)


def test_a_missing_part(tmp_path, refuses):
    save(tmp_path / "train" / "a" / "x.png")
    refuses("folder", "test", tmp_path, "expected a folder test or val with images", kind=MissingSplit)
    (tmp_path / "train").rename(tmp_path / "val")
    refuses("folder", "train", tmp_path, "expected a folder train with images", kind=MissingSplit)
    assert load("folder", "test", tmp_path).classes == ("a",)


def test_a_class_may_be_called_train(tmp_path):
    for name in ("bus", "train"):
        save(tmp_path / name / "x.png")
    assert load("folder", "train", tmp_path).classes == ("bus", "train")


def test_layouts_that_are_none(tmp_path, refuses):
    refuses("folder", "train", tmp_path, "expected images .* in it or in a folder for each class, found none")
    (tmp_path / "a").mkdir()
    refuses("folder", "train", tmp_path, "expected images .*, found none")
    save(tmp_path / "a" / "x.png")
    refuses("folder", "train", tmp_path / "a" / "x.png", "x.png: expected a directory, found a file")


def test_a_class_folder_without_images_is_a_note(tmp_path):
    save(tmp_path / "a" / "x.png")
    (tmp_path / "b").mkdir()
    dataset = load("folder", "train", tmp_path)
    assert (dataset.classes, dataset.labels.tolist()) == (("a", "b"), [0])
    assert dataset.notes == (f"class folders without images in {tmp_path}: b",)


@pytest.mark.parametrize(
    "names",
    [("x.png", "y.png"), ("2019/05/x.png", "2019/06/y.png"), ("x.png", "a/y.png"), ("a/b/c/x.png", "a/b/d/y.png")],
    ids=["flat", "by month", "beside a folder", "deep"],
)
@pytest.mark.parametrize("root", ["", "train"])
def test_images_that_no_classes_hold_are_unlabelled(names, root, tmp_path, refuses):
    for name in names:
        save(tmp_path / root / name)
    dataset = load("folder", "train", tmp_path)
    assert (len(dataset.images), dataset.labels.tolist(), dataset.classes) == (2, [-1, -1], ())
    assert "no labels" in dataset.notes[0]
    refuses("folder", "test", tmp_path, "expected a", kind=MissingSplit)


def test_unlabelled_training_images_beside_a_labelled_test_set(tmp_path):
    save(tmp_path / "train" / "x.png")
    for label in ("a", "b"):
        save(tmp_path / "test" / label / "x.png")
    assert load("folder", "train", tmp_path).labels.tolist() == [-1]
    test = load("folder", "test", tmp_path)
    assert (test.classes, test.labels.tolist()) == (("a", "b"), [0, 1])


def test_a_class_that_is_not_trained_on(tmp_path, refuses):
    save(tmp_path / "train" / "a" / "x.png")
    save(tmp_path / "val" / "images" / "x.png")
    refuses("folder", "test", tmp_path, "val: expected class folders named as in .*train, found 'images'")


def encoded(kind, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels(16, 16, 3)).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.9])
def test_truncated(kind, part, tmp_path, refuses):
    content = encoded(kind)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(content[: int(part * len(content))])
    refuses("folder", "train", tmp_path, "a/x.png: expected a sound image, found")


def bomb(side):
    """A PNG whose header promises side x side pixels."""
    chunks = b""
    for kind, body in ((b"IHDR", struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(99)))):
        chunks += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize(("side", "word"), [(5000, "expected 1 to 16777216 pixels"), (10**4, "Bomb"), (2**15, "Bomb")])
def test_decompression_bombs(side, word, tmp_path, refuses):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(bomb(side))
    refuses("folder", "train", tmp_path, "a/x.png: expected", word)


def test_a_chunk_that_promises_gigabytes_takes_no_memory(tmp_path):
    """Pillow has decoded all pixels before it notices, and lets it pass."""
    array = pixels()
    content = save(tmp_path / "a" / "x.png", array).read_bytes()
    at = content.index(b"IDAT") - 4
    (tmp_path / "a" / "x.png").write_bytes(content[:at] + struct.pack(">I", 3 << 30) + content[at + 4 :])
    tracemalloc.start()
    try:
        assert np.array_equal(load("folder", "train", tmp_path).images, array[None])
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


def test_a_file_larger_than_any_image(tmp_path, refuses):
    (tmp_path / "a").mkdir()
    with (tmp_path / "a" / "x.png").open("wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no space
    refuses("folder", "train", tmp_path, "x.png: expected a file of at most 268435456 bytes, found 1099511627776")


def test_many_small_files_of_large_images(tmp_path, refuses, monkeypatch):
    monkeypatch.setattr("dimref.data.decoding.MOST_UNPACKED", 1_000_000)
    for k in range(3):
        save(tmp_path / "a" / f"{k}.png", np.zeros((600, 600), np.uint8))
    assert len(load("folder", "train", tmp_path, limit=2).images) == 2
    refuses(
        "folder", "train", tmp_path, "expected images of at most 100 times the .* bytes of their files, found 1080000"
    )


def test_other_formats_under_an_image_name_are_not_tried(tmp_path, refuses):
    (tmp_path / "a").mkdir()
    Image.fromarray(pixels()).save(tmp_path / "a" / "x.png", "EPS")  # decoding it would run a PostScript program
    refuses("folder", "train", tmp_path, "a/x.png: expected a sound image, found UnidentifiedImageError")


def test_sixteen_bits_are_refused(tmp_path, refuses):
    save(tmp_path / "a" / "x.png", RNG.integers(0, 65536, (6, 4), dtype=np.uint16))
    refuses("folder", "train", tmp_path, r"a/x.png: expected 8 bits a channel \(convert it\), found mode I;16")


def test_a_directory_in_place_of_an_image(tmp_path, refuses):
    save(tmp_path / "a" / "x.png")
    (tmp_path / "a" / "y.png").mkdir()
    assert len(load("folder", "train", tmp_path).images) == 1
    (tmp_path / "a" / "z.png").symlink_to(tmp_path / "nowhere.png")
    refuses("folder", "train", tmp_path, "a/z.png: expected a file, found no such file")


def test_without_pillow(tmp_path, monkeypatch):
    save(tmp_path / "a" / "x.png")
    original = builtins.__import__

    def absent(name, *arguments, **options):
        if name.startswith("PIL"):
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(DataError, match=r"pip install '\.\[images\]'$"):
        load("folder", "train", tmp_path)


def test_real_tiny_imagenet(real_data):
    root = real_data("tiny-imagenet-19")
    train, test = load("folder", "train", root, limit=190), load("folder", "test", root, limit=57)
    assert train.images.shape == (190, 64, 64, 3)
    assert np.all(np.bincount(train.labels) == 10)
    assert np.all(np.bincount(test.labels) == 3)
    assert train.classes == test.classes == tuple(sorted(p.name for p in (root / "train").iterdir()))


# ---- own photographs


def photograph(path, size=(90, 60), orientation=1, **options):
    """A picture whose quarters have four colours, stored as a camera held in that orientation stores it."""
    wide, high = size
    image = Image.new("RGB", size)
    for k, colour in enumerate(((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))):
        corner = (k % 2 * wide // 2, k // 2 * high // 2)
        image.paste(colour, (*corner, corner[0] + (wide + 1) // 2, corner[1] + (high + 1) // 2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, exif=exif, **options)


def test_a_size_crops_the_middle_and_averages_down(tmp_path):
    array = pixels(40, 64, 3)
    save(tmp_path / "a" / "x.png", array)
    save(tmp_path / "a" / "y.png", pixels(8, 100, 3))
    images = load("folder", "train", tmp_path, size=8).images
    assert images.shape == (2, 8, 8, 3)
    middle = array[:, 12:52].reshape(8, 5, 8, 5, 3).mean((1, 3))  # one pixel in 25, taken without averaging, is far off
    assert min(np.abs(image.astype(float) - middle).mean() for image in images) < 10
    assert np.abs(array[2::5, 14:52:5].astype(float) - middle).mean() > 50


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(90, 60), (6000, 4000)], ids=["small", "24 megapixels"])
def test_photographs_of_any_orientation_and_size(orientation, size, tmp_path):
    if size[0] > 1000 and orientation not in (1, 6):
        pytest.skip("two large ones are enough")
    photograph(tmp_path / "x.jpg", size, orientation, quality=95)
    images = load("folder", "train", tmp_path, size=16).images
    with Image.open(tmp_path / "x.jpg") as image:
        whole = ImageOps.fit(ImageOps.exif_transpose(image), (16, 16))
    assert np.abs(images[0].astype(float) - np.asarray(whole)).mean() < 4


def test_large_images_name_the_option(tmp_path, refuses):
    photograph(tmp_path / "x.jpg", (6000, 4000))
    refuses("folder", "train", tmp_path, r"1 to 16777216 pixels \(--size N takes larger images\), found 6000x4000")


def test_a_large_jpeg_is_not_decoded_whole(tmp_path):
    photograph(tmp_path / "x.jpg", (6000, 4000))
    sizes = []
    convert = Image.Image.convert
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "convert", lambda self, *a, **k: sizes.append(self.size) or convert(self, *a, **k))
        load("folder", "train", tmp_path, size=32)
    assert set(sizes) == {(750, 500)}


def test_all_bad_files_are_named_at_once_or_left_out(tmp_path, refuses):
    for k in range(6):
        save(tmp_path / "ab"[k % 2] / f"{k}.png")
    (tmp_path / "a" / "0.png").write_bytes(b"no image")
    (tmp_path / "b" / "3.png").write_bytes(b"")
    refuses("folder", "train", tmp_path, "2 of 6 files", r"a/0\.png \(Unid", r"b/3\.png", "--skip-bad leaves them out$")
    dataset = load("folder", "train", tmp_path, skip_bad=True)
    assert sorted(dataset.labels.tolist()) == [0, 0, 1, 1]
    assert re.fullmatch(r"left out 2 of 6 .*: .*\.png \(.*\), .*\.png \(.*\)", dataset.notes[0])
    for image, label in zip(dataset.images, dataset.labels, strict=True):  # labels still belong to their images
        held = [decoded(path) for path in sorted((tmp_path / "ab"[label]).glob("[1245].png"))]
        assert any(np.array_equal(image, other) for other in held)
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"no image")
    refuses("folder", "train", tmp_path, "6 of 6 files", skip_bad=True)


def test_more_images_than_memory_holds_are_mapped_from_a_file(tmp_path, monkeypatch, refuses):
    folder, cache = tmp_path / "images", tmp_path / "cache"
    for k in range(5):
        save(folder / "a" / f"{k}.png", pixels(6, 4) if k % 2 else None)
    (folder / "a" / "9.png").write_bytes(b"no image")
    plain = load("folder", "train", folder, skip_bad=True)
    monkeypatch.setattr("dimref.training.memory.available", lambda: 100)
    decode = decoding._decode
    decodings = []
    monkeypatch.setattr(decoding, "_decode", lambda *a: decodings.append(a) or decode(*a))
    refuses("folder", "train", folder, "9.png", cache=cache)
    for _ in range(2):  # what was decoded before the refusal is there
        decodings.clear()
        mapped = load("folder", "train", folder, skip_bad=True, cache=cache)
        assert isinstance(mapped.images, np.memmap)
        assert np.array_equal(mapped.images, plain.images)
        assert np.array_equal(mapped.labels, plain.labels)
        assert mapped.notes[1:] == plain.notes
        assert len(decodings) <= 2  # to learn the size
    save(folder / "a" / "0.png", other := pixels(6, 4, 3))
    assert other.tobytes() in {
        image.tobytes() for image in load("folder", "train", folder, skip_bad=True, cache=cache).images
    }
