"""Pictures with matplotlib, one to a file: each is drawn from arrays or files, and written whole into a run directory."""

from dimref.plots.accuracies import accuracies
from dimref.plots.components import components
from dimref.plots.curves import curves
from dimref.plots.filters import filters
from dimref.plots.neighbours import neighbours
from dimref.plots.style import MISSING, available
from dimref.plots.views import views

__all__ = ["MISSING", "accuracies", "available", "components", "curves", "filters", "neighbours", "views"]
