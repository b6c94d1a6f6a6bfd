"""Nested dicts of arrays: walks over them, in the order of their keys."""

from functools import partial

import numpy as np
import pytest

from dimref import bounds, discriminators, encoders, layers, negatives
from dimref.trees import leaves, map_tree

TREE = {"encoder": {"conv": {"w": 1, "b": 2}}, "bias": 3}


def test_map_tree():
    assert map_tree(lambda x: x + 1, TREE) == {"encoder": {"conv": {"w": 2, "b": 3}}, "bias": 4}
    assert map_tree(lambda x, y, z: (x, y, z), {"a": {"b": 1}}, {"a": {"b": 2}, "c": 0}, {"a": {"b": None}}) == {
        "a": {"b": (1, 2, None)}
    }
    assert map_tree(lambda x: -x, 5) == -5
    with pytest.raises(KeyError):
        map_tree(lambda x, y: x, {"a": 1}, {"b": 1})


def test_leaves_have_paths_in_the_order_of_the_keys():
    assert list(leaves(TREE)) == [("encoder/conv/w", 1), ("encoder/conv/b", 2), ("bias", 3)]
    assert list(leaves(5)) == [("", 5)]
    assert list(leaves(5, "x")) == [("x", 5)]
    assert list(leaves({"b": None}, "a")) == [("a/b", None)]
    assert list(leaves({})) == []


ROWS, IMAGES = np.zeros((4, 3)), np.zeros((2, 32, 32, 3), np.uint8)
LINEAR = {"w": np.zeros((3, 2))}


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        *(
            (function, {"joint": ROWS, "product": ROWS})
            for function in (bounds.dv, bounds.mine, bounds.nwj, bounds.jsd, bounds.plug_in, bounds.club)
        ),
        (bounds.tuba, dict.fromkeys(("joint", "product", "joint_log_a", "product_log_a"), ROWS)),
        *(
            (function, {"scores": np.eye(4)})
            for function in (bounds.infonce, bounds.infonce_certified, bounds.leave_one_out, negatives.all_pairs)
        ),
        (bounds.infonce_sampled, {"positives": np.zeros(4), "negatives": ROWS.T}),
        (partial(discriminators.concat_scores, {}), {"features": np.zeros((4, 2, 3)), "y": ROWS}),
        (partial(discriminators.prior_logits, {}), {"y": ROWS}),
        (partial(encoders.scale, layout=encoders.Layout(32, 3)), {"images": IMAGES}),
        (partial(encoders.encode, {}, {}, layout=encoders.Layout(32, 3), training=True), {"images": IMAGES}),
        (partial(layers.linear, LINEAR), {"x": ROWS}),
        (partial(layers.conv2d, LINEAR, kernel=1), {"x": IMAGES}),
    ],
)  # fmt: skip
def test_a_list_or_nothing_in_place_of_an_array_is_named(function, arguments):
    extra = {"log_average": None} if function is bounds.mine else {}
    for name, array in arguments.items():
        for wrong, kind in ((array.tolist(), "list"), (None, "NoneType"), ("scores", "str")):
            with pytest.raises(TypeError, match=rf"\b{name} must be an array, was {kind}$"):
                function(**{**arguments, **extra, name: wrong})
