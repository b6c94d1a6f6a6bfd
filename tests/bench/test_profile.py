"""The profile: parts that sum to the whole, every primitive on the clock, nothing left behind."""

import time

import autograd.numpy as np_of_autograd
import numpy as np
import pytest
from autograd.core import primitive_vjps

from dimref import engine, objectives, ops, optim, tape
from dimref.backend import NUMPY
from dimref.bench import profile
from dimref.bench.reference import Reference
from dimref.engine import affine, batch_norm, convolution, row_blocks, threads
from dimref.training.choices import BENCH_PRESETS


def profiled(make, preset):
    reference = Reference(make(preset), NUMPY)
    return profile.profile(reference.step, reference.synchronize, repeats=2)


@pytest.mark.parametrize("preset", BENCH_PRESETS)
def test_the_parts_sum_to_the_step(make, preset):
    found = profiled(make, preset)
    assert sum(row.total for row in found.rows) == pytest.approx(found.total)
    assert sum(found.groups.values()) == pytest.approx(found.total)
    assert list(found.groups) == list(profile.GROUPS)
    assert [row.total for row in found.rows] == sorted((row.total for row in found.rows), reverse=True)
    assert min(min(row.forward, row.backward) for row in found.rows) >= 0
    names = {row.name for row in found.rows}
    backward = {row.name for row in found.rows if row.backward}
    if preset == "encode":
        assert {"affine", "im2col", "tape"} <= names
        assert backward == set()
        assert found.groups["Adam"] == 0
    else:
        assert {"affine", "matmul", "im2col", "tape", "moments", "normalize_columns"} <= names
        assert ({"views", "scores", "contrast"} <= names) == (preset == "amdim")
        assert {"affine", "matmul", "im2col", "normalize_columns", "sum of gradients"} <= backward
        assert found.groups["Adam"] > 0


def test_a_convolution_in_blocks_is_a_row_and_its_products_are_products(make, monkeypatch):
    plain = profiled(make, "encode")
    monkeypatch.setattr(convolution, "CONVOLUTION_WINDOWS", 1)
    found = profiled(make, "encode")
    names = {row.name for row in found.rows}
    assert "convolve" in names - {row.name for row in plain.rows}
    assert "im2col" not in names  # its time is the convolution's, in its own group
    assert min(found.groups[group] for group in ("matrix products", "moving elements", "elementwise")) > 0


def test_the_whole_is_the_time_that_passed(make):
    reference = Reference(make("local-jsd"), NUMPY)
    walls = []

    def step():
        start = time.perf_counter()
        reference.step()
        walls.append(time.perf_counter() - start)

    found = profile.profile(step, reference.synchronize, repeats=3)
    assert sum(walls[1:]) <= 3 * found.total  # the first is not on the clock
    assert len(walls) == 4


def test_everything_is_put_back(make):
    def state():
        cells = {f: profile._cell_of_raw(f) for f in primitive_vjps}
        raw = {f: cell.cell_contents for f, cell in cells.items() if cell is not None}
        others = (batch_norm.moments, objectives._saturated, optim.adam_step, tape.add_outgrads, threads.in_order)
        return dict(primitive_vjps), raw, others

    before = state()
    profiled(make, "mixed")
    assert state() == before

    def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        profile.profile(fails, lambda: None)
    assert state() == before


def test_no_primitive_of_the_registry_is_overlooked():
    engine.turn_on()
    primitives = [f for f in tape.REGIONS.values() if hasattr(f, "fun")]
    assert len(primitives) > 30
    cells = {f: profile._cell_of_raw(f) for f in primitives}
    with profile._watched(profile.Clock(lambda: None)):
        assert [f for f, cell in cells.items() if cell.cell_contents is f.fun] == [row_blocks._by_rows]
    assert set(profile.MATRIX) | set(profile.MOVING) <= {profile._name(f) for f in primitives}
    assert profile._name(np_of_autograd.exp) == "np.exp"


def test_the_stopwatch_is_not_taken_for_the_tape(make, monkeypatch):
    free = profiled(make, "local-jsd")
    assert 0 < free.groups["stopwatch"] < free.total
    assert [row.total for row in free.rows if row.name == "stopwatch"] == [free.groups["stopwatch"]]
    monkeypatch.setattr(profile, "_seconds_of_a_span", lambda synchronize: 1.0)  # more than there is
    found = profiled(make, "local-jsd")
    assert found.groups["tape"] == 0
    assert found.groups["stopwatch"] > 0


def test_a_span_takes_as_long_as_its_clock(monkeypatch):
    ticks = iter(range(10**6))
    monkeypatch.setattr(profile.time, "perf_counter", lambda: float(next(ticks)))
    # two looks for each span, and one when the outer one is left
    assert profile._seconds_of_a_span(lambda: None, repeats=100) == pytest.approx(2 + 1 / 100)


def test_a_clock_gives_each_moment_to_the_innermost(monkeypatch):
    now = iter(np.arange(0.0, 100.0, 1.0) ** 2)  # every look at the clock takes longer than the one before
    monkeypatch.setattr(profile.time, "perf_counter", lambda: float(next(now)))
    clock = profile.Clock(lambda: None)
    outer, inner = profile.TAPE, profile.Key("matmul", "forward", "matmul")
    with clock.on(outer), clock.on(inner):
        pass
    # looks at 0, 1, 4, 9: outer from 0 to 1 and from 4 to 9
    assert clock.seconds == {outer: 6.0, inner: 3.0}


def test_work_within_a_vjp_is_the_owners_but_of_its_own_group(make):
    """The backward pass of affine is two products and a sum: all of it is affine's row, the sum is elementwise."""
    clock = profile.Clock(lambda: None)
    x, w, b = np.ones((3, 4)), np.ones((4, 5)), np.ones(5)
    with profile._watched(clock), clock.on(profile.TAPE):
        tape.value_and_gradients(
            lambda p: (ops.total(affine.affine(p["x"], p["w"], p["b"], False)), None), {"x": x, "w": w, "b": b}
        )
    keys = {tuple(key) for key in clock.seconds}
    assert {
        ("affine", "forward", "affine"),
        ("affine", "backward", "matmul"),
        ("affine", "backward", "column_sums"),
    } <= keys
    assert profile.group_of("column_sums") == "elementwise"
    assert profile.group_of("im2col") == "moving elements"
