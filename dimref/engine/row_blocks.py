"""A function of rows, block by block: an elementwise pass finds the product before it still in the cache.

It calls the plain function on blocks of rows, several at once where there are threads (`threads.py`), each on a tape of its
own, and sums the blocks' gradients of the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from autograd.core import VJPNode, add_outgrads
from autograd.extend import defvjp_argnums
from autograd.tracer import getval, isbox, new_box, trace_stack

from dimref.engine import threads
from dimref.engine.forms import of_one_type, on_host, on_one_tape
from dimref.tape import primitive, sweep
from dimref.trees import Array, Tree, leaves, map_tree


def by_rows(function: Callable[..., Array], parameters: Tree, *rows: Array, block: int) -> Array:
    """function(parameters, *rows), for a function whose row i depends on row i of each of `rows` and on the parameters.

    Equal to the plain call up to the order in which the parameters' gradient is summed. It is the plain call on a device,
    under a second tape (for second derivatives), with arrays of two types and where there is only one block.

    Args:
        parameters: nested dicts, whole for every block. rows: arrays of n rows each. block: rows of a block.
    """
    n = rows[0].shape[0]
    arguments = [*(leaf for _, leaf in leaves(parameters)), *rows]
    if n <= block or not (on_host(*arguments) and of_one_type(*arguments) and on_one_tape(*arguments)):
        return function(parameters, *rows)
    return _by_rows(_Blocks(function, parameters, [isbox(a) for a in arguments], len(rows), n, block), *arguments)


class _Blocks:
    """One call of `by_rows`: its blocks and, once it has run, their tapes."""

    def __init__(
        self, function: Callable[..., Array], parameters: Tree, on_tape: list[bool], rows: int, n: int, block: int
    ) -> None:
        self.function, self.shape, self.on_tape = function, parameters, on_tape
        self.first_row = len(on_tape) - rows  # of the arguments, the first that is cut
        self.windows = threads.tapered(n, block)
        self.n = n
        # By a block's first row, until its sweep; the end is None where the result depends on no traced array.
        self.tapes: dict[int, tuple[VJPNode | None, list[VJPNode | None]]] = {}

    def forward(self, arguments: tuple[Array, ...]) -> Array:
        """Every block's result, in its place."""
        out: list[Array] = []
        lock = Lock()

        def work(window: slice) -> None:
            value = self._block(arguments, window, trace)
            with lock:
                if not out:  # the first block to end determines the shape
                    out.append(np.empty((self.n, *value.shape[1:]), value.dtype))
            out[0][window] = value

        with (
            trace_stack.new_trace() as trace
        ):  # one number for all blocks: autograd's counter of traces is not thread-safe
            threads.run(work, self.windows)
        return out[0]

    def _block(self, arguments: tuple[Array, ...], window: slice, trace: int) -> Array:
        parts = [a[window] if k >= self.first_row else a for k, a in enumerate(arguments)]
        roots = [VJPNode.new_root() if on_tape else None for on_tape in self.on_tape]
        boxed = [p if root is None else new_box(p, trace, root) for p, root in zip(parts, roots, strict=True)]
        left = iter(boxed)
        value = self.function(map_tree(lambda _: next(left), self.shape), *left)
        traced = isbox(value) and value._trace == trace
        if isbox(value._value if traced else value):
            raise ValueError("by_rows: the function must depend on its arguments alone, not on another traced array")
        self.tapes[window.start] = (value._node if traced else None, roots)
        return getval(value)

    def backward(self, g: Array, requested: list[int], arguments: tuple[Array, ...]) -> list[Array]:
        """Gradients of the requested arguments: those of parameters summed over blocks, those of rows in their places."""
        if isbox(g):
            raise ValueError("by_rows: its VJP is fused, so it has no second derivative through what comes after it")
        out = {k: np.empty_like(arguments[k], order="C") for k in requested if k >= self.first_row}

        def work(window: slice) -> dict[int, Array]:
            if window.start not in self.tapes:  # swept before, as by a Jacobian
                self._block(arguments, window, trace)
            gradients = self._sweep(window, g)
            for k, of_rows in out.items():
                of_rows[window] = gradients.pop(k, 0)
            return gradients

        sums: dict[int, Any] = {}
        with trace_stack.new_trace() as trace:
            for gradients in threads.in_order(work, self.windows):
                for k, gradient in gradients.items():
                    sums[k] = add_outgrads(sums.get(k), gradient)
        out |= {k: gradient for k, (gradient, _) in sums.items()}
        return [out[k] if k in out else np.zeros_like(arguments[k]) for k in requested]

    def _sweep(self, window: slice, g: Array) -> dict[int, Array]:
        """A block's gradients by argument; its tape is freed."""
        end, roots = self.tapes.pop(window.start)
        at_roots = sweep(end, g[window]) if end else {}
        return {k: at_roots[root] for k, root in enumerate(roots) if root in at_roots}


@primitive
def _by_rows(blocks: _Blocks, *arguments: Array) -> Array:
    return blocks.forward(arguments)


def _vjp(argnums: Any, ans: Array, args: Any, kwargs: dict[str, Any]) -> Callable[[Array], list[Array]]:
    blocks, *arguments = args
    return lambda g: blocks.backward(g, [k - 1 for k in argnums], tuple(arguments))


defvjp_argnums(_by_rows, _vjp)
