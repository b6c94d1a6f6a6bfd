"""What a process among ranks knows without NumPy: how many were started, how many threads it has, how W of it are started.

NumPy reads the number of threads when it is loaded.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TextIO

from dimref.errors import DimrefError

# How many processes a launcher started, and which of them this is: MPICH and what descends from it, Open MPI, Slurm's srun.
COUNTS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
PR_SET_PDEATHSIG = 1  # linux/prctl.h
ON_THIS_MACHINE = ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_NTASKS_PER_NODE")


class Agreed(DimrefError):
    """An error that every rank has: rank 0 reports it."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def _number(names: tuple[str, ...], default: int) -> int:
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdigit()), default)


def started() -> int:
    """How many processes the launcher of this one started; 1 without a launcher."""
    return _number(COUNTS, 1)


def rank() -> int:
    """Which of them this is; 0 without a launcher."""
    return _number(RANKS, 0)


def threads() -> int | None:
    """BLAS threads of one of several ranks: its part of this machine's cores; None, all of them, of one process."""
    ranks = _number(ON_THIS_MACHINE, started())
    return max(1, available_cores() // ranks) if ranks > 1 else None


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(arguments: list[str], count: int) -> int:
    """Start `dimref` with these arguments on W ranks of this machine, and wait; its exit code.

    Raises:
        DimrefError: there is no mpiexec or no mpi4py.
    """
    beside = Path(sys.executable).with_name("mpiexec")
    program = str(beside) if beside.exists() else shutil.which("mpiexec")
    if program is None or find_spec("mpi4py") is None:
        missing = "mpi4py" if program else "mpiexec"
        raise DimrefError(
            f"--ranks: expected mpiexec and mpi4py, found no {missing}; install them with: pip install '.[mpi]'"
        )
    command = [program, "-n", str(count), sys.executable, "-m", "dimref", *arguments]
    ends_with_this = _ends_with_its_parent if sys.platform == "linux" else None
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        preexec_fn=ends_with_this,
        start_new_session=True,
    ) as launched:
        streams = ((launched.stdout, sys.stdout), (launched.stderr, sys.stderr))
        passing = [threading.Thread(target=_pass_on, args=pair) for pair in streams]
        for thread in passing:
            thread.start()
        while True:
            try:
                code = launched.wait()
                break
            except KeyboardInterrupt:
                # Ctrl-C, SIGTERM or SIGHUP, of this process alone, since the others have another session: mpiexec sends
                # it on to every rank.
                launched.terminate()
        for thread in passing:
            thread.join()
    if code < 0 or code > 128 or code == 9:
        number = -code if code < 0 else code % 128
        if number not in (2, 15) and code != 130:
            raise DimrefError(
                f"--ranks: expected every rank to end by itself, found one killed by signal {number}; the last checkpoint "
                "stands: go on with --resume"
            )
    return code


def _ends_with_its_parent() -> None:
    """Have the kernel send SIGTERM, on which the ranks save and end, where this process is killed."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _pass_on(stream: IO[str], to: TextIO) -> None:
    for line in stream:
        if not _of_launcher(line):
            to.write(line)
            to.flush()


def _of_launcher(line: str) -> bool:
    """Whether it is mpiexec's own, about processes that dimref has reported on."""
    own = (
        "=",
        "YOUR APPLICATION",
        "[mpiexec@",
        "[proxy:",
        "Abort(",
        "This typically refers",
        "Please see the FAQ page",
    )
    return line.startswith(own)
