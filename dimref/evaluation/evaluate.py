"""The whole evaluation of encoders: probes of their features and measures of y, each over seeds, beside the raw pixels.

Features are computed once for each encoder and shared by every probe, measure and seed. What the seeds vary is the
probe or critic: which part of the training set chooses its hyper-parameters, its initial weights, its batches. The
encoder and the images stay, so a spread over seeds says nothing of the spread over training runs.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from dimref.backend import Backend
from dimref.encoders import scale
from dimref.errors import DimrefError
from dimref.evaluation import dv_critic, mine, ndm, reconstruction
from dimref.evaluation.dv_critic import Dependence
from dimref.evaluation.labelled import Labelled, too_few
from dimref.evaluation.probes import PROBES, problem_of
from dimref.evaluation.probes.problem import MISSING
from dimref.evaluation.sandwich import sandwich
from dimref.evaluation.ssim import WINDOW
from dimref.export.inference import Encoder
from dimref.training.choices import FEATURES
from dimref.training.method import AnyLayout

RAW, PIXELS = "raw", "pixels"  # the baseline without an encoder: its only feature
BY_SCIKIT_LEARN = ("svm", "svm-hinge", "knn")

Pair = tuple[np.ndarray, np.ndarray]
Value = tuple[float, dict[str, Any]]  # a number, and its details
Watch = Callable[[str, int], None]  # called with the value that comes next, and how many are new since the last call


@dataclass(frozen=True)
class Requested:
    """What to evaluate: each probe on each feature, each measure of y, once for each seed."""

    probes: tuple[str, ...]
    measures: tuple[str, ...]
    seeds: tuple[int, ...]
    features: tuple[str, ...] = FEATURES
    sigma: float = 1.0  # of the sandwich's noise, in standard deviations of y

    def count(self, encoders: int) -> int:
        """The number of values for so many encoders and, where there are probes, the raw pixels."""
        probed = len(self.probes) * (encoders * len(self.features) + 1)
        return len(self.seeds) * (probed + encoders * len(self.measures))


@dataclass(frozen=True)
class Cell:
    """A number of the table: one probe's accuracy (0 … 1) on one feature, or one measure of y, for every seed."""

    kind: str  # "probe" or "measure"
    name: str
    encoder: str  # "trained", "untrained" or "raw"
    feature: str  # "conv", "fc", "y" or "pixels"
    values: tuple[float, ...]
    details: tuple[dict[str, Any], ...]  # for each seed: the choice, the steps, the interval

    @cached_property
    def mean(self) -> float:
        """Over seeds."""
        return statistics.fmean(self.values)

    @cached_property
    def std(self) -> float | None:
        """The sample's standard deviation over seeds; None for one seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The mean of both ends over seeds, where a measure has an interval.

        A 95 % interval of the critics' mean bound, too wide if anything: they share their test images, and a mean deviates
        by no more than the mean of the deviations.
        """
        ends = [detail["interval"] for detail in self.details if "interval" in detail]
        return (statistics.fmean(low for low, _ in ends), statistics.fmean(high for _, high in ends)) if ends else None


def evaluate(
    encoders: dict[str, Encoder], images: Labelled, requested: Requested, watch: Watch = lambda text, new: None
) -> Iterator[Cell]:
    """Each cell of the table as soon as it is known: those of every encoder, then those of the raw pixels.

    Args:
        encoders: of one layout on one backend, by name.
    Raises:
        DimrefError: an encoder's features are not finite numbers, or scikit-learn is missing.
    """
    for name, encoder in encoders.items():
        watch(f"encoding, {name}", 0)
        if encoder.world is not None:
            encoder.world.meet()
        kinds = tuple(kind for kind in FEATURES if (requested.probes and kind in requested.features) or kind == "y")
        train, test = (encoder.features(part, kinds) for part, _ in (images.train, images.test))
        _refuse_non_finite(name, {**train, **{f"{kind} of test images": x for kind, x in test.items()}})
        if encoder.world is not None and encoder.world.rank > 0:
            continue  # the features are shared among ranks; what is fitted to them is rank 0's
        for measure in requested.measures:
            pairs = (images.train[0], train["y"]), (images.test[0], test["y"])
            if measure == "sandwich":
                one = partial(_sandwich, test["y"], requested.sigma)
            else:
                one = partial(MEASURES[measure], *pairs, encoder)
            yield _cell(("measure", measure, name, "y"), one, requested.seeds, watch)
        if requested.probes:
            for kind in requested.features:
                both = train.pop(kind), test.pop(kind)
                yield from _probed((name, kind), both, images, requested, encoder.backend, watch)
    if requested.probes and (encoder.world is None or encoder.world.rank == 0):
        x, x_test = (scale(part, encoder.layout) for part, _ in (images.train, images.test))
        pixels = x.reshape(len(x), -1), x_test.reshape(len(x_test), -1)
        yield from _probed((RAW, PIXELS), pixels, images, requested, encoder.backend, watch)


