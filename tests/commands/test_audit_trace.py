"""`dimref audit trace`: export and compare from the command line, exit codes, JSON, and hostile files told in a line."""

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tiny_runs

from dimref.training import config as configs

pytestmark = pytest.mark.usefixtures("narrow")


@pytest.fixture
def source(images, tmp_path):
    """A configuration file of a run on tiny images."""
    path = tmp_path / "config.json"
    path.write_text(configs.write(tiny_runs.config(images)))
    return path


@pytest.fixture
def reference(source, tmp_path):
    done = tiny_runs.invoke("audit", "trace", "export", "--config", source, "-o", tmp_path / "ref.npz")
    assert done.exit_code == 0, done.output
    return tmp_path / "ref.npz"


def arrays_of(path):
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def compared(reference, theirs, *more):
    return tiny_runs.invoke("audit", "trace", "compare", reference, theirs, *more)


# ---- export


def test_export_says_what_it_wrote(source, tmp_path):
    done = tiny_runs.invoke(
        "audit", "trace", "export", "--config", source, "-o", tmp_path / "r.npz", "--seed", 5, "--after", 2
    )
    assert done.exit_code == 0, done.output
    first, second, third = done.output.splitlines()
    found = arrays_of(tmp_path / "r.npz")
    said = json.loads(found["manifest"].tobytes())
    assert first.startswith(f"{tmp_path / 'r.npz'}  {len(said['arrays'])} arrays, ")
    assert first.endswith("step 3 with seed 5, float32")
    assert f"{float(found['loss']):.7g}" in second
    assert "dimref audit trace compare" in third
    assert (said["seed"], said["steps_before"], said["sizes"]["N"]) == (5, 2, 4)


def test_export_takes_a_batch_size_a_dtype_and_prints_the_manifest(source, tmp_path):
    more = ("--batch-size", 6, "--dtype", "float64", "--manifest")
    done = tiny_runs.invoke("audit", "trace", "export", "--config", source, "-o", tmp_path / "r.npz", *more, "-")
    said = json.loads(done.output)
    assert (said["sizes"]["B"], said["dtype"]) == (6, "float64")
    done = tiny_runs.invoke(
        "audit", "trace", "export", "--config", source, "-o", tmp_path / "r.npz", *more, tmp_path / "m.json"
    )
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8")) == said
    assert len(done.output.splitlines()) == 3


def test_a_step_of_amdim_is_exported_and_compared(images, tmp_path):
    path = tmp_path / "amdim.json"
    path.write_text(configs.write(tiny_runs.config(images, method="amdim", ndf=4, nrkhs=16)))
    done = tiny_runs.invoke("audit", "trace", "export", "--config", path, "-o", tmp_path / "ref.npz")
    assert done.exit_code == 0, done.output
    theirs = arrays_of(tmp_path / "ref.npz")
    np.savez(tmp_path / "theirs.npz", **{name: theirs[name] for name in theirs if name.startswith("1-7/")})
    assert compared(tmp_path / "ref.npz", tmp_path / "theirs.npz").exit_code == 0
    np.savez(tmp_path / "theirs.npz", **{"1-7/loss": 2 * theirs["1-7/loss"]})
    done = compared(tmp_path / "ref.npz", tmp_path / "theirs.npz")
    assert done.exit_code == 1
    assert "departs first at 1-7/loss" in " ".join(done.output.split())


def test_a_preset_on_shapes_has_a_small_batch(tmp_path, monkeypatch):
    monkeypatch.setattr("dimref.data.shapes.COUNTS", {"train": 600, "test": 50})
    done = tiny_runs.invoke("audit", "trace", "export", "--config", "dim-global", "-o", tmp_path / "r.npz")
    assert done.exit_code == 0, done.output
    said = json.loads(arrays_of(tmp_path / "r.npz")["manifest"].tobytes())
    assert (said["sizes"]["B"], said["config"]["global_weight"], said["config"]["data"]) == (8, 1.0, "shapes")
    entries = {entry["name"]: entry for entry in said["arrays"]}  # the M×M map, 8×8, flattened
    assert entries["global/features"]["torch"]["reshape"][:3] == [8, 8, 8]
    assert entries["parameters/global/feature/w"]["torch"]["reshape"][:2] == [8, 8]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--config", "no-such-preset"), "no-such-preset: expected a preset (dim-local, "),
        (("--config", "paper-jsd"), "expected a configuration without --dot-critic and with --beta1 0.9"),
        (("--batch-size", "1"), "--batch-size"),
        (("--seed", "-1"), "--seed"),
        (("--dtype", "float16"), "float16"),
        (("--after", "-1"), "--after"),
    ],
)
def test_what_cannot_be_exported_is_told(arguments, word, source, tmp_path):
    given = ("--config", source) if arguments[0] != "--config" else ()
    done = tiny_runs.invoke("audit", "trace", "export", *given, *arguments, "-o", tmp_path / "r.npz")
    assert done.exit_code == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "r.npz").exists()


def test_a_place_that_cannot_be_written_is_a_line(source, tmp_path):
    done = tiny_runs.invoke("audit", "trace", "export", "--config", source, "-o", tmp_path / "no" / "r.npz")
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "expected to write it" in done.stderr


# ---- compare


def test_what_conforms_exits_with_0(reference):
    done = compared(reference, reference)
    assert done.exit_code == 0
    assert "verdict      " in done.output
    assert " ".join(done.output.split()).endswith("arrays that it has")


