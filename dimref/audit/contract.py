"""What an implementation under audit is held against: how it is called, what it should return, and how it may err."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import ModuleType

import numpy as np

from dimref.audit.answer import MANY, Answer, Inputs, Signature
from dimref.errors import DimrefError, nearest
from dimref.laws.law import Sizes as LawSizes
from dimref.laws.law import Slack
from dimref.training import choices
from dimref.trees import Tree

KINDS = choices.AUDIT_KINDS
CORE = ("mild", "ties", "separated", "tiny")  # here every correct formula gives the number, naive ones too
REGIMES = (*CORE, "moderate", "shifted", "large")


class AuditError(DimrefError):
    """The audit cannot be run as asked."""


@dataclass(frozen=True)
class Sizes(LawSizes):
    """Shapes and character of one drawn case; each `draw` reads those fields that it needs.

    Attributes:
        n: samples N: 1 … 6 (a form that needs two takes max(2, n)).
        flat: without an axis of locations: (N,), (N, N) in place of (N, L), (N, N, L).
        regime: what the numbers are like: "mild", a few nats; "ties", all or many equal; "separated", a critic that is
            sure; "tiny", 1e-3; "moderate", ±30; "shifted", a few nats beside a constant of 100 to 1e4; "large", ±1e4.
    """

    flat: bool = True
    regime: str = "mild"


@dataclass(frozen=True)
class Variant:
    """Another function than the reference: a valid convention or a known mistake.

    Attributes:
        key: unique in its contract, as "positive-excluded".
        title: what it computes, to follow "this is …": "InfoNCE with the positive left out of the denominator".
        function: inputs -> outputs by name, as `Form.reference`.
        consequence: what it does to the numbers.
        fix: the change that corrects it (for a convention: that gives the reference's).
        source: where it is found or discussed.
        exact: whether its value must agree too: constants of a loss count. If not, value up to sign, additive constant
            and positive factor, the gradient deciding.
        lines: of an edited formula, the line that differs, before and after.
    """

    key: str
    title: str
    function: Callable[[Inputs], Tree]
    consequence: str
    fix: str
    source: str
    exact: bool = False
    lines: Callable[[], tuple[str, str]] | None = None


ZERO_TIMES_INFINITY = Variant(
    "masked-infinity",
    "an infinity (as log 0) in entries that a mask or where() removes afterwards: 0 · ∞ in the gradient",
    lambda inputs: {}, "", "mask before the logarithm or the exponential, not after it", "",
)  # fmt: skip


@dataclass(frozen=True)
class TargetLaw:
    """A statement of the theory that is tried on the target itself.

    Attributes:
        key, statement, source: as of a law in `dimref.laws`.
        measure: (inputs, ask) -> slack; `ask` runs the target on other inputs of the same names. Value and gradients
            are already turned: a loss comes as the bound it stands for, where that is known.
        mistake: what its violation shows, for a form without a reference: key of a `Variant` whose function is not used.
        of_gradient: whether it speaks of the gradient alone.
    """

    key: str
    statement: str
    source: str
    measure: Callable[[Inputs, Callable[[Inputs], Answer]], Slack]
    mistake: str = ""
    of_gradient: bool = False


@dataclass(frozen=True)
class Form:
    """One way to call an implementation.

    Attributes:
        name: "pairs", "matrix", …
        signature: the arguments in order, the outputs, and which inputs are differentiated.
        meaning: one line on arguments and outputs with their shapes, for people.
        draw: (rng, sizes) -> inputs, in the dtype and the regime that `sizes` asks for.
        reference: inputs -> outputs by name, written with `dimref.ops`, so that the tape differentiates it. None for
            what is drawn at random: then `laws` alone decide.
        objective: whether the value is something to maximize or minimize. Then sign, additive constants and positive
            factors are distinguished from error; otherwise every number must agree.
        loss: an objective that is minimized: constants may be dropped whatever the sign.
        conventions, mistakes: what else it may compute; conventions come first.
        mixed: what a target may mix in, as uniform labels: titles with {} for its share.
        sign: +1 or −1 where a target must point along the reference or against it, 0 where a loss may be its negative.
        edits: more mistakes, made of the reference's own source when they are first asked for.
        pairs: two of these at once, tried where nothing else fits.
        numerical: the reference by formulas that fail beyond some magnitude, as log(1 + e^t).
        laws: tried on the target itself.
        canonical: outputs -> outputs with what may differ freely (the order of pairs) put in one order.
        range_of: inputs whose magnitude is raised to find where the target first overflows; () if there are none.
        raised: where that takes more than larger inputs: a small case -> for each pattern of signs, magnitude -> inputs.
        range_to: the largest magnitude that is tried, in nats.
    """

    name: str
    signature: Signature
    meaning: str
    draw: Callable[[np.random.Generator, Sizes], Inputs]
    reference: Callable[[Inputs], Tree] | None
    objective: bool = False
    conventions: tuple[Variant, ...] = ()
    mistakes: tuple[Variant, ...] = ()
    numerical: tuple[Variant, ...] = ()
    laws: tuple[TargetLaw, ...] = ()
    canonical: Callable[[Tree], Tree] = lambda outputs: outputs
    range_of: tuple[str, ...] = ()
    raised: Callable[[Inputs], dict[str, Callable[[float], Inputs]]] | None = None
    range_to: float = 1e4
    loss: bool = False
    mixed: tuple[Variant, ...] = ()
    sign: int = 0
    edits: Callable[[], tuple[Variant, ...]] = tuple
    pairs: Callable[[], tuple[Variant, ...]] = tuple

    @property
    def ranged(self) -> bool:
        """Whether the magnitude of its inputs is raised."""
        return bool(self.range_of) or self.raised is not None

    @property
    def unit(self) -> str:
        """Of the magnitude that is raised, with its space."""
        return " nats" if self.objective or self.range_of else ""


@dataclass(frozen=True)
class Contract:
    """What `dimref audit KIND NAME` holds a target against: one quantity, in one or more forms.

    Attributes:
        kind: one of KINDS.
        name: as "infonce".
        title: what it is, in one line.
        forms: the first is the default.
    """

    kind: str
    name: str
    title: str
    forms: tuple[Form, ...]
    source: str = field(default="")

    def form(self, name: str = "", takes: tuple[int, int] | None = None) -> Form:
        """The form of that name; by default the first that a target can be called in.

        Args:
            takes: the fewest and the most arguments of the target; None where that is not known.
        Raises:
            AuditError: there is none.
        """
        if not name:
            low, high = takes or (0, MANY)
            fit = (form for form in self.forms if low <= len(form.signature.arguments) <= high)
            return next(fit, self.forms[0])
        for form in self.forms:
            if name == form.name:
                return form
        expected = ", ".join(form.name for form in self.forms)
        raise AuditError(f"audit {self.kind} {self.name}: form must be one of {expected}, was {name!r}"
                         f"{nearest(name, (form.name for form in self.forms))}")  # fmt: skip


# Files of `dimref/audit/catalogue`, each with CONTRACTS, a tuple.
FAMILIES: dict[str, tuple[str, ...]] = {
    "bound": ("bounds", "infonce", "f_divergences", "contrastive", "mine", "multiview", "upper", "losses"),
    "negatives": ("negatives",),
    "discriminator": ("discriminators",),
    "layer": ("layers", "norms"),
    "information": ("information", "divergences", "gaussians"),
    "prior": ("prior",),
    "measure": ("measures", "evaluation"),
}


def contracts(kind: str = "") -> Iterator[Contract]:
    """Every contract, or those of one kind."""
    for each in KINDS if kind == "" else (kind,):
        for family in FAMILIES[each]:
            for contract in _family(family).CONTRACTS:
                yield _with_more_forms(contract)


def _with_more_forms(contract: Contract) -> Contract:
    """With the forms that other families add: InfoNCE of features needs what builds on InfoNCE."""
    return replace(contract, forms=(*contract.forms, *_family("more_forms").FORMS.get(contract.name, ())))


def _family(name: str) -> ModuleType:
    return importlib.import_module(f"dimref.audit.catalogue.{name}")


def find(kind: str, name: str) -> Contract:
    """The contract of that kind and name.

    Raises:
        AuditError: there is none.
    """
    if kind not in KINDS:
        raise AuditError(f"audit: kind must be one of {', '.join(KINDS)}, was {kind!r}")
    known = {contract.name: contract for contract in contracts(kind)}
    if name not in known:
        raise AuditError(f"audit {kind}: name must be one of {', '.join(known)}, was {name!r}{nearest(name, known)}")
    return known[name]
