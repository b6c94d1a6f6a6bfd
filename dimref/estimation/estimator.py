"""Mutual information from samples: a critic is trained to maximize a bound, and evaluated on samples it never saw."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dimref.backend import get_backend
from dimref.bounds import ceiling
from dimref.estimation import dependence, samples, training
from dimref.estimation.critics import CRITICS
from dimref.estimation.held_out import TAU, HeldOut, combine, interval
from dimref.estimation.log_ratio import LogRatio
from dimref.estimation.samples import SampleError, splits
from dimref.estimation.training import History, Settings
from dimref.estimation.transforms import TRANSFORMS
from dimref.theory.information import LOG_2, information_from_js
from dimref.training.choices import BACKENDS, BASES, ESTIMATED

# The estimates from critics trained with a bound, the requested one first. SMILE's are trained with JSD.
ESTIMATES = {
    "dv": ("dv",),
    "nwj": ("nwj",),
    "jsd": ("plug-in", "jsd", "smile"),
    "infonce": ("infonce", "plug-in"),
    "smile": ("smile", "jsd", "plug-in"),
}
SIDES = ("x", "y", "given")
LEAST = {
    "steps": 0,
    "restarts": 1,
    "folds": 2,
    "batch_size": 2,
    "seed": 0,
    "blocks": 2,
    "null": 0,
    "limit": samples.FEWEST,
}
OPTIONAL = ("batch_size", "blocks", "limit")
FEWEST_HELD_OUT = 3  # samples of a fold: without one of them, there is still a negative pair
EQUAL = "x determines y, or a part of it, to 4 digits: I may be infinite"
DIFFERENCE = (
    "I(x; y | z) = I(x; y, z) − I(x; z) is a difference of lower bounds, so no bound: too small by what the critics miss "
    "of the first, too large by what they miss of the second"
)
TERMS = ("I(x; y, z)", "I(x; z)")  # of the chain rule
NEAR = 1.0  # nats from its ceiling, where a bound is held down by it
NEAR_LOG_4 = 0.05


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

    @property
    def bits(self) -> float:
        """The value in bits."""
        return self.nats / LOG_2


@dataclass
class MutualInformation:
    """I(x; y), or I(x; y | z), in nats from N independent samples of (x, y), in scikit-learn's manner.

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
        blocks: cut the rows into so many runs of successive ones, each of which is held out, left out for the interval and
            permuted as a whole: for rows that depend on their neighbours. None: every row by itself.
        null: estimates of as many samples with y permuted, with critics of their own, give a p-value.
        limit: of more rows, so many are drawn.
        categorical: sides whose columns are integers or texts without an order, of "x", "y", "given".
        base: "nats" or "bits", in which the notes are written; `nats_` is in nats.
    Attributes:
        nats_, interval_, error_: of the estimate, in nats.
        p_value_: share of the permutations of y, the sample itself among them, whose value is as large; None without.
        null_: their values, in nats.
        estimates_: every estimate from the critics, by name; the requested one comes first.
        terms_: of I(x; y | z), the same for I(x; y, z) and I(x; z), by name.
        table_: where x and y are categorical, I of the table of counts: its plug-in, and with Miller & Madow's correction.
        units_: (N,) rows of one number were held out together.
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
    blocks: int | None = None
    null: int = 0
    limit: int | None = None
    categorical: tuple[str, ...] = ()
    base: str = "nats"
    p_value_: float | None = field(init=False, repr=False, compare=False)
    null_: np.ndarray = field(init=False, repr=False, compare=False)
    terms_: dict[str, dict[str, Estimate]] = field(init=False, repr=False, compare=False)
    table_: tuple[float, float] | None = field(init=False, repr=False, compare=False)
    units_: np.ndarray = field(init=False, repr=False, compare=False)
    _levels: dict[str, samples.Levels] = field(init=False, repr=False, compare=False, default_factory=dict)
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

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        watch: Callable[[int], None] = lambda folds: None,
        given: ArrayLike | None = None,
    ) -> MutualInformation:
        """Train the critics and evaluate each on its fold.

        Args:
            x, y: (N,) or (N, D), (N, D'): numbers, row i of both being one sample; or frames, as frame[["a", "b"]].
            watch: called after every fold with the number done; `folds` times, twice that with `given`, and for each
                permutation again.
            given: z, as y: estimate I(x; y | z) by the chain rule, I(x; y, z) − I(x; z).
        Raises:
            SampleError: samples or parameters that no estimate can be made from.
        """
        self._check()
        if given is not None and self.null:
            raise SampleError(
                "null: a permutation of y would break its dependence on z as well; leave it out with given"
            )
        parts = self.read(x, y, given)
        if self.limit and len(parts["x"]) > self.limit:
            rows = np.sort(np.random.default_rng(self.seed).choice(len(parts["x"]), self.limit, replace=False))
            parts = {name: part[rows] for name, part in parts.items()}
        x, y, z = parts["x"], parts["y"], parts.get("given")
        if len(x) < FEWEST_HELD_OUT * self.folds:
            raise SampleError(
                f"folds: expected {FEWEST_HELD_OUT} samples in each at least, "
                f"found {self.folds} folds of {len(x)} samples"
            )
        both = y if z is None else np.hstack([y, z])
        self.units_, notes = dependence.units(x, both, self.blocks, self.folds)
        done = itertools.count(1)
        first = self._cross_fit(x, both, lambda: watch(next(done)))
        terms = [first] if z is None else [first, self._cross_fit(x, z, lambda: watch(next(done)))]
        self.log_ratios_, self.histories_, equal = first.log_ratios, first.histories, first.equal
        self.held_out_ = min(part.samples for part in first.held_out[ESTIMATES[self.bound][0]])
        if hint := samples.transposed(parts):
            notes = (*notes, f"more columns than rows{hint}")
        values = [{name: self._estimate(name, of) for name, of in term.held_out.items()} for term in terms]
        self.estimates_, self.terms_ = values[0], {}
        if z is not None:
            notes, self.terms_ = (*notes, DIFFERENCE), dict(zip(TERMS, values, strict=True))
            self.estimates_ = {
                name: replace(
                    self._estimate(name, [a - b for a, b in zip(of, terms[1].held_out[name], strict=True)]),
                    ceiling=math.inf, is_bound=False,
                    notes=tuple(f"{t}: {note}" for t, v in self.terms_.items() for note in v[name].notes),
                )
                for name, of in first.held_out.items()
            }  # fmt: skip
        kinds = {name: len(np.unique(dependence.first_equal(parts[name]))) for name in self._categorical()}
        notes += tuple(
            f"{name} has {n:,} different rows, so I is at most log {n} = {self._in_base(math.log(n))}"
            for name, n in kinds.items() if name != "given"
        )  # fmt: skip
        self.table_ = dependence.table_information(x, y) if {"x", "y"} <= kinds.keys() else None
        self.notes_ = (*notes, EQUAL) if equal and not kinds else notes
        rng, self.p_value_ = np.random.default_rng([self.seed, 1]), None
        shuffled = [y[dependence.permuted(rng, self.units_)] for _ in range(self.null)]
        self.null_ = np.array([self._cross_fit(x, each, lambda: watch(next(done))).nats for each in shuffled])
        if self.null:
            self.p_value_ = (1 + int((self.null_ >= self.nats_).sum())) / (1 + self.null)
        return self

    def _cross_fit(self, x: np.ndarray, y: np.ndarray, watch: Callable[[], None]) -> _CrossFit:
        """Critics of every fold, and what they give on it."""
        settings, backend = self._settings(), get_backend(self.backend)
        names, rng = ESTIMATES[self.bound], np.random.default_rng(self.seed)
        result = _CrossFit((), (), {name: [] for name in names}, False)
        for split in splits(rng, self.units_, self.folds, self.validation, self.blocks is not None):
            log_ratio, history = training.train(x, y, split, settings, rng, backend)
            held_out = log_ratio.estimates(x[split.test], y[split.test], names, self.units_[split.test])
            preparation = log_ratio.critics.preparation
            equal = preparation.gaussian.equal(*preparation.transformed(x[split.test], y[split.test]))
            result = _CrossFit(
                (*result.log_ratios, log_ratio),
                (*result.histories, *history),
                {name: result.held_out[name] + held_out[name] for name in names},
                result.equal or equal,
            )
            watch()
        return result

    def read(self, x: ArrayLike, y: ArrayLike, given: ArrayLike | None = None) -> dict[str, np.ndarray]:
        """What is scored of x, y and given, by these names: (N, D) float64, a column for each level where categorical.

        Raises:
            SampleError: no estimate can be made from them.
        """
        parts = self._read({"x": x, "y": y, "given": given}, fitting=True)
        samples.check_counts(parts)
        return parts

    def _read(self, given: dict[str, Any], fitting: bool) -> dict[str, np.ndarray]:
        """Each side as numbers; the levels of categories are those of `fit`."""
        parts = {}
        for name, values in given.items():
            if values is None:
                continue
            if name not in self._categorical():
                parts[name] = samples.as_samples(values, name)
                continue
            columns = samples.as_categories(values, name)
            if fitting:
                self._levels[name] = tuple(np.unique(column) for column in columns)
            if len(columns) != len(self._levels[name]):
                raise SampleError(f"{name}: expected {len(self._levels[name])} columns as in fit, found {len(columns)}")
            parts[name] = samples.one_hot(columns, self._levels[name])
        return parts

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
        if x is None or y is None or self.terms_:
            raise SampleError("estimate: expected both x and y, or neither; and neither after a fit with given")
        parts = self._read({"x": x, "y": y}, fitting=False)
        samples.check_counts(parts, FEWEST_HELD_OUT)
        for side, part in parts.items():
            expected = len(getattr(self.log_ratios_[0].critics.preparation.gaussian, f"{side}_mean"))
            if part.shape[1] != expected:
                raise SampleError(f"{side}: expected {expected} columns as in fit, found {part.shape[1]}")
        of_folds = [log_ratio.estimates(parts["x"], parts["y"], (name,))[name] for log_ratio in self.log_ratios_]
        # The same samples for each: the estimates without a sample are averaged too.
        means = [
            HeldOut(float(np.mean([part.nats for part in same])), np.mean([part.without for part in same], axis=0))
            for same in zip(*of_folds, strict=True)
        ]
        return self._estimate(name, means)

    @property
    def nats_(self) -> float:
        """The estimate of I(x; y)."""
        return self.estimate().nats

    @property
    def bits_(self) -> float:
        """The estimate of I(x; y) in bits."""
        return self.estimate().bits

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
            ("base", BASES),
        ):
            if getattr(self, name) not in known:
                raise SampleError(f"{name}: expected one of {', '.join(known)}, found {getattr(self, name)!r}")
        for name, least in LEAST.items():
            value = getattr(self, name)
            if not (value is None and name in OPTIONAL) and (not isinstance(value, (int, np.integer)) or value < least):
                raise SampleError(f"{name}: expected an integer ≥ {least}, found {value!r}")
        if not 0 < self.validation < 1:
            raise SampleError(f"validation: expected a share between 0 and 1, found {self.validation!r}")
        if wrong := [name for name in self._categorical() if name not in SIDES]:
            raise SampleError(f"categorical: expected some of {', '.join(SIDES)}, found {wrong[0]!r}")

    def _categorical(self) -> tuple[str, ...]:
        return (self.categorical,) if isinstance(self.categorical, str) else tuple(self.categorical)

    def _in_base(self, nats: float) -> str:
        return f"{nats / (LOG_2 if self.base == 'bits' else 1):.3f} {self.base}"

    def _estimate(self, reading: str, parts: list[HeldOut]) -> Estimate:
        nats, error = combine(parts)
        samples = min(part.samples for part in parts)
        top = {"jsd": ceiling("jsd"), "infonce": math.log(samples)}.get(reading, math.inf)
        ends = interval(nats, error)
        notes = (*_of_reading(reading, nats, samples, self._in_base), *_of_zero(nats, ends))
        return Estimate(reading, nats, error, ends, top, reading != "smile", notes)


