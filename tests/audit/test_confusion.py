"""Every planted implementation is audited: the wrong ones are named rightly, and no right one is accused."""

import importlib.util

import pytest
from audit import confusion

PLANTS = tuple(confusion.plants())
MODULES = {}


def module(plant):
    """Its file, loaded once; skipped where its framework is missing."""
    if plant.framework in ("torch", "jax") and importlib.util.find_spec(plant.framework) is None:
        pytest.skip(f"{plant.framework} is not installed: {plant.file} is written with it")
    if plant.file not in MODULES:
        MODULES[plant.file] = confusion.load(plant.file)
    return MODULES[plant.file]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.id)
def test_a_plant_is_named_rightly(plant):
    finding = confusion.audited(plant, module(plant))
    assert finding.named == plant.expected, finding.diagnosis


def test_the_manifest_holds_every_planted_function_once():
    """Helpers apart, which other functions of their file call."""
    for file in {plant.file for plant in PLANTS}:
        listed = [plant.function for plant in PLANTS if plant.file == file]
        assert len(listed) == len(set(listed))
        source = (confusion.PLANTED / f"{file}.py").read_text()
        defined = [line[4:].partition("(")[0] for line in source.splitlines() if line.startswith("def ")]
        unlisted = [name for name in defined if name not in listed and source.count(f"{name}(") < 2]
        assert not unlisted, file


def test_every_known_mistake_is_planted():
    planted = {
        f"{plant.contract.rpartition(' ')[0]} {plant.expected.removeprefix('mistake ')}"
        for plant in PLANTS
        if plant.expected.startswith("mistake")
    }
    assert confusion.known_mistakes() - planted == set()


def test_there_are_enough_right_ones():
    valid = [plant for plant in PLANTS if not plant.expected.startswith("mistake")]
    assert len(valid) >= 60


def test_a_plant_calls_nothing_of_the_audit():
    for path in confusion.PLANTED.glob("*_*.py"):
        assert "dimref" not in path.read_text(), path.name
