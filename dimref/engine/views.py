"""AMDIM's views and its encoder's first maps, some images at a time."""

from __future__ import annotations

from functools import partial

from dimref.amdim import encoder, objective
from dimref.amdim.encoder import SIDES, Layout
from dimref.engine import row_blocks
from dimref.engine.forms import of_one_type
from dimref.engine.tuning import AUGMENTED_IMAGES, LARGEST_MAP_IMAGES
from dimref.tape import implement
from dimref.trees import Array, Tree


def register() -> None:
    """Implement `augmented` and `largest_map`."""
    implement(objective.augmented, "row blocks", augmented, lambda images, view: True)
    implement(
        encoder.largest_map, "row blocks", largest_map, lambda parameters, images, _: of_one_type(parameters, images)
    )


def augmented(images: Array, view: Tree) -> Array:
    """A view of some images at a time."""
    return row_blocks.by_rows(partial(_augmented, list(view)), {}, images, *view.values(), block=AUGMENTED_IMAGES)


def _augmented(names: list[str], _: Tree, images: Array, *view: Array) -> Array:
    return objective.augmented.plain(images, dict(zip(names, view, strict=True)))


def largest_map(parameters: Tree, images: Array, layout: Layout) -> Array:
    """The 7×7 map of some images at a time."""
    names = ("first", *(layer.name for layer in layout.stages[SIDES[0]]))
    early = {name: parameters[name] for name in names}
    return row_blocks.by_rows(
        partial(encoder.largest_map.plain, layout=layout), early, images, block=LARGEST_MAP_IMAGES
    )
