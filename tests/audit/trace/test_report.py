"""The report: lines that fit, one verdict, JSON without NaN."""

import json

import numpy as np

from dimref.audit.trace import report
from dimref.audit.trace.compare import UNKNOWN, Comparison, Departure
from dimref.audit.trace.relations import Finding


def departing():
    long = [f"gradient/encoder/some/long/name{k}" for k in range(30)]
    worst = {"at": [1, 2], "expected": 1.0, "found": 2.0, "relative": 0.5}
    first = Departure(
        "encoder/norm1", Finding("eps", "ε = 0.001 in place of 1e-5"), (4, 8), worst, ["encoder/norm2"], long
    )
    second = Departure(
        "loss", UNKNOWN, (), {"at": [], "expected": 0.0, "found": float("nan"), "relative": float("inf")}
    )
    return Comparison("theirs.npz", ["encoder/conv1"], [first, second], ["loss"], ["mine"], ["a remark"])


def test_text():
    lines = report.text(departing()).splitlines()
    assert max(map(len, lines)) <= 110
    assert lines[0] == "DEPARTS      encoder/norm1 (4 × 8): ε = 0.001 in place of 1e-5"
    assert "worst [1, 2] expected 1, found 2: 0.5 of the scale" in lines[1]
    assert "the same at 1 more: encoder/norm2" in lines[2]
    assert "explains 30 later arrays: gradient/encoder/some/long/name0" in lines[3]
    text = " ".join(" ".join(lines).split())
    assert "also departs loss (scalar): no simple relation found" in text
    assert "missing 1: loss" in text
    assert "unknown 1: mine" in text
    assert "note a remark" in text
    assert text.endswith("1 more departure not explained by it")
    assert "name15" not in text
    assert "name15" in report.text(departing(), everything=True)


def test_departures_without_a_relation_share_a_line():
    many = [Departure(f"gradient/x{k}", UNKNOWN, (2,)) for k in range(9)]
    lines = report.text(Comparison("t", departures=many)).splitlines()
    assert [line.split()[0] for line in lines] == ["DEPARTS", "also", "no", "verdict"]
    assert "no simple relation at 7 more: gradient/x2" in lines[2]


def test_verdicts():
    assert report.verdict(Comparison("t", ["a", "b"])) == "t conforms in all 2 arrays that it has"
    alone = Comparison("t", departures=[Departure("a", Finding("sign", "the sign is flipped"), (2,))])
    assert report.verdict(alone).endswith("the sign is flipped; nothing else departs that does not follow from it")


def test_json():
    found = json.loads(json.dumps(report.as_json(departing()), allow_nan=False))
    assert (found["verdict"], found["diagnosis"], found["first"]) == ("departs", "eps", "encoder/norm1")
    assert found["departures"][1]["worst"] == {"at": [], "expected": 0.0, "found": None, "relative": None}
    assert found["departures"][0]["explains"][0] == "gradient/encoder/some/long/name0"
    assert report.as_json(Comparison("t"))["diagnosis"] is None
    assert np.isnan(departing().departures[1].worst["found"])
