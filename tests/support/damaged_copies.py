"""Damaged and hostile copies of honest files, drawn from a seed: bytes, archives and their headers, JSON, directories.

A reader either accepts such a copy, and then gives what lies there, or refuses it in the words of a `DimrefError`; no other
exception, no more memory than `HEADROOM`, no more seconds than `PATIENCE`.
"""

import contextlib
import gzip
import io
import json
import pickletools
import random
import resource
import shutil
import struct
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from dimref.errors import DimrefError

HEADROOM = 256 << 20  # bytes of address space beyond what the process has already
PATIENCE = 5  # seconds of the processor
NUMBERS = (0, 1, 2, 5, 127, 128, 255, 256, 1 << 15, (1 << 16) - 1, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40,
           (1 << 63) - 1, 1 << 63, (1 << 64) - 1)  # fmt: skip
HUGE, DEEP = "a number of 5,000 digits", "100,000 brackets"  # stand in JSON for what `json.dumps` cannot write
VALUES = (None, True, False, 0, 1, -1, 7, 0.5, -0.0, 1e308, float("inf"), float("nan"), 1 << 31, 1 << 63, 10**400, HUGE,
          DEEP, "", "nan", "-inf", "1", "x" * 20_000, "\x1b[2J\r\n\0", "é\u2028", [],
          {}, [[]], {"a": {"b": [1, 2]}}, [1] * 500)  # fmt: skip
OPCODES = [bytes([code]) for code in b"().0123NRb}]st2ahijeloqpd\x85\x86\x87\x88\x8b\x8e\x8f\x90\x91\x93\x94\x95\x96"]
PIECES = [*OPCODES, b")" + b"2\x86" * 40, b")" + b"\x85" * 300_000, b"\x8b\xd0\x07\0\0" + b"\x7f" * 2000, b"cos\nsystem\n",
          b"\x96" + struct.pack("<Q", 3 << 30), b"r\xff\xff\xff\xff", b"cnumpy\ndtype\n", b"]" * 100_000,
          b")" + b"\x94h\x00h\x00\x86" * 40, b"U\x01x", b"h\x00h\x01"]  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """A reader with an honest example.

    Attributes:
        files: by their paths in a folder.
        read: reads that folder.
        agrees: whether what was read is what lies there, by other means than the reader's.
        refusals: what it may raise.
        seal: makes a checksum that is in the content right again.
    """

    name: str
    files: dict[str, bytes]
    read: Callable[[Path], Any]
    agrees: Callable[[Path, Any], bool]
    refusals: tuple[type[Exception], ...] = (DimrefError, click.ClickException)
    seal: Callable[[bytes], bytes] | None = None


def outcomes(reader: Reader, count: int, place: Path) -> tuple[Counter, list[str]]:
    """Read so many mutations in a folder that is made anew for each: how often what came of it, and every fault."""
    found, faults = Counter(), []
    for k in range(count):
        rng = random.Random(f"{reader.name} {k}")
        folder = place / "mutated"
        changed = _mutate(rng, reader, folder)
        before, outcome = time.process_time(), "accepted"
        try:
            with _little_memory():
                result = reader.read(folder)
            if not _agrees(reader, folder, result):
                outcome = "accepted, but another content than lies there"
        except reader.refusals as error:
            outcome = _refusal(error)
        except Exception as error:
            outcome = f"{type(error).__name__}: {str(error)[:200]}"
        if time.process_time() - before > PATIENCE:
            outcome = f"{time.process_time() - before:.1f} s until: {outcome}"
        if outcome in ("accepted", "refused"):
            found[outcome] += 1
        else:
            faults.append(f"{reader.name}, mutation {k} ({changed}): {outcome}")
        shutil.rmtree(folder)
    return found, faults


def _agrees(reader: Reader, folder: Path, result: Any) -> bool:
    try:
        return reader.agrees(folder, result)
    except Exception as error:
        raise AssertionError(f"accepted, but read by other means: {type(error).__name__}: {error}") from error


def _refusal(error: Exception) -> str:
    links, cause = [], error
    while cause is not None:
        links.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(isinstance(link, MemoryError) for link in links):
        return f"memory: {error}"
    return "refused" if len(f"{error}x".splitlines()) == 1 else f"more than a line: {str(error)[:200]!r}"


