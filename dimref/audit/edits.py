"""A catalogue that writes itself: the source of a reference with one place changed.

A `Formula` is a reference's own syntax tree, its small helpers expanded and its checks left out. `edits` changes it in one
place, or in all places of one kind at once: a term left out, a sign turned, a sum for a mean, a gradient stopped, a
squashed score, an ε inside a logarithm. Each is a mistake that people make, so what a target computes is named by the
line that differs: `variants` makes candidates of them, in words from `wording`.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import itertools
import math
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp

from dimref import ops
from dimref.audit import wording
from dimref.audit.contract import Variant
from dimref.tape import stop_gradient

EPSILONS = (1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-3)
ELEMENTWISE = ("softplus", "exp", "sigmoid", "tanh", "relu", "log", "sqrt", "abs")
REDUCTIONS = ("mean", "total", "logsumexp", "logmeanexp", "sum", "max")
SQUASHES = ("relu", "sigmoid", "tanh", "softplus")
Instead = dict[str, tuple[tuple[str, str, str], ...]]
Code = Callable[[Any], str]  # a node -> the source that takes its place


@dataclass(frozen=True)
class Site:
    """A place in a formula and what may stand there.

    Attributes:
        kind: of change, one of `wording.KINDS`.
        key, words: of the change; where several places share a key, they may all be changed at once.
        at: the node's place in `ast.walk`.
        code: what takes its place.
    """

    kind: str
    key: str
    words: str
    at: int
    code: Code
    group: str = ""


@dataclass(frozen=True)
class Edit:
    """A formula changed at some sites."""

    kind: str
    key: str
    words: str
    sites: tuple[Site, ...]


def plain(code: str) -> str:
    """Source without the names of modules."""
    for module in ("ops.", "anp.", "np.", "math.", "stop_gradient(autograd)."):
        code = code.replace(module, "")
    return code


def text(node: ast.AST) -> str:
    return ast.unparse(node)


class Formula:
    """A function as source that can be edited.

    Args:
        function: straight-line code that ends in a return.
        helpers: functions that it calls and whose single expression is written in their place.
        name: how it is called in words, as "bounds.jsd".
        instead: by the name of a function that it calls, what may stand in its place: key, source and words.
    """

    def __init__(
        self, function: Callable[..., Any], *helpers: Callable[..., Any], name: str = "", instead: Instead = {},  # noqa: B006
    ) -> None:  # fmt: skip
        module = function.__module__.removeprefix("dimref.").removeprefix("audit.catalogue.")
        self.name = name or f"{module}.{function.__name__}"
        self.instead = instead
        self.namespace = {**function.__globals__, "ops": ops, "anp": anp, "stop_gradient": stop_gradient, "top": top, "summed": summed, "share": share, "math": math}
        for helper in helpers:
            self.namespace = {**helper.__globals__, **self.namespace}
        bodies = {helper.__name__: _parsed(helper) for helper in helpers}
        self.tree = _Expanded(bodies).visit(_parsed(function))
        self.scalars = {a.arg for a in self.tree.args.args if a.annotation and text(a.annotation) in ("float", "int")}
        self.arguments = [a.arg for a in self.tree.args.args if a.arg not in self.scalars]
        for argument in self.tree.args.args:
            argument.annotation = None

    def edited(self, edit: Edit) -> Formula:
        """The formula with an edit made."""
        other = copy.copy(self)
        other.tree = _changed(self.tree, edit.sites)
        return other

    @functools.cached_property
    def function(self) -> Callable[..., Any]:
        """The formula, compiled when it is first called."""
        compiled: list[Callable[..., Any]] = []

        def call(*arguments: Any) -> Any:
            if not compiled:
                module = ast.fix_missing_locations(ast.Module([self.tree], []))
                scope = dict(self.namespace)
                exec(compile(module, f"<{self.name}, edited>", "exec"), scope)
                compiled.append(scope[self.tree.name])
            return compiled[0](*arguments)

        return call

    def lines(self) -> list[str]:
        return [text(statement).removeprefix("return ") for statement in self.tree.body]

    def edits(self) -> tuple[Edit, ...]:
        """Every single edit, those of one place first; no two give the same source."""
        sites = list(self._sites())
        edits = [*self._of_arguments(), *(Edit(s.kind, s.key, s.words, (s,)) for s in sites)]
        groups: dict[str, list[Site]] = {}
        for site in sites:
            if site.group:
                groups.setdefault(site.group, []).append(site)
        for group, members in groups.items():
            key, _, words = group.partition(": ")
            if len(members) > 1:
                edits.append(Edit(members[0].kind, key, f"{words}, in every place", tuple(members)))
        value = next(at for at, node in enumerate(ast.walk(self.tree)) if node is self.tree.body[-1].value)  # type: ignore[attr-defined]
        for kind, key, words, code in (
            ("constant", "plus-1", "1 added", "({}) + 1.0"), ("constant", "minus-1", "1 subtracted", "({}) - 1.0"),
            ("whole", "negated", "its sign turned", "-({})"), ("whole", "halved", "its value halved", "0.5 * ({})"),
            ("whole", "doubled", "its value doubled", "2.0 * ({})"),
        ):  # fmt: skip
            edits.append(Edit(kind, key, words, (Site("", "", "", value, lambda n, c=code: c.format(text(n))),)))
        return tuple({edit.key: edit for edit in reversed(edits)}.values())[::-1]

    def _named(self, name: str, code: Callable[[str], str], kind: str, key: str, words: str) -> Edit:
        """An argument replaced wherever it stands."""
        return Edit(kind, key, words, tuple(self._names({name}, code, kind, key, words)))

    def _names(self, names: set[str], code: Callable[[str], str], kind: str, key: str, words: str) -> Iterator[Site]:
        shapes = {
            id(leaf)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Attribute) and node.attr in ("shape", "ndim", "size")
            for leaf in ast.walk(node)
        }
        for at, node in enumerate(ast.walk(self.tree)):
            if isinstance(node, ast.Name) and node.id in names and id(node) not in shapes:
                if isinstance(node.ctx, ast.Load):
                    yield Site(kind, key, words, at, lambda n: code(n.id))

    def _of_arguments(self) -> Iterator[Edit]:
        """Arguments squashed, detached, exchanged, their maximum subtracted; numbers taken for others."""
        arrays, every = self.arguments, set(self.arguments)
        for name in arrays:
            yield self._named(name, lambda x: f"stop_gradient({x})", "detach", f"{name}-detached", f"{name} detached")
            yield self._named(name, lambda x: f"(0.0 * {x})", "drop", f"{name}-ignored", f"{name} ignored")
            places = list(self._names({name}, lambda x: f"stop_gradient({x})", "detach", "", ""))
            for number, site in enumerate(places[: len(places) > 1 and len(places)], 1):
                yield Edit("detach", f"{name}-detached-at-{number}", f"{name} detached in place {number}", (site,))
            for squash in SQUASHES:
                yield self._named(
                    name, lambda x, f=squash: f"ops.{f}({x})", "squash", f"{squash}-of-{name}" if len(arrays) > 1 else f"{squash}-on-scores", f"{squash}({name}) for {name}"
                )  # fmt: skip
            yield self._named(name, lambda x: f"({x} - top({x}))", "maximum", f"maximum-off-{name}",
                              f"the maximum of {name} subtracted")  # fmt: skip
        if len(arrays) > 1:
            edits = (
                ("detach", "no-gradient", "everything detached", lambda x: f"stop_gradient({x})"),
                *(("squash", f"{f}-on-scores", f"{f} of all of {' and '.join(arrays)}", lambda x, f=f: f"ops.{f}({x})")
                  for f in SQUASHES),
                ("maximum", "maximum-subtracted-each", "the maximum of each of its arguments subtracted",
                 lambda x: f"({x} - top({x}))"),
                ("maximum", "maximum-subtracted-both", "the largest of all its numbers subtracted",
                 lambda x: f"({x} - top({', '.join(arrays)}))"),
            )  # fmt: skip
            for kind, key, words, code in edits:
                yield Edit(kind, key, words, tuple(self._names(every, code, kind, key, words)))
        for one, other in itertools.combinations(arrays, 2):
            words = f"{one} and {other} exchanged"
            swap = {one: other, other: one}
            yield Edit("swap", "roles-swapped" if len(arrays) == 2 else f"{one}-{other}-exchanged", words,
                       tuple(self._names({one, other}, swap.__getitem__, "swap", "", words)))  # fmt: skip
        for name in sorted(self.scalars):
            for key, code, words in (
                ("inverted", "(1 / {})", f"1/{name} for {name}"), ("ignored", "1.0", f"{name} ignored, as 1"),
                ("squared", "{} ** 2", f"{name}² for {name}"), ("root", "{} ** 0.5", f"√{name} for {name}"),
                ("exponential", "math.exp(-{})", f"e^−{name} for {name}"),
            ):  # fmt: skip
                yield self._named(name, lambda x, c=code: c.format(x), "scalar", f"{name}-{key}", words)

    def _sites(self) -> Iterator[Site]:
        for at, node in enumerate(ast.walk(self.tree)):
            if isinstance(node, ast.BinOp):
                yield from self._of_operator(at, node)
            elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
                yield Site("sign", f"{slug(text(node.operand))}-sign", f"{plain(text(node.operand))} for its negative", at,
                           lambda n: text(n.operand))  # fmt: skip
            elif isinstance(node, ast.Call):
                yield from self._of_call(at, node)

    def _array(self, node: ast.AST) -> bool:
        """Whether an expression depends on the numbers of an argument, not on shapes alone."""
        if isinstance(node, ast.Attribute) and node.attr in ("shape", "ndim", "size"):
            return False
        if isinstance(node, ast.Name):
            return node.id in self.arguments or node.id in self._locals
        return any(self._array(child) for child in ast.iter_child_nodes(node))

    @functools.cached_property
    def _locals(self) -> set[str]:
        return {
            name.id
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Assign) and "shape" not in text(node.value)
            for name in ast.walk(node)
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
        }

    def _of_operator(self, at: int, node: ast.BinOp) -> Iterator[Site]:
        left, right = text(node.left), text(node.right)
        constant = not (self._array(node.left) and self._array(node.right))
        kind = "constant" if constant else "drop"
        if isinstance(node.op, (ast.Add, ast.Sub)):
            minus = "-" if isinstance(node.op, ast.Sub) else ""
            yield Site(kind, f"{slug(left)}-left-out", f"{plain(left)} left out", at, lambda n: f"({minus}{text(n.right)})")
            yield Site(kind, f"{slug(right)}-left-out", f"{plain(right)} left out", at, lambda n: f"({text(n.left)})")
            other = "-" if isinstance(node.op, ast.Add) else "+"
            yield Site("sign" if not constant else kind, f"{slug(right)}-sign", f"the sign of {plain(right)} turned", at,
                       lambda n: f"({text(n.left)} {other} {text(n.right)})")  # fmt: skip
            if isinstance(node.op, ast.Add):
                yield Site("sign" if not constant else kind, f"{slug(left)}-sign", f"the sign of {plain(left)} turned", at,
                           lambda n: f"({text(n.right)} - {text(n.left)})")  # fmt: skip
            for side, code in (("left", left), ("right", right)):
                if not self._array(getattr(node, side)):
                    sign = "-" if isinstance(node.op, ast.Sub) else "+"
                    for key, factor in (("halved", 0.5), ("doubled", 2.0), ("negated", -1.0)):
                        yield Site(
                            "constant", f"{slug(code)}-{key}", f"{plain(code)} {key}", at,
                            lambda n, s=side, f=factor, o=sign: f"({f} * ({text(n.left)}) {o} ({text(n.right)}))"
                            if s == "left" else f"(({text(n.left)}) {o} {f} * ({text(n.right)}))",
                        )  # fmt: skip
        elif isinstance(node.op, (ast.Mult, ast.Div)):
            divided = isinstance(node.op, ast.Div)
            yield Site("factor", f"{slug(right)}-factor-left-out", f"{'/' if divided else '·'} {plain(right)} left out", at,
                       lambda n: f"({text(n.left)})")  # fmt: skip
            if not divided and not self._array(node.left):
                for key, factor in (("doubled", 2.0), ("halved", 0.5)):
                    yield Site("factor", f"{slug(left)}-{key}", f"{plain(left)} {key}", at,
                               lambda n, f=factor: f"({f} * {text(n.left)} * ({text(n.right)}))")  # fmt: skip
            if not divided:
                yield Site("factor", f"{slug(left)}-factor-left-out", f"{plain(left)} · left out", at,
                           lambda n: f"({text(n.right)})")  # fmt: skip
            op = "*" if divided else "/"
            yield Site("factor", f"{slug(right)}-inverted", f"{op} {plain(right)} for its inverse", at,
                       lambda n: f"({text(n.left)} {op} ({text(n.right)}))")  # fmt: skip
        elif isinstance(node.op, ast.Pow):
            yield Site("factor", f"{slug(right)}-power-left-out", f"the power {plain(right)} left out", at,
                       lambda n: f"({text(n.left)})")  # fmt: skip

    def _of_call(self, at: int, node: ast.Call) -> Iterator[Site]:
        function = text(node.func)
        name = function.rpartition(".")[2]
        if isinstance(node.func, ast.Attribute) and self._array(node.func.value):
            yield from self._of_method(at, node)
            return
        if not node.args or not self._array(node.args[0]):
            return
        whole, x = text(node), text(node.args[0])
        yield Site("detach", f"{slug(whole)}-detached", f"{plain(whole)} detached", at, lambda n: f"stop_gradient({text(n)})")
        for key, code, words in self.instead.get(name, ()):
            yield Site("call", f"{slug(x)}-{key}", f"{plain(x)} {words}", at, lambda n, c=code: c.format(text(n.args[0])),
                       f"{key}: {words}")  # fmt: skip
        if name in ELEMENTWISE:
            for other in ("softplus", "exp", "sigmoid", "tanh"):
                if other != name:
                    yield Site("call", f"{other}-for-{name}-of-{slug(x)}", f"{other} for {plain(whole)}", at,
                               lambda n, f=other: f"{_module(f)}.{f}({text(n.args[0])})", f"{other}-for-{name}: {other} for {name}")  # fmt: skip
            yield Site("call", f"{name}-left-out-of-{slug(x)}", f"{plain(x)} for {plain(whole)}", at,
                       lambda n: f"({text(n.args[0])})", f"{name}-left-out: {name} left out")  # fmt: skip
            yield Site("sign", f"{slug(x)}-negated", f"{name}(−…) for {plain(whole)}", at,
                       lambda n: f"{text(n.func)}(-({text(n.args[0])}))", f"{name}-sign: the sign inside {name} turned")  # fmt: skip
        if name in REDUCTIONS and function.startswith("ops."):
            yield from self._of_reduction(at, node, name)
        if name in ("logaddexp",) and len(node.args) > 1:
            for keep, drop in ((0, 1), (1, 0)):
                left_out = text(node.args[drop])
                yield Site("drop", f"{slug(left_out)}-not-counted", f"{plain(left_out)} left out of the sum", at,
                           lambda n, k=keep: f"({text(n.args[k])})")  # fmt: skip
            yield Site("candidate", "ten-subtracted", f"10 subtracted from {plain(x)} among the candidates", at,
                       lambda n: f"anp.logaddexp({text(n.args[0])} - 10.0, {text(n.args[1])})")  # fmt: skip
            for key, extra in (("0", "0.0 *"), ("minus-10", "-10.0 + 0.0 *"), ("ten-below", "-10.0 +"), ("twice", "")):
                yield Site("candidate", f"candidate-{key}", f"one more candidate, of score {plain(extra) or 'as its own'}", at,
                           lambda n, e=extra: f"anp.logaddexp({text(n)}, {e} {text(n.args[0])})")  # fmt: skip
        if name in ("logaddexp", "logsumexp", "logmeanexp"):
            yield from self._epsilons(at, f"{slug(name)}-epsilon", "log(exp({}) + {})")
        if name == "softplus":
            yield from self._epsilons(at, f"{slug(x)}-epsilon", "-log(exp(-{}) + {})", "epsilon-{}: {:g} added inside log σ")
        if name == "clip" and isinstance(node.args[0], ast.Name):
            rest = ", ".join(text(a) for a in node.args[1:])
            for other, place in enumerate(ast.walk(self.tree)):
                if isinstance(place, ast.Name) and place.id in self.arguments and place.id != x:
                    yield Site("squash", f"{place.id}-clipped-too", f"{place.id} clipped too", other,
                               lambda n: f"anp.clip({n.id}, {rest})")  # fmt: skip
        if name == "clip":
            yield Site("drop", "clip-above-alone", "clipped above alone", at,
                       lambda n: f"anp.clip({text(n.args[0])}, -np.inf, {text(n.args[2])})")  # fmt: skip
            yield Site("drop", "not-clipped", f"{plain(x)} not clipped", at, lambda n: f"({text(n.args[0])})")

    def _epsilons(self, at: int, key: str, form: str, group: str = "") -> Iterator[Site]:
        for e in EPSILONS:
            code = form.replace("log(", "anp.log(").replace("exp(", "anp.exp(")
            yield Site("epsilon", f"{key}-{power(e)}", f"{e:g} added inside its logarithm", at,
                       lambda n, e=e: code.format(text(n), repr(e)), group.format(power(e), e))  # fmt: skip

    def _of_reduction(self, at: int, node: ast.Call, name: str) -> Iterator[Site]:
        inner = node.args[0]
        whole, x = text(node), text(inner)
        axis = "".join(f", {k.arg}={text(k.value)}" for k in node.keywords)
        if name == "mean":
            yield Site("sum", f"{slug(x)}-summed", f"the sum of {plain(x)} for its mean", at,
                       lambda n: f"ops.total({text(n.args[0])}{axis})" if axis else f"summed({text(n.args[0])})", "both-summed: sums for means")  # fmt: skip
            yield Site("call", f"logmeanexp-of-{slug(x)}", f"log mean exp of {plain(x)} for its mean", at,
                       lambda n: f"ops.mean(ops.logmeanexp({text(n.args[0])}, axis=0))")  # fmt: skip
            yield Site("inside", f"{slug(x)}-averaged-in-its-logarithm", f"the logarithm of the mean of exp({plain(x)})", at,
                       lambda n: f"ops.logmeanexp({text(n.args[0])})")  # fmt: skip
            yield Site("call", f"mean-exp-of-{slug(x)}", f"the mean of exp of {plain(x)}", at,
                       lambda n: f"ops.mean(anp.exp({text(n.args[0])}){axis})")  # fmt: skip
            yield from self._share_epsilons(at, axis)
            yield Site("mask", f"masked-mean-of-{slug(x)}", f"the mean of {plain(x)} divided by N² for N(N − 1) pairs", at,
                       lambda n: f"(share({text(n.args[0])}) * {text(n)})")  # fmt: skip
            if isinstance(inner, ast.Call) and text(inner.func).rpartition(".")[2] in ELEMENTWISE:
                f = text(inner.func)
                for key, by in (("", ""), ("-by-location", ", axis=0")):
                    yield Site(
                        "inside", f"mean-inside-{slug(x)}{key}",
                        f"{plain(text(inner.args[0]))} averaged before {plain(f)}{' at each location' if by else ''}", at,
                        lambda n, by=by: f"ops.mean({text(n.args[0].func)}(ops.mean({text(n.args[0].args[0])}{by})))",
                        f"averaged-first{key}: averaged before {plain(f)}{' at each location' if by else ''}",
                    )  # fmt: skip
            elif isinstance(inner, ast.Call) and text(inner.func).rpartition(".")[2] in REDUCTIONS:
                yield Site("pooled", f"{slug(x)}-pooled", f"{plain(text(inner.func))} over everything at once", at,
                           lambda n: f"{text(n.args[0].func)}({text(n.args[0].args[0])})")  # fmt: skip
                yield Site("maximum", f"{slug(x)}-maximum-kept", "its subtracted maximum not added back", at,
                           lambda n: f"ops.mean({text(n.args[0])} - stop_gradient({text(n.args[0].args[0])}).max(axis=0))"
                           )  # fmt: skip
        if name == "logmeanexp":
            yield Site("mask", f"masked-mean-of-{slug(x)}", f"the mean in {plain(whole)} divided by N² for N(N − 1) pairs", at,
                       lambda n: f"({text(n)} + math.log(share({text(n.args[0])})))")  # fmt: skip
        others = {"logmeanexp": ("logsumexp", "mean"), "logsumexp": ("logmeanexp", "mean"), "mean": ()}.get(name, ())
        for other in others:
            yield Site("call", f"{other}-for-{name}-of-{slug(x)}", f"{other} for {plain(whole)}", at,
                       lambda n, f=other: f"ops.{f}({text(n.args[0])}{axis})")  # fmt: skip
        if name == "logsumexp" and axis:
            yield Site("inside", f"{slug(x)}-averaged-first", f"{plain(x)} averaged before the exponential", at,
                       lambda n: f"(ops.mean({text(n.args[0])}{axis}) + math.log({text(n.args[0])}.shape[0]))")  # fmt: skip
        if name in ("logsumexp", "logmeanexp"):
            linear = "total" if name == "logsumexp" else "mean"
            yield Site("call", f"no-log-of-{slug(x)}", f"{plain(whole)} without its logarithm", at,
                       lambda n: f"ops.{linear}(anp.exp({text(n.args[0])}){axis})")  # fmt: skip
            if isinstance(inner, ast.Call) and text(inner.func) == "anp.clip":
                yield Site("inside", f"{slug(name)}-clipped", f"{plain(whole)} clipped, not what is in it", at,
                           lambda n: f"anp.clip(ops.{name}({text(n.args[0].args[0])}{axis}), "
                           f"{', '.join(map(text, n.args[0].args[1:]))})")  # fmt: skip

    def _share_epsilons(self, at: int, axis: str) -> Iterator[Site]:
        for e in EPSILONS:
            yield Site("epsilon", f"share-epsilon-{power(e)}", f"{e:g} added inside the logarithm", at,
                       lambda n, e=e: f"ops.mean(anp.log(anp.exp({text(n.args[0])}) + {e!r}){axis})",
                       f"share-epsilon-everywhere-{power(e)}: {e:g} added inside the logarithm")  # fmt: skip

    def _of_method(self, at: int, node: ast.Call) -> Iterator[Site]:
        assert isinstance(node.func, ast.Attribute)
        name, x = node.func.attr, text(node.func.value)
        for one, other in (("sum", "mean"), ("mean", "sum")):
            if name == one:
                yield Site("sum", f"{other}-of-{slug(x)}", f"the {other} of {plain(x)} for its {one}", at,
                           lambda n, m=other: f"{text(n.func.value)}.{m}({', '.join(map(text, n.args + n.keywords))})"
                           )  # fmt: skip


def _module(function: str) -> str:
    return "anp" if function == "exp" else "ops"


def power(epsilon: float) -> str:
    """A number as part of a key, as 1e-8."""
    return f"{epsilon:.0e}".replace("e-0", "e-")


def slug(code: str) -> str:
    """Source as part of a key."""
    for detail in (", axis=0", ", axis=1", ", keepdims=True"):
        code = code.replace(detail, "")
    return "-".join("".join(c if c.isalnum() or c == "_" else " " for c in plain(code)).split()) or "it"


def top(*arrays: Any) -> Any:
    """The largest number, as a constant."""
    return max(stop_gradient(a).max() for a in arrays)


def share(pairs: Any) -> float:
    """(N − 1)/N, from N(N − 1) pairs."""
    n = (1 + math.sqrt(1 + 4 * len(pairs))) / 2
    return (n - 1) / n


def summed(x: Any) -> Any:
    """The sum over a batch, at each location, then the mean over locations."""
    return ops.total(x) / math.prod(x.shape[1:])


def _parsed(function: Callable[..., Any]) -> ast.FunctionDef:
    """A function's tree without docstring, checks and annotations of its own."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    tree.decorator_list, tree.returns = [], None
    tree = _Operators().visit(tree)
    tree.body = list(_straight(tree.body))
    return tree


