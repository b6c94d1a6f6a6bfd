"""The audit of a loss that W ranks compute together: ask, compare with one process, and name what is done instead.

from dimref.audit import audit_distributed

print(audit_distributed("mine.py:clip_loss", "clip"))
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dimref.audit.answer import Inputs, Target
from dimref.audit.calling import InProcess
from dimref.audit.contract import AuditError
from dimref.audit.distributed import ranked
from dimref.audit.distributed.catalogue import OFFSET_ALONE, Named, of_uneven, ways
from dimref.audit.distributed.quantities import QUANTITIES, Counts, Quantity, Way, simulate
from dimref.audit.distributed.report import Measured, Report
from dimref.audit.sandbox import TIME_LIMIT, Sandbox, digest, opened
from dimref.audit.verdict import CONFORMS, CONVENTION, FAILED, MISTAKE, WITHIN, Judgement
from dimref.distributed.ranks import shares
from dimref.trees import Tree, leaves, map_tree

REDUCTIONS = ("mean", "sum")
FEWEST, MOST = 2, 4  # ranks
ROWS, CASES, UNEVEN_CASES = 3, 3, 2
DONE = {"mean": "averaged over ranks", "sum": "summed over ranks"}
ALONE = Way(False, lambda w: (1, 1))  # of one rank with all rows: one process
BEYOND = re.compile(r"Target \d+ is out of bounds")  # PyTorch's cross entropy
EXACT, SINGLE = 1e-6, 1e-4  # relative differences that count as none, in double and in single precision


@dataclass(frozen=True)
class _Case:
    """What was asked and answered: each rank's loss, and the gradients where they were left, summed over ranks."""

    inputs: Inputs
    counts: Counts
    losses: np.ndarray
    gradients: np.ndarray
    single: bool


def audit_distributed(target: str | Target | Callable[..., Any], name: str, ranks: int = MOST, rows: int = 0,
                      reduction: str = "", seed: int = 0, time_limit: float = TIME_LIMIT, **how: Any) -> Report:  # fmt: skip
    """Hold a function that W ranks call together against one process on all rows.

    Args:
        target: as of `callables.audit`: a text runs in a process of its own, a function in this one, or in forks of it.
        name: of `quantities.QUANTITIES`.
        ranks: W. rows: of the whole batch; by default 3 for each rank.
        reduction: what the framework does with the ranks' gradients: "mean", as DistributedDataParallel, or "sum"; by
            default a mean for PyTorch and a sum elsewhere, and what is right for the other is another valid convention.
        how: framework, adapter, call, memory_limit, as `sandbox.opened` takes them.
    Raises:
        AuditError: there is no such quantity, or it cannot be asked so.
        LoadError: the target cannot be loaded.
    """
    if name not in QUANTITIES:
        raise AuditError(f"audit distributed: NAME must be one of {', '.join(QUANTITIES)}, was {name!r}")
    quantity, rows = QUANTITIES[name], rows or ROWS * ranks
    if not FEWEST <= ranks <= MOST:
        raise AuditError(f"--ranks {ranks}: expected {FEWEST} to {MOST}")
    if rows < ranks:
        raise AuditError(f"--ranks {ranks}: expected at most one for each row of the batch, found --rows {rows}")
    if quantity.reduction and reduction not in ("", quantity.reduction):
        raise AuditError(
            f"--reduction {reduction}: expected none for {name}, of whose outputs the audit itself forms a loss: a "
            f"{quantity.reduction} is due"
        )
    with opened(target, time_limit=time_limit, **how) as there, np.errstate(all="ignore"):
        return _Audit(name, quantity, there, reduction, ranks, rows, seed, time_limit).run()


