"""Contracts of information."""

from dimref.audit.contract import Contract

CONTRACTS: tuple[Contract, ...] = ()
