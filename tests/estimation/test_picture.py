"""The picture of an estimate shows the training as it was, and the held-out bands beside it."""

import math

import numpy as np
import pytest
from png_files import size

from dimref.estimation import MutualInformation
from dimref.estimation.picture import draw

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def fits():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(100)
    y = 0.8 * x + 0.6 * rng.standard_normal(100)
    return [MutualInformation(bound=b, folds=2, steps=60, batch_size=32).fit(x, y) for b in ("infonce", "jsd", "smile")]


def test_a_panel_for_each_bound_with_curves_and_bands(fits, tmp_path, drawn):
    assert size(draw(tmp_path / "p.png", fits, 0.5))[0] > 1000
    figure = drawn[0]
    assert [axes.get_title() for axes in figure.axes] == ["infonce", "jsd", "smile"]
    for axes, fit in zip(figure.axes, fits, strict=True):
        curves = [line for line in axes.get_lines() if line.get_label() == f"{fit.objective}, validation"]
        drawn_histories = [tuple(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in curves]
        assert drawn_histories == list(fit.histories_)
        for line, history in zip(
            [line for line in axes.get_lines() if line.get_label() == "best state"],
            fit.histories_,
            strict=True,
        ):
            assert line.get_ydata()[0] == max(value for _, value in history)
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        assert any(f"{fit.nats_:.3f} [{fit.interval_[0]:.3f}, {fit.interval_[1]:.3f}]" in text for text in texts)
        assert "KSG: 0.500" in texts
        assert axes.get_xlabel() == "training step"
        assert axes.get_ylabel() == "nats"
        low, high = axes.get_ylim()
        shown = [fit.interval_[1], 0.5, *(value for history in fit.histories_ for _, value in history)]
        first = min(fit.interval_[0], *(history[0][1] for history in fit.histories_))
        assert first - 0.2 * (high - low) < low < first  # no room for what is not there
        assert high > max(shown)


def test_no_legend_hides_a_curve(fits, tmp_path, drawn):
    draw(tmp_path / "p.png", fits[:1], None)
    axes = drawn[0].axes[0]
    assert axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0
    assert not any("KSG" in text.get_text() for text in axes.get_legend().get_texts())


def test_a_ceiling_that_is_near_is_drawn(fits, tmp_path, drawn):
    draw(tmp_path / "p.png", fits[:2], math.log(50) - 0.5)
    texts = [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()]
    assert f"ceiling {math.log(50):.3f}" in texts


def test_a_history_without_finite_values_does_no_harm(fits, tmp_path, drawn):
    broken = MutualInformation(bound="nwj")
    broken.estimates_, broken.terms_ = {"nwj": fits[0].estimate()}, {}
    broken.histories_ = (((0, -math.inf), (25, -math.inf)),)
    assert size(draw(tmp_path / "p.png", [broken], None))[0] > 500
    assert all(math.isfinite(limit) for limit in drawn[0].axes[0].get_ylim())
