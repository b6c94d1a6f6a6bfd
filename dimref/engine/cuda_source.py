"""The kernels of a device, in CUDA C. `kernels.py` calls them and names the plain form of each."""

from __future__ import annotations

from collections.abc import Sequence

# Name → parameters, results, what is done with each element. T is the arrays' type. A result among the arguments is
# overwritten.
ELEMENTWISE = {
    # out + b, or max(·, 0) of it
    "biased": (
        "T b, bool relu",
        "T out",
        """
        const T y = out + b;
        out = relu && y < T(0) ? T(0) : y
        """,
    ),
    # g·[output > 0], the gradient of relu; a product, so that what is not finite does not vanish
    "gate": ("T g, T output", "T out", "out = g * T(output > T(0))"),
    # 1/(1 + e⁻ˣ) for x ≥ 0, eˣ/(1 + eˣ) below: eˣ never overflows, and both ends keep full relative accuracy
    "sigmoid": (
        "T x",
        "T out",
        """
        T e = exp(x < T(0) ? x : -x);
        out = (x < T(0) ? e : T(1)) / (T(1) + e)
        """,
    ),
    "squared_deviations": ("T x, T mean", "T out", "out = (x - mean) * (x - mean)"),
    # gain·(x − μ)/√(σ² + ε) + shift, or max(·, 0) of it
    "normalize": (
        "T x, T mean, T gain, T shift, T variance, float64 epsilon, bool relu",
        "T out",
        """
        const T y = (x - mean) * (gain / sqrt(variance + T(epsilon))) + shift;
        out = relu && y < T(0) ? T(0) : y
        """,
    ),
    # the g that passes that ReLU, and its product with x − μ
    "through_relu": (
        "T g, T output, T x, T mean, bool relu",
        "T passed, T along",
        """
        passed = relu ? g * T(output > T(0)) : g;
        along = passed * (x - mean)
        """,
    ),
    # x/√(σ² + ε)
    "per_deviation": ("T x, T variance, float64 epsilon", "T out", "out = x / sqrt(variance + T(epsilon))"),
    # gain/√(σ² + ε)·(g − mean g − x̂·mean(g·x̂)), from Σ g·x̂ and Σ g
    "normalize_gradient": (
        "T g, T x, T mean, T gain, T variance, T of_gain, T of_shift, float64 count, float64 epsilon",
        "T out",
        """
        T scale = T(1) / sqrt(variance + T(epsilon));
        out = gain * scale * (g - ((x - mean) * scale * of_gain + of_shift) / T(count))
        """,
    ),
    # (1 − m)·running + m·factor·newest
    "toward": (
        "T running, T newest, float64 momentum, float64 factor",
        "T out",
        "out = T(1 - momentum) * running + T(momentum * factor) * newest",
    ),
}

# Name → constants, parameters, results, text. Sizes are constants, or divisions by them would be most of a kernel's work.
# Images are (·, H, W, C), their windows (·, HIGH, WIDE, KH, KW, C).
GEOMETRY = ("H", "W", "C", "HIGH", "WIDE", "KH", "KW", "SH", "SW", "PH", "PW")
SHAPED = {
    # each number of a window is looked up in the image
    "im2col": (
        GEOMETRY,
        "raw T x",
        "T out",
        """
        const long long image = i / (HIGH * WIDE * KH * KW * C);
        int at = int(i % (HIGH * WIDE * KH * KW * C));
        const int c = at % C; at /= C;
        const int column = at / KW / KH % WIDE * SW + at % KW - PW;
        const int row = at / KW / KH / WIDE * SH + at / KW % KH - PH;
        const bool inside = row >= 0 && row < H && column >= 0 && column < W;
        out = inside ? x[((image * H + row) * W + column) * C + c] : T(0)
        """,
    ),
    # each number of an image adds up the windows that see it, the last first
    "col2im": (
        GEOMETRY,
        "raw T columns",
        "T out",
        """
        const long long image = i / (H * W * C);
        int at = int(i % (H * W * C));
        const int c = at % C; at /= C;
        const int row = at / W + PH, column = at % W + PW;
        T sum = T(0);
        for (int p = row / SH; p >= 0 && row - p * SH < KH; --p)
            for (int q = column / SW; q >= 0 && column - q * SW < KW; --q)
                if (p < HIGH && q < WIDE)
                    sum += columns[(((image * HIGH + p) * WIDE + q) * KH + row - p * SH) * (KW * C)
                                   + (column - q * SW) * C + c];
        out = sum
        """,
    ),
    # max(0, feature + here) and max(0, feature + others[index]), (·, 2·L, UNITS) in turns of L
    "pairs": (
        ("L", "UNITS", "ROWS"),
        "raw T feature, raw T here, raw T others, raw I index",
        "T out",
        """
        const long long image = i / (2 * L * UNITS);
        const int at = int(i % (2 * L * UNITS)), unit = at % UNITS, l = at / UNITS % L;
        const long long place = image * L + l, chosen = index[place], row = chosen < 0 ? chosen + ROWS : chosen;
        const T other = at < L * UNITS ? here[image * UNITS + unit] : others[row * UNITS + unit];
        const T y = feature[place * UNITS + unit] + other;
        out = y < T(0) ? T(0) : y
        """,
    ),
}

