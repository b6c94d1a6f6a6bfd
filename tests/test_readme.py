"""What the README and the rooms' READMEs say is true: links, commands, names, the Python step, the line count."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import click
import pytest

from dimref.cli import main
from dimref.laws import equations

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    ROOT / "README.md",
    *(p for room in ("dimref", "examples", "tests") for p in sorted((ROOT / room).rglob("*.md"))),
]
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]
BESIDE_THE_REFERENCE = {"__init__.py", "__main__.py", "backend.py", "cli.py", "errors.py"}


def fenced(text, language=""):
    """The fenced blocks of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def section(title):
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_at_most_200_lines():
    assert len(README.splitlines()) <= 200


def test_ci_finds_the_test_command():
    assert re.search(r"^pip install '\.\[test\]' && pytest", README, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_resolve(page):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text(encoding="utf-8")), target


def anchors(text):
    """The anchors of a page's titles, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_files_named_exist(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`([\w/]+\.py|(?:dimref|tests|examples)/[\w/]*)`", text):
        assert any((folder / name).exists() for folder in (page.parent, ROOT, ROOT / "examples")), name


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_and_their_options_exist(page):
    text = page.read_text(encoding="utf-8")
    lines = [line for block in fenced(text) for line in block.splitlines()] + re.findall(r"`(dimref [^`]+)`", text)
    for line in lines:
        for part in line.split("&&"):
            if part.strip().startswith("dimref "):
                check_command(shlex.split(part, comments=True)[1:])


def check_command(words):
    """Walk the groups to the command; every word that begins with a dash is one of its options."""
    command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command = command.get_command(click.Context(command), words[0])
        assert command is not None, words[0]
        words = words[1:]
    options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help", "--version"}
    assert {word for word in words if word.startswith("-")} <= options


def rows():
    """The table of equations: the places of each row, and its function, law and oracle test."""
    for line in section("Equations").splitlines():
        if line.startswith("|") and "`" in line:
            places, _, *names = (cell.strip() for cell in line.strip("|").split("|"))
            yield re.findall(r"([^,]+?) \(([\w.]+)\)(?:, )?", places), [name.strip("`") for name in names]


@pytest.fixture(scope="module")
def entries():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(equations, "TESTS", ROOT / "tests")  # also where the package under test is an installed one
        return {(entry.paper, entry.place): entry for entry in equations.entries()}


def test_a_dozen_equations():
    assert len(list(rows())) >= 12


@pytest.mark.parametrize(("places", "names"), list(rows()))
def test_equations_lead_where_the_table_says(entries, places, names):
    function, law, oracle = names
    for paper, number in places:
        entry = entries[paper, f"eq. ({number})"]
        assert function in entry.functions
        assert oracle in entry.oracles
        assert law in (entry.laws or [""])
    assert oracle == equations.oracle_test(function)
    assert (ROOT / oracle).exists()


def test_the_python_step_runs():
    (code,) = fenced(section("The training step in Python"), "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code.replace("range(100)", "range(1)"), {})
    assert re.fullmatch(r"0 -?0\.\d+ nats of at most 1\.386\d+\n", printed.getvalue())


def test_the_python_encoder_runs(narrow):
    pytest.importorskip("sklearn")
    (code,) = fenced(section("An encoder in Python"), "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(
            code.replace('"train")', '"train", limit=99)')
            .replace('"test")', '"test", limit=20)')
            .replace("epochs=2", "steps=1"),
            {},
        )
    assert re.fullmatch(r"[01]\.\d+ accuracy; -?\d\.\d+ nats\n", printed.getvalue())


def test_the_reference_has_the_lines_that_the_readme_says():
    named = set(re.findall(r"`dimref/(\w+\.py)`", section("Reading order")))
    files = {path.name for path in (ROOT / "dimref").glob("*.py")}
    assert named == files - BESIDE_THE_REFERENCE
    lines = sum(len((ROOT / "dimref" / name).read_text(encoding="utf-8").splitlines()) for name in named)
    (stated,) = re.findall(r"read in an afternoon: ([\d,]+) lines", README)
    assert int(stated.replace(",", "")) == round(lines, -2)
