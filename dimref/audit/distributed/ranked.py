"""A target on W ranks, in the process that has loaded it.

PyTorch: W forked processes, whose default process group is gloo's over the loopback device, found by a file. Everything else
that autograd's tape differentiates: threads in lock step, with `ranks`, the collectives of `dimref.distributed`.
"""

from __future__ import annotations

import contextlib
import datetime
import faulthandler
import inspect
import io
import os
import selectors
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from dimref import ranks
from dimref.audit import frameworks, reach, wire
from dimref.audit.answer import Inputs, Signature
from dimref.audit.calling import InProcess, evaluate
from dimref.audit.frameworks import Unusable
from dimref.audit.loading import LoadError, error_of, expression, scope
from dimref.distributed.ranks import Ranks
from dimref.distributed.threads import LockstepRank, lockstep
from dimref.errors import DimrefError

OFFERED = ("rank", "world_size", "rows", "ranks")  # what a target may take by these names, or --call may write
GRACE = 1.0  # seconds that other ranks have once one has failed
WITHIN_LIMIT = (
    0.8  # of the time limit, after which a collective raises: the rank that it waits for is then the silent one
)
Found = dict[str, Any]


def answer(hosted: InProcess, request: dict[str, Any]) -> Found:
    """What each rank answers in each case, or the one problem; and the framework in which they were called.

    Args:
        request: with "ranks": for each rank its inputs in every case, all of as many rows.
    """
    arguments, outputs, differentiate, of = request["signature"]
    signature = Signature(tuple(arguments), tuple(outputs), tuple(differentiate), of)
    shares = [list(cases.values()) for cases in request["ranks"].values()]
    rows = [len(next(iter(cases[0].values()))) for cases in shares]
    framework = _framework(hosted)
    found: Found = {"problem": "", "answers": [], "framework": framework}
    try:
        if framework not in ("torch", "numpy", "autograd"):
            raise Unusable(f"is written in {framework}; expected PyTorch, NumPy or autograd for ranks")
        run = _on_processes if framework == "torch" else _on_threads
        found["answers"] = run(hosted, signature, shares, rows, float(request["limit"]))
    except (Unusable, DimrefError) as error:
        found["problem"] = str(error)
    return found


def _framework(hosted: InProcess) -> str:
    """PyTorch for what is written with methods alone, in a file that imports it."""
    if hosted.asked or hosted.framework != "numpy" or reach.roots(hosted.function):
        return hosted.framework
    return "torch" if any("torch" in names for names in reach.namespaces(hosted.function)) else "numpy"


def _function(hosted: InProcess, signature: Signature, offered: dict[str, Any]) -> Callable[..., Any]:
    """The target as a function of the signature's arguments, with what it takes of what is offered.

    Raises:
        Unusable: it cannot be called so.
    """
    function, call = hosted.function, hosted.call_text
    if call:
        try:
            made = eval(expression(call, signature.arguments, OFFERED), scope(hosted.target, hosted.name))
        except LoadError as error:
            raise Unusable(str(error)) from None
        return lambda *arguments: made(*arguments, *offered.values())
    with contextlib.suppress(TypeError, ValueError):  # it has no signature that one can read
        taken = inspect.signature(function).parameters
        if isinstance(function, type):  # the hint names what a class takes of what is offered
            signature = replace(signature, arguments=(*signature.arguments, *OFFERED))
        else:
            function = partial(function, **{name: each for name, each in offered.items() if name in taken})
    problem = hosted.mismatch(signature, function)
    if problem:
        raise Unusable(problem)
    return function


# ---- threads


def _on_threads(hosted: InProcess, signature: Signature, shares: list[list[Inputs]], rows: list[int],
                limit: float) -> list[list[Found]]:  # fmt: skip
    framework = frameworks.get("autograd", hosted.function)

    def program(carrier: LockstepRank) -> list[Found]:
        here = Ranks(carrier, sum(rows))
        offered = dict(zip(OFFERED, (carrier.rank, carrier.size, rows[carrier.rank], here), strict=True))
        with ranks.among(here):
            return _evaluated(hosted, framework, signature, offered, shares[carrier.rank])

    with frameworks.autograd_for_numpy(reach.namespaces(hosted.function)):
        try:
            return lockstep(len(shares), program)
        except RuntimeError as error:
            raise Unusable(str(error)) from None


def _evaluated(hosted: InProcess, framework: frameworks.Framework, signature: Signature, offered: dict[str, Any],
               cases: list[Inputs]) -> list[Found]:  # fmt: skip
    """What one rank answers in each case."""
    function = _function(hosted, signature, offered)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = [evaluate(framework, function, signature, inputs) for inputs in cases]
    except Unusable as error:
        raise Unusable(f"rank {offered['rank']} {error}") from None
    except (Exception, SystemExit) as error:
        if "a collective that rank" in str(error):
            raise  # lockstep's own
        raise Unusable(f"rank {offered['rank']} {error_of(error, hosted.place)}") from None
    for each in found:
        if not each.gradients:
            why = each.remarks[0] if each.remarks else "no gradient: what it returns cannot be differentiated"
            raise Unusable(f"rank {offered['rank']}: {why}")
    return [{"value": each.value, "gradients": each.gradients, "remarks": list(each.remarks)} for each in found]


