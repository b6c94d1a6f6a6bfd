"""Products by cuBLAS: the layouts and leading dimensions that are passed, to a library that multiplies on the host.

The library is three loops in C++ with cuBLAS's signatures and its order, columns first. It proves what is passed, not
cuBLAS.
"""

import types

import host_compiled_kernels
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimref.engine.cublas import WORKSPACE, Cublas, CublasError

LIBRARY = """
#include <cstddef>
static int mode = -1; static void* stream = 0; static void* workspace = 0; static size_t bytes = 0; static int status = 0;
static int calls = 0;
extern "C" int cublasSetMathMode(void*, int m) { mode = m; return status; }
extern "C" int cublasSetStream_v2(void*, void* s) { stream = s; workspace = 0; return 0; }
extern "C" int cublasSetWorkspace_v2(void*, void* w, size_t n) { workspace = w; bytes = n; return 0; }
extern "C" int math_mode() { return mode; }
extern "C" size_t current_stream() { return (size_t)stream; }
extern "C" size_t workspace_bytes() { return workspace ? bytes : 0; }
extern "C" int products() { return calls; }
extern "C" void set_status(int s) { status = s; }
template <typename T>
static int gemm(int ta, int tb, int m, int n, int k, const T* alpha, const T* a, int lda, const T* b, int ldb,
                const T* beta, T* c, int ldc) {
  ++calls;
  if (lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m) return 7;
  for (int i = 0; i < m; ++i) for (int j = 0; j < n; ++j) {
    T sum = 0;
    for (int l = 0; l < k; ++l) sum += a[ta ? l + i * lda : i + l * lda] * b[tb ? j + l * ldb : l + j * ldb];
    c[i + j * ldc] = *alpha * sum + (*beta ? *beta * c[i + j * ldc] : 0);
  }
  return status;
}
extern "C" int cublasSgemm_v2(void*, int ta, int tb, int m, int n, int k, const float* alpha, const float* a, int lda,
                              const float* b, int ldb, const float* beta, float* c, int ldc) {
  return gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
extern "C" int cublasDgemm_v2(void*, int ta, int tb, int m, int n, int k, const double* alpha, const double* a, int lda,
                              const double* b, int ldb, const double* beta, double* c, int ldc) {
  return gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
"""


class Matrix(np.ndarray):
    """A host array that tells its address as a CuPy array does."""

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self.ctypes.data)


def matrix(a):
    return a.view(Matrix)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return host_compiled_kernels.build(tmp_path_factory.mktemp("cublas"), LIBRARY)


def opened(library, tf32=False, stream=16):
    """Cublas on the library, and the stream that CuPy would say is the current one."""
    current = types.SimpleNamespace(ptr=stream)
    cupy = types.SimpleNamespace(
        empty=lambda shape, dtype: matrix(np.empty(shape, dtype)),
        ascontiguousarray=lambda a: matrix(np.array(a, order="C")),
        cuda=types.SimpleNamespace(get_current_stream=lambda: current),
    )
    return Cublas(cupy, library, 1, tf32), current


def laid_out(rng, rows, columns, dtype, how):
    """A matrix of that shape, in one of the layouts that views come in."""
    if how == "rows":
        return matrix(rng.standard_normal((rows, columns)).astype(dtype))
    if how == "columns":
        return matrix(rng.standard_normal((columns, rows)).astype(dtype)).T
    if how == "part":
        return matrix(rng.standard_normal((rows + 2, columns + 3)).astype(dtype))[1:-1, 2:-1]
    if how == "part of columns":
        return matrix(rng.standard_normal((columns + 3, rows + 2)).astype(dtype))[2:-1, 1:-1].T
    if how == "every second":
        return matrix(rng.standard_normal((2 * rows, 2 * columns)).astype(dtype))[::2, ::2]
    return np.broadcast_to(matrix(rng.standard_normal((rows, 1)).astype(dtype)), (rows, columns), subok=True)


LAYOUTS = ["rows", "columns", "part", "part of columns", "every second", "repeated"]


@given(
    sizes=st.tuples(*[st.integers(1, 6)] * 3),
    seed=st.integers(0, 2**32),
    how=st.tuples(st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS)),
    dtype=st.sampled_from([np.float32, np.float64]),
    onto=st.booleans(),
)
def test_products_of_every_layout_and_onto_what_is_there(library, sizes, seed, how, dtype, onto):
    cublas, _ = opened(library)
    rng, (m, k, n) = np.random.default_rng(seed), sizes
    x, y = laid_out(rng, m, k, dtype, how[0]), laid_out(rng, k, n, dtype, how[1])
    there = laid_out(rng, m, n, dtype, "rows") if onto else None
    expected, before = np.asarray(x) @ np.asarray(y) + (np.array(there) if onto else 0), library.products()
    out = cublas.matmul(x, y, there)
    assert library.products() == before + 1
    assert (out is there) == onto
    assert (out.shape, out.dtype) == ((m, n), dtype)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("how", ["columns", "part"])
def test_what_is_no_matrix_to_add_to_is_left_to_cupy(library, how):
    cublas, _ = opened(library)
    rng = np.random.default_rng(0)
    x, y = laid_out(rng, 3, 4, np.float32, "rows"), laid_out(rng, 4, 2, np.float32, "rows")
    onto, before = laid_out(rng, 3, 2, np.float32, how), library.products()
    expected = np.array(onto) + np.asarray(x) @ np.asarray(y)
    assert cublas.matmul(x, y, onto) is onto
    assert library.products() == before
    np.testing.assert_allclose(onto, expected, rtol=1e-5, atol=1e-5)


def test_what_is_no_product_of_two_such_matrices_is_left_to_cupy(library):
    cublas, _ = opened(library)
    before = library.products()
    ones = lambda *shape, dtype=np.float32: matrix(np.ones(shape, dtype))  # noqa: E731
    for x, y in [
        (ones(3), ones(3, 2)),
        (ones(2, 3), ones(3, 2, dtype=np.float64)),
        (ones(2, 3, dtype=int), ones(3, 2, dtype=int)),
        (ones(0, 3), ones(3, 2)),
        (ones(2, 0), ones(0, 2)),
    ]:
        np.testing.assert_array_equal(cublas.matmul(x, y), np.asarray(x) @ np.asarray(y))
    with pytest.raises(ValueError, match="mismatch"):
        cublas.matmul(ones(2, 3), ones(2, 3))
    assert library.products() == before


def test_products_follow_cupys_stream_and_keep_their_workspace(library):
    cublas, current = opened(library, stream=16)
    x = matrix(np.ones((2, 2), np.float32))
    for stream in (16, 16, 32, 16):
        current.ptr = stream
        cublas.matmul(x, x)
        assert library.current_stream() == stream
        assert library.workspace_bytes() == WORKSPACE


@pytest.mark.parametrize(("tf32", "mode"), [(False, 0), (True, 3)])
def test_tf32_is_off_unless_asked_for(library, tf32, mode):
    opened(library, tf32)
    assert library.math_mode() == mode


def test_a_call_that_fails_is_told(library):
    cublas, _ = opened(library)
    x = matrix(np.ones((2, 3), np.float32))
    library.set_status(13)
    try:
        with pytest.raises(CublasError, match=r"expected the product of \(2, 3\) and \(3, 2\), found status 13"):
            cublas.matmul(x, x.T)
        with pytest.raises(CublasError, match="expected cublasSetMathMode to succeed, found status 13"):
            opened(library)
    finally:
        library.set_status(0)
