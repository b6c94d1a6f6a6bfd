"""Draw Deep InfoMax for the README: encoder, local maps, y, critic, and where positive and negative pairs come from."""

import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from dimref.data import shapes
from dimref.plots.style import BLUE, GREEN, GREY, ORANGE

WIDTH, HEIGHT = 11.2, 6.1  # inches; everything below is in inches too
IMAGES = (0, 11, 6, 23)
ROWS = [3.8 - 0.86 * i for i in range(len(IMAGES))]  # of image i, its local map and row i of the score matrix
COLUMNS = [5.22 + 0.86 * j for j in range(len(IMAGES))]  # of y_j and column j of the score matrix
TOP, LOW = ROWS[0] + 0.4, ROWS[-1] - 0.4
HEAD = 5.2  # of y, of the layers that make it, and of the discriminator that takes it
MAPS = 3.24
PANELS = 9.85
LOCATION = (5, 3)  # row and column in the local map of the feature that is scored
INK, PALE = "#222222", "#f1f1f1"
PAIRS = {"fc": BLUE, "alpha": 0.9, "lw": 0}, {"fc": ORANGE, "alpha": 0.22, "lw": 0}  # positive, negative


def main(path: Path) -> None:
    figure = Figure(figsize=(WIDTH, HEIGHT))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axes.axis("off")

    def text(x, y, words, color=INK, ha="center", weight="normal"):
        axes.text(x, y, words, color=color, size=12, ha=ha, va="center", weight=weight, linespacing=1.3)

    def arrow(start, end):
        axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=13, lw=1.3, color=INK, shrinkA=0,
                                       shrinkB=0))  # fmt: skip

    def rectangle(x, y, width, height, **options):  # by its centre
        axes.add_patch(Rectangle((x - width / 2, y - height / 2), width, height, **options))

    def panel(y, color, title, words):
        axes.add_patch(FancyBboxPatch((PANELS - 1.15, y - 0.55), 2.3, 1.1, fc="white", ec=color, lw=2,
                                      boxstyle="round,pad=0,rounding_size=0.08"))  # fmt: skip
        text(PANELS, y + 0.33, title, color, weight="bold")
        for k, line in enumerate(words.split("\n")):
            text(PANELS, y - 0.02 - 0.26 * k, line)

    # From images to local maps, and from these to y
    images = shapes.load("test", noise=0).images
    text(0.62, TOP + 0.2, "images")
    axes.add_patch(Polygon([(1.4, LOW), (1.4, TOP), (2.4, TOP - 0.3), (2.4, LOW + 0.3)], fc=PALE, ec=INK, lw=1.3))
    text(1.9, (TOP + LOW) / 2, "encoder\n\nconv 64\nconv 128")
    rectangle(MAPS, (TOP + LOW) / 2, 0.92, TOP - LOW + 0.1, fc="none", ec=GREY, lw=1.2, ls=(0, (4, 3)))
    text(MAPS, LOW - 0.25, "local maps, 8×8×128")
    for i, (image, y) in enumerate(zip(IMAGES, ROWS, strict=True), start=1):
        axes.imshow(images[image], extent=(0.27, 0.97, y - 0.35, y + 0.35), interpolation="nearest", aspect="auto")
        arrow((1.03, y), (1.36, y))
        arrow((2.44, y), (MAPS - 0.48, y))
        side = 0.7 / 8
        for row in range(8):
            for column in range(8):
                fill = INK if (row, column) == LOCATION else "white"
                rectangle(
                    MAPS + (column - 3.5) * side, y + (3.5 - row) * side, side, side, fc=fill, ec="#aaaaaa", lw=0.5
                )
        arrow((MAPS + 0.5, y), (COLUMNS[0] - 0.45, y))
        text(4.24, y + 0.17, f"$f_{{{i}}}$ at $l$")
    arrow((MAPS, TOP + 0.08), (MAPS, HEAD - 0.37))
    rectangle(MAPS, HEAD, 1.8, 0.66, fc=PALE, ec=INK, lw=1.3)
    text(MAPS, HEAD, "conv 256, fc 1024,\nlinear 64")
    arrow((MAPS + 0.94, HEAD), (COLUMNS[0] - 0.16, HEAD))

    # The score matrix: features by rows, representations by columns
    for j, x in enumerate(COLUMNS, start=1):
        for k in range(8):
            rectangle(x, HEAD + (k - 3.5) * 0.09, 0.2, 0.09, fc="white", ec=INK, lw=0.7)
        text(x, HEAD + 0.55, f"$y_{j}$")
        arrow((x, HEAD - 0.41), (x, TOP + 0.05))
        for i, y in enumerate(ROWS, start=1):
            rectangle(x, y, 0.8, 0.8, **PAIRS[i != j])
            text(x, y, f"$T(f_{i},y_{j})$", "white" if i == j else INK)
    for y, style, words in zip((LOW - 0.25, LOW - 0.57), PAIRS, ("the same", "another"), strict=True):
        rectangle(COLUMNS[0] - 0.3, y, 0.2, 0.2, **style)
        kind = "positive" if style is PAIRS[0] else "negative"
        text(COLUMNS[0] - 0.08, y, f"{kind} pairs: $y$ of {words} image", ha="left")

    # What is made of y and of the score matrix
    arrow((COLUMNS[-1] + 0.16, HEAD), (PANELS - 1.2, HEAD))
    panel(HEAD, GREEN, "γ · prior", "a discriminator tells $y$\nfrom uniform draws")
    arrow((COLUMNS[-1] + 0.45, ROWS[1]), (PANELS - 1.2, ROWS[1]))
    panel(ROWS[1], BLUE, "β · local bound", "on I($f$ at $l$; $y$) in nats,\nmean over locations $l$")
    panel(ROWS[3] + 0.15, GREY, "α · global bound", "the same with the last\nmap, 4×4×256, for $f$")
    text(PANELS, LOW - 0.28, "$T$: the critic, trained\ntogether with the encoder")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).with_name("method.png"))
