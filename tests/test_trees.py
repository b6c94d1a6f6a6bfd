"""Nested dicts of arrays: walks over them, in the order of their keys."""

import pytest

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
