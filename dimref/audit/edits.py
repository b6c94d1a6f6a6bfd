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
from dataclasses import dataclass, replace
from typing import Any

import autograd.numpy as anp

from dimref import ops
from dimref.audit import wording
from dimref.audit.contract import Variant
from dimref.tape import stop_gradient

ONE_PLACE, EVERY_PLACE = ", in one place", ", in every place"
EPSILONS = (1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-3)
ELEMENTWISE = ("softplus", "exp", "sigmoid", "tanh", "relu", "log", "sqrt", "abs")
REDUCTIONS = ("mean", "total", "logsumexp", "logmeanexp")
SQUASHES = ("relu", "sigmoid", "tanh", "softplus")
PAIRED = (
    "drop",
    "sign",
    "call",
    "sum",
    "inside",
    "candidate",
    "detach",
    "factor",
    "squash",
)  # what a second edit may be
Instead = dict[str, tuple[tuple[str, str, str], ...]]


@dataclass(frozen=True)
class Rule:
    """What may be done at a place. All but `kind` are templates with the place's `fields`, the code's filled in last.

    Attributes:
        kind: of change, one of `wording.KINDS`.
        key, words: of the change.
        code: what takes the place.
        group: "key: words" of the same change in every place that has this group; with "=key" also of the only one.
    """

    kind: str
    key: str
    words: str
    code: str
    group: str = ""


@dataclass(frozen=True)
class Edit:
    """A formula changed: at `sites`, places in `ast.walk`, by templates of the code that belongs there; or two arguments
    exchanged."""

    kind: str
    key: str
    words: str
    sites: tuple[tuple[int, str], ...]
    exchanged: tuple[str, ...] = ()


def text(node: ast.AST) -> str:
    """The source of a node."""
    return ast.unparse(node)


def plain(code: str) -> str:
    """Source without the names of modules."""
    for module in ("ops.", "anp.", "np.", "math."):
        code = code.replace(module, "")
    return code


def power(epsilon: float) -> str:
    """A number as part of a key, as 1e-8."""
    return f"{epsilon:.0e}".replace("e-0", "e-")


def slug(code: str) -> str:
    """Source as part of a key."""
    for detail in (", axis=0", ", axis=1", ", keepdims=True"):
        code = code.replace(detail, "")
    return "-".join("".join(c if c.isalnum() or c == "_" else " " for c in plain(code)).split()) or "it"


def fields(node: ast.AST) -> dict[str, str]:
    """What a rule's templates may name: source; in words (with `_`); as part of a key (in capitals)."""
    parts: dict[str, ast.AST] = {"it": node}
    more = {}
    if isinstance(node, ast.BinOp):
        parts |= {"left": node.left, "right": node.right}
    elif isinstance(node, ast.UnaryOp):
        parts["x"] = node.operand
    elif isinstance(node, ast.Name):
        parts["x"] = node
    elif isinstance(node, ast.Call):
        parts |= {"f": node.func, **dict(zip("xyz", node.args, strict=False))}
        more["axis"] = "".join(f", {k.arg}={text(k.value)}" for k in node.keywords)
        more["arguments"] = ", ".join(map(text, [*node.args, *node.keywords]))
        inner = node.args[0] if node.args else None
        if isinstance(inner, ast.Call):
            parts |= {"g": inner.func, **({"u": inner.args[0]} if inner.args else {})}
            more["clip"] = ", ".join(map(text, inner.args[1:]))
        if isinstance(node.func, ast.Attribute):
            parts["of"] = node.func.value
    source = {name: text(part) for name, part in parts.items()}
    code = {name: f"({source[name]})" if isinstance(part, (ast.BinOp, ast.UnaryOp)) else source[name]
            for name, part in parts.items()}  # fmt: skip
    words = {f"_{name}": wording.spoken(plain(each)) for name, each in source.items()}
    return {**code, **words, **{name.upper(): slug(each) for name, each in source.items()}, **more}


# ---- rules


