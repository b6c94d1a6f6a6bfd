"""How often the interval of an estimate covers what it promises: the value its critics have in expectation; and how often I.

Repeated samples of correlated Gaussians, ρ = 0.7. The expectation is measured on 4000 fresh samples, in squares of 250.
Run: python examples/coverage_of_an_estimate.py [REPEATS] [SAMPLES]
"""

import math
import sys

import numpy as np

from dimref.estimation import MutualInformation

RHO, SQUARES, SIDE = 0.7, 16, 250


def gaussian(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """n pairs with I = −½ log(1 − ρ²)."""
    x = rng.standard_normal(n)
    return x, RHO * x + math.sqrt(1 - RHO**2) * rng.standard_normal(n)


repeats, n = int((sys.argv[1:2] or ["100"])[0]), int((sys.argv[2:3] or ["500"])[0])
truth = -0.5 * math.log(1 - RHO**2)
rng = np.random.default_rng(0)
fresh = [gaussian(rng, SIDE) for _ in range(SQUARES)]
expected, found, of_expectation, of_truth = [], [], 0, 0
for seed in range(repeats):
    fit = MutualInformation(bound="jsd", steps=50, batch_size=64, seed=seed).fit(*gaussian(rng, n))
    expected.append(np.mean([fit.estimate(*square).nats for square in fresh]))
    found.append(fit.nats_)
    low, high = fit.interval_
    of_expectation += low <= expected[-1] <= high
    of_truth += low <= truth <= high
print(f"samples {n}, repeated {repeats} times; I = {truth:.3f} nats")
print(f"estimate     {np.mean(found):.3f} on average, spread {np.std(found):.3f}")
print(f"expectation  {np.mean(expected):.3f} on average: covered by {of_expectation / repeats:.0%} of the intervals")
print(f"I itself     covered by {of_truth / repeats:.0%}")
