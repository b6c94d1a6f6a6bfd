"""What the readers' tests share: a refusal must be one line, damage is drawn alike, real data is optional."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st

from dimref.data import DataError, Dataset, load


@pytest.fixture(scope="session")
def refuses() -> Callable[..., None]:
    """Assert that loading is refused in one line in which each of the words occurs."""

    def check(name: str, split: str, where: Path, *words: str, kind: type[DataError] = DataError, **more: int) -> None:
        with pytest.raises(DataError) as caught:
            load(name, split, where, **more)
        assert type(caught.value) is kind
        line = str(caught.value)
        assert "\n" not in line
        for word in words:
            assert re.search(word, line), f"{word!r} is not in: {line}"

    return check


@pytest.fixture(scope="session")
def survives() -> Callable[..., None]:
    """Assert that damaged files end in a whole dataset or in a one-line refusal, and in nothing else."""

    def check(name: str, split: str, where: Path, limit: int | None = None) -> None:
        try:
            dataset = load(name, split, where, limit)
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017 - a refusal is one of two good ends
        else:
            assert isinstance(dataset, Dataset)
            assert len(dataset.images) == len(dataset.labels) > 0

    return check


@pytest.fixture(scope="session")
def damage() -> Callable[[st.DataObject, bytes], bytes]:
    """Draw a damaged copy: cut short, some bytes changed, or some put in between."""

    def change(data: st.DataObject, content: bytes) -> bytes:
        place = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(("cut", "flip", "insert")))
        if kind == "cut":
            return content[:place]
        if kind == "insert":
            return content[:place] + data.draw(st.binary(min_size=1, max_size=8)) + content[place:]
        copy = bytearray(content)
        for spot in [place, *data.draw(st.lists(st.integers(0, min(len(content) - 1, 200)), max_size=3))]:
            copy[spot] ^= data.draw(st.integers(1, 255))
        return bytes(copy)

    return change


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Where a real file or folder lies, or skip the test."""

    def find(name: str) -> Path:
        beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
        for folder in (os.environ.get("DIMREF_TEST_DATA"), beside):
            if folder and (Path(folder) / name).exists():
                return Path(folder) / name
        pytest.skip(f"no real {name}: set DIMREF_TEST_DATA to the folder that holds it")

    return find
