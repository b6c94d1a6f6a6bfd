"""Arrays from files: what numpy.save writes comes back; what lies, hides a pickle or is damaged is refused in a line."""

import io
import zipfile
from contextlib import suppress

import numpy as np
import pytest

from dimref.data.dataset import DataError, fault
from dimref.data.npy import npz_header, npz_names, numbers, open_npz, read_npy, read_npz, read_npz_array

ARRAYS = [
    np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array(2.5, np.float16),
    np.zeros((0, 3)),
    np.zeros((3, 0), np.int8),
    np.arange(5, dtype=">i2"),
    np.array([True, False]),
]


def refusal(read, *words, **options):
    with pytest.raises(DataError) as caught:
        read(**options)
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line
    return line


def npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def header(shape, descr="<f4"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_round_trip(array, save, tmp_path):
    np.save(tmp_path / "a.npy", array)
    save(tmp_path / "a.npz", **{"deep/name": array, "b": array})
    for found in (read_npy(tmp_path / "a.npy"), read_npz(tmp_path / "a.npz")["deep/name"]):
        assert (found.dtype, found.shape, found.flags.c_contiguous) == (array.dtype, array.shape, True)
        np.testing.assert_array_equal(found, array)
    with open_npz(tmp_path / "a.npz") as archive:
        assert npz_names(archive) == ["deep/name", "b"]
        assert npz_header(tmp_path / "a.npz", archive, "b") == (array.shape, array.dtype)


def test_a_limit_reads_the_first_entries_and_tells_how_many_there_are(tmp_path):
    np.savez(tmp_path / "a.npz", x=ARRAYS[0], scalar=ARRAYS[2])
    with open_npz(tmp_path / "a.npz") as archive:
        found, total = read_npz_array(tmp_path / "a.npz", archive, "x", limit=1)
        assert read_npz_array(tmp_path / "a.npz", archive, "scalar")[1] == 1
    np.testing.assert_array_equal(found, ARRAYS[0][:1])
    assert total == 2


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (npy(ARRAYS[0])[:-1], "expected 96 more bytes, found the end after 95"),
        (npy(ARRAYS[0]) + b"x", "found more"),
        (header((10**9,)), "expected 4000000000 bytes"),
        (header((10**12, 10**12)), "bytes for shape"),
        (header((-5,)), "(-5,)"),
        (header((3,), "|O") + b"cos\nsystem\n.", "found object (3,)"),
        (npy(np.array([{}], object), allow_pickle=True), "found object (1,)"),
        (npy(np.array(["text"])), "expected numbers"),
        (npy(np.zeros(2, complex)), "expected numbers"),
        (npy(np.zeros(2, [("a", "<f4")])), "expected numbers"),
        (b"\x93NUMPY\x03\x00" + npy(ARRAYS[0])[8:], "array format 1.0 or 2.0, found 3.0"),
        (b"", "a sound .np"),
        (b"no array at all", "a sound .np"),
        (npy(ARRAYS[0])[:20], "a sound .np"),
    ],
    ids=range(14),
)
def test_a_wrong_array_is_refused_in_a_line(content, word, tmp_path):
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", content)
    refusal(read_npy, "a.npy", word, path=tmp_path / "a.npy")
    refusal(read_npz, "a.npz", word, path=tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"x,y\n1,2\n", "text, as CSV is; np.save"), ("1,2\n".encode("utf-16"), "text in UTF-16"),
     (b"PK\x03\x04\0\0", "a .npz file of several arrays; np.save")],
)  # fmt: skip
def test_another_kind_of_file_is_named_with_what_makes_a_npy_of_it(content, word, tmp_path):
    (tmp_path / "a.npy").write_bytes(content)
    refusal(read_npy, "a.npy: expected a sound .npy file", f"found {word}", path=tmp_path / "a.npy")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header((10**7,), "|u1") + bytes(10**7))
        archive.writestr("y.npy", header((10**7,), "|u1") + bytes(10**7))
    assert (tmp_path / "a.npz").stat().st_size < 10**5
    monkeypatch.setattr("dimref.data.npy.read_exactly", None)
    refusal(read_npz, "at most 9999999 bytes", path=tmp_path / "a.npz", most_bytes=10**7 - 1)
    monkeypatch.undo()
    refusal(read_npz, "array 'y'", "at most 5000000 bytes", path=tmp_path / "a.npz", most_bytes=15 * 10**6)


def test_a_small_member_is_not_unpacked_to_gigabytes(tmp_path, monkeypatch):
    """The directory tells sizes that deflate could keep: two GiB in four MiB."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", header((1 << 31,), "|b1") + bytes(4 << 20))
    monkeypatch.setattr("dimref.data.npy.read_exactly", None)
    with open_npz(tmp_path / "a.npz") as archive:
        archive.getinfo("x.npy").file_size = 1 << 32
        refusal(read_npz_array, "at most 1073741824 bytes", path=tmp_path / "a.npz", archive=archive, key="x")


def test_what_truly_lies_on_the_disk_is_no_bomb(tmp_path):
    np.savez(tmp_path / "a.npz", x=ARRAYS[0])
    np.save(tmp_path / "a.npy", ARRAYS[0])
    assert read_npz(tmp_path / "a.npz", most_bytes=1)["x"].shape == ARRAYS[0].shape
    assert read_npy(tmp_path / "a.npy").shape == ARRAYS[0].shape


@pytest.mark.parametrize("place", range(22))
def test_a_zip_whose_end_record_is_damaged_is_named(place, tmp_path):
    """Offsets before the start of the file, or behind its end: what the system says of them names no file."""
    np.savez(tmp_path / "a.npz", x=ARRAYS[0], y=ARRAYS[1])
    sound = (tmp_path / "a.npz").read_bytes()
    for change in (0x01, 0x40, 0x80, 0xFF):
        content = bytearray(sound)
        content[sound.rindex(b"PK\5\6") + place] ^= change
        content[sound.rindex(b"PK\5\6") + min(place + 1, 21)] ^= 0x40
        (tmp_path / "a.npz").write_bytes(content)
        with suppress(DataError):  # what is left of it may be sound
            read_npz(tmp_path / "a.npz")
    content = bytearray(sound)
    content[sound.rindex(b"PK\5\6") + 16] ^= 0x80
    content[sound.rindex(b"PK\5\6") + 17] ^= 0x40
    (tmp_path / "a.npz").write_bytes(content)
    refusal(read_npz, f"{tmp_path / 'a.npz'}: expected a sound .npz file of plain arrays", path=tmp_path / "a.npz")


def test_no_file_no_zip(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK but no zip")
    refusal(read_npz, "a sound .npz file", path=tmp_path / "a.npz")
    refusal(read_npz, "no such file", path=tmp_path / "b.npz")
    refusal(read_npy, "found a directory", path=tmp_path)


def test_a_check_refuses_before_anything_is_read(tmp_path, monkeypatch):
    def only_vectors(where, shape, dtype):
        numbers(where, shape, dtype)
        if len(shape) != 1:
            raise fault(where, "shape (N,)", str(shape))

    np.save(tmp_path / "a.npy", ARRAYS[0])
    monkeypatch.setattr("dimref.data.npy.read_exactly", None)
    refusal(read_npy, "expected shape (N,), found (2, 3, 4)", path=tmp_path / "a.npy", check=only_vectors)
