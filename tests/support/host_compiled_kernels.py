"""The texts of `dimref.engine.cuda_source` as functions of host arrays: the same C, compiled for the host, in plain loops.

It proves the arithmetic of the texts, not CuPy's wrapping of them nor a device's rounding.
"""

import ctypes
import functools
import hashlib
import itertools
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import fake_cupy
import numpy as np
import pytest
from fake_cupy import _unwrap

from dimref.engine.cublas import plain_matmul
from dimref.engine.cuda_source import ELEMENTWISE, SHAPED, THREADS, block_text, constants
from dimref.engine.kernels import LISTS, Kernels, table

HEADER = """#include <cmath>
using std::exp; using std::sqrt;
struct Complex {
    double re, im;
    explicit Complex(int) : re(0), im(0) {}
};
"""
C_TYPES = {"float32": ctypes.c_float, "float64": ctypes.c_double}


def parameters(text):
    """[(raw, type, name)] of CuPy's parameter list."""
    split = [part.split() for part in text.split(",")]
    return [(words[0] == "raw", words[-2], words[-1]) for words in split]


SCALARS = {"float64": ("double", ctypes.c_double), "bool": ("bool", ctypes.c_bool)}
TYPES = {"T": "T", "I": "long"}  # of arrays: T is one of these, I the host's index
REAL = {"float32": "float", "float64": "double"}
MOVED = {**REAL, "complex128": "Complex"}  # of what is moved and not computed with


def elementwise_source(name):
    """extern "C" loops over n elements, for float and double."""
    ins, outs, body = ELEMENTWISE[name]
    arguments, locals_ = [], []
    for raw, kind, word in parameters(ins):
        assert not raw
        if kind in SCALARS:
            arguments.append(f"{SCALARS[kind][0]} {word}")
        else:
            arguments.append(f"const {kind}* _{word}")
            locals_.append(f"const {kind}& {word} = _{word}[i];")
    for _, _, word in parameters(outs):
        arguments.append(f"T* _{word}")
        locals_.append(f"T& {word} = _{word}[i];")
    loop = f"for (long i = 0; i < n; ++i) {{ {' '.join(locals_)} {body}; }}"
    code = f"template <typename T> void of_{name}(long n, {', '.join(arguments)}) {{ {loop} }}\n"
    words = ", ".join(argument.split()[-1] for argument in arguments)
    for word, c in REAL.items():
        given = ", ".join(argument.replace("T*", f"{c}*") for argument in arguments)
        code += f'extern "C" void {name}_{word}(long n, {given}) {{ of_{name}<{c}>(n, {words}); }}\n'
    return code


def shaped_source(name, sizes):
    """The text of SHAPED with these constants: one loop over the numbers that are written."""
    names, ins, outs, body = SHAPED[name]
    ((_, _, out),) = parameters(outs)
    assert all(raw for raw, _, _ in parameters(ins))
    arguments = ", ".join(f"const {TYPES[kind]}* {word}" for _, kind, word in parameters(ins))
    words = ", ".join(word for _, _, word in parameters(ins))
    loop = f"for (long i = 0; i < n; ++i) {{ T& {out} = _{out}[i]; {body}; }}"
    code = constants(names, sizes) + f"template <typename T> void of(long n, {arguments}, T* _{out}) {{ {loop} }}\n"
    for word, c in (MOVED if name == "im2col" else REAL).items():
        given = arguments.replace("T*", f"{c}*")
        code += f'extern "C" void {name}_{word}(long n, {given}, {c}* _{out}) {{ of<{c}>(n, {words}, _{out}); }}\n'
    return code


LANES = 64  # threads of a block on the host: two warps
BLOCK = f"""
#include <cmath>
#include <pthread.h>
#define __global__
#define __device__
#define __shared__ static
struct Place {{ int x, y; }};
static thread_local Place threadIdx;
static Place blockIdx, gridDim, blockDim = {{{LANES}, 1}};
static pthread_barrier_t barrier;
static bool flags[{LANES}];
using std::sqrt;
static void __syncthreads() {{ pthread_barrier_wait(&barrier); }}
static unsigned __ballot_sync(unsigned, bool mine) {{
    unsigned bits = 0;
    flags[threadIdx.x] = mine;
    __syncthreads();
    for (int lane = 0; lane < 32; ++lane) bits |= unsigned(flags[threadIdx.x / 32 * 32 + lane]) << lane;
    __syncthreads();
    return bits;
}}
static int __popc(unsigned bits) {{ return __builtin_popcount(bits); }}
extern "C" void grid(int x, int y) {{ gridDim.x = x; gridDim.y = y; }}
extern "C" void block(int x, int y) {{ blockIdx.x = x; blockIdx.y = y; }}
extern "C" void lane(int x) {{ threadIdx.x = x; }}
extern "C" void ready() {{ pthread_barrier_init(&barrier, 0, {LANES}); }}
"""


def block_source(dtype):
    """ROWS and LISTS for blocks of LANES threads of the host, each of which tells its place before it begins."""
    return BLOCK + block_text(dtype)


def source():
    return HEADER + "\n".join(map(elementwise_source, ELEMENTWISE)) + "\n"


