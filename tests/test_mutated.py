"""Every reader on mutations of what it reads: accepted with what lies there, or refused in a line, and never much memory.

`DIMREF_MUTATIONS=20000 pytest tests/test_mutated.py` tries as many, in place of 900.
"""

import contextlib
import gzip
import io
import json
import os
import pickle
import struct
import sys

import damaged_copies
import numpy as np
import pytest
import tiny_runs
from damaged_copies import Reader

from dimref.audit import wire
from dimref.audit.trace.compare import compare
from dimref.backend import NUMPY
from dimref.commands import estimate
from dimref.data import load
from dimref.estimation.samples import as_samples, check_counts
from dimref.export import inference
from dimref.plots.accuracies import read_probes
from dimref.plots.curves import read_terms as read_curves
from dimref.training import checkpoint as checkpoints
from dimref.training import config as configs
from dimref.training import metrics
from dimref.training.config import Config
from dimref.trees import leaves

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")
Image = pytest.importorskip("PIL.Image")
COUNT = int(os.environ.get("DIMREF_MUTATIONS", "900"))
RNG = np.random.default_rng(0)


def pixels(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


def saved(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


# ---- datasets: what lies there, by other means than the readers'


def cifar_bin(folder):
    content = b"".join(path.read_bytes() for path in sorted(folder.glob("data_batch_*.bin")))
    rows = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 0]


def stl10_bin(folder):
    images = np.fromfile(folder / "train_X.bin", np.uint8).reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1)
    return images, np.fromfile(folder / "train_y.bin", np.uint8) - 1.0


def idx(folder):
    paths = [
        min(folder.glob(f"train-{part}-*"), key=lambda path: path.suffix == ".gz") for part in ("images", "labels")
    ]
    images, labels = (gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes() for p in paths)
    return np.frombuffer(images[16:], np.uint8).reshape(*struct.unpack(">3I", images[4:16]), 1), np.frombuffer(
        labels[8:], np.uint8
    )


def npz(folder):
    with np.load(next(folder.glob("*.npz"))) as found:
        images = found["images"]
        labels = found["labels"].reshape(-1) if "labels" in found else np.full(len(images), -1)
    return images[..., None] if images.ndim == 3 else images, labels


def dataset(name, files, plain):
    def agrees(folder, found):
        return all(np.array_equal(a, b) for a, b in zip((found.images, found.labels), plain(folder), strict=True))

    return Reader(
        f"{name} {'packed' if 'gz' in str(list(files)) else ''}",
        files,
        lambda folder: load(name, "train", folder),
        agrees,
    )


def same_images(folder, found):
    """In each class the same images, in any order."""
    expected = []
    for path in folder.glob("*/*.[pjbg][nmpi][gpf]"):
        with contextlib.suppress(OSError), Image.open(path) as image:
            expected.append((path.parent.name, np.asarray(image.convert("RGB")).tobytes()))
    colour = np.broadcast_to(found.images, (*found.images.shape[:3], 3))
    return sorted(expected) == sorted(
        (found.classes[k], x.tobytes()) for k, x in zip(found.labels, colour, strict=True)
    )


def sound_shape(folder, found):
    """A pickle's pixels have no second reader that a hostile one could be given to."""
    return found.images.shape[1:] == (32, 32, 3) and set(found.labels) <= set(range(10))


def image_file(kind, *shape):
    stream = io.BytesIO()
    Image.fromarray(pixels(*shape)).save(stream, kind)
    return stream.getvalue()


def datasets():
    rows = [bytes(np.hstack([pixels(n, 1) % 10, pixels(n, 3072)])) for n in (2, 3)]
    content = {b"labels": [3, 4], b"data": pixels(2, 3072), b"names": ["a", "b"]}
    images, labels = (
        struct.pack(">4I", 2051, 6, 5, 4) + bytes(pixels(120)),
        struct.pack(">2I", 2049, 6) + bytes(range(6)),
    )
    arrays = {
        "images": pixels(7, 4, 5, 3),
        "labels": np.arange(7),
        "test_images": pixels(3, 4, 5),
        "test_labels": np.arange(3),
    }
    yield dataset("cifar10", {f"data_batch_{k}.bin": content for k, content in enumerate(rows, 1)}, cifar_bin)
    pickles = {f"data_batch_{k}": pickle.dumps(content, protocol) for k, protocol in enumerate((2, 4, 5), 1)}
    yield Reader("cifar10 pickled", pickles, lambda folder: load("cifar10", "train", folder), sound_shape)
    yield dataset("stl10", {"train_X.bin": bytes(pixels(2, 27648)), "train_y.bin": b"\x01\x0a"}, stl10_bin)
    yield dataset("idx", {"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte.gz": gzip.compress(labels)}, idx)
    packed = {"train-images-idx3-ubyte.gz": gzip.compress(images), "train-labels-idx1-ubyte": labels}
    yield dataset("idx", packed, idx)
    yield dataset("npz", {"a.npz": saved(**arrays)}, npz)
    kinds = (("png", "png", 8, 8), ("jpg", "jpeg", 8, 8, 3), ("bmp", "bmp", 8, 8, 3), ("gif", "gif", 8, 8))
    images = {f"{name}/{name}.{kind[0]}": image_file(*kind[1:]) for name in ("cat", "dog") for kind in kinds}
    yield Reader("folder", images, lambda folder: load("folder", "train", folder), same_images)


