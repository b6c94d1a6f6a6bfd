"""Draw for the README how DIM(L) learns CIFAR-10: the held-out bound and the probes' accuracy, epoch by epoch.

The numbers are those of the table in dimref/evaluation/README.md.
"""

import re
import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dimref.plots.style import BLUE, GREEN, GREY, ORANGE, tidy

TABLE = Path(__file__).parents[1] / "dimref" / "evaluation" / "README.md"
UNTRAINED = 0.3  # on a logarithmic axis of epochs
FEATURES = {"conv": BLUE, "fc": GREEN, "y": ORANGE}
ROW = re.compile(r"^\| (untrained|\d+) \| ?([\d.]*) \| (.+?) \| .+ \|$", re.MULTILINE)


def main(path: Path) -> None:
    rows = ROW.findall(TABLE.read_text(encoding="utf-8").partition("| epochs |")[2])
    untrained, *trained = [[float(share) for share in accuracies.split(" / ")] for _, _, accuracies in rows]
    epochs, bound = zip(*[(int(epoch), float(nats)) for epoch, nats, _ in rows[1:]], strict=True)

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot(epochs, bound, "o-", color=BLUE)
    left.axhline(1.386, color=GREY, ls="--")
    left.text(0.3, 1.372, "ceiling, log 4", va="top", color=GREY)
    left.set(title="held-out local bound (nats)", ylim=(0.8, 1.42))
    for k, (feature, color) in enumerate(FEATURES.items()):
        values = [accuracies[k] for accuracies in trained]
        right.plot(epochs, values, "o-", color=color)
        right.plot((UNTRAINED, epochs[0]), (untrained[k], values[0]), "o:", color=color, mfc="white", zorder=0)
        right.text(420, values[-1], feature, color=color, va="center", weight="bold")
    right.set(title="accuracy of a probe (%)", ylim=(28, 74))
    for axes in (left, right):
        tidy(axes)
        axes.set(
            xscale="log",
            xlabel="epochs of training without labels",
            xticks=(UNTRAINED, 1, 5, 20, 100, 330),
            xlim=(0.22, 400),
        )
        axes.set_xticklabels(["0", "1", "5", "20", "100", "330"])
        axes.minorticks_off()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).with_name("dim-local-cifar10.png"))
