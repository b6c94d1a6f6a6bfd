"""The run directory: whatever happens while a file is written, a complete one is there and loads."""

import copy
import dataclasses
import errno
import json
import math
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import warnings
import zipfile

import numpy as np
import pytest
import tiny_runs

from dimref.training import checkpoints
from dimref.training import config as configs
from dimref.training.checkpoints import Checkpoint, RunError
from dimref.training.config import Config


def refusal(call, *args):
    """The one line that a call is refused with."""
    with pytest.raises(RunError) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def checkpoint(step=3, seed=0):
    rng = np.random.default_rng(seed)
    tree = {"encoder": {"conv1": {"w": rng.random((4, 5), np.float32)}}, "prior": {"b": np.zeros(7, np.float32)}}
    state = {"encoder": {"norm1": {"mean": np.ones(3, np.float32)}}, "mine": {"local": np.asarray(np.float32(0.5))}}
    return Checkpoint(
        step,
        {"parameters": tree, "state": state, "adam": {"m": tree, "v": tree}},
        Config(seed=7),
        -np.inf,
        {"machine": {"blas": "x"}, "images": "6"},
    )


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "newest.npz"
    checkpoints.save_checkpoint(path, checkpoint())
    return path


# ---- directories


def test_runs_are_numbered_above_every_one_there(tmp_path):
    root = tmp_path / "runs"
    assert checkpoints.make_next(root, "dim").name == "dim-001"
    for name in ("dim-007", "dim-9x", "dim-x-050", "dimmer-060", "dim-1000"):
        (root / name).mkdir()
    assert checkpoints.make_next(root, "dim").name == "dim-1001"
    assert checkpoints.make_next(root, "dim").name == "dim-1002"


def test_runs_that_start_together_get_directories_of_their_own(tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(checkpoints.make_next(tmp_path / "r", "a"))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 16


def test_a_root_that_is_no_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert "file" in refusal(checkpoints.make_next, tmp_path / "file", "a")
    assert "dangling" in refusal(checkpoints.make_next, tmp_path / "dangling", "a")


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "newest.npz", "best.npz"])
def test_nothing_that_lies_there_is_overwritten(tmp_path, name):
    (tmp_path / name).write_text("precious")
    line = refusal(checkpoints.create(tmp_path, Config()).__enter__)
    assert f"--resume {tmp_path}" in line
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "precious"


def test_a_new_run_has_its_configuration_and_no_metrics(tmp_path):
    with checkpoints.create(tmp_path / "a b" / "ü", Config(seed=3)):
        pass
    assert Config(**configs.read(tmp_path / "a b" / "ü" / "config.json")) == Config(seed=3)
    assert checkpoints.read_metrics(tmp_path / "a b" / "ü" / "metrics.jsonl") == []


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        assert str(path) in refusal(checkpoints.create(path, Config()).__enter__)


def test_a_run_is_held_by_one_process_at_a_time(tmp_path):
    with checkpoints.locked(tmp_path), pytest.raises(RunError, match="another process"), checkpoints.locked(tmp_path):
        raise AssertionError("held twice")
    with checkpoints.locked(tmp_path):
        pass
    assert str(tmp_path / "none") in refusal(checkpoints.locked(tmp_path / "none").__enter__)


def test_of_two_that_begin_in_one_directory_the_first_writes(tmp_path):
    with checkpoints.create(tmp_path, Config(seed=1)):
        assert "another process" in refusal(checkpoints.create(tmp_path, Config(seed=2)).__enter__)
    assert configs.read(tmp_path / "config.json")["seed"] == 1


@pytest.mark.parametrize("again", [False, True], ids=["gone", "another there"])
def test_nothing_is_written_where_a_run_was_moved_away_from(tmp_path, again):
    run, moved = tmp_path / "run", tmp_path / "moved"
    with checkpoints.create(run, Config()):
        run.rename(moved)
        if again:
            run.mkdir()
        for call, *args in (
            (checkpoints.replace, run / checkpoints.NEWEST, b"new"),
            (checkpoints.append_metrics, run / checkpoints.METRICS, {"step": 1}),
            (checkpoints.flush_metrics, run / checkpoints.METRICS),
        ):
            line = refusal(call, *args)
            assert line.startswith(f"{run}: expected the directory that this run began in, found it moved away")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["moved", "run"] if again else ["moved"]
    assert not again or not list(run.iterdir())
    checkpoints.replace(moved / checkpoints.NEWEST, b"new")


