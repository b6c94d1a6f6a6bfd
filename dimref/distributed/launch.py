"""What a process among ranks knows without NumPy: how many were started, how many threads it has, how W of it are started.

NumPy reads the number of threads when it is loaded.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TextIO

from dimref.errors import DimrefError

# How many processes a launcher started, and which of them this is: MPICH and what descends from it, Open MPI, Slurm's srun.
COUNTS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
SHARED, SHARED_MEMORY = "/dev/shm", 12  # MB for each rank: MPICH 5.0 takes 5.4, and crashes where 10 are free
PR_SET_PDEATHSIG = 1  # linux/prctl.h
ON_THIS_MACHINE = ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_NTASKS_PER_NODE")


class Agreed(DimrefError):
    """An error that every rank has: rank 0 reports it."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def need_shared_memory() -> None:
    """Raise DimrefError where the ranks of this machine find no room to speak to each other: MPI would crash there."""
    needed = SHARED_MEMORY * _number(ON_THIS_MACHINE, started())
    try:
        with tempfile.TemporaryFile(dir=SHARED) as file:
            room = os.fstatvfs(file.fileno())
            found = f"{room.f_bavail * room.f_frsize >> 20} MB" if room.f_bavail * room.f_frsize < needed << 20 else ""
    except FileNotFoundError:
        return  # a system that has it elsewhere
    except OSError as error:
        found = error.strerror or str(error)
    if found:
        raise DimrefError(
            f"{SHARED}: expected {needed} MB of shared memory, which MPI's ranks on one machine need, found: {found}; "
            "give it more, as docker run --shm-size=1g does, or run one process"
        )


def _number(names: tuple[str, ...], default: int) -> int:
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdigit()), default)


def started() -> int:
    """How many processes the launcher of this one started; 1 without a launcher."""
    return _number(COUNTS, 1)


def by_slurm() -> bool:
    """Whether srun started this process."""
    return "SLURM_STEP_NUM_TASKS" in os.environ


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
        own: list[str] = []  # the launcher's lines, which are not passed on
        passed: list[str] = []
        streams = ((launched.stdout, sys.stdout, own, passed), (launched.stderr, sys.stderr, own, passed))
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
    killed = code < 0 or 128 < code < 192 or code == 9
    number = -code if code < 0 else code % 128
    reported = any(line.startswith("dimref: ") for line in passed)
    if code not in (0, 130) and (not reported or (killed and number not in (2, 15))):
        _, _, why = "".join(own).partition("EXIT STRING: ")
        found = f"one killed by signal {number}" if killed else (why or f"exit code {code}").splitlines()[0]
        advice = "; the last checkpoint stands: go on with --resume" if arguments[0] == "train" else ""
        raise DimrefError(f"--ranks: expected every rank to end by itself, found {found}{advice}")
    return code


def _ends_with_its_parent() -> None:
    """Have the kernel send SIGTERM, on which the ranks save and end, where this process is killed."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _pass_on(stream: IO[str], to: TextIO, own: list[str], passed: list[str]) -> None:
    for line in stream:
        (own if _of_launcher(line) else passed).append(line)
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
