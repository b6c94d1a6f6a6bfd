"""dimref's weights and maps in PyTorch's names and layouts: the one place that knows both.

Here channels come last and a weight is a matrix that rows are multiplied with from the left; PyTorch has channels first
and the output before the input. So a weight is transposed, and what is flattened from a map changes its order too,
from (row, column, channel) to (channel, row, column). Gradients have their parameters' shapes and go the same way.

| dimref | shape | PyTorch | shape |
|---|---|---|---|
| conv: w | (kh·kw·C_in, C_out) | weight | (C_out, C_in, kh, kw), OIHW |
| transposed conv: w | (C_in, kh·kw·C_out) | weight | (C_in, C_out, kh, kw) |
| linear: w, b | (n_in, n_out), (n_out,) | weight, bias | (n_out, n_in), (n_out,) |
| norm: gain, shift | (C,) | weight, bias | (C,) |
| running: mean, variance | (C,) | running_mean, running_var | (C,) |
| maps | (B, H, W, C) | maps | (B, C, H, W) |
"""

from __future__ import annotations

import numpy as np

from dimref.amdim import encoder as amdim_encoder
from dimref.encoders import KERNEL, Layout
from dimref.training.method import AnyLayout
from dimref.trees import Tree

Named = dict[str, np.ndarray]

# ---- arrays


def conv_weight(w: np.ndarray, kernel: tuple[int, int]) -> np.ndarray:
    """A convolution's weight (kh·kw·C_in, C_out) as PyTorch's (C_out, C_in, kh, kw)."""
    return np.ascontiguousarray(w.reshape(*kernel, -1, w.shape[1]).transpose(3, 2, 0, 1))


def conv_transpose_weight(w: np.ndarray, kernel: tuple[int, int]) -> np.ndarray:
    """A transposed convolution's weight (C_in, kh·kw·C_out) as PyTorch's (C_in, C_out, kh, kw)."""
    return np.ascontiguousarray(w.reshape(w.shape[0], *kernel, -1).transpose(0, 3, 1, 2))


def linear_weight(w: np.ndarray) -> np.ndarray:
    """A linear layer's weight (n_in, n_out) as PyTorch's (n_out, n_in)."""
    return np.ascontiguousarray(w.T)


def flat_linear_weight(w: np.ndarray, side: int) -> np.ndarray:
    """The weight (side²·C, n_out) of a linear layer on a flattened map as PyTorch's (n_out, C·side²).

    Its inputs are in the order (row, column, channel) here and (channel, row, column) there.
    """
    return np.ascontiguousarray(flat_channels_first(w.T, side))


def channels_first(maps: np.ndarray) -> np.ndarray:
    """Maps or images (B, H, W, C) as (B, C, H, W)."""
    return np.ascontiguousarray(maps.transpose(0, 3, 1, 2))


def flat_channels_first(features: np.ndarray, side: int) -> np.ndarray:
    """Flattened maps (B, side²·C) from the order (row, column, channel) into the order (channel, row, column)."""
    return channels_first(features.reshape(len(features), side, side, -1)).reshape(features.shape)


# ---- modules


def torch_names(parameters: Tree, layout: AnyLayout, state: Tree | None = None) -> Named:
    """Parameters {"encoder", "local", "global", "prior"}, those that there are, as a flat dict of PyTorch's names.

    A name is the path with dots: encoder.conv1.weight, encoder.norm1.running_mean, local.concat.weight.

    Args:
        parameters: as from `objectives.init_parameters`, on the host; their gradients will do.
        layout: the encoder's sizes.
        state: the model state; its running statistics are left out where it is None.
    """
    running = None if state is None else state["encoder"]
    if isinstance(layout, amdim_encoder.Layout):
        return _under("encoder", torch_multiscale(parameters["encoder"], layout, running))
    modules = {
        "encoder": lambda tree: torch_encoder(tree, layout, running),
        "local": lambda tree: torch_critic(tree, side=1),  # one location at a time
        "global": lambda tree: torch_critic(tree, _side_of(tree, layout)),
        "prior": torch_stack,
    }
    return {
        f"{module}.{name}": array
        for module, convert in modules.items()
        if module in parameters
        for name, array in convert(parameters[module]).items()
    }


