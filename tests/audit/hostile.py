"""Targets that do what no target should: one function for each way, called by its name, so that one process serves all."""

import contextlib
import os
import re
import signal
import struct
import subprocess
import sys
import time

import numpy as np


def act(what, x):
    return globals()[what](x)


def _enter():
    """Let the test know."""
    with open(os.environ.get("ENTERED", os.devnull), "w"):
        pass


# ---- good


def good(x):
    return np.mean(x * x)


def prints(x):
    print("loss", 3)
    print("and more")
    os.write(1, b"past Python\n")
    return np.mean(x)


def reads(x):
    return np.mean(x) + len(sys.stdin.read())


def spawns(x):
    subprocess.run([sys.executable, "-S", "-c", "print('from a child')"], check=True)
    return np.mean(x)


def forks(x):
    """Both come back; the child's answer must not reach anybody."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return np.mean(x)


def process(x):
    return np.mean(x) * 0 + os.getpid()


def leaves_a_child(x):
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)
    return np.mean(x)


def takes_handlers(x):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return np.mean(x)


# ---- a value that is none


def none(x):
    return None


def a_list(x):
    return [1.0, 2.0]


def a_word(x):
    return "nan"


def integer(x):
    return 3


def complex_number(x):
    return x.mean() + 1j


def an_object(x):
    return object()


def objects(x):
    return np.array([None, x])


# ---- a value that is one


def nan(x):
    return np.mean(x) * np.nan


def wrong_shape(x):
    return x[:, None] * np.ones(7)


# ---- raising


def raises(x):
    scores = x - x.max()
    raise ValueError(f"scores of shape {scores.shape}\nare wrong")


def divides(x):
    return 1 / int(np.mean(x) * 0)


def recurses(x):
    return recurses(x)


def interrupts(x):
    raise KeyboardInterrupt


def exits(x):
    sys.exit("done")


# ---- changing things


def in_place(x):
    x -= x.max()
    return np.mean(x)


COUNT = [0]


def counts(x):
    COUNT[0] += 1
    return np.mean(x) + COUNT[0]


# ---- deadly


def hangs(x):
    _enter()
    while True:
        time.sleep(1)


def hangs_in_c(x):
    return np.ones((2000, 2000)) @ sum(np.ones((2000, 2000)) @ np.ones((2000, 2000)) for _ in range(10**6))


def leaves_at_once(x):
    os._exit(3)


def segfaults(x):
    import ctypes

    ctypes.string_at(0)


def aborts(x):
    os.abort()


def kills_itself(x):
    os.kill(os.getpid(), signal.SIGKILL)


def eats_memory(x):
    kept = []
    while True:
        kept.append(np.ones(1 << 22))


def a_child_eats_memory(x):
    code = "kept = [bytes(range(256)) * (1 << 18)]\nimport time\nwhile True: kept.append(bytearray(kept[0]) + b'1')"
    subprocess.run([sys.executable, "-S", "-c", code], check=True)


def prints_forever(x):
    while True:
        print("again " * 1000)


def writes_everywhere(x):
    """A whole message for whoever reads it."""
    words = b'{"dict": {"framework": "numpy", "value": 1}}'
    for descriptor in range(3, 20):
        with contextlib.suppress(OSError):
            os.write(descriptor, struct.pack(">QQ", len(words), 0) + words)
    return np.mean(x)


def holds_the_lock(x):
    _enter()
    re.match(r"(a+)+$", "a" * 40 + "b")


def leaves_sessions(x):
    for code in ("import time; time.sleep(600)", "import os, time; os.fork() or time.sleep(600)"):
        subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True)
    return np.mean(x)


def leaves_sessions_and_hangs(x):
    leaves_sessions(x)
    hangs(x)


def kills_its_parent(x):
    os.kill(os.getppid(), signal.SIGKILL)
    hangs(x)


def a_session_eats_memory(x):
    code = "kept = bytes(range(256)) * (1 << 21)\nimport time\ntime.sleep(600)"
    subprocess.run([sys.executable, "-S", "-c", code], start_new_session=True)


def closes_everything(x):
    os.closerange(3, 100)
    return np.mean(x)