@contextlib.contextmanager
def _little_memory():
    """Let the process have `HEADROOM` more than it has, and no more."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + HEADROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


# ---- mutations


def _mutate(rng: random.Random, reader: Reader, folder: Path) -> str:
    """Write the reader's files, one or two of them changed; what was done, in words."""
    files, done = dict(reader.files), []
    for _ in range(rng.choice((1, 1, 1, 2))):
        name = rng.choice(sorted(files))
        files[name] = change(rng, name, files[name], done)
        if reader.seal and rng.random() < 0.7:
            with contextlib.suppress(Exception):  # it is no archive any more
                files[name] = reader.seal(files[name])
        done.append(f"in {name}")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if rng.random() < 0.04:
        done.append(_upset(rng, folder / rng.choice(sorted(files)), folder / rng.choice(sorted(files))))
    return ", ".join(done)


def _upset(rng: random.Random, path: Path, other: Path) -> str:
    """Change what is called by a name."""
    how = rng.choice(
        ("removed", "a directory", "a link to nowhere", "a link to itself", "the other's content", "moved")
    )
    content = other.read_bytes()
    path.unlink()
    if how == "a directory":
        path.mkdir()
    elif how.startswith("a link"):
        path.symlink_to("nowhere" if how.endswith("nowhere") else path.name)
    elif how == "the other's content":
        path.write_bytes(content)
    elif how == "moved":
        path.with_name(f"{path.name}.{rng.choice(('gz', 'bin', '1', 'npz'))}").write_bytes(content)
    return f"{path.name} {how}"


def change(rng: random.Random, name: str, content: bytes, done: list[str]) -> bytes:
    """A mutation of a file's content: of its bytes, or of what it is built from, put together again."""
    inner: list[Callable[..., bytes]] = []
    if content[:2] == b"\x1f\x8b":
        inner = [_gzip]
    elif content[:4] == b"PK\x03\x04":
        inner = [_archive, _archive, _archive, _directory]
    elif content[:6] == b"\x93NUMPY":
        inner = [_header, _text] if b"<U" in content[:100] or name.startswith("manifest") else [_header]
    elif content[:1] == b"{":
        inner = [_json, _json, _json]
    elif content[:2] in (b"\x80\x02", b"\x80\x04", b"\x80\x05"):
        inner = [_pickle]
    how = rng.choice((_bytes, *inner))
    with contextlib.suppress(Exception):  # an earlier mutation has damaged it
        return how(rng, content, done)
    return _bytes(rng, content, done)


def _bytes(rng: random.Random, content: bytes, done: list[str]) -> bytes:
    """Bytes cut off, flipped, overwritten, put in, taken out or said twice; more often near the ends."""
    n = len(content)
    near = rng.choice((n, 16, 128, 128))
    at = rng.randrange(max(1, min(n, near)))
    at = at if rng.random() < 0.7 else max(0, n - 1 - at)
    size = rng.choice((1, 1, 2, 4, 8, 64, 3072))
    width = rng.choice((1, 2, 4, 8))
    number = (rng.choice(NUMBERS) & ((1 << 8 * width) - 1)).to_bytes(width, rng.choice(("little", "big")))
    copies = {
        "cut": content[:at],
        "flipped": content[:at] + bytes(b ^ 1 << rng.randrange(8) for b in content[at : at + 1]) + content[at + 1 :],
        "number": content[:at] + number + content[at + width :],
        "random": content[:at] + rng.randbytes(size) + content[at + size :],
        "put in": content[:at] + rng.randbytes(size) + content[at:],
        "taken out": content[:at] + content[at + size :],
        "twice": content[: at + size] + content[at:],
        "more": content + content[:at],
        "nothing": b"",
    }
    how = rng.choice(sorted(copies))
    done.append(f"{how} at {at}")
    return copies[how]


def _gzip(rng: random.Random, content: bytes, done: list[str]) -> bytes:
    done.append("unpacked:")
    return gzip.compress(change(rng, "", gzip.decompress(content), done), mtime=0)


def _pickle(rng: random.Random, content: bytes, done: list[str]) -> bytes:
    """Opcodes of another's in the place of one, or before it."""
    places = [place for _, _, place in pickletools.genops(content)]
    k, piece = rng.randrange(len(places) - 1), rng.choice(PIECES)
    done.append(f"{piece[:8]!r} at {places[k]}")
    return content[: places[k]] + piece + content[places[k + rng.randrange(2)] :]


