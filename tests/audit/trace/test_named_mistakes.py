"""Planted mistakes, each named: in pieces (the rest follows from them), in what was saved, and in what was not saved."""

import numpy as np
import pytest

from dimref import layers, ops
from dimref.negatives import derangements

# ---- mistakes in the computation: everything after them is computed from them


def unbiased(x, gain, shift):
    rows = x.reshape(-1, x.shape[-1])
    n = len(rows)
    variance = ((rows - ops.mean(rows, 0)) * (rows - ops.mean(rows, 0))).sum(0) / (n - 1)
    return (x - ops.mean(rows, 0)) / (variance + 1e-5) ** 0.5 * gain + shift


def outside(x, gain, shift):
    rows = x.reshape(-1, x.shape[-1])
    mean = ops.mean(rows, 0)
    sigma = ops.mean((rows - mean) * (rows - mean), 0) ** 0.5
    return (x - mean) / (sigma + 1e-5) * gain + shift


def keras_epsilon(x, gain, shift):
    rows = x.reshape(-1, x.shape[-1])
    mean = ops.mean(rows, 0)
    return (x - mean) / (ops.mean((rows - mean) * (rows - mean), 0) + 1e-3) ** 0.5 * gain + shift


def flipped(x, w):
    kernel = w.reshape((4, 4, x.shape[3], w.shape[1]))[::-1, ::-1].reshape(w.shape)
    return layers.conv2d({"w": kernel}, x, 4, 2, 1)


def two_behind(x, w):
    b, high, wide, c = x.shape
    padded = ops.paste(x, (b, high + 2, wide + 2, c), (slice(None), slice(0, high), slice(0, wide)))
    return layers.conv2d({"w": w}, padded, 4, 2)


def other_shuffle(rows, index):
    return ops.gather(rows, derangements(np.random.default_rng(99), *index.shape))


