"""Contracts of measures."""

from dimref.audit.contract import Contract

CONTRACTS: tuple[Contract, ...] = ()