def _archive(rng: random.Random, content: bytes, done: list[str]) -> bytes:
    """A member changed, renamed, left out or there twice, in an archive that is sound itself."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    at = rng.randrange(len(members))
    name, member = members[at]
    how = rng.choice(("changed", "changed", "changed", "changed", "renamed", "left out", "twice", "packed", "added"))
    done.append(f"member {name} {how}:")
    if how == "changed":
        members[at] = name, change(rng, name, member, done)
    elif how == "renamed":
        members[at] = (
            rng.choice(("", "/x.npy", "../x.npy", name + "x", "é\n.npy", rng.choice(members)[0], "x/" * 99)),
            member,
        )
    elif how == "left out":
        del members[at]
    elif how == "added":
        members.append((rng.choice(("z", "z.npy", "meta.npy/z.npy")), member))
    elif how == "twice":
        members.insert(rng.randrange(len(members)), (name, change(rng, name, member, done)))
    with contextlib.closing(io.BytesIO()) as stream:
        packed = zipfile.ZIP_DEFLATED if how == "packed" or rng.random() < 0.1 else zipfile.ZIP_STORED
        with zipfile.ZipFile(stream, "w", packed) as archive:
            for name, member in members:
                archive.writestr(zipfile.ZipInfo(name), member, packed)
        return stream.getvalue()


def _directory(rng: random.Random, content: bytes, done: list[str]) -> bytes:
    """A field of an archive's directory, or of the header before a member."""
    mark, size = rng.choice(((b"PK\x01\x02", 46), (b"PK\x05\x06", 22), (b"PK\x03\x04", 30)))
    places = [k for k in range(len(content)) if content.startswith(mark, k)]
    at, width = rng.choice(places) + rng.randrange(4, size), rng.choice((1, 2, 4))
    number = (rng.choice(NUMBERS) & ((1 << 8 * width) - 1)).to_bytes(width, "little")
    done.append(f"{number!r} at {at}, in the directory")
    return content[:at] + number + content[at + width :]


def _header(rng: random.Random, content: bytes, done: list[str]) -> bytes:
    """Another shape, type or order than the bytes of a .npy file have."""
    stream = io.BytesIO(content)
    np.lib.format.read_magic(stream)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    found = {"descr": dtype.str, "fortran_order": fortran, "shape": shape}
    field = rng.choice(("descr", "fortran_order", "shape", "shape", "shape"))
    sizes = list(shape)
    if sizes and rng.random() < 0.7:
        sizes[rng.randrange(len(sizes))] = rng.choice((*NUMBERS, -1, -5))
    else:
        sizes.insert(rng.randrange(len(sizes) + 1), rng.choice(NUMBERS))
    found[field] = {
        "descr": rng.choice(
            ("|O", "|b1", "|u1", "<f2", "<f4", ">f8", "<i8", "<c16", "<U3", "|S0", "|V4", "<M8[s]", "x")
        ),
        "fortran_order": rng.choice((True, False, 1)),
        "shape": rng.choice((tuple(sizes), (), tuple(reversed(shape)), (1,) * 70)),
    }[field]
    done.append(f"{field} {str(found[field])[:40]}")
    text = repr(found).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + stream.read()


def _text(rng: random.Random, content: bytes, done: list[str]) -> bytes:
    """The JSON in an array of characters or of bytes."""
    array = np.load(io.BytesIO(content))
    text = _json(rng, str(array).encode() if array.dtype.kind == "U" else array.tobytes(), done)
    stream = io.BytesIO()
    np.save(stream, np.array(text.decode()) if array.dtype.kind == "U" else np.frombuffer(text, np.uint8))
    return stream.getvalue()


def _json(rng: random.Random, content: bytes, done: list[str]) -> bytes:
    """One value of JSON, or of a line of it, replaced, left out, moved or there twice."""
    lines = content.decode().splitlines(keepends=True) if content.count(b"\n{") else [content.decode()]
    at = rng.randrange(len(lines))
    tree = json.loads(lines[at])
    nodes = [node for node in _nodes(tree) if node]
    node = rng.choice(nodes)
    key = rng.choice(sorted(node)) if isinstance(node, dict) else rng.randrange(len(node))
    how = rng.choice(("replaced", "replaced", "replaced", "replaced", "left out", "exchanged", "added"))
    value = rng.choice(VALUES)
    if how == "replaced":
        node[key] = value
    elif how == "left out":
        del node[key]
    elif how == "exchanged":
        other = rng.choice([n for n in nodes if isinstance(n, dict)])
        name = rng.choice(sorted(other))
        node[key], other[name] = other[name], node[key]
    elif isinstance(node, dict):
        node["unknown"] = value
    else:
        node.append(value)
    done.append(f"{key!r} {how}: {str(value)[:20]!r}")
    text = json.dumps(tree).replace(json.dumps(HUGE), "9" * 5000).replace(json.dumps(DEEP), "[" * 100_000)
    lines[at] = text + "\n" if lines[at].endswith("\n") else text
    return "".join(lines).encode()


def _nodes(tree: Any) -> list[Any]:
    """Every container in a tree of JSON."""
    if not isinstance(tree, (dict, list)):
        return []
    inner = tree.values() if isinstance(tree, dict) else tree
    return [tree, *(node for value in inner for node in _nodes(value))]
