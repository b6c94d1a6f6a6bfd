"""What every array of a step must be, given what the other side has: any single piece, evaluated on their own inputs.

`Graph.filled(name)` is their array where they have it, and what follows from their other arrays where they have not.
`Graph.expected(name)` is what follows from the filled inputs of that one piece: the array that they should have got from
what they had. All of it is in float64, so that only their own rounding is left between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from dimref import ops
from dimref.audit.trace.pieces import Piece
from dimref.optim import adam_step
from dimref.tape import value_and_gradients

Arrays = Mapping[str, np.ndarray]
Function = Callable[..., Any]
Cut = tuple[str, str]  # (array, piece): the gradient that this user of the array does not hand back


@dataclass(frozen=True)
class Variant:
    """A wrong piece: the id and the words of a diagnosis, and what it computes."""

    id: str
    text: str
    function: Function


class Graph:
    """The step on the other side's arrays.

    Args:
        forward: the pieces from batch to loss. after: those of the model state after the step.
        reference: the trace's arrays; its inputs of the step stand in where theirs are missing.
        theirs: by the same names, in this project's layout.
        step: how many steps were taken before this one. lr: Adam's.
    """

    def __init__(
        self, forward: list[Piece], after: list[Piece], reference: Arrays, theirs: Arrays, step: int, lr: float
    ) -> None:
        self.pieces = {piece.name: piece for piece in [*forward, *after]}
        self.consumers: dict[str, list[Piece]] = {}
        for piece in forward:
            for name in dict.fromkeys(piece.inputs):
                self.consumers.setdefault(name, []).append(piece)
        self._reference, self._theirs = reference, theirs
        self._step, self.lr = step, lr
        self._memory: dict[str, Any] = {}
        self._ancestors: dict[str, frozenset[str]] = {}
        self._functions: dict[str, Function] = {}  # wrong pieces in place of right ones
        self._tried: set[str] = set()  # those that are only being tried: their own arrays are not looked at then
        self._cuts: set[Cut] = set()

    def filled(self, name: str) -> Any:
        """Their array, or what follows from theirs. None: an array that neither side has."""
        if name in self._theirs and name not in self._tried:
            return self._theirs[name]
        return self.expected(name)

    def expected(self, name: str) -> Any:
        """What must follow from the filled inputs; an input of the step is the reference's own."""
        if name not in self._memory:
            self._memory[name] = self._follow(name)
        return self._memory[name]

    def inputs(self, name: str) -> tuple[str, ...]:
        """What an array is computed from, directly; a gradient by its users' own functions, too, hence their names."""
        if name in self.pieces:
            return self.pieces[name].inputs
        if name.startswith("gradient/"):
            consumers = self.consumers.get(name.removeprefix("gradient/"), [])
            return tuple(dict.fromkeys(n for c in consumers for n in (f"gradient/{c.name}", c.name, *c.inputs)))
        if name.startswith("after/"):
            path = _path(name)
            return (f"parameters/{path}", f"gradient/parameters/{path}")
        return ()

    def ancestors(self, name: str) -> frozenset[str]:
        """Everything that an array depends on."""
        if name not in self._ancestors:
            found: set[str] = set()
            waiting = [name]
            while waiting:
                new = [above for above in self.inputs(waiting.pop()) if above not in found]
                found.update(new)
                waiting += new
            self._ancestors[name] = frozenset(found)
        return self._ancestors[name]

    def unsaved(self, name: str) -> list[str]:
        """What an array depends on that the other side has not, as far back as to what it has; nearest first."""
        found: dict[str, None] = {}
        waiting = [name]
        while waiting:
            for above in self.inputs(waiting.pop(0)):
                if above not in self._theirs and above not in found:
                    found[above] = None
                    waiting.append(above)
        return list(found)

    @contextmanager
    def trying(self, functions: Mapping[str, Function] | None = None, cut: Cut | None = None) -> Iterator[None]:
        """With other functions in place of some pieces, or with the gradient of an array cut at one of its users."""
        saved = self._memory, self._functions, self._cuts, self._tried
        self._adopt(functions or {}, cut)
        self._tried = set(functions or {})
        try:
            yield
        finally:
            self._memory, self._functions, self._cuts, self._tried = saved

    def supposing(self, name: str, functions: Mapping[str, Function] | None = None, cut: Cut | None = None) -> Any:
        """What an array would have to be then; None where those functions cannot stand there (the shapes do not fit)."""
        try:
            with self.trying(functions, cut):
                return self.expected(name)
        except ValueError:
            return None

    def accept(self, functions: Mapping[str, Function] | None = None, cut: Cut | None = None) -> None:
        """Assume a named mistake, so that its consequences are expected from now on."""
        self._adopt(functions or {}, cut)

    def _adopt(self, functions: Mapping[str, Function], cut: Cut | None) -> None:
        self._functions = {**self._functions, **functions}
        self._cuts = self._cuts | ({cut} if cut else set())
        changed = {*functions, f"gradient/{cut[0]}"} if cut else set(functions)
        self._memory = {name: array for name, array in self._memory.items() if not self._depends(name, changed)}

    def _depends(self, key: str, changed: set[str]) -> bool:
        kind, _, name = key.partition(":")
        if kind == "backward":  # by its inputs, by its output's gradient, by its own function
            names = {name, f"gradient/{name}", *self.pieces[name].inputs}
        elif kind == "adam":
            names = {f"after/parameters/{name}"}
        else:
            names = {key}
        return any(n in changed or not changed.isdisjoint(self.ancestors(n)) for n in names)

    def _follow(self, name: str) -> Any:
        if name in self.pieces:
            piece = self.pieces[name]
            function = self._functions.get(name, piece.function)
            with np.errstate(all="ignore"):
                return np.asarray(function(*(self.filled(n) for n in piece.inputs)))
        if name == "gradient/loss":
            return np.asarray(1.0)
        if name.startswith("gradient/"):
            return self._gradient(name.removeprefix("gradient/"))
        if name.startswith(("after/parameters/", "after/adam/")):
            return self._adam(name)
        return self._reference.get(name)

    # ---- gradients

    def contributions(self, of: str) -> dict[str, np.ndarray]:
        """What each user of an array hands back to it."""
        found = {}
        for piece in self.consumers.get(of, []):
            above = self.filled(f"gradient/{piece.name}")
            if above is not None and (of, piece.name) not in self._cuts:
                g = self._backward(piece, above)[of]
                if g is not None:
                    found[piece.name] = g
        return found

    def _gradient(self, of: str) -> Any:
        parts = list(self.contributions(of).values())
        if parts:
            return sum(parts[1:], start=parts[0])
        # Nobody hands anything back: there is no such gradient, or a mistake that was named has cut it off.
        reference = self._reference.get(f"gradient/{of}")
        return None if reference is None else np.zeros_like(reference)

    def _backward(self, piece: Piece, g: np.ndarray) -> dict[str, Any]:
        """∂⟨piece, g⟩ by each of its inputs."""
        key = f"backward:{piece.name}"
        if key in self._memory:
            return self._memory[key]
        inputs = {name: self.filled(name) for name in piece.inputs}
        real = {name: array for name, array in inputs.items() if array is not None and array.dtype.kind == "f"}
        function = self._functions.get(piece.name, piece.function)

        def along(values: dict[str, Any]) -> tuple[Any, None]:
            return ops.total(ops.multiply(function(*(values.get(name, inputs[name]) for name in inputs)), g)), None

        with np.errstate(all="ignore"):
            _, found, _ = value_and_gradients(along, real)
        self._memory[key] = {**dict.fromkeys(inputs), **found}
        return self._memory[key]

    # ---- Adam

    def _adam(self, name: str) -> Any:
        path = _path(name)
        key = f"adam:{path}"
        if f"parameters/{path}" not in self._reference:
            return None
        if key not in self._memory:
            old, g = self.filled(f"parameters/{path}"), self.filled(f"gradient/parameters/{path}")
            zeros = np.zeros_like(old)
            moments = {k: {"p": self._reference.get(f"adam/{k}/{path}", zeros).copy()} for k in ("m", "v")}
            new, adam = adam_step({"p": old.copy()}, {"p": g}, {"step": self._step, **moments}, self.lr)
            self._memory[key] = {"parameters": new["p"], "adam/m": adam["m"]["p"], "adam/v": adam["v"]["p"]}
        return self._memory[key][name.removeprefix("after/").removesuffix(f"/{path}")]


def _path(name: str) -> str:
    """after/parameters/a/b, after/adam/m/a/b → a/b."""
    rest = name.removeprefix("after/")
    return rest.removeprefix("parameters/") if rest.startswith("parameters/") else rest.split("/", 2)[2]