def _of_sum(minus: bool, kind: str, constants: tuple[str, ...]) -> Iterator[Rule]:
    sign, other = ("-", "+") if minus else ("+", "-")
    turned = "constant" if kind == "constant" else "sign"
    yield Rule(kind, "{LEFT}-left-out", "{_left} left out", f"({'-' if minus else ''}{{right}})")
    yield Rule(kind, "{RIGHT}-left-out", "{_right} left out", "({left})")
    yield Rule(turned, "{RIGHT}-sign", "the sign of {_right} turned", f"({{left}} {other} {{right}})")
    if not minus:
        yield Rule(turned, "{LEFT}-sign", "the sign of {_left} turned", "({right} - {left})")
    for side in constants:
        for key, factor in (("halved", 0.5), ("doubled", 2.0), ("negated", -1.0)):
            left, right = (f"{factor} * ({{{s}}})" if s == side else f"({{{s}}})" for s in ("left", "right"))
            yield Rule("constant", f"{{{side.upper()}}}-{key}", f"{{_{side}}} {key}", f"({left} {sign} {right})")


def _of_product(divided: bool, constant: bool) -> Iterator[Rule]:
    op = "/" if divided else "·"
    yield Rule("factor", "{RIGHT}-factor-left-out", f"{op} {{_right}} left out", "({left})")
    if not divided:
        if constant:
            yield Rule("factor", "{LEFT}-doubled", "{_left} doubled", "(2.0 * {left} * ({right}))")
            yield Rule("factor", "{LEFT}-halved", "{_left} halved", "(0.5 * {left} * ({right}))")
        yield Rule("factor", "{LEFT}-factor-left-out", "{_left} · left out", "({right})")
    inverse = "*" if divided else "/"
    yield Rule(
        "factor", "{RIGHT}-inverted", f"{inverse} {{_right}} for its inverse", f"(({{left}}) {inverse} ({{right}}))"
    )


def _elementwise(name: str) -> Iterator[Rule]:
    for other in ("softplus", "exp", "sigmoid", "tanh"):
        if other != name:
            code = f"{'anp' if other == 'exp' else 'ops'}.{other}({{x}})"
            yield Rule("call", f"{other}-for-{name}-of-{{X}}", f"{other} for {{_it}}", code,
                       f"{other}-for-{name}: {other} for {name}{EVERY_PLACE}")  # fmt: skip
    yield Rule(
        "call", f"{name}-left-out-of-{{X}}", "{_x} for {_it}", "({x})", f"{name}-left-out: {name} left out{EVERY_PLACE}"
    )
    yield Rule(
        "sign",
        "{X}-negated",
        f"{name}(−…) for {{_it}}",
        "{f}(-({x}))",
        f"{name}-sign: the sign inside {name} turned{EVERY_PLACE}",
    )


def _epsilons(key: str, code: str, group: str = "") -> Iterator[Rule]:
    for e in EPSILONS:
        yield Rule("epsilon", f"{key}-{power(e)}", f"{e:g} added inside its logarithm", code.replace("EPSILON", repr(e)),
                   group and f"{group}-{power(e)}: {e:g} added inside the logarithm{EVERY_PLACE}")  # fmt: skip


