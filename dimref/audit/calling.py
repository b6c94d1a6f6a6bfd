"""One call of a target: arguments in its framework, its own gradient, and a line for whatever it does instead."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dimref.audit import frameworks
from dimref.audit.answer import MANY, Answer, Inputs, Signature
from dimref.audit.frameworks import Framework, Unusable, described
from dimref.audit.loading import LoadError, error_of, expression, scope
from dimref.trees import Tree, leaves, map_tree

SAME = 1e-5  # relative difference that rounding in another order may make between two calls


class InProcess:
    """A target in this process: it can hang it and end it, so this is for functions that one trusts.

    Args:
        function: called with the arguments of the signature, by position.
        framework: one of `dimref.training.choices.FRAMEWORKS`; by default found by trying.
        adapter: called as adapter(function, *arguments) in its place.
        call: an expression that is evaluated in its place, as `loading.expression`.
        dtype: of the floating point arrays that it is called with; by default that of the inputs, or float32 for a
            function that takes no float64.
    """

    expected: type[BaseException] | tuple[type[BaseException], ...] = (Exception, SystemExit)

    def __init__(
        self,
        function: Callable[..., Any],
        framework: str = "",
        name: str = "",
        adapter: Callable[..., Any] | None = None,
        call: str = "",
        dtype: str = "",
    ) -> None:
        self.name = name or getattr(function, "__qualname__", type(function).__name__)
        self.target, self.call_text = function, call
        self._arguments: tuple[str, ...] = ()  # those for which `call` is compiled
        self.function = function if adapter is None else functools.partial(adapter, function)
        self.asked, self._dtype = framework, dtype
        self._candidates = [framework] if framework else frameworks.candidates(self.function)
        self._frameworks: dict[str, Framework] = {}
        self._answered = False
        self._remarks: dict[str, None] = dict.fromkeys([f"called with {dtype} in place of any other"] if dtype else [])
        if framework:
            self._get(framework)
        code = getattr(inspect.unwrap(function), "__code__", None)
        self.place = str(Path(code.co_filename).parent) if code else ""

    @property
    def framework(self) -> str:
        """The one in which it was called, or will be tried first."""
        return self._candidates[0]

    @property
    def takes(self) -> tuple[int, int] | None:
        """The fewest and the most arguments that it can be called with; None where that is not known."""
        if self.call_text or isinstance(self.function, type):
            return None
        try:
            each = inspect.signature(self.function).parameters.values()
        except (TypeError, ValueError):
            return None
        placed = [p for p in each if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        many = any(p.kind is p.VAR_POSITIONAL for p in each)
        return sum(p.default is p.empty for p in placed), MANY if many else len(placed)

    def call(self, signature: Signature, inputs: Inputs) -> Answer:
        """As `Target.call`."""
        problem = self._expression(signature) if self.call_text else self.mismatch(signature, self.function)
        if problem:
            return Answer(problem=problem)
        tried: list[str] = []
        while more := [name for name in self._more() if name not in tried]:
            tried.append(more[0])
            answer = self._in(more[0], signature, inputs)
            if not answer.problem:
                self._candidates = [more[0]]
                if not self._answered:
                    self._answered = True
                    self._remarks.update(dict.fromkeys(self._again(signature, inputs, answer)))
                return replace(answer, remarks=(*answer.remarks, *self._remarks))
            problem = problem or answer.problem
        if not self._answered and problem.startswith(("raised TypeError", "raised AttributeError")):
            problem += f"; tried with arrays of {' and '.join(tried)}: --framework chooses another"
        return Answer(problem=problem)

    def _more(self) -> list[str]:
        """The frameworks to try; those that a call has loaded too, as long as none has answered."""
        loaded = [] if self.asked or self._answered else [n for n in frameworks.FOREIGN if n in sys.modules]
        return [*self._candidates, *loaded]

    def _in(self, name: str, signature: Signature, inputs: Inputs) -> Answer:
        """The answer in one framework; if need be in single precision, or on the CPU in place of a device."""
        answer = self._call(name, signature, inputs, self._dtype)
        if "CUDA" in answer.problem and self._get(name).use_cpu():
            self._remarks["asks for a CUDA device, and there is none: its tensors stayed on the CPU"] = None
            answer = self._call(name, signature, inputs, self._dtype)
        if answer.problem and not self._answered and not self._dtype and _has_float64(inputs):
            single = self._call(name, signature, inputs, "float32")
            if not single.problem:
                self._dtype = "float32"
                self._remarks[f"takes float32 alone, with float64 it {answer.problem}"] = None
                return single
        return answer

    def _call(self, name: str, signature: Signature, inputs: Inputs, dtype: str) -> Answer:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # an overflow shows in the value
                return evaluate(self._get(name), self.function, signature, inputs, dtype)
        except Unusable as error:
            return Answer(problem=str(error))
        except self.expected as error:
            return Answer(problem=error_of(error, self.place))

    def _get(self, name: str) -> Framework:
        if name not in self._frameworks:
            self._frameworks[name] = frameworks.get(name, self.function)
        return self._frameworks[name]

    def _again(self, signature: Signature, inputs: Inputs, before: Answer) -> tuple[str, ...]:
        """Whether it answers the same when asked the same."""
        after = self._call(self.framework, signature, inputs, self._dtype)
        if after.problem:
            return (f"answered once and then, called with the same inputs, {after.problem}",)
        if all(_same(after.value[name], value) for name, value in before.value.items()):
            return ()
        return ("returned another value when it was called again with the same inputs",)

    def mismatch(self, signature: Signature, function: Callable[..., Any]) -> str:
        """Why a function cannot be called with these arguments; "" if it can, or if that is unknown."""
        hint = "--call or an --adapter (dimref audit adapter prints one) can call it as it wants to be called"
        try:
            parameters = inspect.signature(function)
            if isinstance(function, type):
                taken = ", ".join(f"{each}={{{each}}}" for each in signature.arguments if each in parameters.parameters)
                return f'is a class: expected --call "{function.__name__}({taken})", which makes an object and calls it'
        except (TypeError, ValueError):
            return ""
        try:
            parameters.bind(*signature.arguments)
        except TypeError as error:
            requested = ", ".join(signature.arguments)
            return f"takes other arguments: called with ({requested}), it is {self.name}{parameters}: {error}; {hint}"
        return ""

    def _expression(self, signature: Signature) -> str:
        """Compile `--call` for these arguments; why that cannot be, or ""."""
        if self._arguments != signature.arguments:
            try:
                code = expression(self.call_text, signature.arguments)
            except LoadError as error:
                return str(error)
            self.function, self._arguments = eval(code, scope(self.target, self.name)), signature.arguments
            if not self.asked:
                self._candidates = frameworks.candidates(functools.partial(self.function, self.target))
        return ""


def _has_float64(inputs: Inputs) -> bool:
    return any(isinstance(leaf, np.ndarray) and leaf.dtype == np.float64 for _, leaf in leaves(inputs))


def evaluate(
    framework: Framework, function: Callable[..., Any], signature: Signature, inputs: Inputs, dtype: str = ""
) -> Answer:
    """Call `function` in `framework`, with numbers of that dtype, and differentiate what the signature names.

    Raises:
        Unusable: what it returned is no value.
        Exception: whatever it raises itself.
    """
    passed: dict[str, Tree] = {}

    def run(at: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        arguments = {name: at[name] for name in signature.arguments}
        if not passed:  # NumPy's functions run twice
            passed.update(arguments)
        outputs = _named(function(*arguments.values()), signature)
        return _scalar(framework, outputs, signature, at.get("weight")), outputs

    with framework.context():
        arrays = {name: _to(framework, inputs[name], dtype) for name in (*signature.arguments, *_weight(inputs))}
        if signature.differentiate:
            outputs, gradients, why_not = framework.evaluate(run, arrays, signature)
        else:
            outputs, gradients, why_not = run(arrays)[1], {}, ""
        value = {name: framework.host(found) for name, found in outputs.items()}
        _refuse(value, signature)
        remarks = [why_not] if why_not else []
        if framework.mutable and dtype not in frameworks.HALF:
            remarks += [f"changes its input {name} in place" for name in _changed(framework, passed, inputs)]
    coarse = (
        frameworks.BFLOAT16 if any("bfloat16" in str(getattr(each, "dtype", "")) for each in outputs.values()) else 0.0
    )
    return Answer(value, gradients or {}, remarks=tuple(remarks), rounding=coarse)


def _weight(inputs: Inputs) -> tuple[str, ...]:
    return ("weight",) if "weight" in inputs else ()


def _to(framework: Framework, tree: Any, dtype: str) -> Any:
    """Arrays become the framework's, everything else stays; the target gets copies, which it may change."""

    def moved(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        return framework.cast(leaf, dtype) if dtype and leaf.dtype.kind == "f" else framework.array(leaf.copy())

    return map_tree(moved, tree)


def _named(result: Any, signature: Signature) -> dict[str, Any]:
    """The outputs by name."""
    names = signature.outputs
    if len(names) == 1:
        if result is None or isinstance(result, (list, tuple, dict, str)):
            raise Unusable(f"returned {described(result)}; expected one array or number ({names[0]})")
        return {names[0]: result}
    if not isinstance(result, (list, tuple)) or len(result) != len(names):
        raise Unusable(f"returned {described(result)}; expected a tuple of {len(names)} ({', '.join(names)})")
    return dict(zip(names, result, strict=True))


def _scalar(framework: Framework, outputs: dict[str, Any], signature: Signature, weight: Any) -> Any:
    """What is differentiated, Σ weight · output; None where the outputs do not allow it."""
    total = None
    for name in (signature.of,) if signature.of else signature.outputs:
        found, w = outputs[name], weight if signature.of else (weight or {}).get(name)
        if not framework.differentiable(found):
            if signature.of:
                return None
            continue
        shape = tuple(getattr(found, "shape", ()))
        one = all(n == 1 for n in shape)
        if w is not None and tuple(w.shape) != shape:
            if not (one and all(n == 1 for n in w.shape)):
                return None
            w = w.reshape(shape)
        elif w is None and not one:
            return None
        term = framework.weighted(found, w)
        total = term if total is None else total + term
    return total


def _refuse(value: dict[str, np.ndarray], signature: Signature) -> None:
    """What can be differentiated is neither an integer nor nothing."""
    if not (signature.differentiate and signature.of):
        return
    found = value[signature.of]
    if found.dtype.kind != "f":
        raise Unusable(f"returned {found.dtype}; expected a real number ({signature.of})")
    if found.size == 0:
        raise Unusable(f"returned an array of shape {found.shape}, without a number in it ({signature.of})")


def _changed(framework: Framework, passed: dict[str, Tree], inputs: Inputs) -> list[str]:
    """The arguments that are no longer what they were."""
    found = []
    for name, tree in passed.items():
        before = dict(leaves(inputs[name])) if isinstance(tree, dict) else {"": inputs[name]}
        now = dict(leaves(tree)) if isinstance(tree, dict) else {"": tree}
        if any(
            isinstance(array, np.ndarray) and not _equal(framework.host(now[path]), array)
            for path, array in before.items()
            if path in now
        ):
            found.append(name)
    return found


def _equal(now: np.ndarray, before: np.ndarray) -> bool:
    return bool(np.array_equal(now, before.astype(now.dtype), equal_nan=now.dtype.kind == "f"))


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape:
        return False
    with np.errstate(all="ignore"):
        return bool(np.allclose(a.astype(float), b.astype(float), rtol=SAME, atol=SAME, equal_nan=True))