@dataclass(frozen=True)
class _CrossFit:
    log_ratios: tuple[LogRatio, ...]
    histories: tuple[History, ...]
    held_out: dict[str, list[HeldOut]]
    equal: bool  # x and y, or a part of them, also where held out

    @property
    def nats(self) -> float:
        """Of the requested estimate, the first."""
        return combine(next(iter(self.held_out.values())))[0]


def _of_reading(reading: str, nats: float, held_out: int, in_base: Callable[[float], str]) -> tuple[str, ...]:
    """What this kind of estimate is, and where its ceiling holds it down."""
    log_n = math.log(held_out)
    if reading == "smile":
        return (f"no bound: e^T is clipped to [e^−{TAU:g}, e^{TAU:g}], which may raise it above I",)
    if reading == "jsd":
        certified = information_from_js(min(max(nats / 2, 0.0), LOG_2 * (1 - 1e-9)))
        held = "; held down by its ceiling, log 4: I may be much larger" if nats > ceiling("jsd") - NEAR_LOG_4 else ""
        return (f"a bound on 2·JS, not on I; of I it certifies {in_base(certified)}{held}",)
    if reading == "infonce" and nats > log_n - NEAR:
        return (f"held down by its ceiling, log {held_out} = {in_base(log_n)}: I may be much larger",)
    if reading != "infonce" and nats > log_n:
        return (f"above log {held_out} = {in_base(log_n)}: so many held-out samples certify nothing there",)
    return ()


def _of_zero(nats: float, ends: tuple[float, float]) -> tuple[str, ...]:
    """What a value near 0 or below says."""
    if ends[1] < 0:
        return ("below 0: the critics overfit, and do worse than none on samples they never saw; nothing is certified",)
    if nats < 0:
        return ("below 0, which I never is: these critics found no dependence, and nothing is certified",)
    if ends[0] <= 0:
        return ("0 lies within its interval: no dependence is shown",)
    return ()
