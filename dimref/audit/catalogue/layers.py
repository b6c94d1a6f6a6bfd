"""Contracts of layers."""

from dimref.audit.contract import Contract

CONTRACTS: tuple[Contract, ...] = ()
