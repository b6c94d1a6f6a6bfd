"""`dimref audit vectors`: what is written, what is printed, and a place that cannot be written to."""

import json

import pytest
import tiny_runs


@pytest.mark.exhaustive
def test_it_writes_the_vectors_and_says_where(tmp_path):
    done = tiny_runs.invoke("audit", "vectors", "-o", tmp_path / "a" / "b")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{tmp_path / 'a' / 'b'}  ")
    manifest = json.loads((tmp_path / "a" / "b" / "manifest.json").read_text(encoding="utf-8"))
    assert f"{len(manifest['cases'])} cases" in done.output
    files = {function["file"] for function in manifest["functions"].values()}
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {
        "manifest.json", "vectors.schema.json", *files, *(name.replace(".npz", ".json") for name in files),
    }  # fmt: skip


def test_a_file_in_the_way_is_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    done = tiny_runs.invoke("audit", "vectors", "-o", tmp_path / "file" / "x")
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "expected to read or write it" in done.stderr


def test_it_needs_a_place():
    assert tiny_runs.invoke("audit", "vectors").exit_code == 2
