"""Mutual information from samples: a critic is trained to maximize a bound, and evaluated on samples it never saw."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dimref.backend import get_backend
from dimref.bounds import ceiling
from dimref.estimation import training
from dimref.estimation.critics import CRITICS
from dimref.estimation.held_out import TAU, HeldOut, combine, interval
from dimref.estimation.log_ratio import LogRatio
from dimref.estimation.samples import SampleError, as_pairs, splits
from dimref.estimation.training import History, Settings
from dimref.estimation.transforms import TRANSFORMS
from dimref.theory.information import LOG_2, information_from_js
from dimref.training.choices import BACKENDS, ESTIMATED

# The estimates from critics trained with a bound, the requested one first. SMILE's are trained with JSD.
ESTIMATES = {
    "dv": ("dv",),
    "nwj": ("nwj",),
    "jsd": ("plug-in", "jsd", "smile"),
    "infonce": ("infonce", "plug-in"),
    "smile": ("smile", "jsd", "plug-in"),
}
FEWEST_HELD_OUT = 3  # samples of a fold: without one of them, there is still a negative pair
EQUAL = "x determines y, or a part of it, to 4 digits: I may be infinite"
NEAR = 1.0  # nats from its ceiling, where a bound is held down by it


@dataclass(frozen=True)
class Estimate:
    """A held-out value in nats.

    The interval covers, in 95 % of repeated samples or so, the value that these critics have in expectation: a lower
    bound on I where `is_bound`. It does not say how far I lies above it.

    Attributes:
        reading: the kind of estimate: "dv", "nwj", "jsd", "infonce", "plug-in" or "smile".
        error: the jackknife's standard error.
        ceiling: the largest value possible; inf where there is none.
        notes: what to know before the number is believed.
    """

    reading: str
    nats: float
    error: float
    interval: tuple[float, float]
    ceiling: float
    is_bound: bool
    notes: tuple[str, ...]


@dataclass
class MutualInformation:
    """I(x; y) in nats from N independent samples of (x, y), in scikit-learn's manner.

    The samples are cut into folds. For each, critics are trained on most of the others, stopped by the rest of them, and
    evaluated on the fold; so each sample is held out once, and the estimate is the mean over all N.

    Args:
        bound: "infonce", "jsd", "dv", "nwj", or "smile" (no bound; trained with "jsd").
        critic: "separable" (dot product of two networks) or "concat" (one network on [x, y]).
        transform: of every column, fitted on the training part: "rank" (normal scores), "asinh" or "standardize".
        steps: of Adam, at most, for one critic.
        batch_size: samples in a step; None for the critic's own, 256 or 64. Fewer samples make one smaller batch.
        restarts: critics in each fold, from different initial parameters, whose scores are averaged.
        folds: 2 or more.
        validation: share of the samples outside the fold that critics are stopped by.
        seed: of every draw.
        backend: "numpy" or "cupy".
    Attributes:
        nats_, interval_, error_: of the estimate, in nats.
        estimates_: every estimate from the critics, by name; the requested one comes first.
        histories_: for each fold and restart, (step, nats on the validation part).
        log_ratios_: for each fold, R(x, y) of its critics.
        held_out_: samples scored with each other, the K of InfoNCE.
        notes_: what to know of the samples before any number is believed.
    Source: arXiv 1808.06670, section 3; arXiv 1905.06922, section 2; Chernozhukov et al. 2018, The Econometrics Journal
    21(1), section 3 (cross-fitting).
    """

    bound: str = "infonce"
    critic: str = "separable"
    transform: str = "rank"
    steps: int = 3000
    batch_size: int | None = None
    restarts: int = 1
    folds: int = 5
    validation: float = 0.15
    seed: int = 0
    backend: str = "numpy"
    estimates_: dict[str, Estimate] = field(init=False, repr=False, compare=False)
    histories_: tuple[History, ...] = field(init=False, repr=False, compare=False)
    log_ratios_: tuple[LogRatio, ...] = field(init=False, repr=False, compare=False)
    held_out_: int = field(init=False, repr=False, compare=False)
    notes_: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name, as scikit-learn's `clone` asks for them."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    def set_params(self, **parameters: Any) -> MutualInformation:
        """Change some of the parameters.

        Raises:
            SampleError: there is no such parameter.
        """
        for name, value in parameters.items():
            if name not in self.get_params():
                raise SampleError(f"{name}: expected one of {', '.join(self.get_params())}")
            setattr(self, name, value)
        return self

    def fit(self, x: ArrayLike, y: ArrayLike, watch: Callable[[int], None] = lambda folds: None) -> MutualInformation:
        """Train the critics and evaluate each on its fold.

        Args:
            x, y: (N,) or (N, D), (N, D'): numbers, row i of both being one sample.
            watch: called after every fold with the number done.
        Raises:
            SampleError: samples or parameters that no estimate can be made from.
        """
        self._check()
        x, y = as_pairs(x, y)
        if len(x) < FEWEST_HELD_OUT * self.folds:
            raise SampleError(
                f"folds: expected {FEWEST_HELD_OUT} samples in each at least, "
                f"found {self.folds} folds of {len(x)} samples"
            )
        settings, backend = self._settings(), get_backend(self.backend)
        rng = np.random.default_rng(self.seed)
        of_folds: list[dict[str, list[HeldOut]]] = []
        log_ratios: list[LogRatio] = []
        histories: list[History] = []
        for done, split in enumerate(splits(rng, len(x), self.folds, self.validation), start=1):
            log_ratio, history = training.train(x, y, split, settings, rng, backend)
            of_folds.append(log_ratio.estimates(x[split.test], y[split.test], ESTIMATES[self.bound]))
            log_ratios.append(log_ratio)
            histories.extend(history)
            watch(done)
        self.log_ratios_, self.histories_ = tuple(log_ratios), tuple(histories)
        singular = any(log_ratio.critics.preparation.gaussian.singular for log_ratio in log_ratios)
        self.notes_ = (EQUAL,) if singular else ()
        parts = {name: [part for fold in of_folds for part in fold[name]] for name in ESTIMATES[self.bound]}
        self.held_out_ = min(len(part.without) for part in parts[ESTIMATES[self.bound][0]])
        self.estimates_ = {name: _estimate(name, *combine(of), self.held_out_) for name, of in parts.items()}
        return self

    def estimate(self, x: ArrayLike | None = None, y: ArrayLike | None = None) -> Estimate:
        """The estimate from the held-out samples of `fit`, or the mean of its critics' on samples that it never saw.

        Raises:
            SampleError: nothing was fitted yet, or the samples do not fit.
        """
        if not hasattr(self, "estimates_"):
            raise SampleError("estimate: expected fit(x, y) before, found nothing fitted")
        name = ESTIMATES[self.bound][0]
        if x is None and y is None:
            return self.estimates_[name]
        if x is None or y is None:
            raise SampleError("estimate: expected both x and y, or neither")
        x, y = as_pairs(x, y, FEWEST_HELD_OUT)
        for side, samples, means in (("x", x, "x_mean"), ("y", y, "y_mean")):
            expected = len(getattr(self.log_ratios_[0].critics.preparation.gaussian, means))
            if samples.shape[1] != expected:
                raise SampleError(f"{side}: expected {expected} columns as in fit, found {samples.shape[1]}")
        of_folds = [log_ratio.estimates(x, y, (name,))[name] for log_ratio in self.log_ratios_]
        # The same samples for each: the estimates without a sample are averaged too.
        parts = [
            HeldOut(float(np.mean([part.nats for part in same])), np.mean([part.without for part in same], axis=0))
            for same in zip(*of_folds, strict=True)
        ]
        return _estimate(name, *combine(parts), min(len(part.without) for part in parts))

    @property
    def nats_(self) -> float:
        """The estimate of I(x; y)."""
        return self.estimate().nats

    @property
    def error_(self) -> float:
        """Its standard error."""
        return self.estimate().error

    @property
    def interval_(self) -> tuple[float, float]:
        """Its 95 % interval; see `Estimate`."""
        return self.estimate().interval

    @property
    def objective(self) -> str:
        """The bound that the critics maximize."""
        return "jsd" if self.bound == "smile" else self.bound

    def _settings(self) -> Settings:
        family = CRITICS[self.critic]
        batch = self.batch_size or family.batch
        return Settings(self.objective, family, self.transform, self.steps, batch, self.restarts)

    def _check(self) -> None:
        for name, known in (
            ("bound", ESTIMATED),
            ("critic", tuple(CRITICS)),
            ("transform", tuple(TRANSFORMS)),
            ("backend", BACKENDS),
        ):
            if getattr(self, name) not in known:
                raise SampleError(f"{name}: expected one of {', '.join(known)}, found {getattr(self, name)!r}")
        for name, least in (("steps", 0), ("restarts", 1), ("folds", 2), ("batch_size", 2), ("seed", 0)):
            value = getattr(self, name)
            if name == "batch_size" and value is None:
                continue
            if not isinstance(value, (int, np.integer)) or value < least:
                raise SampleError(f"{name}: expected an integer ≥ {least}, found {value!r}")
        if not 0 < self.validation < 1:
            raise SampleError(f"validation: expected a share between 0 and 1, found {self.validation!r}")


def _estimate(reading: str, nats: float, error: float, held_out: int) -> Estimate:
    top = {"jsd": ceiling("jsd"), "infonce": math.log(held_out)}.get(reading, math.inf)
    return Estimate(
        reading, nats, error, interval(nats, error), top, reading != "smile", _notes(reading, nats, held_out)
    )


def _notes(reading: str, nats: float, held_out: int) -> tuple[str, ...]:
    log_n = math.log(held_out)
    if reading == "smile":
        return (f"no bound: e^T is clipped to [e^−{TAU:g}, e^{TAU:g}], which may raise it above I",)
    if reading == "jsd":
        certified = information_from_js(min(max(nats / 2, 0.0), LOG_2 * (1 - 1e-9)))
        return (f"a bound on 2·JS, not on I; of I it certifies {certified:.3f} nats",)
    if reading == "infonce" and nats > log_n - NEAR:
        return (f"held down by its ceiling, log {held_out} = {log_n:.3f} nats: I may be much larger",)
    if reading != "infonce" and nats > log_n:
        return (f"above log {held_out} = {log_n:.3f} nats: so many held-out samples certify nothing there",)
    return ()