# ---- what dimref writes


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of tiny images with an evaluation, and a trace of its step."""
    place = tmp_path_factory.mktemp("honest")
    images, run = tiny_runs.write_npz(place / "images.npz"), place / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        tiny_runs.narrow(monkeypatch)
        for command in (
            tiny_runs.small(images, "--out", run, "--no-plot", "--log-every", 1, "--quiet"),
            ("evaluate", run, "--probe", "knn", "--measures", "none"),
            ("audit", "trace", "export", "--config", run / "config.json", "-o", run / "trace.npz"),
        ):
            assert tiny_runs.invoke(*command).exit_code == 0
    return run


def seal(content):
    """A checkpoint whose checksum is that of its content."""
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    meta = json.loads(str(arrays.pop("meta")))
    del meta["checksum"]
    return saved(meta=np.array(json.dumps({**meta, "checksum": checkpoints.checksum(meta, arrays)})), **arrays)


def same_checkpoint(folder, found):
    there = tiny_runs.arrays(folder / "newest.npz")
    trees = dict(leaves(found[1].trees))
    return trees.keys() == there.keys() and all(trees[name].tobytes() == there[name].tobytes() for name in trees)


def same_options(folder, found):
    return all(
        getattr(found, name) == value for name, value in json.loads((folder / "config.json").read_bytes()).items()
    )


def same_lines(folder, found):
    *lines, last = (folder / "metrics.jsonl").read_bytes().split(b"\n")
    with contextlib.suppress(ValueError):  # half a line is left out
        lines = [*lines, last] if "step" in json.loads(last) else lines
    return repr(found) == repr([json.loads(line) for line in lines])


def read_metrics(folder):
    read_curves(folder / "metrics.jsonl", ("local",))
    return metrics.read(folder / "metrics.jsonl")


def estimated(folder):
    """The samples that `dimref estimate` is given."""
    both = (folder / "a.npz", None) if (folder / "a.npz").exists() else (folder / "x.npy", folder / "y.npy")
    x, y, _ = estimate._read(*both, {"x": None, "y": None}, None, ())
    parts = {"x": as_samples(x, "x"), "y": as_samples(y, "y")}
    check_counts(parts)
    return tuple(parts.values())


def same_samples(folder, found):
    if (folder / "a.npz").exists():
        with np.load(folder / "a.npz") as archive:
            there = [archive["x"], archive["y"]]
    else:
        there = [np.load(folder / name) for name in ("x.npy", "y.npy")]
    return all(np.array_equal(a, b.reshape(len(b), -1)) for a, b in zip(found, there, strict=True))


def received(folder):
    return wire.receive(io.BytesIO((folder / "answer").read_bytes()))


def crossed(folder, found):
    """Every part of it is one that can be sent."""
    stream = io.BytesIO()
    wire.send(stream, found)
    stream.seek(0)
    return repr(wire.receive(stream)) == repr(found)


def own(run):
    """The readers of what dimref writes, of samples, and of an audit's answers."""

    def file(name):
        return {name: (run / name).read_bytes()}

    with np.load(run / "trace.npz") as archive:
        theirs = {name: archive[name] for name in ("encoder/y", "loss", "gradient/encoder/y/w") if name in archive}
    x, y = RNG.standard_normal((2, 60))
    answer = io.BytesIO()
    wire.send(
        answer,
        {"value": {"value": x}, "gradients": {"x": {"y": y}}, "problem": "", "remarks": ["a"], "framework": "torch"},
    )
    yield Reader(
        "checkpoint", file("newest.npz"), lambda folder: inference.load(folder, NUMPY), same_checkpoint, seal=seal
    )
    yield Reader(
        "configuration",
        file("config.json"),
        lambda folder: Config(**configs.read(folder / "config.json")),
        same_options,
    )
    yield Reader("metrics", file("metrics.jsonl"), read_metrics, same_lines)
    yield Reader("evaluation", file("evaluation.json"), lambda folder: read_probes(folder / "evaluation.json"),
                 lambda folder, found: all(0 <= n <= 100 for n in (found[1], *sum(found[0].values(), ()))))  # fmt: skip
    yield Reader("trace", {**file("trace.npz"), "theirs.npz": saved(**theirs)},
                 lambda folder: compare(folder / "trace.npz", folder / "theirs.npz"),
                 lambda folder, found: found.verdict in ("conforms", "departs"))  # fmt: skip
    yield Reader("samples", {"x.npy": npy(x), "y.npy": npy(y > 0)}, estimated, same_samples)
    yield Reader(
        "samples packed", {"a.npz": saved(x=x.astype(">f4"), y=y.reshape(30, 2).repeat(2, 0))}, estimated, same_samples
    )
    yield Reader("answer", {"answer": answer.getvalue()}, received, crossed, (wire.WireError, EOFError, OSError))


READERS = 15


@pytest.mark.parametrize("number", range(READERS))
def test_mutations(number, run, tmp_path):
    readers = [*datasets(), *own(run)]
    assert len(readers) == READERS
    reader = readers[number]
    found, faults = damaged_copies.outcomes(reader, COUNT // READERS, tmp_path)
    print(f"{reader.name}: {dict(found)}, {len(faults)} faults")
    assert not faults, "\n".join(faults)


def test_the_honest_files_are_accepted(run, tmp_path):
    for reader in [*datasets(), *own(run)]:
        place = tmp_path / reader.name
        for name, content in reader.files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)
        assert reader.agrees(place, reader.read(place)), reader.name