def obstacle(name: str, images: Labelled, layout: AnyLayout) -> str | None:
    """Why a probe or a measure cannot be had for these images on this machine; None where it can."""
    if name in PROBES:
        missing = name in BY_SCIKIT_LEARN and find_spec("sklearn") is None
        return images.unfit or (MISSING if missing else None)
    if name == "ms-ssim" and layout.size < WINDOW:
        return f"no window of {WINDOW}×{WINDOW} pixels fits into images of {layout.size}×{layout.size}"
    least = reconstruction.FEWEST if name == "ms-ssim" else dv_critic.FEWEST
    return too_few(least, len(images.train[1]), len(images.test[1]))


def _probed(
    place: tuple[str, str],
    features: Pair,
    images: Labelled,
    requested: Requested,
    backend: Backend,
    watch: Watch,
) -> Iterator[Cell]:
    problem = problem_of((features[0], images.train[1]), (features[1], images.test[1]))
    for name in requested.probes:

        def one(seed: int, name: str = name) -> Value:
            result = PROBES[name](problem, seed, backend)
            return result.accuracy, result.chosen

        yield _cell(("probe", name, *place), one, requested.seeds, watch)


# ---- measures of y: (images, y) of training and of test images, the encoder, a seed


def _mine(train: Pair, test: Pair, encoder: Encoder, seed: int) -> Value:
    return _of_critic(mine.mine(train, test, encoder.critic_layout, seed, encoder.backend))


def _ndm(train: Pair, test: Pair, encoder: Encoder, seed: int) -> Value:
    return _of_critic(ndm.ndm(train[1], test[1], seed, encoder.backend))


def _sandwich(y: np.ndarray, sigma: float, seed: int) -> Value:
    """Noise of sigma times the root mean square of the deviations of y's dimensions: no scale of y makes it more."""
    spread = float(np.sqrt(y.var(axis=0, dtype=np.float64).mean()))
    both = sandwich(y, sigma * spread if spread > 0 else sigma, seed)
    return both.lower, {"upper": both.upper, "interval": list(both.interval)}


def _ms_ssim(train: Pair, test: Pair, encoder: Encoder, seed: int) -> Value:
    return reconstruction.reconstruction(train, test, encoder.critic_layout, seed, encoder.backend), {}


MEASURES: dict[str, Callable[[Pair, Pair, Encoder, int], Value]] = {"mine": _mine, "ndm": _ndm, "ms-ssim": _ms_ssim}


def _of_critic(dependence: Dependence) -> Value:
    interval = {} if dependence.interval is None else {"interval": list(dependence.interval)}
    return dependence.nats, {"steps": dependence.steps, **interval}


# ---- cells


def _cell(key: tuple[str, str, str, str], one: Callable[[int], Value], seeds: tuple[int, ...], watch: Watch) -> Cell:
    _, name, encoder, feature = key
    results = []
    for seed in seeds:
        watch(f"{name} of {feature}, {encoder}, seed {seed}", 0)
        results.append(one(seed))
        watch(f"{name} of {feature}, {encoder}, seed {seed}", 1)
    values, details = zip(*results, strict=True)
    return Cell(*key, values, details)


def _refuse_non_finite(name: str, features: dict[str, np.ndarray]) -> None:
    for kind, x in features.items():
        if not np.isfinite(x).all():
            raise DimrefError(f"encoder, {name}: expected finite features, found NaN or infinity in {kind}")