MEAN = (
    Rule("sum", "{X}-summed", "the sum of {_x} for its mean", "summed({x}{axis})",
         f"both-summed: sums for means{EVERY_PLACE}"),
    Rule("call", "logmeanexp-of-{X}", "log mean exp of {_x} for its mean", "ops.mean(ops.logmeanexp({x}, axis=0))"),
    Rule("inside", "{X}-averaged-in-its-logarithm", "the logarithm of the mean of exp({_x})", "ops.logmeanexp({x})"),
    Rule("call", "mean-exp-of-{X}", "the mean of exp of {_x}", "ops.mean(anp.exp({x}){axis})"),
    *_epsilons("share-epsilon", "ops.mean(anp.log(anp.exp({x}) + EPSILON){axis})", "share-epsilon-everywhere"),
    Rule("mask", "masked-mean-of-{X}", "the mean of {_x} divided by N² for N(N − 1) pairs", "(share({x}) * {it})"),
)  # fmt: skip
MEAN_OF_ELEMENTS = (
    Rule("inside", "mean-inside-{X}", "{_u} averaged before {_g}", "ops.mean({g}(ops.mean({u})))",
         f"averaged-first: averaged before the nonlinearity{EVERY_PLACE}"),
    Rule("inside", "mean-inside-{X}-by-location", "{_u} averaged before {_g} at each location",
         "ops.mean({g}(ops.mean({u}, axis=0)))",
         f"averaged-first-by-location: averaged at each location before it{EVERY_PLACE}"),
)  # fmt: skip
MEAN_OF_REDUCTION = (
    Rule("pooled", "{X}-pooled", "{_g} over everything at once", "{g}({u})"),
    Rule("maximum", "{X}-maximum-kept", "its subtracted maximum not added back",
         "ops.mean({x} - stop_gradient({u}).max(axis=0))"),
)  # fmt: skip
LOG_SUM = (
    Rule("call", "logmeanexp-for-logsumexp-of-{X}", "logmeanexp for {_it}", "ops.logmeanexp({x}{axis})"),
    Rule("call", "mean-for-logsumexp-of-{X}", "mean for {_it}", "ops.mean({x}{axis})"),
    Rule("inside", "{X}-averaged-first", "{_x} averaged before the exponential",
         "(ops.mean({x}{axis}) + math.log(len({x})))"),
    Rule("call", "no-log-of-{X}", "{_it} without its logarithm", "ops.total(anp.exp({x}){axis})"),
)  # fmt: skip
LOG_MEAN = (
    Rule("mask", "masked-mean-of-{X}", "the mean in {_it} divided by N² for N(N − 1) pairs",
         "({it} + math.log(share({x})))"),
    Rule("call", "logsumexp-for-logmeanexp-of-{X}", "logsumexp for {_it}", "ops.logsumexp({x}{axis})"),
    Rule("call", "mean-for-logmeanexp-of-{X}", "mean for {_it}", "ops.mean({x}{axis})"),
    Rule("call", "no-log-of-{X}", "{_it} without its logarithm", "ops.mean(anp.exp({x}){axis})"),
)  # fmt: skip
LOG_OF_TWO = (
    Rule("drop", "{Y}-not-counted", "{_y} left out of the sum", "({x})"),
    Rule("drop", "{X}-not-counted", "{_x} left out of the sum", "({y})"),
    Rule("candidate", "ten-subtracted", "10 subtracted from {_x} among the candidates", "anp.logaddexp({x} - 10.0, {y})"),
    *(
        Rule("candidate", f"candidate-{key}", f"one more candidate, {words}", f"anp.logaddexp({{it}}, {more}{{x}})")
        for key, words, more in (
            ("0", "of score 0", "0.0 * "), ("minus-10", "of score −10", "-10.0 + 0.0 * "),
            ("ten-below", "10 below its own score", "-10.0 + "), ("twice", "itself", ""),
        )
    ),
)  # fmt: skip
CLIPPED = (
    Rule("drop", "clip-above-alone", "clipped above alone", "anp.clip({x}, -np.inf, {z})"),
    Rule("drop", "not-clipped", "{_x} not clipped", "({x})"),
)
EXCHANGED_CLIP = Rule("inside", "{F}-clipped", "{_it} clipped, not what is in it", "anp.clip({f}({u}{axis}), {clip})")
WHOLE = (
    Rule("constant", "plus-1", "1 added", "({it}) + 1.0"), Rule("constant", "minus-1", "1 subtracted", "({it}) - 1.0"),
    Rule("whole", "sign", "its sign turned", "-({it})"), Rule("whole", "halved", "its value halved", "0.5 * ({it})"),
    Rule("whole", "doubled", "its value doubled", "2.0 * ({it})"),
)  # fmt: skip
ARGUMENT = (
    Rule("detach", "{X}-detached", "{_x} detached", "stop_gradient({x})"),
    Rule("drop", "{X}-ignored", "{_x} ignored", "(0.0 * {x})"),
    Rule("maximum", "maximum-off-{X}", "the maximum of {_x} subtracted", "({x} - top({x}))"),
)
ARGUMENTS = (
    Rule("detach", "no-gradient", "everything detached", "stop_gradient({x})"),
    Rule("maximum", "maximum-subtracted-each", "the maximum of each of its arguments subtracted", "({x} - top({x}))"),
    Rule("maximum", "maximum-subtracted-both", "the largest of all its numbers subtracted", "({x} - top(ALL))"),
)
NUMBER = (
    Rule("scalar", "{X}-inverted", "1/{_x} for {_x}", "(1 / {x})"),
    Rule("scalar", "{X}-ignored", "{_x} ignored, as 1", "1.0"),
    Rule("scalar", "{X}-squared", "{_x}² for {_x}", "{x} ** 2"),
    Rule("scalar", "{X}-root", "√{_x} for {_x}", "{x} ** 0.5"),
    Rule("scalar", "{X}-exponential", "e^−{_x} for {_x}", "math.exp(-{x})"),
    Rule("scalar", "{X}-logarithm", "1/log(1/{_x}) for {_x}", "(1 / math.log(1 / {x}) if {x} != 1 else math.inf)"),
)  # fmt: skip


