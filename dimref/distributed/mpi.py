"""Ranks as processes that `mpiexec` starts, through mpi4py; and what they agree upon before one of them writes or ends.

Files are written by rank 0. An error of one rank becomes the error of all (`World.agreed`): rank 0 reports it, every rank
ends with its exit code, and none waits for another.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import sys
import time
import warnings
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
PATIENCE = 10  # seconds that a rank with an error waits for the others
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
        mpi = _loaded()
    except (ImportError, RuntimeError) as error:
        raise DimrefError(
            f"mpiexec: expected mpi4py and an MPI, to join its {count} processes, found: {error}; "
            "install them with: pip install '.[mpi]'"
        ) from None
    # Another MPI's processes would end in MPI_Init, with lines of its own; Slurm starts those of any.
    other = ("OMPI_COMM_WORLD_SIZE" in os.environ) != ("Open MPI" in _library(mpi)) and not launch.by_slurm()
    if not other and not mpi.Is_initialized():
        launch.need_shared_memory()
        mpi.Init_thread()
        atexit.register(mpi.Finalize)
    if other or count != mpi.COMM_WORLD.size:
        raise DimrefError(
            f"mpiexec: expected that of the MPI which mpi4py is linked to ({_library(mpi)}), found another's, "
            f"whose {count} processes do not see each other; start them with the mpiexec of that MPI"
        )
    return World(mpi.COMM_WORLD)


def description() -> str:
    """The MPI that mpi4py is linked to and how a device's arrays go through it, or what is missing; starts none."""
    try:
        import mpi4py

        library = _library(_loaded())
    except (ImportError, RuntimeError) as error:
        return f"none: {error}; install one with: pip install '.[mpi]'"
    how = "as they are" if takes_device_arrays() else "through host memory"
    return f"{library}, mpi4py {mpi4py.__version__}; arrays of a GPU go {how}"


def _loaded() -> Any:
    """mpi4py.MPI, not yet begun."""
    import mpi4py

    mpi4py.rc.initialize = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mpi4py's remark on another MPI's mpiexec, which `world` reports
        from mpi4py import MPI
    return MPI


def _library(mpi: Any) -> str:
    return " ".join(
        mpi.Get_library_version().splitlines()[0].partition(",")[0].strip("\0 ").replace("Version:", "").split()
    )


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

    def meet(self, error: DimrefError | None = None) -> None:
        """Wait for every rank to come here, without a core's work. An error that one comes with is all's: Agreed."""
        request, patience = self._mpi.Ibarrier(), time.monotonic() + PATIENCE
        while not request.Test():
            time.sleep(0.01)
            if error is not None and time.monotonic() > patience:  # they wait for this one in another place
                print(f"dimref: rank {self.rank} of {self.size}: {error}", file=sys.stderr, flush=True)
                self.abort(error.exit_code)
        with self.agreed():
            if error is not None:
                raise error

    def need_same(self, what: dict[str, Any]) -> None:
        """Raise Agreed unless every rank has the same of each, by name."""
        of_ranks = [json.loads(text) for text in self.texts(json.dumps(what))]
        for name, value in of_ranks[0].items():
            for rank, other in enumerate(of_ranks):
                if other[name] != value:
                    found = f"{value} on rank 0 and {other[name]} on rank {rank}"
                    raise Agreed(f"{name}: expected the same on every rank, found {found}", 2)

    def abort(self, code: int) -> None:
        """End every rank's process at once."""
        self._mpi.Abort(code)


def takes_device_arrays() -> bool:
    """Whether the environment says that MPI reads and writes a device's memory itself."""
    return any(os.environ.get(name, "0").lower() not in ("0", "", "false") for name in CUDA_AWARE)