class _Audit:
    def __init__(self, name: str, quantity: Quantity, target: Target, reduction: str, ranks: int, rows: int, seed: int,
                 limit: float) -> None:  # fmt: skip
        self.name, self.quantity, self.target, self.seed, self.limit = name, quantity, target, seed, limit
        self.typed, self.framework = reduction, target.framework
        self.even = shares(rows - rows % ranks, ranks)
        self.uneven = shares(rows if rows % ranks else rows - 1, ranks) if rows > ranks else None
        self.dtype, self.notes = "float64", dict[str, None]()
        self.formula, self.times = quantity.formulas[""], 1.0

    @property
    def reduction(self) -> str:
        return self.typed or self.quantity.reduction or ("mean" if self.framework == "torch" else "sum")

    def run(self) -> Report:
        even, problem = self._observe(self.even, CASES)
        if "raised" in problem:
            self.dtype = "float32"
            even, again = self._observe(self.even, CASES)
            if again:
                self.dtype = "float64"
            else:
                self.notes[f"takes float32 alone, with float64 it {problem}"], problem = None, ""
        if problem and not BEYOND.search(problem):
            return self._report(Judgement(FAILED, "", problem), Measured(self.even, problem=problem))
        alone, why_not = self._observe((sum(self.even),), CASES)
        if problem:
            return self._report(_beyond(problem, bool(alone)), Measured(self.even, problem=problem))
        same = self._as_one_process(alone)
        named, times = self._named(even)
        judgement = self._judge(even, named, times)
        if not same:
            what = why_not or f"is not {self.quantity.title}"
            self.notes[f"on one rank with all rows it {what}: see dimref audit"] = None
        uneven = None
        if self.uneven is not None:
            cases, problem = self._observe(self.uneven, UNEVEN_CASES)
            uneven = Measured(self.uneven, problem=problem) if problem else self._measured(cases)
            judgement = judgement if problem else self._lowered(judgement, cases, named)
        return self._report(judgement, self._measured(even), uneven)

    def _report(self, judgement: Judgement, even: Measured, uneven: Measured | None = None) -> Report:
        name, quantity, notes = self.name, self.quantity, tuple(self.notes)
        return Report(name, quantity, self.target.name, self.framework, self.reduction, judgement, even, uneven, notes)

    # ---- asking

    def _observe(self, counts: Counts, cases: int) -> tuple[list[_Case], str]:
        """The target's answers on ranks with so many rows each, and what kept it from answering."""
        ends, drawn = np.cumsum(counts), []
        for k in range(cases):
            inputs = self.quantity.draw(np.random.default_rng([self.seed, k, len(counts)]), sum(counts))
            drawn.append(map_tree(lambda x: x.astype(self.dtype) if isinstance(x, np.ndarray) else x, inputs))

        def share(inputs: Inputs, rank: int) -> Inputs:
            rows = slice(ends[rank] - counts[rank], ends[rank])
            return {name: each[rows] if name in self.quantity.rows else each for name, each in inputs.items()}

        split = {str(r): {str(k): share(inputs, r) for k, inputs in enumerate(drawn)} for r in range(len(counts))}
        signature = self.quantity.signature
        request = {"signature": dataclasses.astuple(signature), "ranks": split, "limit": self.limit}
        if isinstance(self.target, Sandbox):
            # Processes end in time by themselves; the sandbox's own limit is for threads, and for what those cannot help.
            limit = self.limit + 2 * ranked.GRACE * (self.framework == "torch")
            found, problem, printed = self.target.ask(digest(signature, split), request, limit)
            if printed and not problem and not found["problem"]:
                self.notes[f"it prints: {printed}"] = None
        else:
            assert isinstance(self.target, InProcess)
            found, problem = ranked.answer(self.target, request), ""
        if problem or found["problem"]:
            return [], problem or found["problem"]
        self.framework = found["framework"]
        answers = found["answers"]  # by rank and case
        self.notes.update(dict.fromkeys(remark for rank in answers for answer in rank for remark in answer["remarks"]))
        return [self._case(inputs, counts, [rank[k] for rank in answers]) for k, inputs in enumerate(drawn)], ""

    def _case(self, inputs: Inputs, counts: Counts, answers: list[dict[str, Any]]) -> _Case:
        """Losses of ranks, and gradients in the order of the rows of one process."""
        weight = inputs.get("weight")
        ends = np.cumsum(counts)
        losses = []
        for n, end, answer in zip(counts, ends, answers, strict=True):
            own = weight[end - n : end] if isinstance(weight, np.ndarray) else weight
            weights = own if isinstance(own, dict) else dict.fromkeys(answer["value"], 1.0 if own is None else own)
            losses.append(sum(float(np.sum(value * weights[k], dtype=float)) for k, value in answer["value"].items()))
        gradients = {
            name: np.concatenate(parts) if name in self.quantity.rows else sum(parts[1:], parts[0])
            for name in self.quantity.signature.differentiate
            for parts in [[np.asarray(answer["gradients"][name], np.float64) for answer in answers]]
        }
        dtypes = {v.dtype.itemsize for answer in answers for v in answer["value"].values()}
        return _Case(inputs, counts, np.array(losses), _flat(gradients), min(dtypes) < 8)

    # ---- comparing

    def _due(self, case: _Case) -> tuple[float, np.ndarray]:
        """Loss and gradient of one process on all rows, in the units of the target's own on one rank."""
        losses, gradients = simulate(self.quantity, self.formula, ALONE, case.inputs, (sum(case.counts),))
        return float(losses[0]) * self.times, _flat(gradients) * self.times

    def _as_one_process(self, alone: list[_Case]) -> bool:
        """Find which formula it is on one rank, and times which factor."""
        for words, formula in self.quantity.formulas.items() if alone else ():
            told = [(case, *simulate(self.quantity, formula, ALONE, case.inputs, case.counts)) for case in alone]
            times = _fit([(case, losses, _flat(gradients)) for case, losses, gradients in told])
            if times is not None:
                self.formula, self.times = formula, times
                factor = "" if np.isclose(times, 1) else f", times {times:.6g}"
                if words or factor:
                    self.notes[f"on one rank it is {self.quantity.title}{words and ' '}{words}{factor}"] = None
                return True
        return False

    def _fitted(self, cases: list[_Case], some: Iterator[Named]) -> Iterator[tuple[Named, float]]:
        for named in some:
            told: list[tuple[_Case, np.ndarray, np.ndarray]] = []
            for case in cases:
                losses, gradients = simulate(self.quantity, self.formula, named.way, case.inputs, case.counts)
                told.append((case, losses, _flat(gradients)))
                if _fit(told) is None:
                    break
            else:
                yield named, (_fit(told) or 0.0) / self.times

    def _named(self, cases: list[_Case]) -> tuple[Named | None, float]:
        """The known way that gives the target's numbers, and times which factor: 1 first, then W and 1/W."""
        w = len(cases[0].counts)
        found = list(self._fitted(cases, ways(self.name, self.quantity)))
        if not found:
            return None, 1.0
        named, times = min(found, key=lambda pair: len(_times(pair[1], w)))
        if named.key == "own-slice" and named.way.everything and np.isclose(times, w):
            named = replace(named, key="own-slice-times-w")
        return named, times

    def _right(self, cases: list[_Case], reduction: str) -> bool:
        """Whether the gradient that this reduction applies is one process's."""
        return all(_close(case.gradients * _part(reduction, case), self._due(case)[1], case) for case in cases)

    def _measured(self, cases: list[_Case]) -> Measured:
        due = [self._due(case) for case in cases]
        loss = np.mean([c.losses.sum() * _part(self.reduction, c) / d[0] for c, d in zip(cases, due, strict=True)])
        applied = np.concatenate([case.gradients * _part(self.reduction, case) for case in cases])
        wanted = np.concatenate([gradient for _, gradient in due])
        norm, whole = np.linalg.norm(applied), np.linalg.norm(wanted)
        cosine = applied @ wanted / (norm * whole) if norm * whole > 0 else np.nan
        return Measured(cases[0].counts, float(loss), float(norm / whole), float(cosine),
                        tuple(map(float, cases[0].losses)), due[0][0])  # fmt: skip

    # ---- judging

    def _judge(self, cases: list[_Case], named: Named | None, times: float) -> Judgement:
        """The verdict on equal shares: the gradient decides, and then what the ranks report as their losses."""
        title, key = self.quantity.title, named.key if named else "unknown"
        known = f"{title}: {named.title if named else 'in no way that is known'}{_times(times, len(cases[0].counts))}"
        told = (named.consequence, named.fix, named.source) if named and key else ("", "", "")
        ours, other = self.reduction, {"mean": "sum", "sum": "mean"}[self.reduction]
        if self._right(cases, ours):
            losses = [(case, np.array(self._due(case)[0])) for case in cases]
            if not key and all(_close(c.losses.sum() * _part(ours, c), due, c) for c, due in losses):
                return Judgement(CONFORMS, "", known)
            whole = all(_close(c.losses, due, c) for c, due in losses)
            off = "" if whole else "; the losses that the ranks report are not the whole batch's"
            return Judgement(CONVENTION, key, f"{known}; right where gradients are {DONE[ours]}{off}", "", *told[1:])
        if self._right(cases, other):
            factor = "1/W of" if other == "sum" else "W times"
            words = f"{known}; right where gradients are {DONE[other]}, not {DONE[ours]}"
            if not key and not self.typed:
                return Judgement(CONVENTION, f"needs-{other}", words, "", f"--reduction {other}")
            consequence = f"the gradient is {factor} what it should be, in the right direction"
            fix = told[1] or ("W times the loss" if other == "sum" else "1/W of the loss")
            return Judgement(MISTAKE, key or f"needs-{other}", words, consequence, fix, told[2])
        return Judgement(MISTAKE, key or "scaled", known, *told)

    def _lowered(self, judgement: Judgement, cases: list[_Case], named: Named | None) -> Judgement:
        """Lowered where it is right for equal shares alone."""
        held = judgement.key.removeprefix("needs-") if judgement.key.startswith("needs-") else self.reduction
        if judgement.verdict == MISTAKE or self._right(cases, held):
            return judgement
        found = next(self._fitted(cases, of_uneven(self.quantity, named)), None) if named else None
        why = found[0] if found else Named("uneven-batch", "wrong, in no way that is known", ALONE)
        counts = ", ".join(map(str, cases[0].counts))
        return Judgement(
            WITHIN, why.key, f"{judgement.diagnosis}; of {counts} rows: {why.title}", why.consequence, why.fix, why.source,
            within="equal shares",
        )  # fmt: skip