def test_half_a_file_is_taken_away_once_nobody_writes_it(tmp_path):
    """A plot may be drawn while a run is resumed."""
    left = tmp_path / ".filters.png.1.tmp"
    left.write_bytes(b"half")
    with checkpoints.writing(tmp_path / "curves.png") as file:
        file.write(b"whole")
        with checkpoints.locked(tmp_path):
            pass
        assert not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
    assert (tmp_path / "curves.png").read_bytes() == b"whole"


# ---- whole files or none


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


def only_old(path):
    """The old content is there, and no temporary file is left."""
    return [p.name for p in path.parent.iterdir()] == ["file"] and path.read_bytes() == b"old"


def test_a_file_is_replaced(old):
    checkpoints.replace(old, b"new")
    assert old.read_bytes() == b"new"
    assert [p.name for p in old.parent.iterdir()] == ["file"]


def test_a_file_is_copied_whole_or_not_at_all(old, tmp_path):
    (tmp_path / "from").mkdir()
    source = tmp_path / "from" / "new"
    source.write_bytes(bytes(range(256)) * 10_000)  # more than a piece
    checkpoints.copy(source, old)
    assert old.read_bytes() == source.read_bytes()
    source.unlink()
    assert refusal(checkpoints.copy, source, old) == f"{old}: expected to write it, found: No such file or directory"
    assert len(old.read_bytes()) == 2_560_000
    assert sorted(p.name for p in old.parent.iterdir()) == ["file", "from"]