# Kernels in full, for blocks of threads that add up together. T is defined before them.
SUM = """
__device__ T sum_of(T mine) {
    __shared__ T parts[THREADS];
    parts[threadIdx.x] = mine;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
        __syncthreads();
    }
    const T sum = parts[0];
    __syncthreads();  // the next sum overwrites it
    return sum;
}
"""

# A block for each row, of n numbers or of a result.
ROWS = """
// x̂ = (x − μ)/√(σ² + ε), and the sum of squared deviations
extern "C" __global__ void standardize(const T* x, T* out, T* squares, int n, T epsilon) {
    const long long row = (long long)blockIdx.x * n;
    T sum = 0, square = 0;
    for (int k = threadIdx.x; k < n; k += blockDim.x) sum += x[row + k];
    const T mean = sum_of(sum) / n;
    for (int k = threadIdx.x; k < n; k += blockDim.x) square += (x[row + k] - mean) * (x[row + k] - mean);
    square = sum_of(square);
    const T scale = 1 / sqrt(square / n + epsilon);
    for (int k = threadIdx.x; k < n; k += blockDim.x) out[row + k] = (x[row + k] - mean) * scale;
    if (threadIdx.x == 0) squares[blockIdx.x] = square;
}

// (g − mean g − x̂·mean(g·x̂))/√(σ² + ε)
extern "C" __global__ void standardize_gradient(
    const T* g, const T* standard, const T* squares, T* out, int n, T epsilon) {
    const long long row = (long long)blockIdx.x * n;
    T level = 0, along = 0;
    for (int k = threadIdx.x; k < n; k += blockDim.x) {
        level += g[row + k];
        along += g[row + k] * standard[row + k];
    }
    level = sum_of(level) / n;
    along = sum_of(along) / n;
    const T scale = 1 / sqrt(squares[blockIdx.x] / n + epsilon);
    for (int k = threadIdx.x; k < n; k += blockDim.x)
        out[row + k] = (g[row + k] - level - standard[row + k] * along) * scale;
}

// out[r] = Σ g[p] over all p with index[p] = r or r − rows, in their order: the same sum on every run, unlike atomic
// additions. A block scans the index, a few for each thread at a time, and lists the places it has met; then each
// thread adds up its own column.
extern "C" __global__ void scatter(const T* g, const long long* index, T* out, int count, int width) {
    __shared__ int places[EACH * THREADS];
    __shared__ unsigned met[EACH * THREADS];
    const int column = blockIdx.y * blockDim.x + threadIdx.x;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = (blockDim.x + 31) / 32;
    T sum = 0;
    for (int start = 0; start < count; start += EACH * blockDim.x) {
        for (int k = 0; k < EACH; ++k) {
            const int p = start + k * blockDim.x + threadIdx.x;
            const long long row = blockIdx.x, before = row - gridDim.x;
            const unsigned ballot = __ballot_sync(~0u, p < count && (index[p] == row || index[p] == before));
            if (lane == 0) met[k * warps + warp] = ballot;
        }
        __syncthreads();
        int many = 0;
        for (int k = 0; k < EACH * warps; ++k) {
            if (k % warps == warp && (met[k] >> lane & 1))
                places[many + __popc(met[k] & ((1u << lane) - 1))] = start + k / warps * blockDim.x + threadIdx.x;
            many += __popc(met[k]);
        }
        __syncthreads();
        if (column < width)
            for (int k = 0; k < many; ++k) sum += g[(long long)places[k] * width + column];
    }
    if (column < width) out[(long long)blockIdx.x * width + column] = sum;
}
"""

