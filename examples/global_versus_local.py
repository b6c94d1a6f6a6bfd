"""Global against local: shapes under growing pixel noise, DIM(G) and DIM(L) trained on the same images.

For each noise: the accuracy of a linear probe on y and on the last map (conv), and how much of y is noise: the share of
y's variance that is left when the scene stays and the noise is drawn again. The untrained encoder is the baseline: noise
makes the task itself harder. Run: python examples/global_versus_local.py [--help]; the picture needs matplotlib.
"""

import argparse

import numpy as np

from dimref.data import shapes
from dimref.evaluation.labelled import Labelled, labelled_images
from dimref.evaluation.probes import linear_probe
from dimref.export.inference import Encoder, untrained
from dimref.training import loop
from dimref.training.config import PRESETS, Config
from dimref.training.state import initial_state
from dimref.training.task import Task, prepare

STYLES = {"DIM(L)": ("#0072B2", "o-"), "DIM(G)": ("#D55E00", "s-"), "untrained": ("#666666", "^--")}
MEASURES = {
    "y": "linear probe on y, accuracy (%)",
    "conv": "linear probe on conv, accuracy (%)",
    "noise": "share of y's variance that is noise (%)",
}
Scores = dict[str, float]


def trained(task: Task) -> Encoder:
    """The encoder after all of the task's steps."""
    state = initial_state(task)
    while state.step < task.total_steps:
        state, _ = loop.train_step(task, state)
    return Encoder(task.layout, task.backend, state.parameters["encoder"], state.model["encoder"])


def accuracy(encoder: Encoder, found: Labelled, feature: str) -> float:
    """Accuracy in % of a linear probe on one of the encoder's features."""
    train, test = ((encoder.features(images)[feature], labels) for images, labels in (found.train, found.test))
    return 100 * linear_probe(train, test).accuracy


def noise_share(encoder: Encoder, noise: float, count: int = 500) -> float:
    """Share in % of y's variance, summed over its dimensions, that lies between two noise draws of one scene.

    For two draws y, y' of one scene E‖y − y'‖² is twice the variance within scenes.
    """
    scenes, _ = shapes.draw(np.arange(count), "test", noise=0)
    rng = np.random.default_rng(1)
    grains = (noise * rng.standard_normal(scenes.shape, dtype=np.float32) for _ in range(2))
    noisy = (np.rint(255 * np.clip(scenes / np.float32(255) + grain, 0, 1)).astype(np.uint8) for grain in grains)
    one, other = (encoder.features(images)["y"] for images in noisy)
    within = ((one - other) ** 2).sum(axis=1).mean() / 2
    return float(100 * within / one.var(axis=0).sum())


def measured(encoder: Encoder, found: Labelled, noise: float) -> Scores:
    """All three measures of an encoder."""
    share = noise_share(encoder, noise, min(500, len(found.test[1])))
    return {**{feature: accuracy(encoder, found, feature) for feature in ("y", "conv")}, "noise": share}


def at_noise(noise: float, options: argparse.Namespace) -> dict[str, Scores]:
    """Both objectives and the baseline at one strength of the noise."""
    scores = {}
    for name, preset in (("DIM(L)", "dim-local"), ("DIM(G)", "dim-global")):
        config = Config(
            noise=noise,
            limit=options.images,
            epochs=options.epochs,
            lr=options.lr,
            seed=options.seed,
            **PRESETS[preset],
        )
        task = prepare(config)
        found = labelled_images(config, options.images)
        scores[name] = measured(trained(task), found, noise)
    scores["untrained"] = measured(untrained(config, task.layout, task.backend, task.images), found, noise)
    return scores


def draw(path: str, noises: list[float], found: list[dict[str, Scores]], title: str) -> None:
    """A panel for each measure, against the noise; needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for axes, (measure, label) in zip(figure.subplots(1, 3), MEASURES.items(), strict=True):
        for name, (colour, style) in STYLES.items():
            axes.plot(noises, [scores[name][measure] for scores in found], style, color=colour, label=name)
        axes.set(xlabel="pixel noise (standard deviation, range 0 to 1)", ylabel=label, ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False)
    figure.suptitle(title)
    FigureCanvasAgg(figure).print_png(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noises", type=float, nargs="+", default=[0.0, 0.15, 0.3, 0.45], help="standard deviations")
    parser.add_argument("--images", type=int, default=2000, help="to train on")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=5e-4, help="five times the paper's, since the runs are short")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", metavar="FILE.png")
    options = parser.parse_args()
    print(f"{'noise':>6}  {'encoder':<10} {'y %':>6} {'conv %':>7} {'noise in y %':>13}")
    found = []
    for noise in options.noises:
        found.append(at_noise(noise, options))
        for name, scores in found[-1].items():
            print(
                f"{noise:>6g}  {name:<10} {scores['y']:>6.1f} {scores['conv']:>7.1f} {scores['noise']:>13.1f}",
                flush=True,
            )
    if options.picture:
        title = f"shapes, {options.images} images, {options.epochs} epochs, seed {options.seed}"
        draw(options.picture, options.noises, found, title)


if __name__ == "__main__":
    main()
