"""What distant patches share is what y learns: DIM(L) trained twice, on images that differ in one thing.

All images are striped, and the texture of the stripes is the same in the whole image. In the first run the colours vary from
place to place; in the second each image has one colour too. A linear probe on y shows what each encoder has learned.
Run: python examples/what_is_shared.py --picture shared.png [--seeds 3]
"""

import argparse
from dataclasses import dataclass

import numpy as np
from global_versus_local import trained

from dimref.data import shapes
from dimref.evaluation.probes import linear_probe
from dimref.export.inference import untrained
from dimref.training.config import Config
from dimref.training.task import prepare

RUNS = {
    "texture": "an image has one texture, its colours vary",
    "texture,colour": "an image has one texture and one colour",
}
FACTORS = ("texture", "colour")
SENTENCE = (
    "y learns what patches far apart have in common: the texture; but the colour, where they share it more plainly."
)


@dataclass(frozen=True)
class Learned:
    """One seed of one run: the held-out bound in nats, and accuracies in % by factor."""

    nats: float
    trained: dict[str, float]
    untrained: dict[str, float]


def learned(shared: str, options: argparse.Namespace, seed: int) -> Learned:
    """Train on the images that share these factors, and probe y for each factor of the upper left quarter."""
    config = Config(shared=shared, limit=options.images, epochs=options.epochs, lr=options.lr, seed=seed)
    task = prepare(config)
    encoder, terms = trained(task)
    before = untrained(config, task.layout, task.backend, task.images)
    parts = [
        shapes.draw(np.arange(n), split, shared=shared.split(","))
        for n, split in ((options.images, "train"), (min(options.images, 2000), "test"))
    ]
    found = []
    for each in (encoder, before):
        ys = [each.features(images, ("y",))["y"] for images, _ in parts]
        pairs = {factor: [(y, labels[factor]) for y, (_, labels) in zip(ys, parts, strict=True)] for factor in FACTORS}
        found.append({factor: 100 * linear_probe(*pair).accuracy for factor, pair in pairs.items()})
    return Learned(terms["local"], *found)


def draw(path: str, results: dict[str, list[Learned]]) -> None:
    """A column for each run: images above, the probes below; needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from dimref.plots.style import BLUE, GREY, ORANGE, tidy

    figure = Figure(figsize=(9, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    columns = figure.subplots(2, 2, height_ratios=(1, 1.5), sharey="row")
    for (above, below), (shared, runs) in zip(columns.T, results.items(), strict=True):
        images, _ = shapes.draw(np.arange(10), "test", shared=shared.split(","))
        rows = [
            np.concatenate([np.pad(x, ((1, 1), (1, 1), (0, 0)), constant_values=255) for x in row], 1)
            for row in (images[:5], images[5:])
        ]
        above.imshow(np.concatenate(rows))
        above.set_axis_off()
        above.set_title(RUNS[shared])
        for place, factor in enumerate(FACTORS):
            for side, (name, colour) in enumerate((("trained", (BLUE, ORANGE)[place]), ("untrained", GREY))):
                values = [getattr(run, name)[factor] for run in runs]
                x = place + 0.38 * (side - 0.5)
                below.bar(x, np.mean(values), 0.36, color=colour, alpha=1 if side == 0 else 0.5)
                if len(values) > 1:
                    below.errorbar(x, np.mean(values), np.std(values, ddof=1), color="black", capsize=4)
                below.text(
                    x,
                    np.mean(values) + 4,
                    f"{np.mean(values):.0f} %",
                    ha="center",
                    weight="bold" if side == 0 else None,
                )
        below.axhline(10, color=GREY, ls="--", lw=1)
        below.set_xticks(range(len(FACTORS)), [f"the {factor}, from y" for factor in FACTORS])
        below.set(ylim=(0, 112), xlim=(-0.5, 1.5), yticks=range(0, 101, 20))
        below.set_title(f"bound: {np.mean([run.nats for run in runs]):.2f} of at most 1.39 nats", fontsize="medium")
        tidy(below)
    columns[1, 0].set_ylabel("accuracy of a linear probe (%)")
    figure.supxlabel(f"grey: before training; dashed: chance\n{SENTENCE}", fontsize="medium")
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3000, help="to train on")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=5e-4, help="five times the paper's, since the runs are short")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--picture", metavar="FILE.png")
    options = parser.parse_args()
    print(f"{'shared':<15} {'seed':>4} {'nats':>6}  {'texture %':>9}  {'colour %':>8}")
    results: dict[str, list[Learned]] = {shared: [] for shared in RUNS}
    for seed in range(options.seeds):
        for shared, runs in results.items():
            runs.append(learned(shared, options, seed))
            y = runs[-1].trained
            print(
                f"{shared:<15} {seed:>4} {runs[-1].nats:>6.3f}  {y['texture']:>9.1f}  {y['colour']:>8.1f}", flush=True
            )
    print(SENTENCE)
    if options.picture:
        draw(options.picture, results)


if __name__ == "__main__":
    main()
