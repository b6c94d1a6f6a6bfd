"""Contracts of f_divergences."""

from dimref.audit.contract import Contract

CONTRACTS: tuple[Contract, ...] = ()
