"""Golden vectors: every public function has one, they do not change, and the files are read with no NumPy at all.

`python tests/audit/vectors/test_write.py` writes the committed digests anew, after a change that is meant.
"""

import ast
import json
import math
import re
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from dimref.audit.vectors import EXCEPTIONS, SUITE, write
from dimref.audit.vectors.case import home_of
from dimref.laws import equations

DIGESTS = Path(__file__).with_name("digests.json")
TABLES = {"p", "q", "p_x", "p_xy", "p_xyz", "channel", "cov", "cov_p", "cov_q"}
CASES = {f"{case.function}, {case.name}": case for case in write.every_case()}


def digest(arrays):
    """Shapes, numbers that are not finite, and two weighted sums of the others: their values and their order."""
    every = np.concatenate([np.asarray(a, np.float64).reshape(-1) for a in arrays])
    finite, at = np.where(np.isfinite(every), every, 0), np.arange(1, every.size + 1)
    odd = [int(np.isposinf(every).sum()), int(np.isneginf(every).sum()), int(np.isnan(every).sum())]
    return [[list(a.shape) for a in arrays], odd, *(float(f"{(finite * w(at)).sum():.13g}") for w in (np.cos, np.sin))]


def digests():
    """By case and role; inputs that are no tables of probabilities must be the same to the last bit."""
    found = {}
    for name, case in CASES.items():
        for role, arrays in write.arrays_of(case).items():
            exact = [a for key, a in arrays.items() if role == "inputs" and key not in TABLES]
            rest = [a for key, a in arrays.items() if role != "inputs" or key in TABLES]
            if exact:
                found[f"{name}, {role}"] = f"{zlib.crc32(b''.join(a.tobytes() for a in exact)):08x}"
            if rest:
                found[f"{name}, {role}, rounded"] = digest(rest)
    return found


def test_every_public_function_has_a_vector_or_a_reason():
    """Fails when a function is added to the mathematics: give it a case, or a line in EXCEPTIONS."""
    have = {home_of(case.function) for case in CASES.values()}
    public = set(equations.public_functions())
    assert public - have == {home_of(name) for name in EXCEPTIONS}
    assert {name for name in have - public if not name.startswith(("ops.", "engine.folded."))} == set()
    assert len(CASES) == sum(1 for _ in write.every_case())  # no two cases of one name


def test_vectors_are_what_they_were():
    expected = json.loads(DIGESTS.read_text())
    found = digests()
    assert found.keys() == expected.keys()
    for name, value in found.items():
        was = expected[name]
        if isinstance(value, str):
            assert value == was, name
            continue
        assert value[:2] == was[:2], name
        # The capacity's iteration may end a step earlier or later.
        tolerance = 1e-4 if "float32" in name else 1e-8 if "capacity" in name else 1e-9
        assert value[2:] == pytest.approx(was[2:], rel=tolerance, abs=tolerance), name


def test_array_names_are_plain_and_different():
    keys = [write.key_of(case, "inputs", "x") for case in CASES.values()]
    files = [case.function.partition(".")[0] for case in CASES.values()]
    assert len(set(zip(files, keys, strict=True))) == len(CASES)
    assert all(key.isascii() and " " not in key for key in keys)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors") / "new"
    cases, arrays = write.write(folder)
    found = json.loads((folder / write.MANIFEST).read_text(encoding="utf-8"))
    assert cases == len(found["cases"]) == len(CASES)
    entries = [entry for case in found["cases"] for role in ROLES for entry in case.get(role, {}).values()]
    assert arrays == len(entries)
    return folder, found


ROLES = ("inputs", "outputs", "gradients", "float32/outputs", "float32/gradients")