LOG_4 = float(np.log(4))
COMPUTED = {
    "unbiased variance": ({}, "encoder/norm1", unbiased, "unbiased-variance", "n/(n − 1)"),
    "eps outside the root": ({}, "encoder/norm1", outside, "eps-outside-root", "outside"),
    "another eps": ({}, "encoder/norm2", keras_epsilon, "eps", "0.001 in place of 1e-5"),
    "norm left out": ({}, "encoder/norm2", lambda x, gain, shift: x * 1.0, "not-normalized", "not normalized"),
    "no ReLU": ({}, "encoder/relu2", lambda x: x * 1.0, "relu-missing", "no ReLU"),
    "leaky ReLU": ({}, "encoder/relu1", lambda x: ops.relu(x) - 0.2 * ops.relu(-x), "other-activation", "slope 0.2"),
    "true convolution": ({}, "encoder/conv1", flipped, "true-convolution", "flipped"),
    "padding behind": ({}, "encoder/conv2", two_behind, "padding-one-sided", "behind"),
    "no bias": ({}, "local/joint/hidden", lambda x, w, b: layers.linear({"w": w}, x), "bias-left-out", "bias"),
    "weight transposed": (
        {},
        "local/joint/hidden",
        lambda x, w, b: layers.linear({"w": ops.transpose(w, (1, 0)), "b": b}, x),
        "weight-transposed",
        "transposed",
    ),
    "ReLU on a score": (
        {"seed": 6},  # scores of both signs
        "local/joint/scores",
        lambda x, w, b: ops.relu(layers.linear({"w": w, "b": b}, x).reshape(x.shape[:-1])),
        "relu-added",
        "a ReLU where there is none",
    ),
    "rolled": (
        {},
        "local/product/partner",
        lambda y, index: ops.gather(y, (np.arange(4)[:, None] + 1 + 0 * index) % 4),
        "other-negatives",
        "rolled by 1",
    ),
    "positives": (
        {},
        "local/product/partner",
        lambda y, index: ops.gather(y, np.arange(4)[:, None] + 0 * index),
        "other-negatives",
        "positives among the negatives",
    ),
    "another shuffle": ({}, "local/product/partner", other_shuffle, "other-negatives", "the noise is not used"),
    "log 4 dropped": (
        {},
        "local/bound",
        lambda j, p: -ops.mean(ops.softplus(-j)) - ops.mean(ops.softplus(p)),
        "constant",
        "−2 log 2",
    ),
    "log 2 once": (
        {},
        "local/bound",
        lambda j, p: LOG_4 / 2 - ops.mean(ops.softplus(-j)) - ops.mean(ops.softplus(p)),
        "constant",
        "−log 2",
    ),
    "averaged logits": (
        {},
        "local/bound",
        lambda j, p: LOG_4 - ops.mean(ops.softplus(-j)) - ops.mean(ops.softplus(ops.mean(p, 0))),
        "negatives-averaged",
        "averaged before",
    ),
    "no log": (
        {"bound": "dv"},
        "local/bound",
        lambda j, p: ops.mean(j) - ops.mean(ops.sigmoid(p) / ops.sigmoid(-p)),
        "without-log",
        "logarithm",
    ),
    "no sigmoid": ({}, "prior/sample", lambda y: y * 1.0, "sigmoid-missing", "no sigmoid"),
    "loss with the other sign": ({"prior_weight": 0.0}, "loss", lambda bound: 1.0 * bound, "sign", "flipped"),
    "loss halved": ({"prior_weight": 0.0}, "loss", lambda bound: -bound / 255, "scale", "1/255"),
    "no 1/√E": (
        {"bound": "infonce"},
        "local/scores",
        lambda a, b: ops.transpose(ops.transpose(a.reshape((-1, 16)) @ b.T, (0, 1)).reshape((4, 16, 4)), (0, 2, 1)),
        "scale",
        "scaled by 4",
    ),
    "unbiased layer norm": (
        {"bound": "infonce"},
        "local/feature/norm",
        lambda x, gain, shift: (
            (x - ops.mean(x, 2, True))
            / (ops.mean((x - ops.mean(x, 2, True)) * (x - ops.mean(x, 2, True)), 2, True) * (16 / 15) + 1e-5) ** 0.5
            * gain
            + shift
        ),
        "unbiased-variance",
        "E/(E − 1)",
    ),
    "candidates along the other axis": (
        {"bound": "infonce"},
        "local/bound",
        lambda s: float(np.log(4)) + ops.mean(s[range(4), range(4)] - ops.logsumexp(s, 1)),
        "other-axis",
        "axis 1",
    ),
    "biased running variance": (
        {},
        "after/state/encoder/norm2/variance",
        lambda x, before: 0.9 * before + 0.1 * x.var(axis=(0, 1, 2)),
        "biased-running-variance",
        "TensorFlow",
    ),
    "momentum the other way round": (
        {},
        "after/state/encoder/norm2/mean",
        lambda x, before: 0.1 * before + 0.9 * x.mean(axis=(0, 1, 2)),
        "momentum-swapped",
        "0.9·now",
    ),
}


@pytest.mark.parametrize("mistake", COMPUTED)
def test_a_mistake_in_a_piece_is_named_and_explains_the_rest(mistake, sides):
    options, name, function, diagnosis, words = COMPUTED[mistake]
    found = sides.traced(**options)
    theirs = sides.planted(found, {name: function})
    result = sides.names(found, theirs, name, diagnosis, words)
    (departure,) = result.departures
    assert len(departure.explains) > 20 or "state" in name or mistake in ("log 4 dropped", "log 2 once")
    graph_before = list(found.arrays)[: list(found.arrays).index(name)]
    assert set(graph_before) <= set(result.conforming)


