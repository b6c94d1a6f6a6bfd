"""The bare products are those that the tape multiplies, each of them and no other."""

import numpy as np
import pytest

from dimref import ops
from dimref.backend import NUMPY
from dimref.bench import products, work
from dimref.bench.reference import Reference
from dimref.encoders import Layout
from dimref.names import BENCH_PRESETS


@pytest.mark.parametrize("preset", BENCH_PRESETS)
@pytest.mark.parametrize("size", [8, 17], ids=["two convolutions", "three"])
def test_a_step_multiplies_exactly_these_shapes(monkeypatch, narrow, preset, size):
    found = work.make(preset, 3, layout=Layout(size, 3, width=4, fc=6, representation=5))
    seen = []

    def counting(original):
        def counted(x, w, *bias):
            seen.append((*x.shape, w.shape[1]))
            return original(x, w, *bias)

        return counted

    for name in ("matmul", "affine"):
        monkeypatch.setattr(ops, name, counting(getattr(ops, name)))
    Reference(found, NUMPY).step()
    assert sorted(seen) == sorted(products.product_shapes(found))


def test_operations_are_counted_by_hand():
    assert products.gflop([(2, 3, 5), (10, 100, 1000)]) == pytest.approx((2 * 30 + 2 * 1e6) / 1e9)


def test_a_step_of_the_paper_at_64_images():
    """Forward by hand: five layers of the encoder, the split first layer, and twice the layers above it."""
    rows = 64 * 64
    forward = [
        (64 * 256, 48, 64), (rows, 1024, 128), (64 * 16, 2048, 256), (64, 4096, 1024), (64, 1024, 64),
        (rows, 128, 512), (64, 64, 512), *[(rows, 512, 512), (rows, 512, 1)] * 2,
    ]  # fmt: skip
    whole = 3 * products.gflop(forward) - products.gflop(forward[:1])  # the image has no gradient
    assert products.gflop(products.product_shapes(work.make("local-jsd", 64))) == pytest.approx(whole)
    assert products.gflop(products.product_shapes(work.make("encode", 64))) == pytest.approx(
        products.gflop(forward[:5])
    )


def test_the_call_multiplies_each_pair_and_makes_them_once():
    made = []

    class Matrix:
        def __init__(self, array):
            assert (array.dtype, array.min(), array.max()) == (np.float32, 1, 1)
            self.array, self.met = array, []
            made.append(self)

        def __matmul__(self, other):
            self.met.append((self.array @ other.array).shape)

    call = products.bare_products([(2, 3, 4), (5, 1, 2)], Matrix)
    assert made == []
    call()
    call()
    assert [m.met for m in made[::2]] == [[(2, 4)] * 2, [(5, 2)] * 2]