def _side_of(critic: Tree, layout: Layout) -> int:
    """The side of the map that a global critic sees: the M×M map, or the last one (`Objective.global_map`)."""
    side, channels = layout.local
    return side if len(critic["feature"]["w"]) == side * side * channels else layout.last[0]


def torch_encoder(parameters: Tree, layout: Layout, running: Tree | None = None) -> Named:
    """The encoder: conv1, norm1, conv2, norm2, …, fc, norm_fc, y."""
    named: Named = {}
    for name, layer in parameters.items():
        if name.startswith("norm"):
            named |= _under(name, _norm(layer, None if running is None else running[name]))
        elif name.startswith("conv"):
            named |= _under(name, _conv(layer, KERNEL))
        else:
            named |= _under(name, _linear(layer, layout.last[0] if name == "fc" else 1))
    return named


def torch_multiscale(parameters: Tree, layout: amdim_encoder.Layout, running: Tree | None = None) -> Named:
    """The multi-scale encoder: first, each residual layer by its name (conv, out), embed7, embed5, norm7, norm5, norm1.

    Every weight is a convolution's, OIHW, those of 1×1 included.
    """
    kernels = {layer.name: layer.kernel for stage in layout.stages.values() for layer in stage}
    named: Named = {}
    for name, module in parameters.items():
        if name.startswith("norm"):
            named |= _under(name, _norm(module, None if running is None else running[name]))
        elif name == "first":
            named |= _under(name, _conv(module, amdim_encoder.FIRST))
        else:  # a residual layer, or an embedding
            for part, layer in module.items():
                named |= _under(f"{name}.{part}", _conv(layer, kernels[name] if part == "conv" else 1))
    return named


def torch_critic(parameters: Tree, side: int) -> Named:
    """A critic of either kind; `side` is that of the map whose flattening it sees, 1 for single locations.

    Concat: concat, hidden, score, where concat is the first layer on [feature, representation], whose two halves are
    separate here. Dot: feature and representation, each with hidden, out, shortcut and norm. A 1×1 convolution's
    weight is the same with two axes of size 1 behind it.
    """
    feature, representation = parameters["feature"], parameters["representation"]
    if "w" not in feature:
        return _under("feature", torch_stack(feature)) | _under("representation", torch_stack(representation))
    first = _linear(feature, side)
    first["weight"] = np.concatenate([first["weight"], linear_weight(representation["w"])], axis=1)
    return _under("concat", first) | torch_stack({name: parameters[name] for name in ("hidden", "score")})


def torch_stack(parameters: Tree) -> Named:
    """A dict of linear layers and norms, by name: the prior's discriminator, an embedding of the dot critic."""
    named: Named = {}
    for name, layer in parameters.items():
        named |= _under(name, _norm(layer) if "gain" in layer else _linear(layer))
    return named


def _linear(layer: Tree, side: int = 1) -> Named:
    named = {"weight": flat_linear_weight(layer["w"], side)}
    return named | {"bias": layer["b"]} if "b" in layer else named


def _conv(layer: Tree, kernel: int) -> Named:
    named = {"weight": conv_weight(layer["w"], (kernel, kernel))}
    return named | {"bias": layer["b"]} if "b" in layer else named


def _norm(layer: Tree, running: Tree | None = None) -> Named:
    named = {"weight": layer["gain"], "bias": layer["shift"]}
    if running is None:
        return named
    return named | {"running_mean": running["mean"], "running_var": running["variance"]}


def _under(prefix: str, named: Named) -> Named:
    return {f"{prefix}.{name}": array for name, array in named.items()}