def test_what_departs_exits_with_1_and_names_the_mistake(reference, tmp_path):
    arrays = arrays_of(reference)
    theirs = {"encoder/y": -arrays["encoder/y"], "own": np.ones(2), "loss": arrays["loss"]}
    np.savez(tmp_path / "t.npz", **theirs)
    done = compared(reference, tmp_path / "t.npz", "--json", tmp_path / "out.json")
    assert done.exit_code == 1
    assert done.output.startswith("DEPARTS      encoder/y (4 × 8): the sign is flipped")
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (found["verdict"], found["diagnosis"], found["first"]) == ("departs", "sign", "encoder/y")
    assert found["unknown"] == ["own"]
    assert "batch/images" in found["missing"]
    printed = compared(reference, tmp_path / "t.npz", "--json")
    assert printed.exit_code == 1
    assert json.loads(printed.output) == found
    assert "gradient/encoder/norm1" in compared(reference, tmp_path / "t.npz", "--all").output


def test_names_in_a_file_are_printed_short_and_in_escapes(reference, tmp_path):
    with zipfile.ZipFile(reference) as archive, zipfile.ZipFile(tmp_path / "t.npz", "w") as theirs:
        for name in ("loss", "\x1b]0;owned\x07", "n" * 60_000):
            theirs.writestr(f"{name}.npy", archive.read("loss.npy"))
    done = compared(reference, tmp_path / "t.npz")
    assert done.exit_code == 0
    assert "2: \\x1b]0;owned\\x07, nnn" in " ".join(done.output.split())
    assert "\x1b" not in done.output
    assert "\x07" not in done.output
    assert len(done.output) < 5000


def test_a_text_for_a_weight_is_told_in_a_line(reference, tmp_path):
    arrays = arrays_of(reference)
    said = json.loads(arrays["manifest"].tobytes())
    said["objective"]["local_weight"] = "1"
    arrays["manifest"] = np.frombuffer(json.dumps(said).encode(), np.uint8)
    np.savez(tmp_path / "odd.npz", **arrays)
    done = compared(tmp_path / "odd.npz", reference)
    assert done.exit_code == 2
    assert f"{tmp_path / 'odd.npz'}: expected a manifest of a step of dimref, found local_weight '1'" in done.stderr
    assert done.stderr.count("\n") == 1


def hostile():
    """Files by what is wrong with them."""

    def zipped(content, method=zipfile.ZIP_STORED):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            archive.writestr("encoder/y.npy", content)
        return stream.getvalue()

    def header(shape, descr="<f4"):
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
        return stream.getvalue()

    objects = io.BytesIO()
    np.save(objects, np.array([[{}] * 8] * 4, object), allow_pickle=True)
    whole = io.BytesIO()
    np.savez(whole, **{"encoder/y": np.zeros((4, 8), np.float32)})
    return {
        "pickled objects": (zipped(objects.getvalue()), "expected numbers"),
        "a shape of 10⁹ elements": (zipped(header((10**9,)) + bytes(64)), "departs"),
        "a lying header": (zipped(header((4, 8)) + bytes(12)), "expected 128 more bytes"),
        "a bomb": (zipped(header((10**8,), "|u1") + bytes(10**8), zipfile.ZIP_DEFLATED), "departs"),
        "half a file": (whole.getvalue()[:-40], "a sound .npz file"),
        "no zip": (b"PK\x03\x04 and then nothing of the kind", "a sound .npz file"),
        "empty": (b"", "a sound .npz file"),
        "text": (zipped(b"no array"), "a sound .npz file"),
    }


@pytest.mark.parametrize("kind", hostile())
def test_hostile_files_are_told_in_a_line(kind, reference, tmp_path, monkeypatch):
    content, word = hostile()[kind]
    (tmp_path / "bad.npz").write_bytes(content)
    done = compared(reference, tmp_path / "bad.npz")
    if word == "departs":  # an array of another size is not even read
        assert done.exit_code == 1
        assert "in place of (4, 8)" in " ".join(done.output.split())
    else:
        assert done.exit_code == 2, done.output
        assert word in done.stderr
        assert done.stderr.count("\n") == 1
    back = compared(tmp_path / "bad.npz", reference)
    assert back.exit_code == 2
    assert back.stderr.count("\n") == 1


def test_a_trace_whose_arrays_are_of_no_such_step_is_told(reference, tmp_path):
    """Well-formed, but the shapes do not go together."""
    arrays = arrays_of(reference)
    said = json.loads(arrays["manifest"].tobytes())
    for entry in said["arrays"]:
        if entry["name"] == "parameters/encoder/y/w":
            entry["shape"] = [3, 3]
    arrays["parameters/encoder/y/w"] = np.ones((3, 3), np.float32)
    arrays["manifest"] = np.frombuffer(json.dumps(said).encode(), np.uint8)
    np.savez(tmp_path / "odd.npz", **arrays)
    np.savez(tmp_path / "t.npz", **{"encoder/y": -arrays["encoder/y"]})
    done = compared(tmp_path / "odd.npz", tmp_path / "t.npz")
    assert done.exit_code == 2
    assert "expected the arrays of the step in its manifest" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_file_is_a_line(reference, tmp_path):
    for pair in ((reference, tmp_path / "x.npz"), (tmp_path / "x.npz", reference)):
        done = compared(*pair)
        assert done.exit_code == 2
        assert "x.npz: expected a file, found no such file" in done.stderr


def test_numpy_is_not_loaded_for_the_help():
    code = "import sys, dimref.cli; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    for command in (("audit",), ("audit", "trace"), ("audit", "trace", "export"), ("audit", "trace", "compare")):
        done = tiny_runs.invoke(*command, "--help")
        assert done.exit_code == 0
        assert max(map(len, done.output.splitlines())) <= 110
