"""The same step on many ranks, with the same numbers: see README.md."""

from dimref.distributed.ranks import Ranks, shares
from dimref.distributed.threads import lockstep

__all__ = ["Ranks", "lockstep", "shares"]
