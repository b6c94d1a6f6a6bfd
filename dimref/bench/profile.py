"""Where the time of dimref's step goes: each primitive forward and backward, Adam, and the rest, the tape.

For the profiled steps every primitive that the tape knows is replaced by one with a stopwatch: the function of raw arrays
inside it, in whatever form it is implemented (forward), and the VJP that the tape calls (backward). At every moment exactly
one thing is on the clock, the innermost, so the parts sum to the whole. What is on the clock outside of all of them is the
tape: boxes, nodes, the sweep back, and what the layers, and the forms of a region that is no primitive, do between them.
What the stopwatch itself takes is measured alone and taken off the tape's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from autograd.core import primitive_vjps

from dimref import objectives, optim, tape
from dimref.amdim import objective
from dimref.engine import batch_norm, direction, row_blocks, threads

MATRIX = ("matmul", "affine", "affine_pair")  # with the bias and the ReLU that share the product's memory
MOVING = (
    "reshape", "transpose", "cut", "paste", "concatenate", "gather", "scatter_add", "broadcast_to", "im2col", "col2im",
)  # fmt: skip
GROUPS = ("matrix products", "elementwise", "moving elements", "Adam", "tape", "stopwatch")
STATISTICS = ("moments", "saturated scores")
# Untraced work, by name: batch norm's moments, the share of saturated scores, AMDIM's views and its scores,
# Adam, and the sums of gradients that come together at one node or from several blocks.
OFF_TAPE = (
    (batch_norm, "moments", STATISTICS[0]),
    (objectives, "_saturated", STATISTICS[1]),
    (objective, "augmented", "views"),
    (direction, "_score", "scores"),
    (optim, "adam_step", "Adam"),
    (tape, "add_outgrads", "sum of gradients"),
    (row_blocks, "add_outgrads", "sum of gradients"),
)


class Key(NamedTuple):
    """What is on the clock: whose time it is, in which sweep, and which primitive does the work."""

    owner: str
    sweep: str  # "forward" or "backward"
    leaf: str


TAPE, STOPWATCH = Key("tape", "forward", "tape"), Key("stopwatch", "forward", "stopwatch")


@dataclass
class Clock:
    """A stopwatch with a stack: what is entered last is what is timed."""

    synchronize: Callable[[], None]
    seconds: dict[Key, float] = field(default_factory=dict)
    stack: list[Key] = field(default_factory=list)
    last: float = 0.0
    spans: int = 0

    def on(self, key: Key) -> Span:
        """Time this until it is left; what was timed before goes on then."""
        return Span(self, key)

    def enter(self, key: Key) -> None:
        """Begin to time this."""
        self._charge()
        self.spans += 1
        self.stack.append(key)

    def leave(self) -> None:
        """Go on with what was timed before."""
        self._charge()
        self.stack.pop()

    def _charge(self) -> None:
        self.synchronize()
        now = time.perf_counter()
        if self.stack:
            top = self.stack[-1]
            self.seconds[top] = self.seconds.get(top, 0.0) + now - self.last
        self.last = now


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a clock's time. (A generator would cost more, on the clock too, and look like the tape.)"""

    clock: Clock
    key: Key

    def __enter__(self) -> None:
        self.clock.enter(self.key)

    def __exit__(self, *error: object) -> None:
        self.clock.leave()


@dataclass(frozen=True)
class Row:
    """Seconds per step of one primitive."""

    name: str
    forward: float
    backward: float

    @property
    def total(self) -> float:
        """Both sweeps."""
        return self.forward + self.backward


@dataclass(frozen=True)
class Profile:
    """Seconds per step: the whole, by primitive (the largest first), and by group."""

    total: float
    rows: list[Row]
    groups: dict[str, float]


