"""Contracts of negatives."""

from dimref.audit.contract import Contract

CONTRACTS: tuple[Contract, ...] = ()
