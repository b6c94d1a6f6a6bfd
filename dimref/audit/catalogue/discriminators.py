"""Contracts of discriminators."""

from dimref.audit.contract import Contract

CONTRACTS: tuple[Contract, ...] = ()
