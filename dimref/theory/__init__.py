"""Exact quantities of discrete tables, Gaussians and channels: what the bounds are held against."""