def plain_npy(content):
    """A .npy file read as its description says, with no library: the numbers as a flat list, and the shape."""
    assert content[:8] == b"\x93NUMPY\x01\x00"
    (length,) = struct.unpack("<H", content[8:10])
    header = ast.literal_eval(content[10 : 10 + length].decode("ascii"))
    assert header["fortran_order"] is False
    code = {"<f8": "d", "<f4": "f", "<i8": "q", "|u1": "B"}[header["descr"]]
    count = math.prod(header["shape"])
    return list(struct.unpack(f"<{count}{code}", content[10 + length :])), header["shape"], header["descr"]


def test_files_hold_what_the_manifest_says_and_need_no_numpy(written):
    folder, found = written
    assert found["format"] == write.FORMAT
    assert found["not_here"].keys() == EXCEPTIONS.keys()
    seen = {path.name: set() for path in folder.glob("*.npz")}
    for case in found["cases"]:
        function = found["functions"][case["function"]]
        assert function["meaning"]
        with zipfile.ZipFile(folder / function["file"]) as archive:
            for role in ROLES:
                for entry in case.get(role, {}).values():
                    _, shape, dtype = plain_npy(archive.read(f"{entry['array']}.npy"))
                    assert (list(shape), dtype) == (entry["shape"], entry["dtype"])
                    seen[function["file"]].add(f"{entry['array']}.npy")
    for name, members in seen.items():
        assert set(zipfile.ZipFile(folder / name).namelist()) == members


def test_a_reader_without_numpy_gets_dv_right(written):
    """The value and the gradient by hand, from the bytes."""
    folder, found = written
    (case,) = [c for c in found["cases"] if (c["function"], c["case"]) == ("bounds.dv", "one axis")]
    with zipfile.ZipFile(folder / "bounds.npz") as archive:

        def numbers(role, name):
            return plain_npy(archive.read(f"{case[role][name]['array']}.npy"))[0]

        joint, product = numbers("inputs", "joint"), numbers("inputs", "product")
        total = sum(map(math.exp, product))
        assert numbers("outputs", "value")[0] == pytest.approx(
            sum(joint) / len(joint) - math.log(total / len(product)), rel=1e-12
        )
        assert numbers("gradients", "product") == pytest.approx([-math.exp(t) / total for t in product], rel=1e-12)
        assert numbers("float32/gradients", "joint") == pytest.approx([0.2] * 5, rel=1e-6)


