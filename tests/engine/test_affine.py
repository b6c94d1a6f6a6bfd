"""Linear layers in their product's own memory: sums of columns as a primitive, and what the tape does not keep."""

import numpy as np
import pytest
from finite_differences import check_all, draw, is_kept

from dimref import layers
from dimref.engine import affine


def test_column_sums():
    (x,) = draw(1, (5, 3))
    np.testing.assert_allclose(affine.column_sums(x), x.sum(axis=0), rtol=1e-13)
    check_all(affine.column_sums, x)


@pytest.mark.parametrize("relu", [False, True])
def test_an_affine_keeps_neither_its_input_nor_what_it_sums(relu):
    w, b = np.ones((6, 3)), np.zeros(3)
    assert not is_kept(lambda x: layers.linear_rows(x, w, b, relu))
    assert not is_kept(lambda x: layers.linear_sum({"w": w, "b": b}, x, {"w": w}, x))


@pytest.mark.parametrize("relu", [False, True])
def test_the_result_lies_in_the_products_own_memory(monkeypatch, relu):
    made = []
    product = affine.product
    monkeypatch.setattr(affine, "product", lambda x, y: made.append(product(x, y)) or made[-1])
    x, w, b = draw(2, (5, 4), (4, 3), (3,))
    assert layers.linear_rows(x, w, b, relu) is made[0]
    out = layers.linear_sum({"w": w}, x, {"w": w, "b": b}, x)
    assert np.shares_memory(out, made[1])
