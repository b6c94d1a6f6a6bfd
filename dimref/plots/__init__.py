"""Pictures with matplotlib, one to a file: each is drawn from arrays or files, and written whole into a run directory."""

from dimref.plots.curves import curves
from dimref.plots.style import MISSING, available

__all__ = ["MISSING", "available", "curves"]