def _straight(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, ast.With):
            yield from _straight(statement.body)
        elif not isinstance(statement, (ast.Expr, ast.If, ast.For)):
            yield statement


class _Operators(ast.NodeTransformer):
    """ops.add(x, y), ops.subtract(x, y) and ops.multiply(x, y) as x + y, x − y and x·y."""

    signs = {"ops.add": ast.Add, "ops.subtract": ast.Sub, "ops.multiply": ast.Mult}

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        sign = self.signs.get(text(node.func))
        return node if sign is None else ast.BinOp(node.args[0], sign(), node.args[1])


class _Expanded(ast.NodeTransformer):
    """Calls of helpers replaced by what they return."""

    def __init__(self, helpers: dict[str, ast.FunctionDef]) -> None:
        self.helpers = helpers

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        helper = self.helpers.get(text(node.func).rpartition(".")[2])
        if helper is None:
            return node
        names = [a.arg for a in helper.args.args]
        passed = {**dict(zip(names, node.args, strict=False)), **{k.arg: k.value for k in node.keywords}}
        (returned,) = helper.body
        assert isinstance(returned, ast.Return)
        return self.visit(_Substituted(passed).visit(copy.deepcopy(returned.value)))  # type: ignore[type-var]


class _Substituted(ast.NodeTransformer):
    def __init__(self, passed: dict[Any, ast.expr]) -> None:
        self.passed = passed

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return copy.deepcopy(self.passed.get(node.id, node))


