"""Contracts of infonce."""

from dimref.audit.contract import Contract

CONTRACTS: tuple[Contract, ...] = ()
