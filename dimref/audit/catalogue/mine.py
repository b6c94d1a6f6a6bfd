"""Contracts of mine."""

from dimref.audit.contract import Contract

CONTRACTS: tuple[Contract, ...] = ()