def build(directory, text):
    """A C++ text as a library of the host."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    library = directory / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.so"
    if not library.exists():  # of this run or one before it, of this process or another
        made = library.with_suffix(f".{os.getpid()}")
        subprocess.run(
            [compiler, "-O1", "-pthread", "-ffp-contract=off", "-shared", "-fPIC", "-Wall", "-Werror",
             "-Wno-unused-function", "-x", "c++", "-", "-o", str(made)],
            input=text, text=True, check=True,
        )  # fmt: skip
        made.replace(library)
    return ctypes.CDLL(str(library))


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def host_kernels(directory):
    """`Kernels` of NumPy arrays, which broadcast as CuPy's do; they are compiled into the directory."""
    library = build(directory, source())

    def elementwise(name):
        ins, outs, _ = ELEMENTWISE[name]
        ins, outs = parameters(ins), parameters(outs)
        tensors = {word for _, kind, word in ins if kind == "T"}

        def call(*values):
            given = dict(zip([word for _, _, word in ins + outs], values, strict=False))
            dtype = values[0].dtype
            given = {w: np.array([x], dtype) if isinstance(x, float) and w in tensors else x for w, x in given.items()}
            arrays = [given[w] for w in tensors]
            assert {a.dtype for a in arrays} == {dtype}  # T is one type
            results = [given.get(word) for _, _, word in outs]
            shape = np.broadcast_shapes(*(a.shape for a in [*arrays, *results] if a is not None))
            results = [np.empty(shape, dtype) if r is None else r for r in results]
            assert all(r.shape == shape and r.dtype == dtype and r.flags.c_contiguous for r in results)
            passed, kept = [ctypes.c_long(results[0].size)], []
            for _, kind, word in ins:
                if kind in SCALARS:
                    passed.append(SCALARS[kind][1](given[word]))
                    continue
                kept.append(np.ascontiguousarray(np.broadcast_to(given[word], shape)))
                passed.append(pointer(kept[-1]))
            getattr(library, f"{name}_{dtype}")(*passed, *map(pointer, results))
            return results[0] if len(results) == 1 else tuple(results)

        return call

    @functools.cache
    def shaped(name, sizes):
        text = HEADER + shaped_source(name, sizes)
        compiled = build(directory, text)

        def call(*arrays):
            *read, out = arrays
            assert all(a.flags.c_contiguous for a in arrays)
            assert {a.dtype for a in read} <= {out.dtype, np.dtype(np.int64)}
            getattr(compiled, f"{name}_{out.dtype}")(ctypes.c_long(out.size), *map(pointer, arrays))
            return out

        return call

    @functools.cache
    def blocks_of(dtype):
        return build(directory, block_source(dtype))

    def passed(value, dtype):
        """An argument as C takes it."""
        if isinstance(value, np.ndarray) and value.dtype == LISTS:
            return ByValue.from_buffer_copy(value)
        if isinstance(value, np.ndarray):
            assert value.flags.c_contiguous
            assert value.dtype in (dtype, np.int64)
            return pointer(value)
        if value.dtype == np.uint64:  # an address
            return ctypes.c_void_p(int(value))
        number = {np.dtype(np.int32): ctypes.c_int, np.dtype(np.float64): ctypes.c_double}
        return {**number, np.dtype(dtype): C_TYPES[dtype]}[value.dtype](value)

    def rows(name, dtype):
        compiled = blocks_of(dtype)

        def call(blocks, arguments):
            given = [passed(a, dtype) for a in arguments]
            kernel = getattr(compiled, name)

            def of_lane(lane):
                compiled.lane(ctypes.c_int(lane))
                kernel(*given)

            # Fewer threads than a device's block has: more blocks across, where threads have columns.
            across = blocks[1] * THREADS // LANES if len(blocks) > 1 else 1
            compiled.grid(ctypes.c_int(blocks[0]), ctypes.c_int(across))
            compiled.ready()
            with ThreadPoolExecutor(LANES) as lanes:  # each waits for all others
                for x, y in itertools.product(range(blocks[0]), range(across)):
                    compiled.block(ctypes.c_int(x), ctypes.c_int(y))
                    list(lanes.map(of_lane, range(LANES)))

        return call

    def lists(name, dtype):
        def call(groups, blocks, more):
            for group in groups:
                assert len({a.size for a in group}) == 1
                assert all(a.flags.c_contiguous and a.dtype == dtype for a in group)
            rows(name, dtype)((blocks,), (table(groups, lambda a: a.ctypes.data), *more))

        return call

    named = {name: elementwise(name) for name in ELEMENTWISE}
    return Kernels(plain_matmul, named, shaped, rows, lists, lambda n, dtype, number: np.full((1, n), number, dtype))


def device_kernels(host):
    """`host_kernels` as kernels of the strict array type."""

    def on_device(function):
        return lambda *values: _wrap(function(*map(_unwrap, values)))

    def launched(function):
        return lambda *key: on_device(function(*key))

    return Kernels(
        on_device(host.matmul),
        {name: on_device(function) for name, function in host.named.items()},
        *map(launched, (host.shaped, host.rows, host.lists)),
        on_device(host.row),
    )


def _wrap(found):
    return tuple(map(_wrap, found)) if isinstance(found, tuple) else fake_cupy._wrap(found)


class ByValue(ctypes.Structure):
    """`Lists` as an argument."""

    _fields_ = (("bytes", ctypes.c_byte * LISTS.itemsize),)
