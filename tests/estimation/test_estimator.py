"""Estimates lie where closed forms put them, whatever comes in; and they are deterministic."""

import math

import numpy as np
import pytest
from sampling import by_default

from dimref.backend import NUMPY
from dimref.estimation import MutualInformation, estimator, training
from dimref.estimation.estimator import ESTIMATES
from dimref.estimation.held_out import HeldOut
from dimref.estimation.samples import SampleError, splits
from dimref.theory.information import mutual_information

N = 400


def gaussian(n, rho, d=1, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    return x, rho * x + math.sqrt(1 - rho**2) * rng.standard_normal((n, d))


def near(estimate, truth, slack=0.03):
    """Within four standard errors and what a critic may miss."""
    return abs(estimate.nats - truth) < 4 * estimate.error + slack


@pytest.mark.parametrize("bound", by_default(ESTIMATES, "infonce", "smile"))
def test_a_gaussian_is_found_by_every_bound(bound):
    x, y = gaussian(N, 0.7)
    found = MutualInformation(bound=bound, folds=2, steps=80, batch_size=64).fit(x, y)
    assert list(found.estimates_) == list(ESTIMATES[bound])
    truth = -0.5 * math.log(1 - 0.49)
    assert near(found.estimate(), truth)
    assert found.notes_ == ()
    assert 0.02 < found.error_ < 0.1
    assert found.interval_[0] < found.nats_ < found.interval_[1]


def test_concat_critic():
    x, y = gaussian(N, 0.7)
    found = MutualInformation(critic="concat", folds=2, steps=60, batch_size=64).fit(x, y)
    assert near(found.estimate(), -0.5 * math.log(1 - 0.49))


def test_what_no_gaussian_sees_is_learned():
    """y = |x| + noise: uncorrelated, but far from independent."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal(600)
    y = np.abs(x) + 0.2 * rng.standard_normal(600)
    found = MutualInformation(folds=2, batch_size=64, steps=200).fit(x, y)
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.1
    assert found.nats_ > 0.7
    assert any(history[-1][0] > 0 for history in found.histories_)


def test_a_discrete_joint():
    table = np.array([[0.3, 0.05, 0.05], [0.05, 0.2, 0.05], [0.0, 0.1, 0.2]])
    k = np.random.default_rng(4).choice(9, 800, p=table.ravel())
    found = MutualInformation(bound="jsd", folds=2, batch_size=64, steps=150).fit(k // 3, (k % 3).astype(np.int8))
    assert near(found.estimate(), mutual_information(table))


@pytest.mark.parametrize("transform", ["rank", "asinh"])
def test_heavy_tails(transform):
    x, y = gaussian(N, 0.7)
    found = MutualInformation(transform=transform, folds=2, steps=80, batch_size=64).fit(np.sinh(4 * x), np.sinh(4 * y))
    assert near(found.estimate(), -0.5 * math.log(1 - 0.49), 0.05)


@pytest.mark.parametrize("bound", by_default(ESTIMATES, "jsd"))
@pytest.mark.parametrize(
    "case", ["independent", *(pytest.param(x, marks=pytest.mark.exhaustive) for x in ("constant", "both constant"))]
)
def test_nothing_is_found_where_there_is_nothing(bound, case):
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((2, 200, 2))
    if case != "independent":
        x = np.full((200, 2), 0.1)
    if case == "both constant":
        y = np.zeros(200)
    found = MutualInformation(bound=bound, folds=2, steps=50, batch_size=64).fit(x, y)
    assert abs(found.nats_) < 0.05


@pytest.mark.parametrize("bound", by_default(ESTIMATES, "infonce", "dv"))
def test_equal_variables_are_told_about(bound):
    x = np.random.default_rng(6).standard_normal(400)
    found = MutualInformation(bound=bound, folds=2, steps=60, batch_size=64).fit(x, x)
    assert found.estimate().nats > 2.5
    assert found.notes_ == (estimator.EQUAL,)
    if bound == "infonce":
        assert found.nats_ <= found.estimate().ceiling == math.log(200)


@pytest.mark.parametrize("bound", by_default(ESTIMATES, "dv", "nwj"))
def test_scores_beyond_the_number_range_stop_no_training(bound):
    """Three equal columns: e^T of float32 overflows in DV and NWJ. Warnings are errors here."""
    x = np.random.default_rng(6).standard_normal((400, 3))
    found = MutualInformation(bound=bound, folds=2, steps=60, batch_size=64).fit(x, x)
    assert found.nats_ > 4
    assert found.estimate().notes


def test_notes_say_what_a_number_is_worth():
    for reading, nats, words in (
        ("infonce", 4.5, "held down by its ceiling, log 200 = 5.298 nats: I may be much larger"),
        ("infonce", 4.0, None),
        ("dv", 5.4, "above log 200 = 5.298 nats: so many held-out samples certify nothing there"),
        ("nwj", 5.2, None),
        ("smile", 0.2, "no bound"),
        ("jsd", 1.0, "of I it certifies"),
        ("jsd", 1.38, "held down by its ceiling, log 4"),
        ("dv", 0.1, "0 lies within its interval: no dependence is shown"),
        ("dv", -0.1, "below 0, which I never is: these critics found no dependence, and nothing is certified"),
        ("dv", -0.3, "below 0: the critics overfit, and do worse than none on samples they never saw; nothing is"),
    ):
        # A jackknife error of 0.1: 200 values of one spread.
        spread = 0.1 * np.sqrt(200 / 199 / 200) * np.tile([1, -1], 100)
        found = MutualInformation()._estimate(reading, [HeldOut(nats, nats + spread)])
        assert found.error == pytest.approx(0.1)
        assert any(words in note for note in found.notes) if words else not found.notes
    bits = MutualInformation(base="bits")._estimate("infonce", [HeldOut(4.5, np.full(200, 4.5))])
    assert f"log 200 = {math.log2(200):.3f} bits" in bits.notes[0]
    assert bits.bits == pytest.approx(4.5 / math.log(2))


def test_the_same_seed_gives_the_same_numbers_and_another_other_ones():
    x, y = gaussian(200, 0.5)
    first, again, other = (MutualInformation(seed=s, folds=2, steps=10).fit(x, y).estimates_ for s in (0, 0, 1))
    assert first == again != other


def test_fewer_samples_than_a_batch():
    x, y = gaussian(50, 0.9)
    found = MutualInformation(batch_size=10_000, steps=40).fit(x, y)
    assert found.held_out_ == 10
    assert 0.2 < found.nats_ < math.log(10)


def test_samples_never_seen_are_judged_by_the_critics_of_all_folds():
    x, y = gaussian(N, 0.7)
    found = MutualInformation(folds=2, steps=60, batch_size=64).fit(x, y)
    fresh = found.estimate(*gaussian(1500, 0.7, seed=9))
    assert near(fresh, -0.5 * math.log(1 - 0.49))
    assert fresh.error < found.error_
    assert fresh.ceiling == math.log(1500)
    one = found.log_ratios_[0].estimates(*gaussian(1500, 0.7, seed=9), ("infonce",))["infonce"][0]
    two = found.log_ratios_[1].estimates(*gaussian(1500, 0.7, seed=9), ("infonce",))["infonce"][0]
    assert fresh.nats == pytest.approx((one.nats + two.nats) / 2)
    with pytest.raises(SampleError, match="x: expected 1 columns as in fit, found 2"):
        found.estimate(np.zeros((100, 2)), np.zeros(100))
    with pytest.raises(SampleError, match="expected both x and y, or neither"):
        found.estimate(np.zeros(100))


def test_nothing_fitted_nothing_told():
    with pytest.raises(SampleError, match="found nothing fitted"):
        MutualInformation().estimate()


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"bound": "mine"}, "bound: expected one of infonce, jsd, dv, nwj, smile, found 'mine'"),
        ({"critic": "dot"}, "critic: expected one of separable, concat"),
        ({"transform": None}, "transform: expected one of rank"),
        ({"backend": "torch"}, "backend: expected one of numpy, cupy"),
        ({"steps": -1}, "steps: expected an integer ≥ 0, found -1"),
        ({"folds": 1}, "folds: expected an integer ≥ 2"),
        ({"folds": 2.5}, "folds: expected an integer ≥ 2, found 2.5"),
        ({"folds": 25}, "folds: expected 3 samples in each at least, found 25 folds of 60 samples"),
        ({"restarts": 0}, "restarts: "),
        ({"batch_size": 1}, "batch_size: expected an integer ≥ 2"),
        ({"validation": 1.0}, "validation: expected a share between 0 and 1"),
    ],
)
def test_parameters_that_make_no_sense_are_told(parameters, line):
    with pytest.raises(SampleError) as caught:
        MutualInformation(**parameters).fit(*gaussian(60, 0.5))
    assert line in str(caught.value)


def test_scikit_learn_clones_it():
    base = pytest.importorskip("sklearn.base")
    given = MutualInformation(bound="dv", folds=3, seed=7)
    assert base.clone(given) == given
    assert given.set_params(folds=4).folds == 4
    with pytest.raises(SampleError, match="fold: expected one of"):
        given.set_params(fold=4)


def test_more_restarts_are_averaged_into_one_critic():
    x, y = gaussian(300, 0.7)
    found = MutualInformation(restarts=3, folds=2, steps=10).fit(x, y)
    assert len(found.histories_) == 6
    critics = found.log_ratios_[0].critics
    assert len(critics.parameters) == 3
    sides = critics.preparation.sides(critics.preparation.transformed(x, y), critics.factor)
    expected = np.mean([critics.family.score(p, *sides) for p in critics.parameters], axis=0)
    np.testing.assert_allclose(critics.scores(*sides), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bound", ESTIMATES)
@pytest.mark.parametrize("critic", ["separable", "concat"])
def test_every_backend_gives_the_same_numbers(bound, critic, backend, monkeypatch):
    x, y = gaussian(80, 0.7, d=2)
    settings = {"bound": bound, "critic": critic, "folds": 2, "steps": 3}
    expected = MutualInformation(**settings).fit(x, y)
    monkeypatch.setattr(estimator, "get_backend", lambda name: backend)
    found = MutualInformation(**settings).fit(x, y)
    assert found.nats_ == pytest.approx(expected.nats_, abs=1e-4)


def test_nothing_of_the_held_out_samples_is_seen():
    """Change a fold's samples, and the critics of that fold stay what they were."""
    x, y = gaussian(100, 0.7)
    settings = MutualInformation(steps=30)._settings()
    split = next(splits(np.random.default_rng(0), np.arange(100), 2, 0.2))
    kept = training.train(x, y, split, settings, np.random.default_rng(1), NUMPY)[0]
    x[split.test], y[split.test] = 1e6, -1e6
    again = training.train(x, y, split, settings, np.random.default_rng(1), NUMPY)[0]
    probe = gaussian(20, 0.7, seed=2)
    np.testing.assert_array_equal(kept(*probe)(slice(0, 20)), again(*probe)(slice(0, 20)))


def test_the_log_ratio_is_that_of_the_gaussian_whatever_it_was_trained_with():
    x, y = gaussian(1000, 0.6)
    px, py = gaussian(50, 0.6, seed=3)
    truth = (0.6 * px @ py.T - 0.18 * (px**2 + py.T**2)) / 0.64 - 0.5 * math.log(0.64)
    split = next(splits(np.random.default_rng(0), np.arange(1000), 2, 0.2))
    for bound in ("dv", "nwj", "jsd", "infonce"):
        settings = MutualInformation(bound=bound, steps=80, batch_size=64, transform="standardize")._settings()
        found = training.train(x, y, split, settings, np.random.default_rng(1), NUMPY)[0]
        assert np.median(np.abs(found(px, py)(slice(0, 50)) - truth)) < 0.12, bound
        assert found(px, py)(slice(0, 50)).max() <= math.log(len(split.train))


def frame(**columns):
    """As much of pandas as is needed: columns by name, and a frame of some of them."""

    class Frame:
        def __init__(self, columns):
            self.data, self.columns = columns, list(columns)

        def __getitem__(self, names):
            return Frame({n: self.data[n] for n in names}) if isinstance(names, list) else self.data[names]

        def to_numpy(self):
            return np.column_stack(list(self.data.values()))

    return Frame(columns)


@pytest.mark.parametrize("library", ["none", "pandas"])
def test_frames_are_their_columns_and_name_the_one_at_fault(library):
    make = frame if library == "none" else lambda **columns: pytest.importorskip("pandas").DataFrame(columns)
    x, y = gaussian(100, 0.7, d=2)
    both = make(a=x[:, 0], b=x[:, 1], c=y[:, 0], city=np.array(["Ulm", "Bonn"] * 50, object))
    quick = {"folds": 2, "steps": 3}
    assert MutualInformation(**quick).fit(both[["a", "b"]], both["c"]).nats_ == (
        MutualInformation(**quick).fit(x, y[:, 0]).nats_
    )
    with pytest.raises(SampleError, match=r"x, column 'city': expected numbers .* `categorical` .* for texts"):
        MutualInformation().fit(both[["a", "city"]], both["c"])
    found = MutualInformation(**quick, categorical="x").fit(both[["city"]], both["c"])
    assert found.notes_ == ("x has 2 different rows, so I is at most log 2 = 0.693 nats",)


def test_categories_are_what_their_names_are_not():
    """Labels in an order that says nothing: the table of counts gives their I."""
    table = np.array([[0.3, 0.05, 0.05], [0.05, 0.2, 0.05], [0.0, 0.1, 0.2]])
    k = np.random.default_rng(4).choice(9, 1000, p=table.ravel())
    names = np.array(["red", "green", "blue"])
    found = MutualInformation(folds=2, steps=25, categorical=("x", "y")).fit(names[k // 3], k % 3)
    assert near(found.estimate(), mutual_information(table))
    assert found.table_[1] == pytest.approx(mutual_information(table), abs=0.05)
    assert found.table_[0] - found.table_[1] == pytest.approx((8 - 5) / 2000)
    assert [note[:22] for note in found.notes_] == ["x has 3 different rows", "y has 3 different rows"]
    fresh = np.random.default_rng(5).choice(9, 500, p=table.ravel())
    assert near(found.estimate(names[fresh // 3], fresh % 3), mutual_information(table))
    same = MutualInformation(folds=2, steps=5, categorical=("x", "y")).fit(k % 3, k % 3)
    assert estimator.EQUAL not in same.notes_  # I is H, and finite
    for wrong, line in (
        (k / 2, r"expected integers or texts, found \d\.5 in row"),
        ([[1, None]] * 60, "found None in row 0"),
    ):
        with pytest.raises(SampleError, match=line):
            MutualInformation(categorical=("x",)).fit(np.array(wrong), k)


def test_the_chain_rule_finds_what_is_left_given_z():
    """x + z + noise: I(x; y | z) = ½ log 5; and two copies of z with noise: 0."""
    z, x, noise = np.random.default_rng(6).standard_normal((3, 600))
    found = MutualInformation(folds=2, steps=25).fit(x, x + z + 0.5 * noise, given=z)
    assert near(found.estimate(), 0.5 * math.log(5))
    both, of_z = (found.terms_[name]["infonce"] for name in estimator.TERMS)
    assert found.nats_ == pytest.approx(both.nats - of_z.nats)
    assert not found.estimate().is_bound
    assert found.notes_[-1] == estimator.DIFFERENCE
    nothing = MutualInformation(folds=2, steps=25).fit(z + x, z + noise, given=z)
    assert near(nothing.estimate(), 0)
    truth = -0.5 * math.log(1 - 0.5)
    assert near(nothing.terms_[estimator.TERMS[1]]["infonce"], truth)
    # Both terms are of the same samples: their errors fall out where they are the same.
    assert nothing.error_ < 0.5 * math.hypot(*(nothing.terms_[name]["infonce"].error for name in estimator.TERMS))


def test_more_columns_than_rows_determine_nothing():
    rng = np.random.default_rng(7)
    found = MutualInformation(folds=2, steps=25).fit(rng.standard_normal((60, 100)), rng.standard_normal((60, 2)))
    assert found.notes_ == ()
    assert found.interval_[1] < 0  # on 26 rows to train on
    assert found.estimate().notes[0].startswith("below 0: the critics overfit")


def test_of_more_rows_than_the_limit_some_are_drawn():
    x, y = gaussian(2000, 0.7)
    found = MutualInformation(folds=2, steps=10, limit=200).fit(x, y)
    assert len(found.units_) == 200
    assert near(found.estimate(), -0.5 * math.log(1 - 0.49))
