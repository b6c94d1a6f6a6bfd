"""One call of a target: arguments in its framework, its own gradient, and a line for whatever it does instead."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dimref.audit import frameworks
from dimref.audit.answer import Answer, Inputs, Signature
from dimref.audit.frameworks import Framework, Unusable, described
from dimref.audit.loading import error_of
from dimref.trees import Tree, leaves, map_tree

SAME = 1e-5  # relative difference that rounding in another order may make between two calls


class Here:
    """A target in this process: it can hang it and end it, so this is for functions that one trusts.

    Args:
        function: called with the arguments of the signature, by position.
        framework: one of `dimref.training.choices.FRAMEWORKS`; by default found by trying.
        adapter: called as adapter(function, *arguments) in its place.
    """

    expected: type[BaseException] | tuple[type[BaseException], ...] = (Exception, SystemExit)

    def __init__(
        self,
        function: Callable[..., Any],
        framework: str = "",
        name: str = "",
        adapter: Callable[..., Any] | None = None,
    ) -> None:
        self.name = name or getattr(function, "__qualname__", type(function).__name__)
        self._function = function if adapter is None else _Adapted(adapter, function)
        self._candidates = [framework] if framework else frameworks.candidates(self._function)
        self._frameworks: dict[str, Framework] = {}
        self._remarks: tuple[str, ...] | None = None  # None: not called with success yet
        if framework:
            self._get(framework)
        code = getattr(inspect.unwrap(function), "__code__", None)
        self._place = str(Path(code.co_filename).parent) if code else ""

    @property
    def framework(self) -> str:
        """The one in which it was called, or will be tried first."""
        return self._candidates[0]

    def call(self, signature: Signature, inputs: Inputs) -> Answer:
        """As `Target.call`."""
        problem = self._mismatch(signature)
        if problem:
            return Answer(problem=problem)
        for name in self._candidates:
            answer = self._call(name, signature, inputs)
            if not answer.problem:
                self._candidates = [name]
                if self._remarks is None:
                    self._remarks = self._again(signature, inputs, answer)
                return Answer(answer.value, answer.gradients, remarks=(*answer.remarks, *self._remarks))
            problem = problem or answer.problem
        return Answer(problem=problem)

    def _call(self, name: str, signature: Signature, inputs: Inputs) -> Answer:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # an overflow shows in the value
                return evaluate(self._get(name), self._function, signature, inputs)
        except Unusable as error:
            return Answer(problem=str(error))
        except self.expected as error:
            return Answer(problem=error_of(error, self._place))

    def _get(self, name: str) -> Framework:
        if name not in self._frameworks:
            self._frameworks[name] = frameworks.get(name, self._function)
        return self._frameworks[name]

    def _again(self, signature: Signature, inputs: Inputs, before: Answer) -> tuple[str, ...]:
        """Whether it answers the same when asked the same."""
        after = self._call(self.framework, signature, inputs)
        if after.problem:
            return (f"answered once and then, called with the same inputs, {after.problem}",)
        if all(_same(after.value[name], value) for name, value in before.value.items()):
            return ()
        return ("returned another value when it was called again with the same inputs",)

    def _mismatch(self, signature: Signature) -> str:
        """Why the function cannot be called with these arguments; "" if it can, or if that is unknown."""
        hint = "dimref audit adapter prints a file to begin an --adapter with"
        if isinstance(self._function, type):
            return f"is a class: an adapter can make an object of it and call that; {hint}"
        try:
            parameters = inspect.signature(self._function)
        except (TypeError, ValueError):
            return ""
        try:
            parameters.bind(*signature.arguments)
        except TypeError as error:
            wanted = ", ".join(signature.arguments)
            return f"takes other arguments: called with ({wanted}), it is {self.name}{parameters}: {error}; {hint}"
        return ""


class _Adapted:
    """adapter(function, …) as one function; frameworks are found in the code of both."""

    def __init__(self, adapter: Callable[..., Any], function: Callable[..., Any]) -> None:
        self.adapter, self.function = adapter, function
        parameters = list(inspect.signature(adapter).parameters.values())
        self.__signature__ = inspect.Signature(parameters[1:])

    def __call__(self, *arguments: Any) -> Any:
        return self.adapter(self.function, *arguments)


def evaluate(framework: Framework, function: Callable[..., Any], signature: Signature, inputs: Inputs) -> Answer:
    """Call `function` in `framework` and differentiate what the signature names.

    Raises:
        Unusable: what it returned is no value.
        Exception: whatever it raises itself.
    """
    arrays = {name: _to(framework, inputs[name]) for name in (*signature.arguments, *_weight(inputs))}
    passed: dict[str, Tree] = {}

    def run(at: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        arguments = {name: at[name] for name in signature.arguments}
        if not passed:  # NumPy's functions run twice
            passed.update(arguments)
        outputs = _named(function(*arguments.values()), signature)
        return _scalar(framework, outputs, signature, at.get("weight")), outputs

    if signature.differentiate:
        outputs, gradients, why_not = framework.evaluate(run, arrays, signature)
    else:
        outputs, gradients, why_not = run(arrays)[1], {}, ""
    value = {name: framework.host(found) for name, found in outputs.items()}
    _refuse(value, signature)
    remarks = [why_not] if why_not else []
    if framework.mutable:
        remarks += [f"changes its input {name} in place" for name in _changed(framework, passed, inputs)]
    return Answer(value, gradients or {}, remarks=tuple(remarks))


def _weight(inputs: Inputs) -> tuple[str, ...]:
    return ("weight",) if "weight" in inputs else ()


def _to(framework: Framework, tree: Any) -> Any:
    """Arrays become the framework's, everything else stays; the target gets copies, which it may change."""
    return map_tree(lambda leaf: framework.array(leaf.copy()) if isinstance(leaf, np.ndarray) else leaf, tree)


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
            isinstance(array, np.ndarray) and not np.array_equal(framework.host(now[path]), array, equal_nan=True)
            for path, array in before.items()
            if path in now
        ):
            found.append(name)
    return found


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape:
        return False
    with np.errstate(all="ignore"):
        return bool(np.allclose(a.astype(float), b.astype(float), rtol=SAME, atol=SAME, equal_nan=True))
