"""Holding another implementation against this one."""

from dimref.audit.callables import assert_conforms, audit

__all__ = ["assert_conforms", "audit"]
