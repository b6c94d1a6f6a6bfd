"""One training step, spelled out: every intermediate by name, the names that it is computed from, and by what.

A piece is a function of arrays that are known by name, made of the public functions that training itself calls. The
list of pieces, in order, is the whole step as data: the exporter evaluates it under the tape, the comparison evaluates
any single piece again, on the other side's arrays. Inputs of the step are called batch/…, noise/…, parameters/… and
state/…; the critics' pieces are in `scorers.py`, those of AMDIM in `multiview.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dimref import discriminators, encoders, layers, ops
from dimref.encoders import KERNEL, PADDING, STRIDE, Layout
from dimref.objectives import Objective
from dimref.tape import stop_gradient
from dimref.trees import Array


@dataclass(frozen=True)
class Piece:
    """One intermediate array of the step.

    Attributes:
        name: as in the file, e.g. "encoder/conv1".
        inputs: names of what the function takes, in its order.
        function: arrays → array.
        meaning: what it is, with its formula and shape.
        layout: how its axes lie, a key of `layouts.LAYOUTS`.
        kind: what sort of operation it is, a key of `variants.VARIANTS`, or empty.
    """

    name: str
    inputs: tuple[str, ...]
    function: Callable[..., Array]
    meaning: str
    layout: str = "plain"
    kind: str = ""


def evaluate(piece: Piece, values: Mapping[str, Array]) -> Array:
    """The piece's array. The one input that may be missing is MINE's moving average, before the first step."""
    return piece.function(*(values.get(name) for name in piece.inputs))


def terms(objective: Objective) -> list[str]:
    """The bounds that are switched on, in the order in which the loss adds them."""
    weights = {"global": objective.global_weight, "local": objective.local_weight}
    return [term for term, weight in weights.items() if weight]


# ---- layers


def linear(name: str, x: str, weights: str, meaning: str, *, bias: bool = True, layout: str = "plain") -> Piece:
    """x·w (+ b) with the parameters below `weights`."""
    names = (x, f"{weights}/w", f"{weights}/b") if bias else (x, f"{weights}/w")
    return Piece(name, names, _linear, meaning, layout, "linear")


def _linear(x: Array, w: Array, b: Array | None = None) -> Array:
    return layers.linear({"w": w} if b is None else {"w": w, "b": b}, x)


def relu(name: str, x: str, meaning: str, layout: str = "plain") -> Piece:
    """max(x, 0)."""
    return Piece(name, (x,), ops.relu, meaning, layout, "relu")


def _conv(x: Array, w: Array) -> Array:
    return layers.conv2d({"w": w}, x, KERNEL, STRIDE, PADDING)


def _norm(x: Array, gain: Array, shift: Array) -> Array:
    # The running statistics do not enter the output of training; 0 and 1 stand in for them.
    return layers.batch_norm({"gain": gain, "shift": shift}, {"mean": 0.0, "variance": 1.0}, x, training=True)[0]


def running(which: str) -> Callable[..., Array]:
    """The running mean or variance, updated toward that of the batch x."""

    def updated(x: Array, before: Array) -> Array:
        both = {"mean": 0.0, "variance": 1.0, which: before}
        return layers.batch_norm({"gain": 1.0, "shift": 0.0}, both, stop_gradient(x), training=True)[1][which]

    return updated


# ---- encoder


def encoder(layout: Layout) -> list[Piece]:
    """batch/scaled → encoder/y."""
    found: list[Piece] = []
    x = "batch/scaled"
    roles = {layout.depth - 1: ": the local map (B, M, M, F)", layout.depth: ": the last map"}
    for k in range(1, layout.depth + 1):
        weight = f"parameters/encoder/conv{k}/w"
        found += [
            Piece(f"encoder/conv{k}", (x, weight), _conv, _CONV.format(k=k), "images", "conv"),
            batch_norm(f"encoder/norm{k}", f"norm{k}", f"encoder/conv{k}", "images"),
            relu(f"encoder/relu{k}", f"encoder/norm{k}", f"max(norm{k}, 0){roles.get(k, '')}", "images"),
        ]
        x = f"encoder/relu{k}"
    return [
        *found,
        Piece("encoder/flat", (x,), encoders.flatten, "last map, flattened by (row, column, channel)", "flat", "move"),
        linear("encoder/fc", "encoder/flat", "parameters/encoder/fc", "flat·w, no bias", bias=False),
        batch_norm("encoder/norm_fc", "norm_fc", "encoder/fc", "plain"),
        relu("encoder/relu_fc", "encoder/norm_fc", "max(norm_fc, 0): the probes' fc"),
        linear("encoder/y", "encoder/relu_fc", "parameters/encoder/y", "relu_fc·w + b: the representation (B, D)"),
    ]


_CONV = "convolution {k}: 4×4, stride 2, zero padding 1, no bias, before its norm; (B, H, W, C)"


def batch_norm(name: str, norm: str, x: str, layout: str, before: str = "before the ReLU") -> Piece:
    """Batch norm with the parameters of the encoder's `norm`, and the statistics of x."""
    weights = f"parameters/encoder/{norm}"
    meaning = f"gain·(x − μ)/√(σ² + 1e-5) + shift, μ and biased σ² of the batch per channel, {before}"
    return Piece(name, (x, f"{weights}/gain", f"{weights}/shift"), _norm, meaning, layout, "batch norm")


# ---- prior and loss