def _beyond(problem: str, alone: bool) -> Judgement:
    """What raises on W ranks because a label is beyond the columns that there are, if one rank with all rows does not."""
    if not alone:
        return Judgement(FAILED, "", problem)
    known, words = OFFSET_ALONE, f"{OFFSET_ALONE.title}, by its error: {problem}"
    return Judgement(MISTAKE, known.key, words, "the step ends in an error", known.fix, known.source)


def _part(reduction: str, case: _Case) -> float:
    return 1 / len(case.counts) if reduction == "mean" else 1.0


def _times(times: float, w: int) -> str:
    for factor, words in ((1, ""), (w, ", × W"), (1 / w, ", divided by W")):
        if np.isclose(times, factor):
            return words
    return f", times {times:.6g}"


def _flat(gradients: Tree) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for _, leaf in leaves(gradients)])


def _close(found: np.ndarray, due: np.ndarray, case: _Case) -> bool:
    return bool(np.abs(found - due).max() <= (SINGLE if case.single else EXACT) * max(np.abs(due).max(), 1e-3))


def _fit(told: list[tuple[_Case, np.ndarray, np.ndarray]]) -> float | None:
    """The one factor by which losses and gradients are those that are told; None if there is none."""
    found = np.concatenate([case.losses for case, _, _ in told])
    losses = np.concatenate([losses for _, losses, _ in told])
    times = float(found @ losses / (losses @ losses))
    for case, losses, gradients in told:
        if not (_close(case.losses, times * losses, case) and _close(case.gradients, times * gradients, case)):
            return None
    return times
