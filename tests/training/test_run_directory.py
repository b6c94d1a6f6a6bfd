"""The run directory: one run in it, one process at a time, and nothing there is overwritten."""

import threading

import pytest
from tiny_runs import run_error

from dimref.training import config as configs
from dimref.training import files, metrics, run_directory
from dimref.training.config import Config
from dimref.training.files import RunError


def test_runs_are_numbered_above_every_one_there(tmp_path):
    root = tmp_path / "runs"
    assert run_directory.make_next(root, "dim").name == "dim-001"
    for name in ("dim-007", "dim-9x", "dim-x-050", "dimmer-060", "dim-1000"):
        (root / name).mkdir()
    assert run_directory.make_next(root, "dim").name == "dim-1001"
    assert run_directory.make_next(root, "dim").name == "dim-1002"


def test_runs_that_start_together_get_directories_of_their_own(tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(run_directory.make_next(tmp_path / "r", "a"))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 16


def test_a_root_that_is_no_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert "file" in run_error(run_directory.make_next, tmp_path / "file", "a")
    assert "dangling" in run_error(run_directory.make_next, tmp_path / "dangling", "a")


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "newest.npz", "best.npz"])
def test_nothing_that_lies_there_is_overwritten(tmp_path, name):
    (tmp_path / name).write_text("precious")
    line = run_error(run_directory.create(tmp_path, Config()).__enter__)
    assert f"--resume {tmp_path}" in line
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "precious"


def test_a_new_run_has_its_configuration_and_no_metrics(tmp_path):
    with run_directory.create(tmp_path / "a b" / "ü", Config(seed=3)):
        pass
    assert Config(**configs.read(tmp_path / "a b" / "ü" / "config.json")) == Config(seed=3)
    assert metrics.read(tmp_path / "a b" / "ü" / "metrics.jsonl") == []


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        assert str(path) in run_error(run_directory.create(path, Config()).__enter__)


def test_a_run_is_held_by_one_process_at_a_time(tmp_path):
    with (
        run_directory.locked(tmp_path),
        pytest.raises(RunError, match="another process"),
        run_directory.locked(tmp_path),
    ):
        raise AssertionError("held twice")
    with run_directory.locked(tmp_path):
        pass
    assert str(tmp_path / "none") in run_error(run_directory.locked(tmp_path / "none").__enter__)


def test_of_two_that_begin_in_one_directory_the_first_writes(tmp_path):
    with run_directory.create(tmp_path, Config(seed=1)):
        assert "another process" in run_error(run_directory.create(tmp_path, Config(seed=2)).__enter__)
    assert configs.read(tmp_path / "config.json")["seed"] == 1


@pytest.mark.parametrize("again", [False, True], ids=["gone", "another there"])
def test_nothing_is_written_where_a_run_was_moved_away_from(tmp_path, again):
    run, moved = tmp_path / "run", tmp_path / "moved"
    with run_directory.create(run, Config()):
        run.rename(moved)
        if again:
            run.mkdir()
        for call, *args in (
            (files.replace, run / run_directory.NEWEST, b"new"),
            (metrics.append, run / run_directory.METRICS, {"step": 1}),
            (metrics.flush, run / run_directory.METRICS),
        ):
            line = run_error(call, *args)
            assert line.startswith(f"{run}: expected the directory that this run began in, found it moved away")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["moved", "run"] if again else ["moved"]
    assert not again or not list(run.iterdir())
    files.replace(moved / run_directory.NEWEST, b"new")


def test_half_a_file_is_taken_away_once_nobody_writes_it(tmp_path):
    """A plot may be drawn while a run is resumed."""
    left = tmp_path / ".filters.png.1.tmp"
    left.write_bytes(b"half")
    with files.writing(tmp_path / "curves.png") as file:
        file.write(b"whole")
        with run_directory.locked(tmp_path):
            pass
        assert not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
    assert (tmp_path / "curves.png").read_bytes() == b"whole"


def test_a_directory_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"?")
    (tmp_path / ".hidden").write_bytes(b"?")
    line = run_error(run_directory.create(tmp_path, Config()).__enter__)
    assert line.startswith(f"{tmp_path}: expected a new or an empty directory, found photo.jpg in it; name one inside")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "photo.jpg"]
