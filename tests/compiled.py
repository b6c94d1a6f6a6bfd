"""The texts of `dimref.kernels` as functions of host arrays: the same C, compiled for the host, in plain loops.

It proves the arithmetic of the texts, not CuPy's wrapping of them nor a device's rounding.
"""

import ctypes
import itertools
import shutil
import subprocess

import numpy as np
import pytest

from dimref.kernels import ELEMENTWISE, SUMS, Kernels

HEADER = "#include <cmath>\nusing std::exp; using std::sqrt;\n"
C_TYPES = {"float32": ctypes.c_float, "float64": ctypes.c_double}


def parameters(text):
    """[(raw, type, name)] of CuPy's parameter list."""
    split = [part.split() for part in text.split(",")]
    return [(words[0] == "raw", words[-2], words[-1]) for words in split]


def c_type(kind):
    return {"T": "T", "float64": "double"}[kind]


def elementwise_source(name):
    """extern "C" loops over n elements, for float and double."""
    ins, outs, body = ELEMENTWISE[name]
    ins, outs = parameters(ins), parameters(outs)
    arguments, locals_, before = [], [], []
    for raw, kind, word in ins:
        if raw:
            arguments.append(f"const T* {word}")
        elif kind == "T":
            arguments.append(f"const T* _{word}")
            locals_.append(f"const T& {word} = _{word}[i];")
        else:
            arguments.append(f"double {word}")
    for _, _, word in outs:
        arguments.append(f"T* _{word}")
        locals_.append(f"T& {word} = _{word}[i];")
    code = f"for (long i = 0; i < n; ++i) {{ {' '.join(locals_)} {body}; }}"
    return "\n".join(
        f'extern "C" void {name}_{word}(long n, {", ".join(arguments).replace("T", c)}) {{ typedef {c} T; {code} }}'
        for word, c in (("float32", "float"), ("float64", "double"))
    ), before


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


def source():
    parts = [elementwise_source(name)[0] for name in ELEMENTWISE] + [sum_source(name) for name in SUMS]
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


def host_kernels(library):
    """`Kernels` of NumPy arrays, which broadcast as CuPy's do."""

    def elementwise(name):
        ins, outs, _ = ELEMENTWISE[name]
        ins, outs = parameters(ins), parameters(outs)
        tensors = {word for _, kind, word in ins if kind == "T"}

        def call(*values):
            given = dict(zip([word for _, _, word in ins + outs], values, strict=False))
            dtype = values[0].dtype
            given = {w: np.array([x], dtype) if isinstance(x, float) and w in tensors else x for w, x in given.items()}
            arrays = [given[w] for raw, kind, w in ins if kind == "T" and not raw]
            assert len({a.dtype for a in arrays}) == 1  # T is one type
            shape = np.broadcast_shapes(*(a.shape for a in arrays))
            results = [given.get(word) for _, _, word in outs]
            results = [np.empty(shape, dtype) if r is None else r for r in results]
            assert all(r.shape == shape and r.dtype == dtype and r.flags.c_contiguous for r in results)
            passed, kept = [ctypes.c_long(results[0].size)], []
            for raw, kind, word in ins:
                if kind != "T":
                    passed.append(ctypes.c_double(given[word]))
                    continue
                kept.append(np.ascontiguousarray(given[word] if raw else np.broadcast_to(given[word], shape)))
                assert kept[-1].dtype == dtype
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

    named = {**{name: elementwise(name) for name in ELEMENTWISE}, **{name: summed(name) for name in SUMS}}
    return Kernels(lambda x, y: x @ y, named)
