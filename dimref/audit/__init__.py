"""Holding another implementation against this one. Loads nothing until it is asked for: pytest imports the plugin here."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dimref.audit.callables import assert_conforms, audit
    from dimref.audit.distributed.audit import audit_distributed

__all__ = ["assert_conforms", "audit", "audit_distributed"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'dimref.audit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(
        import_module("dimref.audit." + ("distributed.audit" if "distributed" in name else "callables")), name
    )
