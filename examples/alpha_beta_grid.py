"""The α–β grid: what the weight of the global and of the local objective does to classification and reconstruction.

For each pair of weights an encoder is trained; a linear probe on y tells what a classifier can read from it, and the
MS-SSIM of a decoder trained on y tells what an image can be drawn from it. Where both weights are 0 stands the untrained
encoder. Run: python examples/alpha_beta_grid.py --picture grid.png (some ten minutes on two cores; a third of it with
--seeds 1); a finer grid on more images:
--alphas 0 0.1 0.25 0.5 1 --betas 0 0.1 0.25 0.5 1 --data cifar10 --data-dir D --images 10000 --epochs 10 --lr 1e-4
"""

import argparse

import numpy as np
from global_versus_local import accuracy, trained

from dimref.backend import NUMPY
from dimref.evaluation.labelled import Labelled, labelled_images
from dimref.evaluation.reconstruction import reconstruction
from dimref.export.inference import Encoder, untrained
from dimref.training.config import Config
from dimref.training.task import prepare

PANELS = ("linear probe on y, accuracy (%)", "reconstruction from y, MS-SSIM")
SENTENCE = "β makes y classify, α makes y draw: training keeps what its bound is made of. Untrained, y draws best."


def encoder_of(alpha: float, beta: float, seed: int, options: argparse.Namespace) -> tuple[Encoder, Labelled]:
    """The encoder trained with these weights, or the untrained one for 0 and 0; and images to evaluate it by."""
    nothing = alpha == beta == 0
    config = Config(
        data=options.data, data_dir=options.data_dir, limit=options.images, epochs=options.epochs, lr=options.lr,
        seed=seed, bound=options.bound, global_weight=alpha, local_weight=1.0 if nothing else beta,
        prior_weight=options.gamma,
    )  # fmt: skip
    task = prepare(config)
    found = labelled_images(config, options.images)
    if found.unfit:
        raise SystemExit(f"{options.data}: {found.unfit}")
    return untrained(config, task.layout, NUMPY, task.images) if nothing else trained(task)[0], found


def drawn_from_y(encoder: Encoder, found: Labelled, seed: int) -> float:
    """MS-SSIM of test images and what a decoder makes of their y."""
    train, test = ((images, encoder.features(images, ("y",))["y"]) for images, _ in (found.train, found.test))
    return reconstruction(train, test, encoder.layout, seed, NUMPY)


def draw(path: str, options: argparse.Namespace, grids: np.ndarray) -> None:
    """Both measures as heat maps, their means and standard deviations over seeds in the cells; needs matplotlib.

    Args:
        grids: (measures, seeds, α, β).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(max(8, 2.2 + 1.8 * len(options.betas)), 2.4 + 0.8 * len(options.alphas)), layout="constrained"
    )
    for axes, values, name, digits in zip(figure.subplots(1, 2), grids, PANELS, (1, 3), strict=True):
        means, spread = values.mean(axis=0), values.std(axis=0, ddof=len(values) > 1)
        axes.imshow(means, cmap="viridis", origin="lower", aspect="auto")
        middle = (means.min() + means.max()) / 2
        for (row, column), value in np.ndenumerate(means):
            bare = options.alphas[row] == options.betas[column] == 0
            text = f"{value:.{digits}f} ± {spread[row, column]:.{digits}f}" + ("\nuntrained" if bare else "")
            axes.text(column, row, text, ha="center", va="center", color="black" if value > middle else "white")
        axes.set_xticks(range(len(options.betas)), [f"{beta:g}" for beta in options.betas])
        axes.set_yticks(range(len(options.alphas)), [f"{alpha:g}" for alpha in options.alphas])
        axes.set(xlabel="β, weight of the local bound", ylabel="α, weight of the global bound", title=name)
    figure.suptitle(f"{options.data}, {options.bound}, γ = {options.gamma:g}, {options.images} images, "
                    f"{options.epochs} epochs, {len(grids[0])} seeds", fontsize="medium")  # fmt: skip
    figure.supxlabel(f"±: standard deviation over seeds\n{SENTENCE}", fontsize="small")
    FigureCanvasAgg(figure).print_png(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alphas", type=float, nargs="+", default=[0.0, 1.0], help="weights of the global bound")
    parser.add_argument("--betas", type=float, nargs="+", default=[0.0, 1.0], help="weights of the local bound")
    parser.add_argument("--gamma", type=float, default=0.1, help="weight of the prior")
    parser.add_argument("--bound", default="jsd")
    parser.add_argument("--data", default="shapes")
    parser.add_argument("--data-dir")
    parser.add_argument("--images", type=int, default=3000, help="to train on")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=5e-4, help="five times the paper's, since the runs are short")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--picture", metavar="FILE.png")
    options = parser.parse_args()
    grids = np.zeros((2, options.seeds, len(options.alphas), len(options.betas)))
    print(f"{'α':>5} {'β':>5} {'seed':>5}  {'accuracy %':>10}  {'MS-SSIM':>8}")
    for (seed, row, column), _ in np.ndenumerate(grids[0]):
        alpha, beta = options.alphas[row], options.betas[column]
        encoder, found = encoder_of(alpha, beta, seed, options)
        right, alike = accuracy(encoder, found), drawn_from_y(encoder, found, seed)
        grids[:, seed, row, column] = right, alike
        print(f"{alpha:>5g} {beta:>5g} {seed:>5}  {right:>10.1f}  {alike:>8.3f}", flush=True)
    print(SENTENCE)
    if options.picture:
        draw(options.picture, options, grids)


if __name__ == "__main__":
    main()
