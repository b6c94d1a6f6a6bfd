"""What the pictures share: colours, the figure, the legend, and how a picture is written."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from dimref.errors import DimrefError, named
from dimref.training.files import writing

# Okabe & Ito's palette: distinguishable by colour-blind readers, and by lightness in grey.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
# Ten classes: a colour and a marker each, for eyes that see the colours alike.
CLASS_COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#882255", "#999933", "#8C564B")
CLASS_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "p")
MISSING = "pictures: expected matplotlib, found none; install it with pip install '.[plot]'"
DPI = 110


def available() -> bool:
    """Whether matplotlib is installed.

    Raises:
        DimrefError: it is, and cannot be loaded: a setting of its own is damaged.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    except Exception as error:
        raise DimrefError(f"pictures: expected matplotlib to load, found {named(error)}") from None
    return True


def new_figure(width: float, height: float) -> Any:
    """An empty figure of that many inches, with no window and no global state behind it.

    Raises:
        DimrefError: matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise DimrefError(MISSING) from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def class_style(k: int) -> dict[str, str]:
    """Colour and marker of the k-th class drawn."""
    turn, place = divmod(k, len(CLASS_COLOURS))
    return {"color": CLASS_COLOURS[place], "marker": CLASS_MARKERS[(place + turn) % len(CLASS_MARKERS)]}


def class_name(classes: tuple[str, ...], label: int) -> str:
    """A label's name as one line of text that fits below a small image; empty where there is no label.

    A dollar would begin a formula, and matplotlib leaves a name out of the legend that begins with an underscore.
    """
    name = classes[label] if 0 <= label < len(classes) else "" if label < 0 else str(label)
    name = " ".join(name.split())
    name = name if len(name) <= 14 else name[:13] + "…"
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")


def tidy(axes: Any) -> None:
    """A faint grid, and no frame at the top and on the right."""
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def legend_below(axes: Any, handles: list[Any], columns: int, gap: float = 0.16) -> None:
    """A legend below the axes, where it hides nothing; `gap` is a share of their height."""
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -gap), ncols=columns, frameon=False,
                fontsize="small")  # fmt: skip


def save(figure: Any, path: Path) -> Path:
    """Write the figure as a PNG, whole or not at all.

    Raises:
        RunError: it cannot be written; an old picture stays as it was.
    """
    with writing(path) as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a class called in a script that the font lacks
        figure.savefig(file, format="png", dpi=DPI)
    return path
