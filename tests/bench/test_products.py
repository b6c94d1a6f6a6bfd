"""The bare products are those of the mathematics, recorded where they are made."""

import numpy as np
import pytest

from dimref import engine, tape
from dimref.bench import products, work
from dimref.training.choices import BENCH_PRESETS


@pytest.mark.parametrize("preset", BENCH_PRESETS)
def test_two_small_steps_give_every_batchs_products(make, preset):
    found = make(preset, batch=5)
    shapes = products.product_shapes(preset, 5, found.layout)
    assert shapes
    assert shapes == products.recorded(found)


def test_a_step_of_the_paper_at_64_images_by_hand():
    """Forward: five layers of the encoder, the split first layer, and for each kind of pair the layers above it."""
    rows, layout = 64 * 64, work.layout_of("dim-local")
    encoder = [(64 * 256, 48, 64), (rows, 1024, 128), (64 * 16, 2048, 256), (64, 4096, 1024), (64, 1024, 64)]
    critic = [(rows, 128, 512), (64, 64, 512), *[(rows, 512, 512), (rows, 512, 1)] * 2]
    backward = [shape for m, k, n in [*encoder, *critic] for shape in ((k, m, n), (m, n, k))]
    backward.remove((64 * 256, 64, 48))  # the image has no gradient
    assert sorted(products.product_shapes("dim-local", 64, layout)) == sorted([*encoder, *critic, *backward])
    assert products.product_shapes("encode", 64, layout) == encoder


def test_amdims_scores_are_multiplied_once_forward_and_once_to_each_side():
    """In 2 directions of 1→5, 5→5 and 1→7. The drawn location of the 5×5 map would be another (75, 3, 16), one-hot."""
    layout = work.layout_of("amdim", {"ndf": 2, "nrkhs": 16, "ndepth": 1, "size": 32, "channels": 1})
    found = products.product_shapes("amdim", 3, layout)
    for rows, times in ((75, 4), (147, 2)):
        expected = {(rows, 16, 3): times, (rows, 3, 16): times, (16, rows, 3): times}
        assert {shape: found.count(shape) for shape in expected} == expected


def test_recording_leaves_the_registry_as_it_was(make, monkeypatch):
    engine.turn_on()
    before = {name: list(place.implementations) for name, place in tape.REGIONS.items()}
    products.recorded(make("dim-mixed"))
    monkeypatch.setattr(products, "method_of", lambda layout: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        products.recorded(make("dim-mixed"))
    assert {name: list(place.implementations) for name, place in tape.REGIONS.items()} == before


def test_operations_are_counted_by_hand():
    assert products.gflop([(2, 3, 5), (10, 100, 1000)]) == pytest.approx((2 * 30 + 2 * 1e6) / 1e9)


def test_the_call_multiplies_each_pair_and_makes_them_once():
    made = []

    class Matrix:
        def __init__(self, array):
            assert (array.dtype, array.min(), array.max()) == (np.float32, 1, 1)
            self.array, self.met, self.shape = array, [], array.shape
            made.append(self)

        def __matmul__(self, other):
            self.met.append((self.array @ other.array).shape)

    call = products.bare_products([(2, 3, 4), (5, 1, 2)], Matrix)
    call()
    call()
    assert [m.met for m in made[::2]] == [[(2, 4)] * 2, [(5, 2)] * 2]
