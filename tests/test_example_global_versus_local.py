"""Global against local: the table and the picture at a tiny size, and the share of noise where it is known."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from png_files import size

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import global_versus_local

    return global_versus_local


def of(function):
    """An encoder whose y is a function of the images."""
    return SimpleNamespace(features=lambda images: {"y": function(images)})


def test_what_keeps_the_scene_alone_holds_no_noise(example):
    assert example.noise_share(of(lambda images: np.arange(len(images))[:, None] * 1.0), 0.3) == 0


def test_what_keeps_noise_alone_holds_nothing_else(example):
    rng = np.random.default_rng(0)
    share = example.noise_share(of(lambda images: rng.standard_normal((len(images), 40))), 0.3)
    assert share == pytest.approx(100, rel=0.05)


def test_half_scene_and_half_noise(example):
    rng = np.random.default_rng(0)
    scene = rng.standard_normal((500, 40))
    share = example.noise_share(of(lambda images: scene + rng.standard_normal(scene.shape)), 0.3)
    assert share == pytest.approx(50, rel=0.05)


def test_scenes_are_the_same_and_their_noise_is_not(example):
    seen = []
    example.noise_share(of(lambda images: (seen.append(images), np.eye(len(images)))[1]), 0.1, count=20)
    difference = seen[0].astype(float) - seen[1]
    assert abs(difference.mean()) < 1
    assert difference.std() / 255 == pytest.approx(0.1 * 2**0.5, rel=0.1)  # a little is clipped


def test_without_noise_there_is_none_in_y(example):
    assert example.noise_share(of(lambda images: images.reshape(len(images), -1).astype(float)), 0.0, 20) == 0


@pytest.mark.exhaustive
def test_the_example_prints_a_row_for_each_encoder_and_draws(tmp_path):
    pytest.importorskip("matplotlib")
    options = ("--images", "64", "--epochs", "1", "--noises", "0.2", "--picture", tmp_path / "x.png")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "global_versus_local.py", *options], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^ *0\.2 +(\S+) +([\d.]+) +([\d.]+) +([\d.]+)$", done.stdout, flags=re.M)
    assert [row[0] for row in rows] == ["DIM(L)", "DIM(G)", "untrained"]
    assert all(0 <= float(value) <= 100 for row in rows for value in row[1:])
    assert size(tmp_path / "x.png")[0] > 1000
