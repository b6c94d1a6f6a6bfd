"""Mutual information from samples: `MutualInformation(bound=…).fit(x, y).estimate()`."""

from dimref.estimation.estimator import Estimate, MutualInformation

__all__ = ["Estimate", "MutualInformation"]
