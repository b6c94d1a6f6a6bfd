"""The α–β grid at a tiny size: each cell is its own pair of weights, and the picture shows them."""

import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from png_files import size

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import alpha_beta_grid

    return alpha_beta_grid


def test_weights_reach_the_objective_and_nothing_stands_for_untrained(example, monkeypatch):
    options = Namespace(
        data="shapes", data_dir=None, noise=0.1, images=64, epochs=1, lr=1e-3, seed=0, bound="jsd", gamma=0
    )
    seen = []

    def trained(task):
        seen.append((task.config.global_weight, task.config.local_weight, task.config.noise))
        return "trained"

    monkeypatch.setattr(example, "trained", trained)
    monkeypatch.setattr(example, "untrained", lambda *args: "untrained")
    encoders = [example.encoder_of(alpha, beta, options)[0] for alpha, beta in ((0, 0), (0.5, 0), (0, 1), (0.25, 0.75))]
    assert encoders == ["untrained", "trained", "trained", "trained"]
    assert seen == [(0.5, 0, 0.1), (0, 1, 0.1), (0.25, 0.75, 0.1)]


def test_cells_of_the_picture_are_those_of_the_grid(example, tmp_path, monkeypatch):
    figures = []
    canvas = pytest.importorskip("matplotlib.backends.backend_agg").FigureCanvasAgg
    monkeypatch.setattr(canvas, "print_png", lambda self, path: figures.append(self.figure))
    options = Namespace(
        alphas=[0, 1], betas=[0, 0.5, 1], data="shapes", bound="jsd", gamma=0.1, images=64, epochs=1, seed=0
    )
    grids = np.arange(12.0).reshape(2, 2, 3)
    example.draw(tmp_path / "x.png", options, grids)
    for axes, values in zip(figures[0].axes, grids, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), values)
        texts = {text.get_position(): text.get_text() for text in axes.texts}
        assert texts[0, 0].endswith("untrained")
        assert float(texts[2, 1]) == values[1, 2]  # x is β, y is α
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "0.5", "1"]
        assert axes.get_ylabel().startswith("α")


@pytest.mark.exhaustive
def test_the_example_prints_the_grid_and_draws(tmp_path):
    pytest.importorskip("matplotlib")
    options = ("--images", "64", "--epochs", "1", "--alphas", "0", "--betas", "0", "1", "--picture", tmp_path / "x.png")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "alpha_beta_grid.py", *options], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert [row[:2] for row in rows] == [["0", "0"], ["0", "1"]]
    assert all(0 <= float(right) <= 100 and 0 <= float(alike) <= 1 for _, _, right, alike in rows)
    assert size(tmp_path / "x.png")[0] > 600
