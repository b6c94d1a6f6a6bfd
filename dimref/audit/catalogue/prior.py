"""Contracts of prior."""

from dimref.audit.contract import Contract

CONTRACTS: tuple[Contract, ...] = ()
