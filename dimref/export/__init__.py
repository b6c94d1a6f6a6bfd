"""Weights as files for others."""
