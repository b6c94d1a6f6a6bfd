"""The whole judgement of an encoder: probes of its features and measures of y, each over seeds, beside its baselines.

Features are computed once for each encoder and shared by every probe, measure and seed. What the seeds vary is the
probe or critic: which part of the training set chooses its hyper-parameters, its initial weights, its batches. The
encoder and the images stay, so a spread over seeds says nothing of how much another training run would differ.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from dimref import encoders
from dimref.backend import Backend
from dimref.errors import DimrefError
from dimref.evaluation import dependence, reconstruction
from dimref.evaluation.frozen import Frozen
from dimref.evaluation.labelled import Labelled
from dimref.evaluation.probes import PROBES, problem
from dimref.evaluation.probes.problem import MISSING
from dimref.evaluation.ssim import WINDOW
from dimref.training.choices import FEATURES
from dimref.training.methods import AnyLayout

RAW, PIXELS = "raw", "pixels"  # the baseline without an encoder: its only feature
BY_SCIKIT_LEARN = ("svm", "knn")

Pair = tuple[np.ndarray, np.ndarray]
Found = tuple[float, dict[str, Any]]  # a value, and what else is known of it
Watch = Callable[[str, int], None]  # told what comes next, and how many values have been found since the last call


@dataclass(frozen=True)
class Wanted:
    """What is to be judged: each probe on each feature, each measure of y, once for each seed."""

    probes: tuple[str, ...]
    measures: tuple[str, ...]
    seeds: tuple[int, ...]
    features: tuple[str, ...] = FEATURES

    def count(self, encoders: int) -> int:
        """How many values that takes for so many encoders and, where there are probes, the raw pixels."""
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
    details: tuple[dict[str, Any], ...]  # for each seed: what was chosen, the steps, the interval

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

        A 95 % interval of the critics' mean bound, too wide if anything: they were judged on the same test images, and
        a mean deviates by no more than the mean of the deviations.
        """
        ends = [detail["interval"] for detail in self.details if "interval" in detail]
        return (statistics.fmean(low for low, _ in ends), statistics.fmean(high for _, high in ends)) if ends else None


def judge(
    judged: dict[str, Frozen], found: Labelled, wanted: Wanted, watch: Watch = lambda text, done: None
) -> Iterator[Cell]:
    """Each cell of the table as it is found: those of every encoder, then those of the raw pixels.

    Args:
        judged: encoders of one layout on one backend, by name.
    Raises:
        DimrefError: an encoder's features are not finite numbers, or scikit-learn is missing.
    """
    for name, encoder in judged.items():
        watch(f"encoding, {name}", 0)
        kinds = tuple(kind for kind in FEATURES if (wanted.probes and kind in wanted.features) or kind == "y")
        train, test = (encoder.features(images, kinds) for images, _ in (found.train, found.test))
        _refuse_non_finite(name, {**train, **{f"{kind} of test images": x for kind, x in test.items()}})
        for measure in wanted.measures:
            pairs = (found.train[0], train["y"]), (found.test[0], test["y"])
            one = partial(MEASURES[measure], *pairs, encoder)
            yield _cell(("measure", measure, name, "y"), one, wanted.seeds, watch)
        if wanted.probes:
            for kind in wanted.features:
                both = train.pop(kind), test.pop(kind)
                yield from _probed((name, kind), both, found, wanted, encoder.backend, watch)
    if wanted.probes:
        x, x_test = (encoders.scale(images, encoder.layout) for images, _ in (found.train, found.test))
        pixels = x.reshape(len(x), -1), x_test.reshape(len(x_test), -1)
        yield from _probed((RAW, PIXELS), pixels, found, wanted, encoder.backend, watch)


def fault(name: str, found: Labelled, layout: AnyLayout) -> str | None:
    """Why a probe or a measure cannot be had for these images on this machine; None where it can."""
    if name in PROBES:
        missing = name in BY_SCIKIT_LEARN and find_spec("sklearn") is None
        return found.unfit or (MISSING if missing else None)
    if name == "ms-ssim" and layout.size < WINDOW:
        return f"no window of {WINDOW}×{WINDOW} pixels fits into images of {layout.size}×{layout.size}"
    least = reconstruction.FEWEST if name == "ms-ssim" else dependence.FEWEST
    counts = len(found.train[1]), len(found.test[1])
    enough = min(counts) >= least
    return None if enough else f"needs {least} training and {least} test images, found {counts[0]} and {counts[1]}"


def _probed(
    place: tuple[str, str],
    features: Pair,
    found: Labelled,
    wanted: Wanted,
    backend: Backend,
    watch: Watch,
) -> Iterator[Cell]:
    given = problem((features[0], found.train[1]), (features[1], found.test[1]))
    for name in wanted.probes:

        def one(seed: int, name: str = name) -> Found:
            result = PROBES[name](given, seed, backend)
            return result.accuracy, result.chosen

        yield _cell(("probe", name, *place), one, wanted.seeds, watch)


# ---- measures of y: (images, y) of training and of test images, the encoder, a seed


def _mine(train: Pair, test: Pair, encoder: Frozen, seed: int) -> Found:
    return _of_critic(dependence.mine(train, test, encoder.critic_layout, seed, encoder.backend))


def _ndm(train: Pair, test: Pair, encoder: Frozen, seed: int) -> Found:
    return _of_critic(dependence.ndm(train[1], test[1], seed, encoder.backend))


def _ms_ssim(train: Pair, test: Pair, encoder: Frozen, seed: int) -> Found:
    return reconstruction.reconstruction(train, test, encoder.critic_layout, seed, encoder.backend), {}


MEASURES: dict[str, Callable[[Pair, Pair, Frozen, int], Found]] = {"mine": _mine, "ndm": _ndm, "ms-ssim": _ms_ssim}


def _of_critic(found: dependence.Dependence) -> Found:
    known = {} if found.interval is None else {"interval": list(found.interval)}
    return found.nats, {"steps": found.steps, **known}


# ---- cells


def _cell(key: tuple[str, str, str, str], one: Callable[[int], Found], seeds: tuple[int, ...], watch: Watch) -> Cell:
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