@pytest.mark.parametrize(
    "mistake", ["true convolution", "no ReLU", "rolled", "another shuffle", "no sigmoid", "leaky ReLU"]
)
def test_it_is_named_when_only_later_arrays_are_saved(mistake, sides):
    """The piece itself is not in the file."""
    options, name, function, diagnosis, words = COMPUTED[mistake]
    found = sides.traced(**options)
    everything = sides.planted(found, {name: function})
    later = {
        "local/product/partner": "local/product/scores",
        "prior/sample": "prior/seen/logits",
    }.get(name, "encoder/y")
    result = sides.held(found, {later: everything[later]})
    assert [(d.name, d.finding.id) for d in result.departures] == [(later, diagnosis)]
    assert words in result.departures[0].finding.text


def test_the_same_mistake_in_all_norms_is_one_finding(sides):
    found = sides.traced()
    norms = [name for name in found.arrays if name.startswith("encoder/norm")]
    assert len(norms) == 3
    theirs = sides.planted(found, dict.fromkeys(norms, unbiased))
    result = sides.names(found, theirs, "encoder/norm1", "unbiased-variance")
    assert result.departures[0].also == norms[1:]
    ends = {name: theirs[name] for name in theirs if name.startswith("gradient/parameters/encoder/")}
    result = sides.held(found, ends)
    assert {d.finding.id for d in result.departures} == {"unbiased-variance"}
    assert "every batch norm" in result.departures[0].finding.text


def test_a_second_mistake_is_not_explained_by_the_first(sides):
    found = sides.traced()
    theirs = sides.planted(found, {"encoder/relu1": lambda x: x * 1.0, "local/product/partner": COMPUTED["rolled"][2]})
    result = sides.held(found, theirs)
    assert [(d.name, d.finding.id) for d in result.departures] == [
        ("encoder/relu1", "relu-missing"),
        ("local/product/partner", "other-negatives"),
    ]
    assert all(d.explains for d in result.departures)


@pytest.mark.parametrize(
    ("cut", "first"),
    [
        (("encoder/y", "local/representation"), "gradient/encoder/y"),
        (("encoder/relu1", "local/features"), "gradient/encoder/relu1"),
    ],
)
def test_a_detached_path_is_named(cut, first, sides):
    found = sides.traced()
    theirs = sides.planted(found, cut=cut)
    sides.names(found, theirs, first, "detached", cut[1])
    parameters = {name: array for name, array in theirs.items() if name.startswith("gradient/parameters/")}
    result = sides.held(found, parameters)
    assert [d.finding.id for d in result.departures] == ["detached"]
    assert f"what {cut[1]} hands back to {cut[0]}" in result.departures[0].finding.text


def test_a_batch_in_another_order_is_named(sides):
    found = sides.traced()
    order = [2, 0, 3, 1]
    inputs = {"batch/scaled": found.arrays["batch/scaled"][order]}
    theirs = sides.planted(found, inputs=inputs)
    result = sides.names(found, theirs, "batch/scaled", "batch-permuted", "2, 0, 3, 1")
    assert "encoder/conv1" in result.departures[0].explains


# ---- mistakes in what was saved: the rest is right


def nchw(a):
    return a.transpose(0, 3, 1, 2)