def test_an_error_while_writing_leaves_the_old_file(old):
    for error in (ValueError, KeyboardInterrupt, MemoryError):
        with pytest.raises(error), checkpoints.writing(old) as file:  # noqa: PT012
            file.write(b"half")
            raise error
        assert only_old(old)


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_fails_leaves_the_old_file(old, monkeypatch, call, number):
    def fail(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    line = refusal(checkpoints.replace, old, b"new")
    assert str(old) in line
    assert os.strerror(number) in line
    assert only_old(old)


def test_the_file_is_on_the_disk_before_it_takes_its_place(old, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, n=name, r=real: (calls.append(n), r(*args)))
    checkpoints.replace(old, b"new")
    assert calls == ["fsync", "replace", "fsync"]  # the second one makes the rename durable


def test_a_process_killed_before_the_rename_leaves_the_old_checkpoint(saved):
    code = (
        "import os, pathlib, signal\nfrom dimref.training import checkpoints as runs\n"
        "os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"runs.replace(pathlib.Path({str(saved)!r}), b'x' * 100000)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert len(list(saved.parent.iterdir())) == 2  # what was being written is left, under a name of its own
    assert checkpoints.load_checkpoint(saved).step == 3
    checkpoints.save_checkpoint(saved, checkpoint(step=4))
    assert checkpoints.load_checkpoint(saved).step == 4


def test_a_link_stays_and_its_target_is_replaced(tmp_path, old):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link"
    link.symlink_to(old)
    checkpoints.replace(link, b"new")
    assert link.is_symlink()
    assert old.read_bytes() == b"new"
    assert [p.name for p in link.parent.iterdir()] == ["link"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_is_neither_replaced_nor_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for function, *arguments in (
        (checkpoints.replace, tmp_path / "pipe", b"new"),
        (checkpoints.load_checkpoint, tmp_path / "pipe"),
        (checkpoints.read_metrics, tmp_path / "pipe"),
    ):
        assert refusal(function, *arguments) == f"{tmp_path / 'pipe'}: expected a file, found a device or a pipe"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert refusal(checkpoints.replace, tmp_path, b"new") == f"{tmp_path}: expected a file, found a directory"


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127])
def test_a_name_may_be_as_long_as_the_system_takes(tmp_path, name):
    checkpoints.replace(tmp_path / name, b"new")
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"new"


# ---- checkpoints


def test_a_checkpoint_comes_back_as_it_was(saved):
    found, expected = checkpoints.load_checkpoint(saved), checkpoint()
    assert (found.step, found.config, found.best, found.meta) == (3, Config(seed=7), -np.inf, expected.meta)
    checkpoints.check_same_shapes(saved, found.trees, expected.trees)
    np.testing.assert_array_equal(
        found.trees["adam"]["v"]["encoder"]["conv1"]["w"], expected.trees["adam"]["v"]["encoder"]["conv1"]["w"]
    )
    assert found.trees["state"]["mine"]["local"] == np.float32(0.5)


def test_a_checkpoint_is_plain_arrays(saved):
    with np.load(saved, allow_pickle=False) as archive:
        assert {archive[name].dtype for name in archive.files if name != "meta"} == {np.dtype(np.float32)}
        assert json.loads(str(archive["meta"]))["format"] == checkpoints.FORMAT


def test_a_missing_checkpoint_is_refused(tmp_path):
    assert "no such file" in refusal(checkpoints.load_checkpoint, tmp_path / "none.npz")
    assert "directory" in refusal(checkpoints.load_checkpoint, tmp_path)


@pytest.mark.parametrize("share", [0, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    assert "damaged" in refusal(checkpoints.load_checkpoint, saved)


def test_no_flipped_bit_ends_in_a_traceback_or_in_other_numbers(saved):
    """Checksums cover the arrays; a flip in the archive's own headers may be without effect."""
    content, expected = saved.read_bytes(), checkpoint()
    draw = random.Random(0)
    for _ in range(400):
        damaged = bytearray(content)
        damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        saved.write_bytes(damaged)
        try:
            found = checkpoints.load_checkpoint(saved)
            checkpoints.check_same_shapes(saved, found.trees, expected.trees)
        except RunError:
            continue
        np.testing.assert_array_equal(
            found.trees["parameters"]["encoder"]["conv1"]["w"], expected.trees["parameters"]["encoder"]["conv1"]["w"]
        )


def rewrite(path, **changes):
    """Change arrays of a checkpoint, or its description by a dict; None removes. The checksum is that of the result."""

    def update(tree, new):
        tree.update(new)
        for name in [name for name, value in tree.items() if value is None]:
            del tree[name]

    meta = changes.pop("meta", {})
    tiny_runs.change(path, lambda described, arrays: (update(described, meta), update(arrays, changes)))


@pytest.mark.parametrize("key", ["format", "step", "best", "config"])
def test_a_description_without_an_entry_is_refused(saved, key):
    rewrite(saved, meta={key: None})
    assert "damaged" in refusal(checkpoints.load_checkpoint, saved)


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ({"format": 1}, "format 3, found 1, of another version of dimref; go on with that version, or start the run"),
        ({"format": 2, "checksum": None}, "format 3, found 2, of another version of dimref"),
        ({"step": "many"}, "found step 'many', bound -inf"),
        ({"step": 2.0}, "found step 2.0, bound -inf"),
        ({"step": True}, "found step True, bound -inf"),
        ({"step": 10**300}, "expected a step and a bound, found step 1000"),
        ({"best": "good"}, "damaged"),
        ({"config": []}, "expected a JSON object"),
        ({"config": {"depth": 3}}, "unknown option 'depth'"),
    ],
)
def test_a_wrong_description_is_refused(saved, meta, words):
    rewrite(saved, meta=meta)
    with pytest.raises(configs.DimrefError, match=words):
        checkpoints.load_checkpoint(saved)


def test_other_files_in_a_checkpoints_place_are_refused(saved):
    for write in (
        lambda: saved.write_bytes(b"no archive"),
        lambda: np.save(saved.open("wb"), np.zeros(3)),
        lambda: np.savez(saved, **{"parameters/prior/b": np.zeros(3)}),
        lambda: np.savez(saved, meta=np.array("[]")),
        lambda: np.savez(saved, meta=np.array("no json")),
        lambda: np.savez(saved, meta=np.zeros(3)),
        lambda: rewrite(saved, **{"parameters/prior/b/x": np.zeros(3)}),  # a branch where an array is
        lambda: (
            rewrite(saved, **{"parameters/prior/b": None, "parameters/prior/b/x": np.zeros(3)})
            or rewrite(
                saved,
                **{"parameters/prior/b": np.zeros(3)},  # the same, in another order
            )
        ),
        lambda: rewrite(saved, **{"parameters/prior/x": np.array(["text"])}),
    ):
        write()
        assert "damaged" in refusal(checkpoints.load_checkpoint, saved)
        checkpoints.save_checkpoint(saved, checkpoint())


def zipped(path, method=zipfile.ZIP_STORED, **more):
    """The members of a checkpoint written anew by another method, and others beside them."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is there twice
        for name, content in (*members.items(), *more.items()):
            archive.writestr(name, content)


def unread(monkeypatch):
    """From here on, the content of no array is read."""
    monkeypatch.setattr("dimref.data.npy.read_exactly", None)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_checkpoint_is_refused_before_it_is_read(saved, method, monkeypatch):
    zipped(saved, method)
    unread(monkeypatch)
    assert "expected arrays stored as dimref does, uncompressed, found" in refusal(checkpoints.load_checkpoint, saved)


@pytest.mark.parametrize(
    "name",
    ["parameters/other/w.npy", "parameters/prior.npy", "adam/x/encoder/w.npy", "state/mine/x.npy", "note.txt", "x.npy",
     "parameters/prior/b", "/parameters/prior/c.npy", "parameters/prior/\nc.npy",
     f"parameters/prior/{'x/' * 9000}x.npy"],
)  # fmt: skip
def test_what_no_checkpoint_holds_is_refused_before_it_is_read(saved, name, monkeypatch):
    zipped(saved, **{name: b""})
    unread(monkeypatch)
    assert (
        refusal(checkpoints.load_checkpoint, saved) == f"{saved}: expected the arrays of a checkpoint, found {name!r}"
    )


def test_an_array_that_is_there_twice_is_refused(saved, monkeypatch):
    zipped(saved, **{"meta.npy": b""})
    unread(monkeypatch)
    assert "expected each array once in" in refusal(checkpoints.load_checkpoint, saved)


def test_members_that_share_their_bytes_are_refused(saved, monkeypatch):
    """A small file whose directory lists the same content many times under different names."""
    with zipfile.ZipFile(saved) as archive:
        w = archive.getinfo("parameters/encoder/conv1/w.npy")
    with zipfile.ZipFile(saved, "a") as archive:
        for k in range(100):
            again = copy.copy(w)
            again.filename = f"parameters/encoder/{k}.npy"
            archive.filelist.append(again)
        archive._didModify = True
    unread(monkeypatch)
    assert "expected each array once in" in refusal(checkpoints.load_checkpoint, saved)


def test_content_of_another_checksum_is_refused(saved):
    """Each array by itself is sound: one is changed, two are exchanged, one is left out, the step is another."""
    with np.load(saved) as archive:
        arrays = dict(archive)
    w, b = "parameters/encoder/conv1/w", "parameters/prior/b"
    adam = {"adam/m/encoder/conv1/w": arrays[w] + 1, "adam/v/encoder/conv1/w": arrays[w]}
    meta = json.loads(str(arrays["meta"]))
    for changes in (
        {b: np.ones(7, np.float32)},
        {b: arrays[b].reshape(1, 7)},
        {b: arrays[b].view(np.int32)},
        adam,
        {"state/mine/local": None},
        {"meta": np.array(json.dumps({**meta, "step": 4}))},
        {"meta": np.array(json.dumps({**meta, "checksum": None}))},
    ):
        np.savez(saved, **{name: array for name, array in {**arrays, **changes}.items() if array is not None})
        assert "content of the checksum" in refusal(checkpoints.load_checkpoint, saved)
    np.savez(saved, **arrays)
    assert checkpoints.load_checkpoint(saved).step == 3


def test_a_pickle_in_a_checkpoint_is_never_run(saved, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "boom"),))

    with np.load(saved) as archive:
        arrays = dict(archive)
    np.savez(saved, **{**arrays, "parameters/prior/b": np.array([Bomb()], dtype=object)})
    assert "expected numbers (float, integer or bool), found object (1,)" in refusal(checkpoints.load_checkpoint, saved)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"step": -1}, "found step -1, bound -inf"),
        ({"best": math.nan}, "found step 3, bound nan"),
        ({"trees": {**checkpoint().trees, "parameters": np.ones(2)}}, "found 'parameters.npy'"),
        ({"trees": {**checkpoint().trees, "state": {"mine": {"other": np.ones(2)}}}}, "found 'state/mine/other.npy'"),
        ({"trees": {**checkpoint().trees, "more": {"encoder": {"w": np.ones(2)}}}}, "found 'more/encoder/w.npy'"),
    ],
)
def test_a_checkpoint_that_no_run_writes_is_refused(tmp_path, change, words):
    checkpoints.save_checkpoint(tmp_path / "c.npz", dataclasses.replace(checkpoint(), **change))
    line = refusal(checkpoints.load_checkpoint, tmp_path / "c.npz")
    assert line.startswith(f"{tmp_path / 'c.npz'}: ")
    assert words in line


@pytest.mark.parametrize(
    "found",
    [{}, {"a": np.zeros(2)}, {"a": np.zeros(3, np.float32)}, {"a": {"b": np.zeros(2, np.float32)}},
     {"a": np.zeros(2, np.float32), "b": np.zeros(2, np.float32)}],
)  # fmt: skip
def test_arrays_of_another_name_shape_or_type_are_refused(tmp_path, found):
    expected = {"a": np.zeros(2, np.float32)}
    assert "another configuration" in refusal(checkpoints.check_same_shapes, tmp_path, found, expected)
    checkpoints.check_same_shapes(tmp_path, expected, expected)


# ---- metrics


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in (2, 4, 6):
        checkpoints.append_metrics(path, {"step": step, "nats": {"local": step / 3}})
    return path


def test_metrics_are_json_even_where_a_number_is_not_finite(log):
    checkpoints.append_metrics(
        log, {"step": 8, "a": -np.inf, "nats": {"b": float("nan"), "c": np.inf}, "n": 3, "t": True}
    )

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    lines = [json.loads(line, parse_constant=refuse) for line in log.read_text().splitlines()]
    assert lines[-1] == {"step": 8, "a": "-inf", "nats": {"b": "nan", "c": "inf"}, "n": 3, "t": True}
    assert lines == checkpoints.read_metrics(log)


def test_metrics_are_cut_back_to_a_step_and_the_rest_kept_to_the_last_bit(log):
    before = log.read_text().splitlines()
    checkpoints.cut_metrics(log, 4)
    assert log.read_text().splitlines() == before[:2]
    checkpoints.cut_metrics(log, 0)
    assert log.read_text() == ""


@pytest.mark.parametrize("rest", ['{"st', '{"step": 8, "nats": {"loc', "{", "7", "\0\0\0"])
def test_a_last_line_cut_short_is_dropped(log, rest):
    with log.open("a") as file:
        file.write(rest)
    assert [line["step"] for line in checkpoints.read_metrics(log)] == [2, 4, 6]
    checkpoints.cut_metrics(log, 6)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [2, 4, 6]


@pytest.mark.parametrize(
    "line",
    ["{", "7", "[]", '{"kind": "step"}', '{"step": "x"}', "\udcff", '{"step": 2.5}', '{"step": true}', "{}\r{}",
     '{"step": 9223372036854775808}', '{"step": NaN}', f'{{"step": 8, "more": "{"x" * checkpoints.LONGEST_LINE}"}}'],
    ids=range(12),
)  # fmt: skip
def test_a_damaged_line_is_refused_by_its_number_and_nothing_is_lost(log, line):
    content = log.read_bytes() + line.encode(errors="surrogateescape") + b"\n"
    log.write_bytes(content)
    assert "line 4" in refusal(checkpoints.cut_metrics, log, 2)
    assert log.read_bytes() == content


def test_metrics_larger_than_any_run_s_are_not_read(log):
    os.truncate(log, checkpoints.MOST_METRICS + 1)
    assert refusal(checkpoints.read_metrics, log) == (
        f"{log}: expected a run's metrics, at most 1073741824 bytes, found 1073741825"
    )
    os.truncate(log, checkpoints.MOST_METRICS)
    assert "line 4" in refusal(checkpoints.read_metrics, log)  # a gigabyte of zeros is no line cut short


def test_metrics_that_are_missing_or_cannot_be_written_are_refused(tmp_path):
    assert "No such file" in refusal(checkpoints.read_metrics, tmp_path / "metrics.jsonl")
    assert "directory" in refusal(checkpoints.append_metrics, tmp_path, {"step": 1})


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_is_told_when_metrics_are_appended(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    assert "No space left" in refusal(checkpoints.append_metrics, tmp_path / "metrics.jsonl", {"step": 1})
