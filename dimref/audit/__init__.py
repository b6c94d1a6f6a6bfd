"""Holding another implementation against this one."""
