"""Mutual information that is known in closed form, and what is estimated from samples of it.

Each task is drawn once, a row of the picture; the bar is the 95 % interval of the held-out bound, which covers what the
critic can show, not I.
Run: python examples/estimate_known_truths.py [SAMPLES] [PICTURE.png] [STEPS]
"""

import math
import sys
from collections.abc import Iterator

import numpy as np

from dimref.estimation import MutualInformation
from dimref.theory.information import mutual_information

Task = tuple[str, np.ndarray, np.ndarray, float]  # name, x, y, nats


def tasks(rng: np.random.Generator, n: int) -> Iterator[Task]:
    """Samples with a known I(x; y)."""
    for nats in (0.0, 0.5, 1.0, 2.0):
        x, y = gaussian(rng, n, 3, nats)
        yield f"Gaussian, 3 + 3 dimensions, {nats:g} nats", x, y, nats
    x, y = gaussian(rng, n, 5, 1.0)
    yield "the same, 5 + 5 dimensions", x, y, 1.0
    yield "half-cube x·√|x| of it: I is unchanged", half_cube(x), half_cube(y), 1.0
    x, y = gaussian(rng, n, 2, 1.0)
    yield "x on a spiral, 2 + 2 dimensions: I is unchanged", spiral(x), y, 1.0
    x = rng.uniform(size=n)
    yield "uniform x, y = x + uniform noise on ±0.4", x, x + rng.uniform(-0.4, 0.4, n), math.log(1 / 0.8) + 0.4
    table = np.array([[0.3, 0.05, 0.05], [0.05, 0.2, 0.05], [0.0, 0.1, 0.2]])
    outcome = rng.choice(table.size, n, p=table.ravel())
    yield "discrete, a table of 3 × 3", outcome // 3, outcome % 3, mutual_information(table)


def gaussian(rng: np.random.Generator, n: int, d: int, nats: float) -> tuple[np.ndarray, np.ndarray]:
    """d independent pairs with the correlation that makes I = −(d/2) log(1 − ρ²)."""
    rho = math.sqrt(1 - math.exp(-2 * nats / d))
    x = rng.standard_normal((n, d))
    return x, rho * x + math.sqrt(1 - rho**2) * rng.standard_normal((n, d))


def half_cube(x: np.ndarray) -> np.ndarray:
    """A monotone map of every coordinate with heavier tails."""
    return x * np.sqrt(np.abs(x))


def spiral(x: np.ndarray) -> np.ndarray:
    """Turn every point about the origin, the further out the more: invertible."""
    turn = np.exp(0.5j * (x**2).sum(axis=1)) * (x[:, 0] + 1j * x[:, 1])
    return np.column_stack([turn.real, turn.imag])


def draw(path: str, found: list[tuple[str, float, MutualInformation]]) -> None:
    """A row for each task: the truth, and the estimate with its interval; needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.42 * len(found) + 1.2), layout="constrained")
    axes, rows = figure.subplots(), range(len(found))
    nats, error = (np.array([getattr(fit, name) for *_, fit in found]) for name in ("nats_", "error_"))
    axes.plot(
        [truth for _, truth, _ in found], rows, "|", color="#D55E00", ms=18, mew=2, label="I(x; y) in closed form"
    )
    axes.errorbar(nats, rows, xerr=1.96 * error, fmt="o", color="#0072B2", ms=4, capsize=3,
                  label="InfoNCE held out, 95 % interval")  # fmt: skip
    axes.set_yticks(rows, [name for name, *_ in found])
    axes.set(xlabel="nats", ylim=(len(found) - 0.5, -0.5))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    FigureCanvasAgg(figure).print_png(path)


n = int(sys.argv[1]) if sys.argv[1:] else 2000
steps = int(sys.argv[3]) if sys.argv[3:] else 3000
fits = []
print(f"{n} samples of each{'':<32}{'truth':>7}{'estimate':>10}   95 % interval")
for name, x, y, truth in tasks(np.random.default_rng(0), n):
    fit = MutualInformation(steps=steps).fit(x, y)
    fits.append((name, truth, fit))
    print(f"{name:<50}{truth:7.3f}{fit.nats_:10.3f}   {fit.interval_[0]:.3f} … {fit.interval_[1]:.3f}")
if sys.argv[2:] and sys.argv[2]:
    draw(sys.argv[2], fits)
