"""The convolution encoder in inference without its norms: a layer costs little more than its product."""

from __future__ import annotations

from dimref import encoders, layers, ops
from dimref.encoders import KERNEL, PADDING, STRIDE, Encoding, Layout
from dimref.trees import Array, Tree


def fold(parameters: Tree, state: Tree) -> Tree:
    """Parameters of the same encoder in inference, without its norms: each is folded into the layer below it.

    gain·(W·x − mean)/√(variance + ε) + shift = W'·x + b' with W' = W·s, b' = shift − mean·s, s = gain/√(variance + ε).

    Returns:
        {"conv1": {"w", "b"}, …, "fc": {"w", "b"}, "y": {"w", "b"}}, for `encode_folded`.
    Source: Ioffe & Szegedy 2015, arXiv 1502.03167, algorithm 2 (batch norm in inference is linear in its input).
    """
    norm_of = {name.replace("norm_", "").replace("norm", "conv"): name for name in state}
    folded = {"y": parameters["y"]}
    for name, norm in norm_of.items():
        s, offset = layers.inference_scale(parameters[norm], state[norm])
        folded[name] = {"w": ops.multiply(parameters[name]["w"], s), "b": offset}
    return folded


def encode_folded(folded: Tree, images: Array, layout: Layout) -> Encoding:
    """`encoders.encode` in inference, from `fold`'s parameters: equal to rounding, and untraced.

    A product, its bias and its ReLU share one block of memory, so that a layer costs little more than its product.

    Args:
        folded: from `fold`. images: (B, H, W, C), float in [−1, 1] from `scale`.
    Source: arXiv 1808.06670, section 4 and appendix A.1 (encoder architecture).
    """
    maps = [images]
    for k in range(1, layout.depth + 1):
        maps.append(layers.conv2d(folded[f"conv{k}"], maps[-1], KERNEL, STRIDE, PADDING, relu=True))
    fc = layers.linear(folded["fc"], encoders.flatten(maps[-1]), relu=True)
    return Encoding(maps[-2], maps[-1], fc, layers.linear(folded["y"], fc))