def follows(schema, found, root):
    """Whether JSON follows a schema of the keywords that ours uses; an unknown keyword is an error."""
    schema = root["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    kinds = {"object": dict, "array": list, "string": str, "number": (int, float), "integer": int}
    properties = schema.get("properties", {})
    tests = {
        "type": lambda kind: isinstance(found, kinds[kind]) and not isinstance(found, bool),
        "anyOf": lambda each: any(follows(one, found, root) for one in each),
        "enum": lambda each: found in each,
        "minimum": lambda least: found >= least,
        "minItems": lambda least: len(found) >= least,
        "pattern": lambda pattern: bool(re.search(pattern, found)),
        "required": lambda names: set(names) <= found.keys(),
        "items": lambda one: all(follows(one, each, root) for each in found),
        "properties": lambda each: all(follows(each[name], found[name], root) for name in each.keys() & found.keys()),
        "additionalProperties": lambda rest: all(
            bool(rest) and follows(rest, value, root) for name, value in found.items() if name not in properties
        ),
    }
    words = schema.keys() - {"$schema", "title", "description", "$defs"}
    return all(tests[word](schema[word]) for word in sorted(words, key=lambda word: word != "type"))


@pytest.fixture(scope="module")
def texts(written):
    """The JSON of each module, and its schema."""
    folder, _ = written
    schema = json.loads((folder / write.SCHEMA_FILE).read_text(encoding="utf-8"))
    files = [path for path in folder.glob("*.json") if path.name not in (write.SCHEMA_FILE, write.MANIFEST)]
    assert len(files) == len([*folder.glob("*.npz")])
    return schema, {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


def numbers(entry):
    return np.array([float(x) for x in entry["data"]]).reshape(entry["shape"])


def test_json_follows_its_schema(texts):
    schema, files = texts
    assert all(follows(schema, text, schema) for text in files.values())
    broken = json.loads(json.dumps(files["negatives"]))
    broken["cases"][0]["inputs"]["scores"]["data"][0] = "one"
    assert not follows(schema, broken, schema)
    assert not follows(schema, {**files["negatives"], "suite": "1"}, schema)


def test_json_has_the_numbers_of_the_npz_and_the_same_ids(written, texts):
    folder, manifest = written
    ids = {entry["id"]: entry for entry in manifest["cases"]}
    assert len(ids) == len(CASES)
    assert {case["id"] for text in texts[1].values() for case in text["cases"]} == ids.keys()
    for module, text in texts[1].items():
        assert text["suite"] == manifest["suite"]
        with np.load(folder / f"{module}.npz") as arrays:
            for case in text["cases"]:
                for role in ("inputs", "outputs", "gradients"):
                    assert case[role].keys() == ids[case["id"]].get(role, {}).keys()
                    for name, entry in case[role].items():
                        np.testing.assert_array_equal(numbers(entry), arrays[ids[case["id"]][role][name]["array"]])


def test_a_mistake_is_seen_in_its_case_and_two_are_told_apart(texts):
    mistaken = 0
    for text in texts[1].values():
        for case in text["cases"]:
            seen = []
            for mistake in case["mistakes"]:
                assert set(mistake["keys"]) <= text["mistakes"][case["function"]].keys()
                assert len(set(mistake["keys"])) == len(mistake["keys"])
                flat = {(role, name): numbers(a) for role in ROLES[1:3] for name, a in mistake[role].items()}
                right = {(role, name): numbers(case[role][name]) for role, name in flat}
                for other in [right, *seen]:
                    same = [a.shape == other[k].shape and np.array_equal(a, other[k], True) for k, a in flat.items()]
                    assert not all(same), (case["id"], mistake["keys"])
                seen.append(flat)
            mistaken += bool(seen)
    assert mistaken > 60


def test_a_known_mistake_gives_its_number(texts):
    """By hand: JSD with log 2 in one term only is low by log 2; DV with detached positive scores has no gradient there."""
    cases = {case["id"]: case for case in texts[1]["bounds"]["cases"]}
    for function, key, less, factors in (
        ("jsd", "log-2-dropped-once", math.log(2), {"joint": 1, "product": 1}),
        ("dv", "joint-detached", 0, {"joint": 0, "product": 1}),
    ):
        case = cases[f"bounds.{function}/one_axis"]
        (mistake,) = [m for m in case["mistakes"] if key in m["keys"]]
        expected = numbers(case["outputs"]["value"]) - less
        assert numbers(mistake["outputs"]["value"]) == pytest.approx(expected, rel=1e-12)
        for name, factor in factors.items():
            right = factor * numbers(case["gradients"][name])
            np.testing.assert_allclose(numbers(mistake["gradients"][name]), right, rtol=1e-12)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_reader_in_javascript_names_its_own_mistake(written):
    script = Path(__file__).parents[3] / "examples" / "name_your_bug.mjs"
    done = subprocess.run(["node", script, written[0]], capture_output=True, text=True, check=True)
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[:3] == [
        f"suite {SUITE}  bounds.jsd  0 of 4 cases wrong", "as in the reference",
        f"suite {SUITE}  bounds.infonce  3 of 3 cases wrong",
    ]  # fmt: skip
    assert lines[3].startswith("missing-log-k: InfoNCE with")
    assert len(lines) < 6


@pytest.mark.exhaustive
def test_the_files_are_the_same_bytes_each_time(written, tmp_path):
    write.write(tmp_path)
    for path in sorted(written[0].iterdir()):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


if __name__ == "__main__":
    lines = ",\n".join(
        f"{json.dumps(key, ensure_ascii=False)}: {json.dumps(value)}" for key, value in digests().items()
    )
    DIGESTS.write_text("{\n" + lines + "\n}\n", encoding="utf-8")
    sys.stdout.write(f"{DIGESTS}\n")
