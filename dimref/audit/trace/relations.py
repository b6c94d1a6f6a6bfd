"""How one array is made from another: the same elements elsewhere, or a simple function of each. No knowledge of the step.

Every hypothesis makes a candidate from the expected array; the first candidate that equals the found one is the answer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from dimref import ops
from dimref.audit.trace.graph import Cut, Function
from dimref.audit.trace.layouts import Recipe
from dimref.trees import Array

Close = Callable[[np.ndarray | None], bool]  # whether a candidate (None: there is none) is the found array


@dataclass(frozen=True)
class Finding:
    """What was done instead.

    Attributes:
        id: of the kind of departure, e.g. "scale".
        text: what is seen, in a sentence's words.
        functions: pieces as the other side computes them, by name: with them, what follows is expected too.
        apply: the relation as a function of the expected array; None where the finding is about pieces.
        cut: a gradient that is not handed back.
        saved: the numbers are right and only lie elsewhere in the file: this project's layout of the array.
    """

    id: str
    text: str
    functions: Mapping[str, Function] | None = None
    apply: Callable[[Array], Array] | None = None
    cut: Cut | None = None
    saved: np.ndarray | None = None


def find(
    found: np.ndarray, expected: np.ndarray, close: Close, sizes: Mapping[str, int], how: Recipe | None
) -> Finding | None:
    """The relation of `found` to `expected`, two arrays of equal size; None where there is no simple one.

    Args:
        close: compares a candidate of the shape of `expected` with `found`.
        sizes: N, L, … to call factors by. how: the recipe of PyTorch's layout, if it has one of its own.
    """
    for hypothesis in (_values(found, expected), _elsewhere(found, expected, close, how)):
        for finding in hypothesis:
            return finding
    for finding in (*_relu(found, expected), *_affine(found, expected, sizes)):
        if finding.apply is not None and close(np.asarray(finding.apply(expected))):
            return finding
    return None


# ---- what is wrong whatever was expected


def _values(found: np.ndarray, expected: np.ndarray) -> Iterator[Finding]:
    if np.isnan(found).any() and not np.isnan(expected).any():
        yield Finding("nan", f"{_share(np.isnan(found))} of the elements are NaN")
    elif np.isinf(found).any() and not np.isinf(expected).any():
        yield Finding("infinite", f"{_share(np.isinf(found))} of the elements are infinite")
    elif not found.any() and expected.any():
        yield Finding("zero", "0 everywhere: not computed, or cut off (detached) from what it depends on")


def _share(where: np.ndarray) -> str:
    return f"{100 * where.mean():.3g} %"


# ---- the same elements, elsewhere


def _elsewhere(found: np.ndarray, expected: np.ndarray, close: Close, how: Recipe | None) -> Iterator[Finding]:
    if expected.ndim == 0 or not _same_elements(found, expected, close):
        return
    flat = found.reshape(expected.shape)
    if how is not None and close(how.apply(expected).reshape(expected.shape)):
        text = "PyTorch's layout (NCHW, OIHW, (out, in)) under the name of the other: save it as torch/NAME"
        yield Finding("layout", text, saved=how.undo(found.reshape(-1)).reshape(expected.shape))
        return
    yield from _transposed(found, expected, close, how)
    yield from _mirrored(expected, close)
    yield from _rows(flat, expected, close)


def _same_elements(found: np.ndarray, expected: np.ndarray, close: Close) -> bool:
    """Whether sorting makes them equal: rules out everything in this section at once."""
    order = np.argsort(expected, axis=None, kind="stable")
    candidate = np.empty(expected.size)
    candidate[np.argsort(found, axis=None, kind="stable")] = expected.reshape(-1)[order]
    return close(candidate.reshape(expected.shape))


def _transposed(found: np.ndarray, expected: np.ndarray, close: Close, how: Recipe | None) -> Iterator[Finding]:
    split = expected if how is None else expected.reshape(how.split)
    for axes in itertools.permutations(range(split.ndim)):
        candidate = split.transpose(axes).reshape(expected.shape)
        if axes != tuple(range(split.ndim)) and close(candidate):
            shape = " × ".join(map(str, split.shape))
            text = f"transposed: the axes of ({shape}) in the order {axes}"
            turned = found.reshape([split.shape[a] for a in axes]).transpose(np.argsort(axes))
            yield Finding("transposed", text, saved=turned.reshape(expected.shape))


def _mirrored(expected: np.ndarray, close: Close) -> Iterator[Finding]:
    for axes in itertools.chain.from_iterable(
        itertools.combinations(range(expected.ndim), k) for k in range(1, expected.ndim + 1)
    ):
        if close(np.flip(expected, axes)):
            window = tuple(slice(None, None, -1 if axis in axes else 1) for axis in range(expected.ndim))
            text = f"reversed along {'axis' if len(axes) == 1 else 'axes'} {', '.join(map(str, axes))}"
            yield Finding("mirrored", text, apply=partial(ops.cut, window=window))


def _rows(found: np.ndarray, expected: np.ndarray, close: Close) -> Iterator[Finding]:
    n = len(expected)
    index = matching_rows(found.reshape(n, -1), expected.reshape(n, -1))
    if close(expected[index]) and sorted(index.tolist()) == list(range(n)):
        shown = ", ".join(map(str, index[:8].tolist())) + (", …" if n > 8 else "")
        yield Finding(
            "batch-permuted",
            f"the batch in another order: rows {shown}",
            apply=lambda e: ops.gather(e, index),
        )


def matching_rows(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """For each row of `found`, the nearest row of `expected`."""
    distance = (found**2).sum(1)[:, None] - 2 * found @ expected.T + (expected**2).sum(1)[None]
    return distance.argmin(axis=1)


# ---- functions of each element


def _relu(found: np.ndarray, expected: np.ndarray) -> Iterator[Finding]:
    if expected.min(initial=0) < 0 <= found.min(initial=0):
        yield Finding("relu-added", "negative elements are 0: a ReLU where there is none", apply=ops.relu)


def _affine(found: np.ndarray, expected: np.ndarray, sizes: Mapping[str, int]) -> Iterator[Finding]:
    flat = found.reshape(expected.shape)
    yield Finding("sign", "the sign is flipped", apply=lambda e: -e)
    energy = float((expected * expected).sum())
    factor = float((flat * expected).sum()) / energy if energy else 0.0
    constant = float((flat - expected).mean())
    names = factor_name(factor, sizes), constant_name(constant, sizes)
    many = expected.size > 1  # any two numbers differ by a constant and by a factor: only a named one is evidence
    if names[1] or many:
        text = f"a constant is added: {constant:+.6g}{names[1]}"
        yield Finding("constant", text, apply=lambda e: e + constant)
    if names[0] or (many and factor):
        yield Finding("scale", f"scaled by {factor:.6g}{names[0]}", apply=lambda e: e * factor)
    if expected.size > 2 and float(expected.std()):
        slope = float(
            ((flat - flat.mean()) * (expected - expected.mean())).sum() / ((expected - expected.mean()) ** 2).sum()
        )
        shift = float(flat.mean() - slope * expected.mean())
        text = f"scaled by {slope:.6g}{factor_name(slope, sizes)}, then {shift:+.6g} added"
        yield Finding("affine", text, apply=lambda e: e * slope + shift)
    yield from _by_channel(flat, expected)


def _by_channel(found: np.ndarray, expected: np.ndarray) -> Iterator[Finding]:
    """A constant or a factor of its own for each index of the last axis, as a bias or a gain is."""
    if expected.ndim < 2 or expected.size < 4 * expected.shape[-1]:
        return
    axes = tuple(range(expected.ndim - 1))
    constants = (found - expected).mean(axis=axes)
    yield Finding(
        "constant-by-channel", "a constant of its own is added to each channel", apply=lambda e: e + constants
    )
    energy = (expected * expected).sum(axis=axes)
    factors = np.divide((found * expected).sum(axis=axes), energy, out=np.ones_like(energy), where=energy > 0)
    yield Finding("scale-by-channel", "each channel is scaled by a factor of its own", apply=lambda e: e * factors)


def factor_name(value: float, sizes: Mapping[str, int]) -> str:
    """ " = 1/N" for a factor that is one of the usual ones; empty for others."""
    known: dict[str, float] = {"255": 255, "255/2": 127.5, "log₂ e (bits for nats)": math.log2(math.e)}
    for name, size in sizes.items():
        known |= {name: size, f"√{name}": math.sqrt(size)}
    for a, b in itertools.combinations(sizes, 2):
        known[f"{a}·{b}"] = sizes[a] * sizes[b]
    if sizes.get("N", 0) > 2:
        n = sizes["N"]
        known |= {"N − 1": n - 1, "N/(N − 1)": n / (n - 1), "N·(N − 1)": n * (n - 1)}
    for name, number in known.items():
        sign = " with the sign flipped" if value < 0 else ""
        if number != 1 and math.isclose(abs(value), number, rel_tol=1e-4):
            return f" = {name}{sign}"
        if number != 1 and math.isclose(abs(value), 1 / number, rel_tol=1e-4):
            return f" = 1/{name if name.isalnum() else f'({name})'}{sign}"
    return ""


def constant_name(value: float, sizes: Mapping[str, int]) -> str:
    """ " = −log N" for a constant that is one of the usual ones; empty for others."""
    known = {"1": 1.0, "½": 0.5, "1/e": 1 / math.e, "log 2": math.log(2), "2 log 2": math.log(4)}
    known |= {f"log {name}": math.log(size) for name, size in sizes.items() if size > 2}
    if sizes.get("N", 0) > 3:
        known["log(N − 1)"] = math.log(sizes["N"] - 1)
        known["log(N/(N − 1))"] = math.log(sizes["N"] / (sizes["N"] - 1))
    for name, number in known.items():
        if math.isclose(abs(value), number, rel_tol=1e-4):
            return f" = {'−' if value < 0 else ''}{name}"
    return ""