def _changed(tree: ast.FunctionDef, sites: tuple[Site, ...]) -> ast.FunctionDef:
    other = copy.deepcopy(tree)
    nodes = list(ast.walk(other))
    at = {id(nodes[site.at]): site for site in sites}

    class Change(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            site = at.get(id(node))
            self.generic_visit(node)
            return node if site is None else ast.parse(site.code(node), mode="eval").body

    return Change().visit(other)


# ---- as candidates


Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


Part = tuple[Formula, Wrap, str]  # a formula, a function of its arguments -> one of inputs by name, its title


def rewritten(
    *parts: Part, others: tuple[tuple[str, Callable[..., Any]], ...] = (), without: tuple[str, ...] = ("whole",)
) -> dict[str, Any]:
    """`edits` and `pairs` of a form, made when they are first asked for.

    Args:
        parts: one for each way in which the formula may be applied; a title may end in one, as "InfoNCE, along rows".
        others: other quantities of the same arguments, by title.
        without: kinds of edits that are none: constants of a loss, the sign and factor of an objective.
    """
    return {
        "edits": functools.cache(
            lambda: (*_of_others(parts[0], others), *(v for part in parts for v in variants(*part, without=without)))
        ),
        "pairs": functools.cache(lambda: pairs(*parts[0])),
    }


def variants(formula: Formula, wrap: Wrap, title: str, without: tuple[str, ...] = ()) -> tuple[Variant, ...]:
    """Every edit of a formula as a mistake, known ones first."""
    found = [_variant(formula, edit, wrap, title) for edit in formula.edits() if edit.kind not in without]
    known = set(wording.KNOWN.get(formula.name, {}).values())
    return tuple(sorted(found, key=lambda v: v.key not in known))


def _variant(formula: Formula, edit: Edit, wrap: Wrap, title: str, before: str = "", words: str = "") -> Variant:
    consequence, fix, exact = wording.KINDS[edit.kind]
    other = formula.edited(edit)
    return Variant(
        wording.key(formula.name, before + wording.key(formula.name, edit.key)), f"{title} with {words}{edit.words}", wrap(other.function),
        consequence, fix, f"an edit of `{formula.name}`", exact, functools.partial(_difference, formula, other),
    )  # fmt: skip


def _of_others(part: Part, others: tuple[tuple[str, Callable[..., Any]], ...]) -> Iterator[Variant]:
    formula, wrap, title = part
    for name, function in others:
        if function.__name__ != formula.tree.name:
            key = wording.key(formula.name, f"{function.__name__}-instead")
            consequence, fix, exact = wording.KINDS["other"]
            yield Variant(key, f"{name} in place of {title}", wrap(function), consequence, fix,
                          f"`{formula.name}`", exact, lambda: ("", ""))  # fmt: skip


def _difference(formula: Formula, other: Formula) -> tuple[str, str]:
    """The line that differs, before and after."""
    for before, after in zip(formula.lines(), other.lines(), strict=True):
        if before != after:
            return before, after
    return "", ""


def pairs(formula: Formula, wrap: Wrap, title: str) -> tuple[Variant, ...]:
    """Two edits at once, both of known mistakes that change the gradient."""
    known = wording.KNOWN.get(formula.name, {})
    found = []
    firsts = [e for e in formula.edits() if wording.stem(e.key) in known and e.kind != "constant"]
    for first in firsts:
        once, before = formula.edited(first), f"{wording.key(formula.name, first.key)}+"
        for second in once.edits():
            if wording.stem(second.key) in known and second.kind not in ("constant", "epsilon") and second.key != first.key:
                found.append(_variant(once, second, wrap, title, before, f"{first.words}, and "))
    return tuple(found)
