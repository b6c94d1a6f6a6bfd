"""Products on threads: which are shared, by rows or by columns, and what each looks like in memory."""

import numpy as np
import pytest
from blas_threads import shared
from finite_differences import draw

from dimref import ops
from dimref.engine import kernels, products, threads


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.fixture
def calls(monkeypatch):
    """Into how many parts each product was cut that threads shared."""
    found, run = [], threads.run
    monkeypatch.setattr(threads, "run", lambda function, items: found.append(len(items)) or run(function, items))
    return found


@pytest.mark.parametrize(("m", "k", "n"), [(7, 3, 2), (2, 3, 7), (4, 5, 4), (1, 6, 1)])
@pytest.mark.parametrize("count", [2, 3])
def test_a_product_is_shared_by_rows_or_by_columns(monkeypatch, calls, m, k, n, count):
    x, y = draw(3, (m, k), (k, n))
    monkeypatch.setattr(products, "PRODUCT_WORTH", 1)
    with shared(monkeypatch, count):
        same(ops.matmul(x, y), x @ y)
        turned = ops.matmul(x, np.asfortranarray(y))
        same(turned, x @ y)
        assert turned.flags.c_contiguous
    assert calls == [min(count, max(m, n))] * 2


def test_a_small_product_is_not_shared(monkeypatch, calls):
    x, y = draw(3, (64, 64), (64, 64))
    many = draw(3, (1 << 10, 1 << 5))[0]
    with shared(monkeypatch, 2):
        same(ops.matmul(x, y), x @ y)
        assert calls == []
        ops.matmul(many, many.T)
    assert calls == [2]


def test_a_product_has_no_more_threads_than_it_is_worth(monkeypatch, calls):
    x, y = draw(3, (5, 2), (2, 1))  # worth two and a half
    monkeypatch.setattr(products, "PRODUCT_WORTH", 4)
    with shared(monkeypatch, 3):
        same(ops.matmul(x, y), x @ y)
    assert calls == [2]


@pytest.mark.parametrize("count", [1, 2])
def test_a_large_transposed_matrix_is_multiplied_by_its_rows(monkeypatch, count):
    """(4, 3)·(64, 3)ᵀ in any of the ways that a product can take is the same, in one piece."""
    x, y = draw(5, (4, 3), (64, 3))
    expected = np.einsum("ik,jk->ij", x, y)
    for large in (1, 192, 193):
        monkeypatch.setattr(products, "LARGE_MATRIX", large)
        for rows in (4, 5):
            with shared(monkeypatch, count):
                found = ops.matmul(x[:rows], y.T)
            same(found, expected[:rows])
            assert found.flags.c_contiguous


@pytest.mark.parametrize(
    ("m", "n", "large", "count", "turned"),
    [
        (4, 64, 192, 1, True),  # as large and as tall as it must be, and no more
        (4, 64, 193, 1, False),
        (5, 64, 192, 1, False),
        (3, 64, 191, 1, True),
        (80, 64, 1, 1, False),
        (4, 64, 10**9, 2, True),
        (63, 64, 10**9, 2, True),
        (64, 64, 1, 2, False),
        (65, 64, 1, 2, False),
    ],
)
def test_which_products_are_taken_transposed(monkeypatch, m, n, large, count, turned):
    x, y = draw(5, (m, 3), (n, 3))
    seen = []
    monkeypatch.setattr(products, "LARGE_MATRIX", large)
    monkeypatch.setattr(products, "PRODUCT_WORTH", 1)
    monkeypatch.setattr(products, "_by_threads", lambda x, y, count: seen.append((len(x), count)) or x @ y)
    with shared(monkeypatch, count):
        same(ops.matmul(x, y.T), np.einsum("ik,jk->ij", x, y))
        assert seen == ([(n, count)] if turned else [(m, count)] if count > 1 else [])
        seen.clear()
        same(ops.matmul(x, np.ascontiguousarray(y.T)), np.einsum("ik,jk->ij", x, y))
        assert seen == ([(m, count)] if count > 1 else [])


def test_a_product_of_rank_one_needs_no_blas_and_one_of_rank_zero_is_zero(monkeypatch):
    x, y = draw(5, (4, 1), (1, 3))
    same(ops.matmul(np.ones((2, 0)), np.ones((0, 3))), np.zeros((2, 3)))
    monkeypatch.setattr(products, "_by_threads", None)  # whoever calls it fails
    monkeypatch.setattr(products, "PRODUCT_WORTH", 1)
    with shared(monkeypatch, 2):
        np.testing.assert_array_equal(ops.matmul(x, y), x * y)


def test_column_sums(monkeypatch):
    (x,) = draw(6, (5, 3))
    same(products.column_sums(x), x.sum(axis=0))
    assert products.column_sums(x.astype(np.float32)).dtype == np.float32
    monkeypatch.setattr(kernels, "of", lambda array: kernels)
    monkeypatch.setattr(kernels, "column_sums", lambda array: ("a device's", array), raising=False)
    assert products.column_sums(x) == ("a device's", x)