SAVED = {
    "sign": ("gradient/encoder/conv2", lambda a: -a, "sign", "flipped"),
    "1/N": ("gradient/local/joint/scores", lambda a: a / 4, "scale", "1/N"),
    "times L": ("gradient/parameters/local/hidden/w", lambda a: a * 16, "scale", "= L"),
    "by some factor": ("encoder/y", lambda a: a * 1.7, "scale", "scaled by 1.7"),
    "constant": ("encoder/y", lambda a: a + 1, "constant", "+1 = 1"),
    "[0, 1] for [−1, 1]": ("batch/scaled", lambda a: (a + 1) / 2, "affine", "0.5"),
    "NCHW under the wrong name": ("encoder/conv1", nchw, "layout", "save it as torch/NAME"),
    "OIHW under the wrong name": (
        "gradient/parameters/encoder/conv2/w",
        lambda a: a.reshape(4, 4, 4, 8).transpose(3, 2, 0, 1),
        "layout",
        "OIHW",
    ),
    "(out, in)": ("parameters/local/hidden/w", lambda a: a.T, "layout", "PyTorch"),
    "rows for columns": ("encoder/relu1", lambda a: a.transpose(0, 2, 1, 3), "transposed", "(0, 2, 1, 3)"),
    "mirrored": ("encoder/relu1", lambda a: a[:, :, ::-1], "mirrored", "axis 2"),
    "kernel flipped": (
        "parameters/encoder/conv1/w",
        lambda a: a.reshape(4, 4, 1, 4)[::-1, ::-1].reshape(a.shape),
        "mirrored",
        "axis",
    ),
    "batch order": ("encoder/relu2", lambda a: a[[1, 0, 3, 2]], "batch-permuted", "1, 0, 3, 2"),
    "ReLU": ("encoder/norm1", lambda a: np.maximum(a, 0), "relu-added", "ReLU"),
    "zero": ("gradient/encoder/y", lambda a: 0 * a, "zero", "detached"),
    "NaN": ("encoder/y", lambda a: np.where(a > 0, np.nan, a), "nan", "NaN"),
    "infinite": ("encoder/y", lambda a: np.where(a > a.mean(), np.inf, a), "infinite", "infinite"),
    "half precision": ("encoder/y", lambda a: a.astype(np.float16), "float16", "half precision"),
    "bfloat16": (
        "encoder/conv1",
        lambda a: (a.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32),
        "bfloat16",
        "8 bits",
    ),
    "integers": ("encoder/norm2", lambda a: np.rint(a).astype(np.int64), "integers", "rounded"),
    "TF32": (
        "local/feature",
        lambda a: a * (1 + 2e-4 * np.random.default_rng(0).standard_normal(a.shape)),
        "precision",
        "digits",
    ),
    "nothing known": (
        "encoder/y",
        lambda a: a + np.random.default_rng(0).standard_normal(a.shape),
        "unknown",
        "no simple relation",
    ),
    "no bias correction": (
        "after/parameters/local/hidden/w",
        lambda a, m, v, old: old - 1e-4 * m / (np.sqrt(v) + 1e-8),
        "no-bias-correction",
        "bias correction",
    ),
    "no step": ("after/parameters/local/hidden/w", lambda a, m, v, old: old, "not-updated", "before the step"),
    "up": ("after/parameters/local/hidden/w", lambda a, m, v, old: 2 * old - a, "step-sign", "up the loss"),
    "ten times": ("after/parameters/local/hidden/w", lambda a, m, v, old: old + 10 * (a - old), "step-scale", "by 10"),
    "decay": ("gradient/parameters/local/hidden/w", lambda a, m, v, old: a + 0.01 * old, "weight-decay", "0.01·θ"),
    "(1 − β₁) left out": ("after/adam/m/local/hidden/w", lambda a: 10 * a, "scale", "scaled by 10"),
}


@pytest.mark.parametrize("mistake", SAVED)
def test_what_was_done_to_a_single_array_is_named(mistake, sides):
    name, edit, diagnosis, words = SAVED[mistake]
    found = sides.traced()
    theirs = sides.planted(found)
    of = "local/hidden/w"
    more = (found.arrays[n] for n in (f"after/adam/m/{of}", f"after/adam/v/{of}", f"parameters/{of}"))
    edited = edit(theirs[name], *more) if edit.__code__.co_argcount == 4 else edit(theirs[name])
    theirs[name] = edited
    result = sides.names(found, theirs, name, diagnosis, words, alone=False)
    rest = [d for d in result.departures[1:] if d.finding.id not in (diagnosis, "zero")]
    assert rest == [], [(d.name, d.finding.text) for d in rest]


def test_sgd_is_told_from_adam(sides):
    found = sides.traced()
    theirs = sides.planted(found)
    old, g = (theirs[f"{p}parameters/encoder/fc/w"] for p in ("", "gradient/"))
    theirs["after/parameters/encoder/fc/w"] = (old.astype(float) - 1e-4 * g).astype(np.float32)
    sides.names(found, theirs, "after/parameters/encoder/fc/w", "sgd", "θ − lr·g")
