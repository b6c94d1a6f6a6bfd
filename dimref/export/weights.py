"""A run's weights as a file for others, under documented names.

`safetensors`: dimref's own names and shapes, path by path as in the source: encoder/conv1/w (kh·kw·C_in, C_out),
encoder/norm1/gain, encoder/norm1/mean, encoder/y/b, … `torch-layout-npz`: PyTorch's names and layouts, as
`layouts.torch_names` makes them: encoder.conv1.weight (C_out, C_in, kh, kw), encoder.norm1.running_mean, …

The encoder takes images (B, H, W, C) scaled to pixel·2/255 − 1 and, where its layout requires it, padded with black (−1).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from dimref import __version__
from dimref.backend import NUMPY
from dimref.errors import DimrefError
from dimref.export import inference, torch_layout
from dimref.export.torch_layout import Named
from dimref.training.checkpoint import check_same_shapes
from dimref.training.files import replace, writing
from dimref.training.method import AnyLayout, method_of
from dimref.trees import Tree, leaves

MISSING = "--format safetensors: expected the package safetensors, found none; install it with pip install '.[export]'"


def write_weights(run: Path, checkpoint: str, form: str, out: Path, critics: bool = False) -> Named:
    """Write the weights in a run's checkpoint to `out`, whole or not at all.

    Args:
        checkpoint: "newest.npz" or "best.npz". form: "safetensors" or "torch-layout-npz".
        critics: also the local and the global critic and the prior's discriminator, those that the run has.
    Returns:
        The arrays that were written, by name.
    Raises:
        RunError: the checkpoint cannot be read, or the file not written. DimrefError: safetensors is missing.
    """
    encoder, saved = inference.load(run, NUMPY, checkpoint)
    parameters, state = saved.trees["parameters"], saved.trees["state"]
    if critics:
        init = method_of(encoder.layout).init_parameters
        fresh, _ = init(np.random.default_rng(0), encoder.layout, saved.config.objective())
        check_same_shapes(run / checkpoint, parameters, fresh)
    else:
        parameters = {"encoder": parameters["encoder"]}
    if form == "safetensors":
        named = _dimref_names(parameters, state)
        replace(out, _safetensors(named, encoder.layout, saved.step))
    else:
        named = torch_layout.torch_names(parameters, encoder.layout, state)
        with writing(out) as file:
            np.savez(file, **named)  # type: ignore[arg-type]
    return named


def _dimref_names(parameters: Tree, state: Tree) -> Named:
    """Every parameter by its path, and the running statistics beside the gain and shift of their norm."""
    return {**dict(leaves(parameters)), **dict(leaves({"encoder": state["encoder"]}))}


def _safetensors(named: Named, layout: AnyLayout, step: int) -> bytes:
    try:
        from safetensors.numpy import save
    except ImportError:
        raise DimrefError(MISSING) from None
    about = {"producer": f"dimref {__version__}", "step": str(step), "layout": json.dumps(asdict(layout))}
    return save({name: np.ascontiguousarray(array) for name, array in named.items()}, metadata=about)
