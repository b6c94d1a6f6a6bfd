"""The picture of a run shows its metrics as they are, whatever they are."""

import math

import pytest
from png_files import size

from dimref import plots
from dimref.errors import DimrefError
from dimref.training import metrics, run_directory

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure


def run_with_metrics(path, steps=6, terms=("local", "prior"), value=None):
    """A run directory with the metrics of `steps` steps, two of them ends of epochs."""
    for step in range(1, steps + 1):
        nats = {name: value if value is not None else step / 10 - (name == "prior") for name in terms}
        line = {"nats": nats, "gradient_norm": 2.0 / step, "effective_rank": 1.0 + step, "epoch": 1}
        metrics.append(path / run_directory.METRICS, {"kind": "step", "step": step, **line})
        if step % 3 == 0:
            metrics.append(path / run_directory.METRICS, {"kind": "epoch", "step": step, "held_out_nats": nats})
    return path


def series(axes):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def test_the_picture_is_a_png_of_a_size_to_be_looked_at(tmp_path):
    path = plots.curves(run_with_metrics(tmp_path), {"local": 1.386}, "title", 64)
    assert path == tmp_path / "curves.png"
    wide, high = size(path)
    assert 1000 < wide < 2000
    assert 400 < high < 800
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_curves_are_the_metrics(tmp_path, undrawn):
    ceilings = {"local": math.log(4), "global": math.inf}
    plots.curves(run_with_metrics(tmp_path, terms=("global", "local", "prior")), ceilings, "t", 64)
    left, middle, right, twin = undrawn[0].axes
    steps = [1, 2, 3, 4, 5, 6]
    found = series(left)
    assert found["local, batch"] == (steps, [step / 10 for step in steps])
    assert found["global, held out"] == ([3, 6], [0.3, 0.6])
    assert found["ceiling 1.386, above"] == ([], [])  # a label, since a line would flatten 0.1 … 0.6 nats; none for inf
    assert left.get_ylim()[1] < 0.7
    assert len(found) == 5
    game = series(middle)
    assert game.pop("−log 4: y cannot be distinguished from the prior")[1] == [-math.log(4)] * 2
    assert list(game.values()) == [(steps, [step / 10 - 1 for step in steps])]
    assert series(right)["effective rank of y"] == (steps, [1.0 + step for step in steps])
    assert series(twin)["gradient norm"] == (steps, [2.0 / step for step in steps])


def test_every_axis_and_every_curve_is_labelled(tmp_path, undrawn):
    plots.curves(run_with_metrics(tmp_path), {"local": 1.386}, "shapes, jsd", 64)
    figure = undrawn[0]
    assert figure.get_suptitle() == "shapes, jsd"
    for axes in figure.axes:
        assert axes.get_ylabel()
    for axes in figure.axes[:3]:
        assert axes.get_title()
        assert axes.get_xlabel() == "step"
        shown = {text.get_text() for text in axes.get_legend().get_texts()}
        assert set(series(axes)) <= shown


def test_no_legend_hides_a_curve(tmp_path, drawn):
    plots.curves(run_with_metrics(tmp_path), {"local": 1.386}, "title", 64)
    for axes in drawn[0].axes[:3]:
        assert axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0


def test_what_amdim_certifies_is_in_the_middle(tmp_path, undrawn):
    """A curve for each pair of scales on batches and held out, below log N; the penalty and the loss are not undrawn."""
    scales = ("1-5", "1-7", "5-5")
    terms = (*scales, *(f"{term}_certified" for term in scales), "penalty", "loss")
    plots.curves(run_with_metrics(tmp_path, terms=terms), dict.fromkeys(scales, 7.0), "title", 64)
    left, middle, *_ = undrawn[0].axes
    names = {f"{term}, {where}" for term in scales for where in ("batch", "held out")}
    assert set(series(left)) == {*names, "ceiling 7.000, above"}
    found = series(middle)
    assert set(found) == {*names, "ceiling 4.159, above"}
    assert found["1-7, batch"] == ([1, 2, 3, 4, 5, 6], [step / 10 for step in range(1, 7)])
    assert found["5-5, held out"] == ([3, 6], [0.3, 0.6])
    assert middle.get_title() == "what is certified of it"
    assert not middle.texts


def test_a_prior_is_shown_before_what_is_certified(tmp_path, undrawn):
    plots.curves(run_with_metrics(tmp_path, terms=("local", "local_certified", "prior")), {"local": 7.0}, "title", 64)
    assert undrawn[0].axes[1].get_title() == "prior's game"


def test_a_run_without_a_prior_says_so(tmp_path, undrawn):
    plots.curves(run_with_metrics(tmp_path, terms=("local",)), {"local": 1.386}, "title", 64)
    middle = undrawn[0].axes[1]
    assert [text.get_text() for text in middle.texts] == ["no prior (weight 0)"]
    assert series(middle) == {}


