"""Bars of probe accuracies: heights, whiskers and baselines are those of the file, and damaged files are refused."""

import json
import re

import pytest
from png_files import size

from dimref import plots
from dimref.errors import DimrefError
from dimref.plots.accuracies import read_probes

pytest.importorskip("matplotlib")


def cell(name, encoder, feature, mean, std=None, kind="probe"):
    return {"kind": kind, "name": name, "encoder": encoder, "feature": feature, "mean": mean, "std": std}


CELLS = [
    cell("linear", "trained", "conv", 0.55, 0.01),
    cell("linear", "trained", "y", 0.4, 0.02),
    cell("linear", "untrained", "conv", 0.45, 0.0),
    cell("linear", "raw", "pixels", 0.38),
    cell("knn", "trained", "y", 0.33),
    cell("mine", "trained", "y", 3.2, 0.1, kind="measure"),
]


def write(folder, results=CELLS, chance=0.1):
    (folder / "evaluation.json").write_text(json.dumps({"results": results, "data": {"chance": chance}}))
    return folder


def test_cells_are_read_in_percent_and_measures_are_left_out(tmp_path):
    cells, chance = read_probes(write(tmp_path) / "evaluation.json")
    assert chance == pytest.approx(10)
    assert len(cells) == 5
    assert cells["linear", "trained", "conv"] == pytest.approx((55, 1))
    assert cells["knn", "trained", "y"] == pytest.approx((33, 0))
    assert read_probes(write(tmp_path, chance=None) / "evaluation.json")[1] == 0


def test_bars_whiskers_and_lines_are_the_cells(tmp_path, drawn):
    path = plots.accuracies(write(tmp_path), "title")
    assert path == tmp_path / "accuracies.png"
    assert size(path)[1] > 400
    (figure,) = drawn
    linear, knn = figure.axes
    assert (linear.get_title(), knn.get_title()) == ("linear", "k nearest neighbours")
    assert [tick.get_text() for tick in linear.get_xticklabels()] == ["conv", "y"]
    assert sorted(bar.get_height() for bar in linear.patches) == pytest.approx([40, 45, 55])
    assert [bar.get_height() for bar in knn.patches] == pytest.approx([33])
    whiskers = [line.get_segments()[0][:, 1].tolist() for line in linear.collections]
    assert sorted(whiskers) == [pytest.approx([38, 42]), pytest.approx([54, 56])]
    lines = {line.get_label(): line.get_ydata()[0] for line in linear.get_lines() if line.get_label()[0] != "_"}
    assert lines == {"raw pixels": pytest.approx(38), "chance": pytest.approx(10)}
    assert sorted(text.get_text() for text in linear.texts) == ["40.0", "45.0", "55.0"]
    assert linear.get_ylabel() == "accuracy on test images (%)"
    assert linear.get_ylim()[1] > 60  # room for the numbers
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert set(legend) == {"trained", "untrained", "raw pixels", "chance"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "expected the results of dimref evaluate, found: No such file"),
        ("{", "expected JSON"),
        ("[" * 10**5, "expected JSON"),
        ("[]", "expected results as dimref evaluate writes them"),
        ('{"results": 3, "data": {}}', "expected results as dimref evaluate writes them"),
        ('{"results": [{"kind": "probe"}], "data": {"chance": 0.1}}', "found a fault at 'name'"),
        (json.dumps({"results": [cell("linear", "trained", "y", "high")], "data": {"chance": 0}}), "found a fault at"),
        (json.dumps({"results": [cell("linear", "trained", "y", 10**400)], "data": {"chance": 0}}), "found a fault at"),
        (json.dumps({"results": [cell("linear", "trained", "y", "nan")], "data": {"chance": 0}}), "1, found nan"),
        (json.dumps({"results": [cell("linear", "trained", "y", -0.1)], "data": {"chance": 0}}), "1, found -0.1"),
        (json.dumps({"results": [cell("linear", "trained", "y", 1.6e306)], "data": {"chance": 0}}), "found 1.6e+306"),
        (json.dumps({"results": [cell("mlp", "raw", "pixels", 0.1, 1e306)], "data": {"chance": 0}}), "found 1e+306"),
        (json.dumps({"results": [cell("mlp", "raw", "pixels", 0.1)], "data": {"chance": 1e305}}), "found 1e+305"),
        (json.dumps({"results": [cell("$", "trained", "y", 0.5)], "data": {"chance": 0}}), "one known probe"),
        (json.dumps({"results": [], "data": {"chance": 0.1}}), "expected at least one known probe, found none"),
    ],
)
def test_a_missing_or_damaged_file_is_refused(tmp_path, content, words):
    if content is not None:
        (tmp_path / "evaluation.json").write_text(content)
    with pytest.raises(DimrefError, match=re.escape(words)) as caught:
        plots.accuracies(tmp_path, "title")
    assert str(caught.value).startswith(str(tmp_path / "evaluation.json"))
    assert not (tmp_path / "accuracies.png").exists()