# ---- processes


def _on_processes(hosted: InProcess, signature: Signature, shares: list[list[Inputs]], rows: list[int],
                  limit: float) -> list[list[Found]]:  # fmt: skip
    framework = frameworks.get("torch", hosted.function)
    import torch.distributed

    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        raise Unusable("expected a PyTorch that has torch.distributed with gloo, found one without")
    if not hasattr(os, "fork"):
        raise Unusable("expected a system that can fork processes, found one that cannot")
    framework.use_cpu()
    with tempfile.TemporaryDirectory() as folder:
        children: list[tuple[int, int]] = []
        try:
            for rank, cases in enumerate(shares):
                offered = dict(zip(OFFERED, (rank, len(shares), rows[rank], None), strict=True))
                work = partial(_evaluated, hosted, framework, signature, offered, cases)
                children.append(_fork(partial(_joined, work, rank, len(shares), os.path.join(folder, "store"), limit)))
            written = _read([end for _, end in children], limit)
        finally:
            codes = [_ended(pid) for pid, _ in children]
    return _agreed(written, codes, limit)


def _joined(work: Callable[[], list[Found]], rank: int, size: int, store: str, limit: float) -> list[Found]:
    """Do the work as one of the process group's ranks."""
    import torch.distributed

    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo"} if os.path.exists("/sys/class/net/lo") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{store}", rank=rank, world_size=size,
            timeout=datetime.timedelta(seconds=WITHIN_LIMIT * limit),
        )  # fmt: skip
    return work()


def _fork(work: Callable[[], list[Found]]) -> tuple[int, int]:
    """A process that does the work, and where it writes the answer; it stays until it is killed: its peers may need it."""
    parent, (read, write) = os.getpid(), os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # this process has threads, which wait and hold no lock
        pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    try:
        faulthandler.disable()  # gloo aborts where shapes differ: a line tells that
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(1)  # OpenMP's threads did not come along: a shared loop would wait for ever
        try:
            message: Any = {"answers": work()}
        except BaseException as error:
            message = {"problem": str(error) if isinstance(error, Unusable) else error_of(error)}
        with os.fdopen(write, "wb") as stream:
            wire.send(stream, message)
        while os.getppid() == parent:
            time.sleep(0.2)
    finally:
        os._exit(0)


def _read(ends: list[int], limit: float) -> list[bytes | None]:
    """What each wrote until it closed its end; None where that took beyond the limit, or long after another failed."""
    done: list[bytes | None] = [None] * len(ends)
    so_far = {end: b"" for end in ends}
    until = time.monotonic() + limit
    with selectors.DefaultSelector() as selector:
        for rank, end in enumerate(ends):
            selector.register(end, selectors.EVENT_READ, rank)
        while selector.get_map() and (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                piece = os.read(key.fd, 1 << 16)
                so_far[key.fd] += piece
                if not piece:
                    selector.unregister(key.fd)
                    done[key.data] = so_far[key.fd]
                    if b'"problem"' in so_far[key.fd] or not so_far[key.fd]:
                        until = min(until, time.monotonic() + GRACE)
    for end in ends:
        os.close(end)
    return done


def _ended(pid: int) -> int:
    """Kill it; the exit code if it had ended before, or the negative of a signal."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _agreed(written: list[bytes | None], codes: list[int], limit: float) -> list[list[Found]]:
    """The answers of all ranks.

    Raises:
        Unusable: there are not all: first is named who died, then who raised, who was silent, who waited for another.
    """
    died = [rank for rank, words in enumerate(written) if words == b""]
    if died:
        code = codes[died[0]]
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        how += " (gloo does so where ranks bring arrays of other shapes)" if -code == signal.SIGABRT else ""
        raise Unusable(f"rank {died[0]} ended its process with {how}")
    found = {rank: wire.receive(io.BytesIO(words)) for rank, words in enumerate(written) if words}
    problems = {rank: each["problem"] for rank, each in found.items() if "problem" in each}
    waiting = {rank for rank, words in problems.items() if "gloo" in words or "Timed out" in words}
    for rank, words in problems.items():
        if rank not in waiting:
            raise Unusable(words)
    silent = [rank for rank, words in enumerate(written) if words is None]
    answered = [rank for rank in found if rank not in problems]
    if silent and (waiting or not answered):
        raise Unusable(f"rank {silent[0]} gave no answer within {limit:g} s")
    if silent or waiting:
        rank = min([*silent, *waiting])
        why = f"rank {answered[0]} ended without" if answered else f"fails: {problems[rank]}"
        raise Unusable(f"rank {rank} waits in a collective that {why}")
    return [found[rank]["answers"] for rank in range(len(written))]