@pytest.mark.parametrize(
    "value", [math.nan, *(pytest.param(x, marks=pytest.mark.exhaustive) for x in (math.inf, -math.inf))]
)
def test_numbers_that_are_not_finite_are_left_out_of_the_curves_and_do_no_harm(tmp_path, drawn, value):
    path = plots.curves(run_with_metrics(tmp_path, value=value), {"local": math.inf}, "title", 64)
    assert size(path)[0] > 1000
    drawn_values = series(drawn[0].axes[0])["local, batch"][1]
    assert all(isinstance(number, float) and not math.isfinite(number) for number in drawn_values)
    assert all(math.isfinite(limit) for axes in drawn[0].axes for limit in axes.get_ylim())


@pytest.mark.parametrize("value", [3.4e38, pytest.param(-3.4e38, marks=pytest.mark.exhaustive)])
def test_the_largest_numbers_of_float32_are_drawn(tmp_path, value):
    assert size(plots.curves(run_with_metrics(tmp_path, value=value), {"local": math.inf}, "title", 64))[0] > 1000


@pytest.mark.parametrize("steps", [1, pytest.param(2, marks=pytest.mark.exhaustive)])
def test_a_run_of_a_step_or_two_is_drawn(tmp_path, steps):
    assert size(plots.curves(run_with_metrics(tmp_path, steps=steps), {"local": 1.386}, "title", 64))[0] > 1000


def test_two_equal_ceilings_are_one_line(tmp_path, undrawn):
    plots.curves(run_with_metrics(tmp_path, terms=("global", "local")), {"local": 0.7, "global": 0.7}, "title", 64)
    labels = [text.get_text() for text in undrawn[0].axes[0].get_legend().get_texts()]
    assert labels.count("ceiling 0.700") == 1


def test_a_run_without_metrics_is_refused(tmp_path):
    with pytest.raises(DimrefError, match=r"metrics.jsonl: expected the run's metrics"):
        plots.curves(tmp_path, {"local": 1.386}, "title", 64)
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(DimrefError, match="expected at least one line of metrics, found none"):
        plots.curves(tmp_path, {"local": 1.386}, "title", 64)


@pytest.mark.parametrize("more", [("local",), ("local", "prior", "global", "local_certified")])
def test_metrics_of_other_terms_in_between_are_refused(tmp_path, more):
    run_with_metrics(tmp_path)
    line = {"nats": dict.fromkeys(more, 0.5), "gradient_norm": 1.0, "effective_rank": 1.0, "epoch": 1}
    metrics.append(tmp_path / run_directory.METRICS, {"kind": "step", "step": 7, **line})
    with pytest.raises(DimrefError, match=r"metrics.jsonl: expected the same terms on every line, found local"):
        plots.curves(tmp_path, {"local": 1.386}, "title", 64)


def test_a_picture_that_fails_leaves_the_old(tmp_path, monkeypatch):
    path = plots.curves(run_with_metrics(tmp_path), {"local": 1.386}, "title", 64)
    before = path.read_bytes()

    def full(self, file, **options):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(DimrefError, match=r"curves.png: expected to write it, found: No space left"):
        plots.curves(tmp_path, {"local": 1.386}, "title", 64)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "line",
    [
        {"step": 1},
        {"step": 1, "kind": "step"},
        {"step": 1, "kind": "step", "nats": {"local": "high"}, "effective_rank": 1, "gradient_norm": 1},
        {"step": 1, "kind": "step", "nats": {"global": 1}, "effective_rank": 1, "gradient_norm": 1},
        {"step": 1, "kind": "step", "nats": [], "effective_rank": 1, "gradient_norm": 1},
        {"step": 1, "kind": "step", "nats": {"local": 10**400}, "effective_rank": 1, "gradient_norm": 1},
        {"step": 1, "kind": "step", "nats": {"local": 1.7e308}, "effective_rank": 1, "gradient_norm": 1},
        {"step": 1, "kind": "step", "nats": {"local": 1}, "effective_rank": -1e39, "gradient_norm": 1},
        {"step": 1, "kind": "step", "nats": {"local": 1}, "effective_rank": 1, "gradient_norm": 1e300},
        {"step": 1, "kind": "epoch", "held_out_nats": {}},
        {"step": 1, "kind": "epoch", "held_out_nats": {"local": -1e308}},
    ],
)
def test_metrics_with_a_fault_are_refused(tmp_path, line):
    metrics.append(tmp_path / run_directory.METRICS, line)
    with pytest.raises(DimrefError, match=r"metrics.jsonl: expected the metrics of a run, found a fault at"):
        plots.curves(tmp_path, {"local": 1.386}, "title", 64)