def prior(objective: Objective) -> list[Piece]:
    """The game of the prior: the discriminator on draws z, on the sample with y stopped, and as the encoder sees it."""
    uniform = objective.prior == "uniform"
    found = [
        Piece(
            "prior/sample",
            ("encoder/y",),
            ops.sigmoid if uniform else lambda y: y,
            "σ(y): what is compared with the uniform prior" if uniform else "y: what is compared with the prior",
            kind="sigmoid" if uniform else "",
        ),
        *_logits("real", "noise/prior/z", "draws of the prior"),
        *_logits("fake", "prior/sample", "the sample, which the gradient does not reach (stopped)"),
        *_logits("seen", "prior/sample", "the sample, the discriminator's parameters stopped: equal to fake in value"),
        Piece("prior/value", ("prior/real/logits", "prior/fake/logits"), _prior_value, _PRIOR_VALUE),
    ]
    weight = objective.gradient_penalty
    inputs: tuple[str, ...] = ("prior/value",)
    if weight:
        found.append(_penalty())
        inputs = ("prior/value", "prior/penalty")
    meaning = f"−value + {weight:g}·penalty" if weight else "−value"
    found.append(Piece("prior/discriminator_loss", inputs, _discriminator_loss(weight), meaning))
    minimax = objective.prior_loss == "minimax"
    meaning = "E[log(1 − D(y))] = −mean sp(d)" if minimax else "−E[log D(y)] = mean sp(−d)"
    encoder_loss = _minimax if minimax else _non_saturating
    return [*found, Piece("prior/encoder_loss", ("prior/seen/logits",), encoder_loss, meaning + " of seen/logits")]


_PRIOR_VALUE = "D_φ = E_z[log D(z)] + E_x[log(1 − D(y))] = −mean sp(−real) − mean sp(fake), nats"
_PRIOR_LAYERS = {"first": "D → 1000", "second": "1000 → 200", "score": "200 → 1"}


def _logits(branch: str, x: str, what: str) -> list[Piece]:
    found: list[Piece] = []
    for layer, sizes in _PRIOR_LAYERS.items():
        inputs = (x, f"parameters/prior/{layer}/w", f"parameters/prior/{layer}/b")
        function = _with_stopped if branch == "seen" else _linear
        if (branch, layer) == ("fake", "first"):
            function = _of_stopped
        meaning = f"layer {sizes} of the prior's discriminator on {what}"
        if layer == "score":
            meaning = f"d, log odds of the prior, (B,): {meaning}"
            return [*found, Piece(f"prior/{branch}/logits", inputs, _flattened(function), meaning, kind="score")]
        x = f"prior/{branch}/{layer}"
        found += [Piece(x, inputs, function, meaning, kind="linear"), relu(f"{x}_relu", x, f"max({layer}, 0)")]
        x = f"{x}_relu"
    return found


def _of_stopped(x: Array, w: Array, b: Array) -> Array:
    return _linear(stop_gradient(x), w, b)


def _with_stopped(x: Array, w: Array, b: Array) -> Array:
    return _linear(x, stop_gradient(w), stop_gradient(b))


def _flattened(function: Callable[..., Array]) -> Callable[..., Array]:
    def flat(x: Array, w: Array, b: Array) -> Array:
        return ops.reshape(function(x, w, b), (x.shape[0],))

    return flat


def _prior_value(real: Array, fake: Array) -> Array:
    return -ops.mean(ops.softplus(-real)) - ops.mean(ops.softplus(fake))


def _minimax(seen: Array) -> Array:
    return -ops.mean(ops.softplus(seen))


def _non_saturating(seen: Array) -> Array:
    return ops.mean(ops.softplus(-seen))


def _discriminator_loss(weight: float) -> Callable[..., Array]:
    def game(value: Array, penalty: Array | None = None) -> Array:
        return -value if penalty is None else -value + weight * penalty

    return game


def _penalty() -> Piece:
    names = [f"parameters/prior/{layer}/{part}" for layer in _PRIOR_LAYERS for part in ("w", "b")]

    def penalty(z: Array, *arrays: Array) -> Array:
        pairs = zip(arrays[::2], arrays[1::2], strict=True)
        parameters = {layer: {"w": w, "b": b} for layer, (w, b) in zip(_PRIOR_LAYERS, pairs, strict=True)}
        return discriminators.gradient_penalty(parameters, z)

    return Piece("prior/penalty", ("noise/prior/z", *names), penalty, "R1: ½·E_z‖∇_z d(z)‖², without its weight")


def loss(objective: Objective) -> Piece:
    """−(α·I_global + β·I_local) + γ·(discriminator's + encoder's loss)."""
    weights = [getattr(objective, f"{term}_weight") for term in terms(objective)]
    inputs = [f"{term}/bound" for term in terms(objective)]
    words = " ".join(f"− {weight:g}·{name}" for weight, name in zip(weights, inputs, strict=True))
    if objective.prior_weight:
        inputs += ["prior/discriminator_loss", "prior/encoder_loss"]
        words += f" + {objective.prior_weight:g}·(discriminator_loss + encoder_loss)"

    def total(*values: Array) -> Array:
        sum_: Array = 0.0
        for weight, value in zip(weights, values[: len(weights)], strict=True):
            sum_ = sum_ - weight * value
        if objective.prior_weight:
            game, encoder_loss = values[-2:]
            sum_ = sum_ + objective.prior_weight * (game + encoder_loss)
        return sum_

    return Piece("loss", tuple(inputs), total, f"{words}, to be minimized")
