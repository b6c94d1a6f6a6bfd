"""What the readers' tests share: a refusal must be one line, and real data is optional."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dimref.data import DataError, load


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
def real_data() -> Callable[[str], Path]:
    """Where a real file or folder lies, or skip the test."""

    def find(name: str) -> Path:
        beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
        for folder in (os.environ.get("DIMREF_TEST_DATA"), beside):
            if folder and (Path(folder) / name).exists():
                return Path(folder) / name
        pytest.skip(f"no real {name}: set DIMREF_TEST_DATA to the folder that holds it")

    return find
