"""Contracts of contrastive."""

from dimref.audit.contract import Contract

CONTRACTS: tuple[Contract, ...] = ()
