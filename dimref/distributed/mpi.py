"""Ranks as processes that `mpiexec` starts, through mpi4py; and what they agree upon before one of them writes or ends.

Files are written by rank 0. An error of one rank becomes the error of all (`World.agreed`): rank 0 reports it, every rank
ends with its exit code, and none waits for another.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from dimref.distributed import launch
from dimref.distributed.launch import Agreed
from dimref.errors import DimrefError
from dimref.trees import Array

# Settings by which a CUDA-aware MPI is told to take arrays on the device as they are.
CUDA_AWARE = ("MPICH_GPU_SUPPORT_ENABLED", "OMPI_MCA_opal_cuda_support", "MV2_USE_CUDA")
SMALL = 1 << 14  # numbers: so few are sent to every rank, which adds them up in the order of the ranks


def world() -> World | None:
    """The ranks that `mpiexec` started this process among; None for one process.

    Raises:
        DimrefError: mpi4py is missing, or belongs to another MPI than `mpiexec`.
    """
    count = launch.started()
    if count == 1:
        return None
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise DimrefError(
            f"mpiexec: expected mpi4py and an MPI, to join its {count} processes, found: {error}; "
            "install them with: pip install '.[mpi]'"
        ) from None
    if count != MPI.COMM_WORLD.size:
        library = MPI.Get_library_version().splitlines()[0].strip("\0 ")
        raise DimrefError(
            f"mpiexec: expected that of the MPI which mpi4py is linked to ({library}), found another's, "
            f"whose {count} processes do not see each other; start them with the mpiexec of that MPI"
        )
    return World(MPI.COMM_WORLD)


def agreed(world: World | None) -> AbstractContextManager[None]:
    """`World.agreed`; of one process nothing."""
    return contextlib.nullcontext() if world is None else world.agreed()


class World:
    """The ranks of `mpiexec`: a `Carrier` of arrays, and of errors."""

    def __init__(self, communicator: Any) -> None:
        self._mpi, self.rank, self.size = communicator, communicator.rank, communicator.size

    def gather(self, x: Array, counts: tuple[int, ...]) -> Array:
        row = int(np.prod(x.shape[1:], dtype=np.int64))
        sent = self._sent(x)
        out = np.empty_like(sent, shape=(sum(counts), *x.shape[1:]))
        self._mpi.Allgatherv(sent, [out, [n * row for n in counts]])
        return np.asarray(out, like=x)

    def sum(self, x: Array) -> Array:
        x = np.asarray(x) if np.isscalar(x) else x
        if x.size <= SMALL:
            parts = self.gather(x.reshape(1, *x.shape), (1,) * self.size)
            return sum(parts[1:], start=parts[0])
        # Each part is summed by one rank and sent to all: the same bits everywhere, whatever order MPI adds in.
        sent = self._sent(x).reshape(-1)
        counts = [len(part) for part in np.array_split(np.empty(x.size, np.int8), self.size)]
        part = np.empty_like(sent, shape=counts[self.rank])
        self._mpi.Reduce_scatter(sent, part, counts)
        out = np.empty_like(sent)
        self._mpi.Allgatherv(part, [out, counts])
        return np.asarray(out.reshape(x.shape), like=x)

    def _sent(self, x: Array) -> Array:
        """x in one piece, in host memory unless this MPI reads the device's."""
        if isinstance(x, np.ndarray) or takes_device_arrays():
            return x if x.flags.c_contiguous else x.copy()
        return x.get()  # through pinned memory, where CuPy's allocator has some

    def texts(self, text: str) -> list[str]:
        """Every rank's text, in the order of the ranks."""
        own = np.frombuffer(text.encode(), np.uint8)
        counts = self.gather(np.array([own.size]), (1,) * self.size)
        sent = self.gather(own, tuple(map(int, counts))).tobytes()
        ends = np.cumsum(counts)
        return [sent[end - n : end].decode() for n, end in zip(counts, ends, strict=True)]

    def any(self, flag: bool) -> bool:
        """Whether it is true on any rank."""
        return bool(self.gather(np.array([flag]), (1,) * self.size).any())

    @contextlib.contextmanager
    def agreed(self) -> Iterator[None]:
        """What every rank does, or none: an error of one inside is an error of all.

        Raises:
            Agreed: the first rank's that had one.
        """
        failed: DimrefError | None = None
        try:
            yield
        except DimrefError as error:
            failed = error
        texts = self.texts(f"{failed.exit_code} {failed}" if failed else "")
        ranks = [rank for rank, text in enumerate(texts) if text]
        if ranks:
            code, _, text = texts[ranks[0]].partition(" ")
            where = "" if len(ranks) == self.size else f"rank {ranks[0]} of {self.size}: "
            raise Agreed(where + text, int(code)) from None

    def need_same(self, what: dict[str, str]) -> None:
        """Raise Agreed unless every rank has the same of each: text by name."""
        for name, own in what.items():
            texts = self.texts(own)
            others = [rank for rank, text in enumerate(texts) if text != texts[0]]
            if others:
                raise Agreed(
                    f"{name}: expected the same on every rank, found {texts[0]} on rank 0 and {texts[others[0]]} on "
                    f"rank {others[0]}", 2,
                )  # fmt: skip

    def abort(self, code: int) -> None:
        """End every rank's process at once."""
        self._mpi.Abort(code)


def takes_device_arrays() -> bool:
    """Whether the environment says that MPI reads and writes a device's memory itself."""
    return any(os.environ.get(name, "0").lower() not in ("0", "", "false") for name in CUDA_AWARE)