def profile(step: Callable[[], None], synchronize: Callable[[], None], repeats: int = 3) -> Profile:
    """The mean over `repeats` steps, after one that warms up."""
    clock = Clock(synchronize)
    step()
    with _watched(clock):
        for _ in range(repeats):
            with clock.on(TAPE):
                step()
    own = min(clock.spans * _seconds_of_a_span(synchronize), clock.seconds[TAPE])
    clock.seconds[TAPE] -= own
    clock.seconds[STOPWATCH] = own
    owners = dict.fromkeys(key.owner for key in clock.seconds)
    rows = [
        Row(owner, *(_sum(clock, repeats, owner=owner, sweep=sweep) for sweep in ("forward", "backward")))
        for owner in owners
    ]
    groups = dict.fromkeys(GROUPS, 0.0)
    for key, seconds in clock.seconds.items():
        groups[group_of(key.leaf)] += seconds / repeats
    rows.sort(key=lambda row: -row.total)
    return Profile(sum(clock.seconds.values()) / repeats, rows, groups)


def _seconds_of_a_span(synchronize: Callable[[], None], repeats: int = 1000) -> float:
    """What the stopwatch itself takes for one call of a primitive."""
    clock = Clock(synchronize)
    nothing = _timed_raw(clock, "nothing", lambda: None)
    with clock.on(TAPE):
        for _ in range(repeats):
            nothing()
    return sum(clock.seconds.values()) / repeats


def _sum(clock: Clock, repeats: int, owner: str, sweep: str) -> float:
    return sum(s for key, s in clock.seconds.items() if (key.owner, key.sweep) == (owner, sweep)) / repeats


def group_of(leaf: str) -> str:
    """The group that a primitive's own work belongs to."""
    if leaf in MATRIX:
        return "matrix products"
    if leaf in MOVING:
        return "moving elements"
    return leaf if leaf in GROUPS else "elementwise"


# ---- putting the stopwatch in


@contextmanager
def _watched(clock: Clock) -> Iterator[None]:
    """Every primitive with a VJP, and the untraced work, on the clock."""
    with ExitStack() as undo:
        undo.callback(setattr, threads, "in_order", threads.in_order)
        threads.in_order = lambda function, items: map(function, items)  # one clock: what threads share, one by one
        for primitive, maker in list(primitive_vjps.items()):
            name = _name(primitive)
            if primitive is row_blocks._by_rows:  # it calls other primitives: the time is theirs
                continue
            primitive_vjps[primitive] = _timed_maker(clock, name, maker)
            undo.callback(primitive_vjps.__setitem__, primitive, maker)
            cell = _cell_of_raw(primitive)
            if cell is not None:
                undo.callback(setattr, cell, "cell_contents", cell.cell_contents)
                cell.cell_contents = _timed_raw(clock, name, cell.cell_contents)
        for module, attribute, name in OFF_TAPE:
            function = getattr(module, attribute)
            undo.callback(setattr, module, attribute, function)
            setattr(module, attribute, _timed_off_tape(clock, name, function))
        yield


def _name(function: Any) -> str:
    """One of dimref by its own name, a primitive that autograd brings with its library's before it."""
    own = function in tape.REGIONS.values()
    return function.__name__.lstrip("_") if own else f"np.{function.__name__}"


def _cell_of_raw(primitive: Any) -> Any:
    """The closure's cell in which autograd's wrapper keeps the function of raw arrays."""
    for cell in primitive.__closure__ or ():
        if cell.cell_contents is primitive.fun:
            return cell
    return None


def _timed_raw(clock: Clock, name: str, raw: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        outer = clock.stack[-1] if clock.stack else TAPE
        # Within a VJP (or another primitive) the time is that one's; at the top and untraced it is its own.
        inherits = outer != TAPE and outer.leaf not in STATISTICS
        with clock.on(Key(outer.owner, outer.sweep, name) if inherits else Key(name, "forward", name)):
            return raw(*args, **kwargs)

    return timed


def _timed_maker(clock: Clock, name: str, maker: Callable[..., Any]) -> Callable[..., Any]:
    def make(*args: Any) -> Callable[[Any], tuple[Any, ...]]:
        vjp = maker(*args)

        def timed(g: Any) -> tuple[Any, ...]:
            with clock.on(Key(name, "backward", name)):
                return tuple(vjp(g))  # autograd's own is a generator for three arguments and more

        return timed

    return make


def _timed_off_tape(clock: Clock, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    sweep = "backward" if name == "sum of gradients" else "forward"

    def timed(*args: Any, **kwargs: Any) -> Any:
        with clock.on(Key(name, sweep, name)):
            return function(*args, **kwargs)

    return timed
