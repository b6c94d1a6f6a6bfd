"""Faster implementations of the reference's regions, on the host and on a device.

`turn_on` registers those of the host (`tape.implement`), `get_backend("cupy")` those of a device. README.md lists
all of them with what each buys.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@cache
def turn_on() -> None:
    """Register the host's implementations; a second call does nothing."""
    from dimref.engine import (
        adam,
        affine,
        batch_norm,
        convolution,
        critics,
        direction,
        products,
        standardize,
        views,
        windows,
    )

    for module in (
        products, affine, standardize, windows, convolution, batch_norm, critics, direction, views, adam,
    ):  # fmt: skip
        module.register()


@contextmanager
def sharing() -> Iterator[None]:
    """Run inside with the host's forms, on as many threads as BLAS had: `threads.sharing`."""
    from dimref.engine import threads

    turn_on()
    with threads.sharing():
        yield