# ---- a formula


class Formula:
    """A function as source that can be edited.

    Args:
        function: straight-line code that ends in a return.
        helpers: functions that it calls and whose single expression is written in their place.
        instead: by the name of a function that it calls, what may stand in its place: key, template and words.
        whole: more that may be done to its value.
        squashes: what may be done to an argument, by name.
        scope: what edited source may call by name, beside what the function may.
        given: arguments that are left as they are.
    """

    def __init__(
        self, function: Callable[..., Any], *helpers: Callable[..., Any], instead: Instead | None = None,
        whole: tuple[Rule, ...] = (), squashes: tuple[str, ...] = SQUASHES, scope: dict[str, Any] | None = None,
        given: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        module = function.__module__.removeprefix("dimref.").removeprefix("audit.catalogue.")
        self.name = f"{module}.{function.__name__}"
        self.instead, self.whole, self.squashes, self.given = instead or {}, (*WHOLE, *whole), squashes, given
        mine = {"ops": ops, "anp": anp, "math": math, "stop_gradient": stop_gradient}
        mine |= {**{name: getattr(ops, name) for name in SQUASHES}, **(scope or {})}
        self.namespace = {**mine, "top": top, "summed": summed, "share": share}
        for each in (*helpers, function):
            self.namespace = {**self.namespace, **each.__globals__}
        self.tree = _Expanded({helper.__name__: _parsed(helper) for helper in helpers}).visit(_parsed(function))
        self.scalars = {a.arg for a in self.tree.args.args if a.annotation and text(a.annotation) in ("float", "int")}
        self.arguments = [a.arg for a in self.tree.args.args if a.arg not in self.scalars]
        for argument in self.tree.args.args:
            argument.annotation = None

    def edited(self, edit: Edit) -> Formula:
        """The formula with an edit made; what is not above a changed place is shared."""
        other = copy.copy(self)
        at = {id(self._places[place]): code for place, code in edit.sites}
        other.tree = _changed(self.tree, at)
        other.__dict__.pop("_places", None)
        if edit.exchanged:
            names = dict(zip(edit.exchanged, edit.exchanged[::-1], strict=True))
            other.tree = copy.copy(other.tree)
            other.tree.args = copy.deepcopy(other.tree.args)
            for argument in other.tree.args.args:
                argument.arg = names.get(argument.arg, argument.arg)
        return other

    @functools.cached_property
    def _places(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    def function(self) -> Callable[..., Any]:
        """The formula, compiled when it is first called."""

        @functools.cache
        def compiled() -> Callable[..., Any]:
            scope = dict(self.namespace)
            module = ast.fix_missing_locations(ast.Module([self.tree], []))
            exec(compile(module, f"<{self.name}, edited>", "exec"), scope)
            return scope[self.tree.name]

        def call(*arguments: Any) -> Any:
            try:
                return compiled()(*arguments)
            except (ArithmeticError, AttributeError, IndexError, TypeError) as error:
                raise ValueError(f"{self.name}, edited: {error}") from error  # an edit that makes no sense here

        return call

    def lines(self) -> list[str]:
        """Its head and its statements."""
        head = f"{self.tree.name}({', '.join(a.arg for a in self.tree.args.args)})"
        return [head, *(text(statement).removeprefix("return ") for statement in self.tree.body)]

    def edits(self) -> tuple[Edit, ...]:
        """Every single edit: of arguments, of one place, of all places of a kind. No two have the same key."""
        places = self._places
        found, groups = list(self._of_arguments(places)), dict[str, list[Edit]]()
        for at, node in enumerate(places):
            for rule in self._rules(node):
                named = fields(node)
                edit = Edit(rule.kind, rule.key.format(**named), rule.words.format(**named), ((at, rule.code),))
                found.append(edit)
                if rule.group:
                    groups.setdefault(rule.group, []).append(edit)
        for group, members in groups.items():
            key, _, words = group.partition(": ")
            if len(members) > 1:
                sites = tuple(site for member in members for site in member.sites)
                found.append(Edit(members[0].kind, key.removeprefix("="), words, sites))
            elif key.startswith("="):
                words = members[0].words.removesuffix(ONE_PLACE)
                found[found.index(members[0])] = replace(members[0], key=key[1:], words=words)
        value = next(at for at, node in enumerate(places) if node is self.tree.body[-1].value)
        whole = () if isinstance(places[value], ast.Tuple) else self.whole
        found += [Edit(rule.kind, rule.key, rule.words, ((value, rule.code),)) for rule in whole]
        return tuple({edit.key: edit for edit in reversed(found)}.values())[::-1]

    def _of_arguments(self, places: list[ast.AST]) -> Iterator[Edit]:
        shapes = {
            id(leaf) for node in places if _shape(node) for leaf in ast.walk(node)
        }  # fmt: skip
        where: dict[str, list[int]] = {}
        for at, node in enumerate(places):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in shapes:
                where.setdefault(node.id, []).append(at)

        def edit(rule: Rule, *names: str) -> Edit:
            named = {"X": names[0], "_x": names[0]}
            code = rule.code.replace("ALL", ", ".join(self.arguments))
            sites = tuple((at, code) for name in names for at in where.get(name, ()))
            return Edit(rule.kind, rule.key.format(**named), rule.words.format(**named), sites)

        arrays = [name for name in self.arguments if name not in self.given]
        both = [f for f in self.squashes if f in SQUASHES]
        squash = [Rule("squash", f"{f}-on-scores", f"{f} of every score", f"{f}({{x}})") for f in both]
        yield from (edit(rule, *arrays) for rule in (*ARGUMENTS, *squash))
        squash = [Rule("squash", f"{f}-of-{{X}}", f"{f}({{_x}}) for {{_x}}", f"{f}({{x}})") for f in self.squashes]
        for name in arrays:
            yield from (edit(rule, name) for rule in (*ARGUMENT, *squash))
            for number, at in enumerate(where.get(name, []) if len(where.get(name, [])) > 1 else [], 1):
                of = self._target(places[at])
                key, words = (f"in-{of}", f"in its {of}") if of else (f"at-{number}", f"in place {number}")
                site = at, "stop_gradient({x})"
                yield Edit("detach", f"{name}-detached-{key}", f"{name} detached {words}", (site,))
        for one, other in itertools.combinations(arrays, 2):
            key = "roles-swapped" if len(arrays) == 2 else f"{one}-{other}-exchanged"
            yield Edit("swap", key, f"{one} and {other} exchanged", (), (one, other))
        for node in places:
            if isinstance(node, ast.Call) and text(node.func) == "anp.clip" and isinstance(node.args[0], ast.Name):
                code = f"anp.clip({{x}}, {', '.join(map(text, node.args[1:]))})"
                for name in set(arrays) - {node.args[0].id}:
                    yield edit(Rule("squash", "{X}-clipped-too", "{_x} clipped too", code), name)
        for name in sorted(self.scalars):
            yield from (edit(rule, name) for rule in NUMBER)

    def _target(self, node: ast.AST) -> str:
        """The name that is assigned what a node is part of."""
        for statement in self.tree.body:
            if isinstance(statement, ast.Assign) and any(each is node for each in ast.walk(statement.value)):
                return text(statement.targets[0])
        return ""

    def _array(self, node: ast.AST) -> bool:
        """Whether an expression depends on the numbers of an argument, not on shapes alone."""
        if _shape(node):
            return False
        if isinstance(node, ast.Name):
            return node.id in self.arguments or node.id in self._locals
        return any(self._array(child) for child in ast.iter_child_nodes(node))

    @functools.cached_property
    def _locals(self) -> set[str]:
        assigned = [n for n in ast.walk(self.tree) if isinstance(n, ast.Assign) and "shape" not in text(n.value)]
        return {
            n.id
            for each in assigned
            for n in ast.walk(each)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }

    def _rules(self, node: ast.AST) -> Iterator[Rule]:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and node is not self.tree.body[-1].value:
            yield Rule("sign", "{X}-sign", "{_x} for its negative", "({x})")
        elif isinstance(node, ast.BinOp):
            constants = tuple(side for side in ("left", "right") if not self._array(getattr(node, side)))
            if isinstance(node.op, (ast.Add, ast.Sub)):
                yield from _of_sum(isinstance(node.op, ast.Sub), "constant" if constants else "drop", constants)
            elif isinstance(node.op, (ast.Mult, ast.Div)):
                yield from _of_product(isinstance(node.op, ast.Div), "left" in constants)
            elif isinstance(node.op, ast.Pow):
                yield Rule("factor", "{RIGHT}-power-left-out", "the power {_right} left out", "({left})")
        elif isinstance(node, ast.Call):
            yield from self._of_call(node)

    def _of_call(self, node: ast.Call) -> Iterator[Rule]:
        name, inner = text(node.func).rpartition(".")[2], node.args[0] if node.args else node
        if isinstance(node.func, ast.Attribute) and self._array(node.func.value):
            if name in ("sum", "mean"):
                other = {"sum": "mean", "mean": "sum"}[name]
                key = f"{other}-of-{{OF}}" if node.args or node.keywords else f"{other}-for-{name}"
                yield Rule(
                    "sum",
                    key,
                    f"the {other} of {{_of}} for its {name}",
                    f"{{of}}.{other}({{arguments}})",
                    f"{other}-for-{name}-everywhere: {other} for {name}",
                )
                if node.args and text(inner) in ("0", "1"):
                    turned = f"{{of}}.{name}({1 - int(text(inner))})"
                    yield Rule("axis", "{IT}-other-axis", "{_it} over the other axis", turned)
            return
        if not node.args or not self._array(inner):
            return
        within = text(inner.func).rpartition(".")[2] if isinstance(inner, ast.Call) else ""
        yield Rule("detach", "{IT}-detached", "{_it} detached", "stop_gradient({it})")
        for key, code, words in self.instead.get(name, ()):
            kind = "epsilon" if "1e-" in key else "call"
            named = "{_" in words
            group = words.removeprefix("{_x} ") + EVERY_PLACE if named else words
            yield Rule(kind, f"{{X}}-{key}", words if named else words + ONE_PLACE, code, f"={key}: {group}")
        if name in ELEMENTWISE:
            yield from _elementwise(name)
        if name == "softplus":
            yield from _epsilons("{X}-epsilon", "-anp.log(anp.exp(-{it}) + EPSILON)", "epsilon")
        if name == "log":
            yield from _epsilons("{X}-epsilon", "{f}({x} + EPSILON)", "epsilon")
        if name in ("logaddexp", "logsumexp", "logmeanexp"):
            yield from _epsilons(f"{name}-epsilon", "anp.log(anp.exp({it}) + EPSILON)")
        yield from {
            "mean": MEAN,
            "logsumexp": LOG_SUM,
            "logmeanexp": LOG_MEAN,
            "logaddexp": LOG_OF_TWO,
            "clip": CLIPPED,
        }.get(name, ())
        if name == "mean" and within in ELEMENTWISE:
            yield from MEAN_OF_ELEMENTS
        if name == "mean" and within in REDUCTIONS:
            yield from MEAN_OF_REDUCTION
        if name in REDUCTIONS and within == "clip":
            yield EXCHANGED_CLIP


def _shape(node: ast.AST) -> bool:
    length = isinstance(node, ast.Call) and text(node.func) == "len"
    return length or (isinstance(node, ast.Attribute) and node.attr in ("shape", "ndim", "size"))


# ---- what edited source may call


def top(*arrays: Any) -> Any:
    """The largest number, as a constant."""
    return max(stop_gradient(a).max() for a in arrays)


def share(pairs: Any) -> float:
    """(N − 1)/N, from N(N − 1) pairs."""
    n = (1 + math.sqrt(1 + 4 * len(pairs))) / 2
    return (n - 1) / n


def summed(x: Any, axis: int | None = None) -> Any:
    """The sum over an axis, or over a batch at each location, then the mean over locations."""
    return ops.total(x) / math.prod(x.shape[1:]) if axis is None else ops.total(x, axis)


# ---- reading and changing source


def _changed(node: Any, at: dict[int, str]) -> Any:
    """A tree in which templates of code, by the `id` of the node that they replace, are filled in."""
    if isinstance(node, list):
        parts = [_changed(part, at) for part in node]
        return parts if any(new is not old for new, old in zip(parts, node, strict=True)) else node
    if not isinstance(node, ast.AST):
        return node
    code, changed = at.get(id(node)), node
    for name, old in ast.iter_fields(node):
        new = _changed(old, at)
        if new is not old:
            changed = copy.copy(changed) if changed is node else changed
            setattr(changed, name, new)
    return changed if code is None else ast.parse(code.format(**fields(changed)), mode="eval").body


def _parsed(function: Callable[..., Any]) -> ast.FunctionDef:
    """A function's tree without docstring, checks and annotations of its own."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    tree.decorator_list, tree.returns = [], None
    tree.body = list(_straight(tree.body))
    return _Operators().visit(tree)


def _straight(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, ast.With):
            yield from _straight(statement.body)
        elif not isinstance(statement, (ast.Expr, ast.If, ast.For)):
            yield statement


SIGNS = {"ops.add": ast.Add, "ops.subtract": ast.Sub, "ops.multiply": ast.Mult}


class _Operators(ast.NodeTransformer):
    """ops.add(x, y), ops.subtract(x, y), ops.multiply(x, y) as x + y, x − y, x·y; a reduction over ranks as over one."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        module, _, name = text(node.func).rpartition(".")
        if module == "ranks":
            axis = [ast.keyword("axis", ast.Constant(0))] if name in ("logsumexp", "logmeanexp") else node.keywords
            return ast.Call(ast.parse(f"ops.{name}", mode="eval").body, node.args, axis)
        sign = SIGNS.get(text(node.func))
        return node if sign is None else ast.BinOp(node.args[0], sign(), node.args[1])


class _Expanded(ast.NodeTransformer):
    """Calls of helpers replaced by what they return."""

    def __init__(self, helpers: dict[str, ast.FunctionDef]) -> None:
        self.helpers = helpers

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        helper = self.helpers.get(text(node.func).rpartition(".")[2])
        if helper is None:
            return node
        names = [a.arg for a in helper.args.args]
        passed: dict[str | None, ast.expr] = {k.arg: k.value for k in node.keywords}
        passed.update(zip(names, node.args, strict=False))
        (returned,) = helper.body
        assert isinstance(returned, ast.Return)
        assert returned.value is not None
        return self.visit(_Substituted(passed).visit(copy.deepcopy(returned.value)))


class _Substituted(ast.NodeTransformer):
    def __init__(self, passed: dict[str | None, ast.expr]) -> None:
        self.passed = passed

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return copy.deepcopy(self.passed.get(node.id, node))


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
    key = wording.key(formula.name, before + wording.key(formula.name, edit.key))
    difference = functools.partial(_difference, formula, other)
    return Variant(
        key, f"{title} with {words}{edit.words}", wrap(other.function()), consequence, fix,
        f"an edit of `{formula.name}`", exact, difference,
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
    for first in formula.edits():
        if first.kind in ("constant", "epsilon") or first.key not in known:
            continue
        once, before = formula.edited(first), f"{wording.key(formula.name, first.key)}+"
        for second in once.edits():
            likely = second.key.endswith("-on-scores") or second.key in known
            if second.kind in PAIRED and likely and second.key != first.key:
                found.append(_variant(once, second, wrap, title, before, f"{first.words}, and "))
    return tuple(found)
