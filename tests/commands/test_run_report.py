"""`dimref report`: what the page of a run shows, what it names as missing, and that nothing in it is fetched or run."""

import base64
import json
import re
from xml.etree import ElementTree

import pytest
import tiny_runs

PNG = b"\x89PNG\r\n\x1a\n" + b"a picture"
CELLS = [
    {"kind": "probe", "name": "linear", "encoder": encoder, "feature": feature, "mean": mean, "std": None}
    for encoder, feature, mean in (("trained", "y", 0.531), ("untrained", "y", 0.154), ("raw", "pixels", 0.265))
]


def written(run, *options):
    """The page, which is well formed."""
    result = tiny_runs.invoke("report", run, *options)
    assert result.exit_code == 0, result.output
    text = (run / "report.html").read_text(encoding="utf-8")
    ElementTree.fromstring(text[text.index("<body>") : text.index("</html>")])
    return text


def test_the_page_shows_what_lies_in_the_run(run):
    (run / "evaluation.json").write_text(json.dumps({"results": CELLS, "data": {"chance": 0.1}}))
    for name in ("curves", "neighbours", "filters", "components"):
        (run / f"{name}.png").write_bytes(PNG)
    page = written(run)
    assert page.count("data:image/png;base64," + base64.b64encode(PNG).decode()) == 4
    words = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    for shown in (
        "0.5 × global JSD (concat, shuffle) + 0.1 × local JSD (concat, shuffle) + 0.1 × uniform prior",
        "3 steps of 4 images", "linear trained 53.1", "linear untrained 15.4", "linear raw pixels 26.5", "10 % by chance",
        "local", "1.386", f"dimref train --resume {run}", f"dimref encode {run}", "--batch-size 4", "python", "numpy",
    ):  # fmt: skip
        assert shown in words, shown
    assert "None:" not in words
    assert "<script" not in page
    assert not re.findall(r"""(?:src|href)="(?!data:)|url\(|https?://""", page)


def test_what_is_missing_is_named_with_the_command_that_makes_it(run):
    (run / "metrics.jsonl").write_text("")
    (run / "curves.png").write_text("no picture")
    page = written(run)
    assert f"None: dimref plot {run} draws it" in page
    assert f"None: dimref evaluate {run} writes it" in page
    assert f"None: {run / 'curves.png'}: no PNG" in page
    assert f"None: {run / 'metrics.jsonl'}: expected at least one line of metrics" in page


def test_what_a_run_is_called_is_text(run):
    nasty = run.with_name("<script>alert(1)</script>".replace("/", "∕"))
    run.rename(nasty)
    assert "<script" not in written(nasty)


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("no/such",), "no run directory no/such"),
        (("{parent}/rum",), "no run directory {parent}/rum; did you mean run?"),
        (("{run}/newest.npz",), "{run}/newest.npz: expected a run's directory, found none; its directory is {run}"),
        (("{run}", "-o", "{run}/no/r.html"), "--out {run}/no/r.html: expected a file in a directory that exists"),
    ],
)
def test_what_is_no_run_is_refused_in_a_line(run, args, line):
    known = {"run": run, "parent": run.parent}
    assert line.format(**known) in tiny_runs.refused("report", *(arg.format(**known) for arg in args))
