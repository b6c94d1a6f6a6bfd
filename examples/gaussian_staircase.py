"""A staircase of correlated Gaussians, I = 2, 4, 6, 8, 10 nats in 20 dimensions, and each bound beside the truth.

The critic is the optimal one, so that what is missing from the truth is the bound's own doing: InfoNCE stops at log K,
JSD at log 4 (what it certifies of I is drawn too), DV and NWJ have no ceiling but a variance that grows like e^I.
Run: python examples/gaussian_staircase.py [PICTURE.png]
"""

import math
import sys

import numpy as np
from bounds_of_a_gaussian import log_ratio

from dimref import bounds, negatives
from dimref.theory.information import information_from_js

DIMENSIONS, SAMPLES, BATCHES, STEPS = 20, 128, 40, (2, 4, 6, 8, 10)


def estimates(rng: np.random.Generator, rho: float) -> dict[str, float]:
    """Each bound at its own optimal critic, on one batch."""
    x = rng.standard_normal((SAMPLES, DIMENSIONS))
    y = rho * x + math.sqrt(1 - rho**2) * rng.standard_normal(x.shape)
    scores = log_ratio(x[:, None], y[None], rho)
    joint, product = negatives.all_pairs(scores)
    jsd = bounds.jsd(joint, product)
    return {
        "DV": bounds.dv(joint, product),
        "NWJ": bounds.nwj(joint + 1, product + 1),
        "InfoNCE": bounds.infonce(scores),
        "JSD": jsd,
        "I certified by JSD": information_from_js(min(jsd / 2, math.log(2) - 1e-9)),
    }


def draw(path: str, found: np.ndarray, names: list[str]) -> None:
    """Every batch as a dot, its mean over a step as a line, the truth and the two ceilings; needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.4), layout="constrained")
    time = np.arange(len(STEPS) * BATCHES)
    for axes, name, values in zip(figure.subplots(1, len(names), sharey=True), names, found, strict=True):
        axes.plot(time, values.ravel(), ".", color="#0072B2", alpha=0.35, markersize=3)
        axes.step(time, np.repeat(values.mean(axis=1), BATCHES), color="#0072B2", label="mean estimate")
        axes.step(time, np.repeat(STEPS, BATCHES), color="black", label="I")
        ceiling = {"InfoNCE": SAMPLES, "JSD": 4}.get(name)
        if ceiling:
            axes.axhline(math.log(ceiling), color="#D55E00", linestyle="--", label=f"ceiling log {ceiling}")
        axes.set(title=name, xlabel="batch", ylim=(-1, 13))
        axes.legend(fontsize="small", loc="upper left")
    figure.axes[0].set_ylabel("nats")
    FigureCanvasAgg(figure).print_png(path)


rng = np.random.default_rng(0)
steps = [[estimates(rng, math.sqrt(1 - math.exp(-2 * i / DIMENSIONS))) for _ in range(BATCHES)] for i in STEPS]
names = list(steps[0][0])
found = np.array([[[batch[name] for batch in step] for step in steps] for name in names])
print(f"{'I':<20}" + "".join(f"{i:8.3f}" for i in STEPS) + "  nats")
for name, values in zip(names, found, strict=True):
    print(f"{name:<20}" + "".join(f"{value:8.3f}" for value in values.mean(axis=1)))
print(f"InfoNCE stops at log {SAMPLES} = {math.log(SAMPLES):.3f}, JSD at log 4 = {math.log(4):.3f}")
if sys.argv[1:]:
    draw(sys.argv[1], found, names)
