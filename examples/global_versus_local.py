"""Global against local: DIM(G) spends its nats on what is in one image alone, DIM(L) on what all patches of it share.

In each image all patches share the texture, its class, and nothing else. For both objectives, trained under growing pixel
noise, and for the untrained encoder: the accuracy of a linear probe on y, and the share of y's variance within the classes,
which says nothing of them. Run: python examples/global_versus_local.py --picture x.png; five minutes on two cores, one
with --seeds 1 --noises 0.1. The picture needs matplotlib.
"""

import argparse
import time

import numpy as np

from dimref import engine
from dimref.evaluation.labelled import Labelled, labelled_images
from dimref.evaluation.probes import linear_probe
from dimref.export.inference import Encoder, untrained
from dimref.training import loop
from dimref.training.config import PRESETS, Config
from dimref.training.state import initial_state
from dimref.training.task import Task, prepare

STYLES = {"DIM(L)": ("#0072B2", "o-"), "DIM(G)": ("#D55E00", "s-"), "untrained": ("#666666", "^--")}
MEASURES = {"y": "linear probe on y, accuracy (%)", "within": "share of y's variance within the classes (%)"}
SENTENCE = (
    "Both bounds rise, but DIM(G) fills y with what tells one image from another, DIM(L) with what its patches share."
)
Scores = dict[str, float]


def trained(task: Task) -> tuple[Encoder, dict[str, float]]:
    """The encoder after all of the task's steps, and the terms on held-out images in nats."""
    state = initial_state(task)
    with engine.sharing():  # as `dimref train` does: the same numbers, faster
        while state.step < task.total_steps:
            state, _ = loop.train_step(task, state)
        terms = loop.held_out_terms(task, state)
    return Encoder(task.layout, task.backend, state.parameters["encoder"], state.model["encoder"]), terms


def accuracy(encoder: Encoder, found: Labelled) -> float:
    """Accuracy in % of a linear probe on y."""
    train, test = ((encoder.features(images, ("y",))["y"], labels) for images, labels in (found.train, found.test))
    return 100 * linear_probe(train, test).accuracy


def share_within(y: np.ndarray, labels: np.ndarray) -> float:
    """Share in % of y's variance, summed over its dimensions, that is left around the means of the classes."""
    within = sum(y[labels == label].var(axis=0).sum() * (labels == label).mean() for label in np.unique(labels))
    return float(100 * within / y.var(axis=0).sum())


def measured(encoder: Encoder, found: Labelled) -> Scores:
    """Both measures of an encoder."""
    images, labels = found.test
    return {"y": accuracy(encoder, found), "within": share_within(encoder.features(images, ("y",))["y"], labels)}


def at_noise(noise: float, seed: int, options: argparse.Namespace) -> dict[str, Scores]:
    """Both objectives and the baseline at one strength of the noise; the bounds in nats beside them."""
    scores = {}
    for name, preset in (("DIM(L)", "dim-local"), ("DIM(G)", "dim-global")):
        config = Config(
            noise=noise, limit=options.images, epochs=options.epochs, lr=options.lr, seed=seed, **PRESETS[preset]
        )
        task = prepare(config)
        found = labelled_images(config)
        encoder, terms = trained(task)
        scores[name] = {**measured(encoder, found), "nats": terms["local" if name == "DIM(L)" else "global"]}
    scores["untrained"] = measured(untrained(config, task.layout, task.backend, task.images), found)
    return scores


def draw(path: str, noises: list[float], found: list[list[dict[str, Scores]]], title: str) -> None:
    """A panel for each measure, against the noise: means and standard deviations over seeds; needs matplotlib.

    Args:
        found: for each noise, for each seed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    for axes, (measure, label) in zip(figure.subplots(1, 2), MEASURES.items(), strict=True):
        for name, (colour, style) in STYLES.items():
            values = np.array([[seed[name][measure] for seed in at] for at in found])
            spread = values.std(axis=1, ddof=values.shape[1] > 1)
            axes.errorbar(noises, values.mean(axis=1), spread, fmt=style, color=colour, label=name, capsize=3)
        axes.set(xlabel="pixel noise (standard deviation, range 0 to 1)", ylabel=label, ylim=(0, 105))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].axhline(10, color="#666666", lw=1, ls=":")
    figure.axes[1].legend(frameon=False, loc="lower right")
    figure.suptitle(title, fontsize="medium")
    figure.supxlabel(f"bars: standard deviation over seeds; dotted: chance\n{SENTENCE}", fontsize="small")
    FigureCanvasAgg(figure).print_png(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noises", type=float, nargs="+", default=[0.0, 0.2], help="standard deviations")
    parser.add_argument("--images", type=int, default=3000, help="to train on")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=5e-4, help="five times the paper's, since the runs are short")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--picture", metavar="FILE.png")
    options = parser.parse_args()
    print(f"{'noise':>6} {'seed':>4}  {'encoder':<10} {'bound':>6} {'y %':>6} {'within %':>9}")
    found = []
    start = time.process_time()
    for noise in options.noises:
        found.append([])
        for seed in range(options.seeds):
            found[-1].append(at_noise(noise, seed, options))
            for name, scores in found[-1][-1].items():
                nats = f"{scores['nats']:.3f}" if "nats" in scores else ""
                print(
                    f"{noise:>6g} {seed:>4}  {name:<10} {nats:>6} {scores['y']:>6.1f} {scores['within']:>9.1f}",
                    flush=True,
                )
    print(f"{SENTENCE}\n{time.process_time() - start:.0f} CPU seconds")
    if options.picture:
        title = f"shapes, texture shared, {options.images} images, {options.epochs} epochs, {options.seeds} seeds"
        draw(options.picture, options.noises, found, title)


if __name__ == "__main__":
    main()
