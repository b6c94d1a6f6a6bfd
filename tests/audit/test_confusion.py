"""The planted implementations are audited, by default one for each kind and verdict; and the manifest holds them all."""

import re
from collections import Counter
from pathlib import Path

import pytest
from audit import confusion

from dimref.audit import wording
from dimref.audit.contract import contracts

PLANTS = tuple(confusion.plants())
SOME = {(plant.contract.split()[0], plant.expected.split()[0]): plant for plant in PLANTS}.values()
EACH = [plant if plant in SOME else pytest.param(plant, marks=pytest.mark.exhaustive) for plant in PLANTS]


@pytest.mark.parametrize("plant", EACH, ids=lambda plant: plant.id)
def test_a_plant_is_named_rightly(plant):
    confusion.assert_named_rightly(plant)


def test_the_manifest_holds_every_planted_function_once():
    """Helpers apart, which other functions of their file call."""
    for file in {plant.file for plant in PLANTS}:
        listed = [plant.function for plant in PLANTS if plant.file == file]
        assert len(listed) == len(set(listed))
        source = (confusion.PLANTED / f"{file}.py").read_text()
        defined = [line[4:].partition("(")[0] for line in source.splitlines() if line.startswith("def ")]
        unlisted = [name for name in defined if name not in listed and source.count(name) < 2]
        assert not unlisted, file


def test_every_kind_of_edit_is_planted():
    planted = {(plant.contract.rpartition(" ")[0], plant.expected.removeprefix("mistake ")) for plant in PLANTS}
    found = {
        variant.consequence
        for contract in contracts()
        for form in contract.forms
        for variant in form.edits()
        if (f"{contract.kind} {contract.name}", variant.key) in planted
    }
    of_tables = {"axis"}
    assert {kind for kind, words in wording.KINDS.items() if words[0] not in found} - of_tables <= {"whole", "pooled"}


def test_there_are_as_many_as_the_rooms_page_says():
    text = (Path(wording.__file__).parent / "README.md").read_text(encoding="utf-8")
    stated = re.findall(r"holds (\d+) .*: (\d+) mistakes .*, (\d+) that\s+conform, (\d+) in another convention", text)
    found = Counter({"within": "conforms"}.get(word, word) for word in (plant.expected.split()[0] for plant in PLANTS))
    assert stated == [(str(len(PLANTS)), *(str(found[word]) for word in ("mistake", "conforms", "convention")))]


def test_a_plant_calls_nothing_of_the_audit():
    for path in confusion.PLANTED.glob("*_*.py"):
        assert "dimref" not in path.read_text(), path.name
