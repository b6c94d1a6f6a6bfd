"""Contracts of bounds."""

from dimref.audit.contract import Contract

CONTRACTS: tuple[Contract, ...] = ()
