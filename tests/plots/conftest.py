"""What the tests of pictures share: a look at the figures that were saved."""

import pytest


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    figure = pytest.importorskip("matplotlib.figure").Figure
    figures, save = [], figure.savefig

    def keep(self, *args, **options):
        figures.append(self)
        save(self, *args, **options)

    monkeypatch.setattr(figure, "savefig", keep)
    return figures