# Many arrays at once, in blocks of PIECE numbers: a launch costs as much as the work on a small array.
# Lists holds up to MANY groups of arrays by value: where they lie, how many numbers each has, and how many blocks there
# are up to its last.
LISTS = """
struct Lists {
    T* places[4][MANY];
    long long sizes[MANY];
    long long ends[MANY];
};

// Which group a block works on, from which number, up to which.
struct Piece {
    int group;
    long long start, stop;
    __device__ explicit Piece(const Lists& lists) : group(0) {
        while (lists.ends[group] <= blockIdx.x) ++group;
        const long long before = group ? lists.ends[group - 1] : 0, size = lists.sizes[group];
        start = (blockIdx.x - before) * PIECE;
        stop = start + PIECE < size ? start + PIECE : size;
    }
};

// Of (p, g, m, v); rate and floor of `optim.step_rates` as numbers, or where they were fed to.
extern "C" __global__ void adam(const Lists lists, const T* fed, T rate, T floor, double beta1, double beta2) {
    const Piece piece(lists);
    T* p = lists.places[0][piece.group];
    const T* g = lists.places[1][piece.group];
    T* m = lists.places[2][piece.group];
    T* v = lists.places[3][piece.group];
    if (fed) {
        rate = fed[0];
        floor = fed[1];
    }
    for (long long k = piece.start + threadIdx.x; k < piece.stop; k += blockDim.x) {
        m[k] = T(beta1) * m[k] + T(1 - beta1) * g[k];
        v[k] = T(beta2) * v[k] + T(1 - beta2) * (g[k] * g[k]);
        p[k] -= rate * m[k] / (sqrt(v[k]) + floor);
    }
}

// Σ x² of each block's piece
extern "C" __global__ void squares(const Lists lists, T* parts) {
    const Piece piece(lists);
    const T* x = lists.places[0][piece.group];
    T mine = 0;
    for (long long k = piece.start + threadIdx.x; k < piece.stop; k += blockDim.x) mine += x[k] * x[k];
    const T sum = sum_of(mine);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// Their sums, a block for each array
extern "C" __global__ void totals(const Lists lists, const T* parts, T* out) {
    T mine = 0;
    long long part = blockIdx.x ? lists.ends[blockIdx.x - 1] : 0;
    for (part += threadIdx.x; part < lists.ends[blockIdx.x]; part += blockDim.x) mine += parts[part];
    const T sum = sum_of(mine);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}
"""
THREADS = 256  # of a block, a power of two
EACH = 4  # numbers of an index that a thread looks at before the block adds
PIECE = 4096  # numbers of a list's array that a block works on
MANY = 80  # groups that Lists has place for: CUDA passes 4096 bytes by value
C_TYPES = {"float32": "float", "float64": "double"}


def constants(names: Sequence[str], numbers: Sequence[int]) -> str:
    """Sizes as C, for a kernel of SHAPED."""
    return "".join(f"constexpr int {name} = {number};\n" for name, number in zip(names, numbers, strict=True))


def block_text(dtype: str) -> str:
    """ROWS and LISTS for float32 or float64."""
    sizes = constants(("THREADS", "EACH", "PIECE", "MANY"), (THREADS, EACH, PIECE, MANY))
    return f"typedef {C_TYPES[dtype]} T;\n{sizes}{SUM}{ROWS}{LISTS}"
