"""The bare products are those that the tape multiplies, each of them and no other but what adds up gathered rows."""

import dataclasses

import numpy as np
import pytest

from dimref import engine, ops
from dimref.backend import NUMPY
from dimref.bench import products, work
from dimref.bench.reference import Reference
from dimref.encoders import Layout
from dimref.engine import affine, convolution
from dimref.training.choices import BENCH_PRESETS


@pytest.fixture
def multiplied(monkeypatch):
    """The shapes of what a piece of work multiplies."""
    seen = []

    def counting(original):
        def counted(x, w):
            seen.append((*x.shape, w.shape[1]))
            return original(x, w)

        return counted

    engine.turn_on()
    forms = ops.matmul.implementations
    kept = list(forms)
    forms[:] = [dataclasses.replace(form, function=counting(form.function)) for form in kept]
    monkeypatch.setattr(affine, "product", counting(affine.product))
    monkeypatch.setattr(convolution, "CONVOLUTION_WORTH", 10**12)  # one block, whatever threads there are

    def step(found):
        Reference(found, NUMPY).step()
        return sorted(seen)

    yield step
    forms[:] = kept


@pytest.mark.parametrize("preset", [name for name in BENCH_PRESETS if name != "amdim"])
@pytest.mark.parametrize("size", [8, 17], ids=["two convolutions", "three"])
def test_a_step_multiplies_exactly_these_shapes(multiplied, narrow, preset, size):
    found = work.make(preset, 3, layout=Layout(size, 3, width=4, fc=6, representation=5))
    places = {"local": found.layout.local[0] ** 2, "global": 1} if found.trains else {}
    concat = [term for term in places if "w" in found.parameters.get(term, {}).get("feature", {})]
    one_hot = [(3, 3 * places[term], found.parameters[term]["feature"]["w"].shape[1]) for term in concat]
    assert multiplied(found) == sorted([*products.product_shapes(found), *one_hot])


@pytest.mark.parametrize("sizes", [{"size": 32, "channels": 1}, {"size": 64, "channels": 3, "ndepth": 2}], ids=str)
def test_a_step_of_amdim_multiplies_these_and_its_scores_once_more(multiplied, sizes):
    found = work.make("amdim", 3, layout=work.layout_of("amdim", {"ndf": 2, "nrkhs": 16, **sizes}))
    again = [(3 * locations, 16, 3) for locations in (25, 49, 25) for _ in range(2)]
    one_hot = [(75, 3, 16)] * 2  # the gradient of the drawn location of each image's 5×5 map
    assert multiplied(found) == sorted([*products.product_shapes(found), *again, *one_hot])


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
