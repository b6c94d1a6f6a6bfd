"""dimref: the reference implementation of Deep InfoMax (Hjelm et al., arXiv 1808.06670)."""

__version__ = "0.1.0"
