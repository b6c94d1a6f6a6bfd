"""The words for edits of a formula: what each kind does, how it is undone, and the names that known ones keep."""

from __future__ import annotations

# kind: consequence, fix, whether the value must agree too (it is the reference's, or differs from it by a constant)
KINDS: dict[str, tuple[str, str, bool]] = {
    "constant": ("the gradient is right, the value is not", "correct the constant", True),
    "drop": ("another quantity: a term is missing", "put the term back", False),
    "factor": ("another quantity: a factor is missing or inverted", "correct the factor", False),
    "sign": ("a term is pushed the wrong way", "turn the sign", False),
    "detach": (
        "the value is right; no gradient passes there",
        "do not detach it (stop_gradient, .data, no_grad)",
        True,
    ),
    "squash": (
        "scores that are squashed or cut off lose their size, and the gradient with it",
        "pass the raw scores",
        False,
    ),
    "maximum": ("not invariant to a shift of the scores", "subtract a maximum only where it is added back", False),
    "swap": ("it is optimized by a critic that is wrong about every pair", "exchange the arguments", False),
    "scalar": ("the number does not do what its name says", "use it as the formula does", False),
    "call": ("another quantity: a function stands for another", "use the formula's function", False),
    "sum": ("it depends on the size of the batch", "take the mean", False),
    "inside": ("by Jensen's inequality another number: single samples no longer count", "average last", False),
    "pooled": ("locations are pooled before the logarithm", "take the logarithm at each location", False),
    "epsilon": ("the logarithm has a floor, below which there is no gradient", "use logsumexp or softplus", False),
    "candidate": ("every denominator has one more candidate", "leave it out whole", False),
}
KNOWN: dict[str, dict[str, str]] = {}


def named(formula: str, key: str, words: str) -> tuple[str, str]:
    """The key and words of an edit: those of a known mistake, or its own."""
    return KNOWN.get(formula, {}).get(key, key), words
