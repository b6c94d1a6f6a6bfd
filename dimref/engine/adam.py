"""Adam over the parameters' own memory: in blocks on the host's threads, or in one kernel on a device."""

from __future__ import annotations

from functools import partial

import numpy as np

from dimref import optim
from dimref.engine import kernels, threads
from dimref.engine.forms import of_one_type
from dimref.engine.tuning import ADAM_BLOCK
from dimref.optim import Moments
from dimref.tape import implement
from dimref.trees import Array


def register() -> None:
    """Implement `optim.update`."""
    implement(optim.update, "in place", update, _applies)


def _applies(groups: list[Moments], *_: object) -> bool:
    """Whether there are any, flat views of them are the arrays themselves, and all are of one type."""
    overwritten = [a for p, _, m, v in groups for a in (p, m, v)]
    if not groups or any(np.isscalar(a) or not a.flags.c_contiguous for a in overwritten):
        return False
    return of_one_type(*(a for group in groups for a in group))


def update(
    groups: list[Moments], rates: tuple[float, float] | Array, betas: tuple[float, float]
) -> list[tuple[Array, Array, Array]]:
    """p, m and v overwritten, through flat views."""
    flat = [tuple(a.reshape(-1) for a in arrays) for arrays in groups]
    device = kernels.of(flat[0][0])
    if device is None:
        of_block = partial(_update, rate=rates[0], floor=rates[1], betas=betas)
        threads.run(lambda block: of_block(*block), [block for arrays in flat for block in _blocks(arrays)])
    else:
        device.adam(flat, rates, betas)
    return [(p, m, v) for p, _, m, v in groups]


def _blocks(arrays: tuple[Array, ...]) -> list[tuple[Array, ...]]:
    """The four arrays of a parameter in blocks on the host; what is neither NumPy's nor has kernels gets one block."""
    size = arrays[0].size
    step = ADAM_BLOCK if isinstance(arrays[0], np.ndarray) else max(size, 1)
    return [tuple(a[start : start + step] for a in arrays) for start in range(0, size, step)]


def _update(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    rate: float | Array,
    floor: float | Array,
    betas: tuple[float, float],
) -> None:
    """p, m and v of a block overwritten, in twelve passes and one block of scratch."""
    t = (1 - betas[0]) * g
    m *= betas[0]
    m += t
    np.multiply(g, g, out=t)
    t *= 1 - betas[1]
    v *= betas[1]
    v += t
    np.sqrt(v, out=t)
    t += floor
    np.divide(m, t, out=t)
    t *= rate
    p -= t
