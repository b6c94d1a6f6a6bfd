"""The texts of `dimref.kernels` as functions of host arrays: the same C, compiled for the host, in plain loops.

It proves the arithmetic of the texts, not CuPy's wrapping of them nor a device's rounding.
"""

import ctypes
import functools
import itertools
import shutil
import subprocess

import numpy as np
import pytest

from dimref.kernels import ELEMENTWISE, SUMS, WINDOWS, Kernels, constants

HEADER = "#include <cmath>\nusing std::exp; using std::sqrt;\n"
C_TYPES = {"float32": ctypes.c_float, "float64": ctypes.c_double}


def parameters(text):
    """[(raw, type, name)] of CuPy's parameter list."""
    split = [part.split() for part in text.split(",")]
    return [(words[0] == "raw", words[-2], words[-1]) for words in split]


SCALARS = {"float64": ("double", ctypes.c_double), "int64": ("long", ctypes.c_long), "bool": ("bool", ctypes.c_bool)}
TYPES = {"T": "T", "I": "long"}  # of arrays: T is float32 or float64, I the host's index


def elementwise_source(name):
    """extern "C" loops over n elements, for float and double."""
    ins, outs, body = ELEMENTWISE[name]
    arguments, locals_ = [], []
    for raw, kind, word in parameters(ins):
        if kind in SCALARS:
            arguments.append(f"{SCALARS[kind][0]} {word}")
        else:
            arguments.append(f"const {TYPES[kind]}* {word if raw else '_' + word}")
            if not raw:
                locals_.append(f"const {TYPES[kind]}& {word} = _{word}[i];")
    for _, _, word in parameters(outs):
        arguments.append(f"T* _{word}")
        locals_.append(f"T& {word} = _{word}[i];")
    loop = f"for (long i = 0; i < n; ++i) {{ {' '.join(locals_)} {body}; }}"
    code = f"template <typename T, typename I> void of_{name}(long n, {', '.join(arguments)}) {{ {loop} }}\n"
    words = ", ".join(argument.split()[-1].lstrip("*") for argument in arguments)
    for word, c in (("float32", "float"), ("float64", "double")):
        given = ", ".join(argument.replace("T*", f"{c}*") for argument in arguments)
        code += f'extern "C" void {name}_{word}(long n, {given}) {{ of_{name}<{c}, long>(n, {words}); }}\n'
    return code


def sum_source(name):
    ins, body = SUMS[name]
    names = [word for _, _, word in parameters(ins)]
    arguments = ", ".join(f"const T* _{word}" for word in names)
    locals_ = " ".join(f"const T& {word} = _{word}[i];" for word in names)
    code = f"T a = 0; for (long i = 0; i < n; ++i) {{ {locals_} a = a + ({body}); }} *out = a;"
    return "\n".join(
        f'extern "C" void {name}_{word}(long n, {arguments.replace("T", c)}, {c}* out) {{ typedef {c} T; {code} }}'
        for word, c in (("float32", "float"), ("float64", "double"))
    )


def window_source(name, geometry):
    """The text of a geometry: one loop over the numbers that are written."""
    ins, outs, body = WINDOWS[name]
    ((raw, _, read),), ((_, _, out),) = parameters(ins), parameters(outs)
    assert raw
    code = f"for (long i = 0; i < n; ++i) {{ T& {out} = _{out}[i]; {body}; }}"
    return constants(geometry) + "\n".join(
        f'extern "C" void {name}_{word}(long n, const {c}* {read}, {c}* _{out}) {{ typedef {c} T; {code} }}\n'
        for word, c in (("float32", "float"), ("float64", "double"))
    )


def source():
    parts = [elementwise_source(name) for name in ELEMENTWISE] + [sum_source(name) for name in SUMS]
    return HEADER + "\n".join(parts) + "\n"


def build(directory, text, name="kernels"):
    """A C++ text as a library of the host."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    path = directory / f"{name}.cpp"
    path.write_text(text)
    subprocess.run(
        [compiler, "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-Wall", "-Werror", "-Wno-unused-function", str(path),
         "-o", str(path.with_suffix(".so"))],
        check=True,
    )  # fmt: skip
    return ctypes.CDLL(str(path.with_suffix(".so")))


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
            dtype = next(v.dtype for v in reversed(values) if isinstance(v, np.ndarray) and v.dtype.kind == "f")
            given = {w: np.array([x], dtype) if isinstance(x, float) and w in tensors else x for w, x in given.items()}
            arrays = [given[w] for raw, kind, w in ins if kind == "T" and not raw]
            assert all(a.dtype == dtype for a in arrays)  # T is one type
            results = [given.get(word) for _, _, word in outs]
            shape = np.broadcast_shapes(*(a.shape for a in [*arrays, *(r for r in results if r is not None)]))
            results = [np.empty(shape, dtype) if r is None else r for r in results]
            assert all(r.shape == shape and r.dtype == dtype and r.flags.c_contiguous for r in results)
            passed, kept = [ctypes.c_long(results[0].size)], []
            for raw, kind, word in ins:
                if kind in SCALARS:
                    passed.append(SCALARS[kind][1](given[word]))
                    continue
                kept.append(np.ascontiguousarray(given[word] if raw else np.broadcast_to(given[word], shape)))
                assert kept[-1].dtype == (dtype if kind == "T" else np.int64)
                passed.append(pointer(kept[-1]))
            getattr(library, f"{name}_{dtype}")(*passed, *map(pointer, results))
            return results[0] if len(results) == 1 else tuple(results)

        return call

    def summed(name):
        def call(*values, axis=None, keepdims=False):
            shape, dtype = np.broadcast_shapes(*(v.shape for v in values)), values[0].dtype
            values = [np.broadcast_to(v, shape) for v in values]
            axes = range(len(shape)) if axis is None else [axis % len(shape)]
            out = np.empty([1 if k in axes else n for k, n in enumerate(shape)], dtype)
            for place in itertools.product(*(range(n) for n in out.shape)):
                where = tuple(slice(None) if k in axes else p for k, p in enumerate(place))
                rows = [np.ascontiguousarray(v[where]).ravel() for v in values]
                one = np.empty(1, dtype)
                getattr(library, f"{name}_{dtype}")(ctypes.c_long(rows[0].size), *map(pointer, rows), pointer(one))
                out[place] = one[0]
            return out if keepdims else out.reshape([n for k, n in enumerate(shape) if k not in axes])

        return call

    @functools.cache
    def windows(name, geometry):
        compiled = build(directory, HEADER + window_source(name, geometry), f"{name}_{'_'.join(map(str, geometry))}")

        def call(read, out):
            assert read.flags.c_contiguous
            assert out.flags.c_contiguous
            assert read.dtype == out.dtype
            getattr(compiled, f"{name}_{read.dtype}")(ctypes.c_long(out.size), pointer(read), pointer(out))
            return out

        return call

    named = {**{name: elementwise(name) for name in ELEMENTWISE}, **{name: summed(name) for name in SUMS}}
    return Kernels(lambda x, y: x @ y, named, windows, lambda n, dtype, number: np.full((1, n), number, dtype))
