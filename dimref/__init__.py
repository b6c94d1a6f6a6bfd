"""The reference implementation of Deep InfoMax (arXiv 1808.06670) and of AMDIM (arXiv 1906.00910).

Train and encode, in scikit-learn's manner:
    dimref.DeepInfoMax(bound="infonce", epochs=10).fit(images).transform(images)
    dimref.AMDIM(epochs=10).fit("a folder of images").score(others)     # nats
    dimref.MutualInformation(bound="infonce").fit(x, y).estimate()      # nats, with an interval

Audit another implementation:
    dimref.audit.assert_conforms(my_infonce, "bound", "infonce")

The mathematics, in the order to read it; help(dimref.bounds) and so on:
    bounds, negatives                        scores in, nats out; which pairs are negative
    discriminators, encoders, objectives     critics, encoder, α·global + β·local + γ·prior
    ops, layers, trees, tape, optim, step    primitives and their gradients, Adam, one training step
    ranks                                    the same step on many ranks
    amdim                                    AMDIM, as plain
    information, f_divergences, gaussian, channels, probability_tables      exact quantities
    laws                                     every inequality and identity as a runnable statement

Around it:
    data, training, export, evaluation, estimation, audit, bench, plots, engine

Whatever is named here is loaded when it is first used. On the command line: dimref --help.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

THEORY = ("information", "f_divergences", "gaussian", "channels", "probability_tables")
_MODULES = (
    "bounds", "negatives", "discriminators", "encoders", "objectives", "ops", "layers", "trees", "tape", "optim", "step",
    "ranks", "amdim", "theory", "laws", "data", "training", "export", "evaluation", "estimation", "audit", "bench",
    "plots", "engine", "backend", "errors",
)  # fmt: skip
_PLACES = {
    "DeepInfoMax": "training.estimators",
    "AMDIM": "training.estimators",
    "MutualInformation": "estimation",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"dimref.{_PLACES[name]}"), name)
    if name in THEORY:
        return import_module(f"dimref.theory.{name}")
    if name in _MODULES:
        return import_module(f"dimref.{name}")
    raise AttributeError(f"module 'dimref' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_PLACES, *THEORY, *_MODULES])


class _Package(ModuleType):
    """Where the import system binds each module once it is loaded; from then on its `dir` is what it defines itself."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and value.__name__ == f"dimref.{name}":
            value.__dict__.setdefault("__dir__", lambda: _defined_in(value))
        super().__setattr__(name, value)


def _defined_in(module: ModuleType) -> list[str]:
    """Its `__all__`, or its public names without what it imports; a primitive is where its plain form is."""
    homes = {
        name: getattr(getattr(value, "plain", value), "__module__", module.__name__)
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    return sorted(getattr(module, "__all__", [name for name, home in homes.items() if home == module.__name__]))


sys.modules[__name__].__class__ = _Package
