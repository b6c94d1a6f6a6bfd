"""Processes that dimref starts of itself: to measure in, to keep somebody else's code in, to lose without loss.

On Linux each has a keeper, a small process between it and the one that starts it. The keeper ends it once the starting
process is gone, however that was killed and whatever the supervised process is busy with. Then it ends all that this one
started, in sessions of their own too: on Linux what loses its parent can fall to the keeper. Elsewhere a process is started
as it is.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[2]  # where `import dimref` finds this very package
SUPERVISED = sys.platform == "linux"
PATIENCE = 5.0  # seconds in which a keeper has ended what it keeps
INTERVAL = 0.5  # seconds between a keeper's checks for the process that started it
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36  # linux/prctl.h


def environment(**changes: str) -> dict[str, str]:
    """This process's environment with changes, in which a child imports the dimref that runs here."""
    paths = [str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **changes, "PYTHONPATH": os.pathsep.join(paths)}


def command(module: str, *words: str) -> list[str]:
    """What starts a module whose `main` takes these words, to be ended by `end`."""
    return [sys.executable, "-P", "-m", *(["dimref.training.processes"] if SUPERVISED else []), module, *words]


def end(process: subprocess.Popen[Any]) -> None:
    """End what `command` started, and what that started: where there is no keeper, those in its own group alone."""
    if SUPERVISED:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
            return
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)  # no such group, unless it has a session of its own
    with contextlib.suppress(OSError):
        process.kill()
    process.wait()


class Child:
    """A module's `main` in a process of its own: pipes to talk over, a file for what it prints; `end` leaves nothing behind.

    It has a session of its own, so a Ctrl-C of the terminal reaches the one that started it alone.
    """

    def __init__(self, module: str, *words: str, env: dict[str, str]) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `end`)
        self.process = subprocess.Popen(
            command(module, *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output,
            env=env,
            start_new_session=True,  # it can be ended with all that it started
        )

    def printed(self, most: int = 1 << 16) -> str:
        """What it printed on its error stream since it was last forgotten, from the beginning."""
        self._output.seek(0)
        return self._output.read(most).decode(errors="replace")

    def printed_bytes(self) -> int:
        """How much that is."""
        return os.fstat(self._output.fileno()).st_size

    def forget_printed(self) -> None:
        """Begin anew with what it prints."""
        self._output.seek(0)  # the place is shared with the process, which goes on from here
        self._output.truncate()

    def how_it_ended(self) -> str:
        """Its signal, or its exit code, and the last line that it printed; waits for its end."""
        code = self.process.wait()
        how = f"exit code {code}" if code >= 0 else f"signal {-code}{' (out of memory?)' if code == -9 else ''}"
        return f"{how}: {(self.printed().strip().splitlines() or ['nothing was printed'])[-1][:200]}"

    def end(self) -> None:
        """End it and what it started."""
        end(self.process)
        for stream in (self.process.stdin, self.process.stdout, self._output):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]


def family(root: int) -> dict[int, int]:
    """A process, all in its session, and all that they started: bytes resident by pid; empty where there is no /proc."""
    if not os.path.exists("/proc/self/stat"):
        return {}
    page, seen = os.sysconf("SC_PAGE_SIZE"), {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            fields = Path("/proc", name, "stat").read_text(errors="replace").rpartition(")")[2].split()
            seen[int(name)] = (int(fields[1]), int(fields[3]), page * int(fields[21]))
    members = {root}
    while more := {pid for pid, (parent, at, _) in seen.items() if parent in members or at == root} - members:
        members |= more
    return {pid: seen[pid][2] for pid in members & seen.keys()}


def resident(session: int) -> int:
    """Bytes resident in a session and all that it started, a page that is shared counted for each; 0 where unknown.

    An address-space limit would be simpler, but CUDA and JAX reserve far more than they use.
    """
    found = family(session)
    if found:
        return sum(found.values())
    try:
        listed = subprocess.run(["ps", "-A", "-o", "pgid=,rss="], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return 0
    rows = [line.split() for line in listed.stdout.splitlines()]
    return sum(1024 * int(row[1]) for row in rows if len(row) == 2 and row[0] == str(session))


# ---- the keeper


def main(module: str, *words: str) -> None:
    """Run a module's `main` in a child; once it or the starting process has ended, end the rest and end as it did."""
    starter, keeper = os.getppid(), os.getpid()
    awaited = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    supervised = os.fork()
    if supervised == 0:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        sys.argv[:] = [module, *words]
        importlib.import_module(module).main(*words)
        return
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)  # the pipes are between the other two
    os.dup2(nothing, 1)
    status = None
    while status is None:
        received = signal.sigtimedwait(awaited, INTERVAL)
        if os.getppid() != starter or (received is not None and received.si_signo != signal.SIGCHLD):
            os.kill(supervised, signal.SIGKILL)
        status = _ended().get(supervised)
    with contextlib.suppress(ChildProcessError):  # there is none left
        while True:
            for pid in family(keeper).keys() - {keeper}:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)
            _ended()
    _end_as(os.waitstatus_to_exitcode(status))


def _ended() -> dict[int, int]:
    """The status of each child that has ended."""
    statuses = {}
    with contextlib.suppress(ChildProcessError):
        while (child := os.waitpid(-1, os.WNOHANG))[0]:
            statuses[child[0]] = child[1]
    return statuses


def _end_as(code: int) -> None:
    """With an exit code, or with the signal of which it is the negative."""
    if code < 0:
        _prctl(PR_SET_DUMPABLE, 0)  # no core file: it is not this process that crashed
        with contextlib.suppress(OSError, ValueError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    os._exit(code % 256)


def _prctl(option: int, value: int) -> None:
    """Without it all works but for children that leave the session, and for a keeper that is killed."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
