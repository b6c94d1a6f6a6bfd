"""Augmented Multiscale Deep InfoMax (arXiv 1906.00910), as plain as Deep InfoMax beside it."""

from dimref.amdim.objective import (
    LOCATIONS,
    Direction,
    Objective,
    contrast,
    draw_noise,
    init_parameters,
    loss,
    soft_clip,
    views,
)  # fmt: skip

__all__ = [
    "LOCATIONS", "Direction", "Objective", "contrast", "draw_noise", "init_parameters", "loss", "soft_clip", "views",
]  # fmt: skip
