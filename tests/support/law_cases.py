"""What the tests of the laws share: cases without Hypothesis, and the question which laws a broken function breaks."""

import numpy as np
import pytest

from dimref.backend import NUMPY
from dimref.laws.law import Law, Sizes
from dimref.laws.search import SCALES


def laws_of(module):
    """The laws of one family, by name."""
    return {law.name.partition(".")[2]: law for law in vars(module).values() if isinstance(law, Law)}


def some_sizes(seed):
    """Sizes as Hypothesis would draw them, from a seed."""
    rng = np.random.default_rng(seed)
    two = {"kernel": (1, 4), "stride": (1, 3), "padding": (0, 2), "extra": (0, 5)}
    return Sizes(
        n=int(rng.integers(2, 7)),
        m=int(rng.integers(1, 6)),
        locations=int(rng.integers(1, 5)),
        **{name: (int(rng.integers(a, b + 1)), int(rng.integers(a, b + 1))) for name, (a, b) in two.items()},
        scale=SCALES[seed % len(SCALES)],
        dtype=("float64", "float32")[seed % 2],
    )


def measured(law, seed, sizes=None, backend=NUMPY):
    """The slack of one case."""
    return law.measure(law.draw(np.random.default_rng(seed), sizes or some_sizes(seed)), backend)


def assert_obeyed(law, seed, sizes=None, backend=NUMPY):
    slack = measured(law, seed, sizes, backend)
    assert law.obeyed(slack), (law.statement, slack)


def is_caught(law, cases=30):
    """Whether one of some cases breaks the law, or makes the broken function raise."""
    for seed in range(cases):
        try:
            with np.errstate(all="ignore"):
                if not law.obeyed(measured(law, seed)):
                    return True
        except Exception:
            return True
    return False


def broken_functions_break(laws, broken_functions):
    """The test that each (module, name, mistake, broken) breaks the laws that it is known to break."""

    @pytest.mark.parametrize(
        ("module", "name", "mistake", "broken"),
        broken_functions,
        ids=[f"{b[1]}-{k}" for k, b in enumerate(broken_functions)],
    )
    def test(monkeypatch, module, name, mistake, broken):
        monkeypatch.setattr(module, name, mistake(getattr(module, name)))
        for law in broken:
            assert is_caught(laws[law]), law

    return test
