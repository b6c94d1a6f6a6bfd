"""Information-theoretic quantities of tables and Gaussians, and structural similarity, in NumPy."""

import math

import numpy as np
from scipy import linalg, special

# ---- right


def entropy(p):
    return sum(-x * math.log(x) for x in p.tolist() if x > 0)


def joint_entropy(p):
    q = p[p > 0]
    return float(-np.dot(q, np.log(q)))


def conditional_entropy(p):
    """Σ_y p(y) H(X | Y = y)."""
    total = 0.0
    for column in p.T:
        weight = column.sum()
        if weight > 0:
            total += weight * entropy(column / weight)
    return total


def mutual_information(p):
    return entropy(p.sum(axis=1)) + entropy(p.sum(axis=0)) - joint_entropy(p)


def conditional_mutual_information(p):
    """H(X,Z) + H(Y,Z) − H(X,Y,Z) − H(Z)."""
    return joint_entropy(p.sum(1)) + joint_entropy(p.sum(0)) - joint_entropy(p) - joint_entropy(p.sum((0, 1)))


def cross_entropy(p, q):
    with np.errstate(divide="ignore"):
        return -np.sum(np.where(p > 0, p * np.log(np.where(p > 0, q, 1.0)), 0.0))


def kl_divergence(p, q):
    with np.errstate(divide="ignore"):
        return sum(a * (np.log(a) - np.log(b)) for a, b in zip(p.ravel(), q.ravel(), strict=True) if a > 0)


def jensen_shannon(p, q):
    m = 0.5 * p + 0.5 * q
    return 0.5 * kl_divergence(p, m) + 0.5 * kl_divergence(q, m)


def reverse_kl(p, q):
    return kl_divergence(q, p)


def chi2(p, q):
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(q > 0, (p - q) ** 2 / q, np.where(p > 0, np.inf, 0.0))
    return terms.sum()


def gaussian_kl(mean_p, cov_p, mean_q, cov_q):
    inverse = np.linalg.inv(cov_q)
    gap = mean_q - mean_p
    log_ratio = np.linalg.slogdet(cov_q)[1] - np.linalg.slogdet(cov_p)[1]
    return 0.5 * (np.trace(inverse @ cov_p) + gap @ inverse @ gap - len(gap) + log_ratio)


def capacity(channel):
    """Blahut and Arimoto, until it rests."""
    p = np.full(len(channel), 1 / len(channel))
    for _ in range(20000):
        q = p @ channel
        with np.errstate(divide="ignore", invalid="ignore"):
            divergence = np.where(channel > 0, channel * np.log(channel / q), 0.0).sum(axis=1)
        value = p @ divergence
        if divergence.max() - value < 1e-12:
            break
        p = p * np.exp(divergence)
        p = p / p.sum()
    return value


# ---- conventions


def squared_hellinger_half(p, q):
    return 1 - np.sum(np.sqrt(p * q))


# ---- mistakes


def entropy_sign(p):
    q = p[p > 0]
    return np.sum(q * np.log(q))


def conditional_entropy_other_way(p):
    """H(Y|X)."""
    return joint_entropy(p) - entropy(p.sum(axis=1))


def mutual_information_of_entropies(p):
    """One marginal forgotten."""
    return entropy(p.sum(axis=1)) - joint_entropy(p)


def mutual_information_unweighted(p):
    p_x, p_y = p.sum(1), p.sum(0)
    outer = np.outer(p_x, p_y)
    here = p > 0
    return np.mean(np.log(p[here] / outer[here]))


def mutual_information_outer(p):
    """KL(P_X P_Y ‖ P_XY)."""
    return kl_divergence(np.outer(p.sum(1), p.sum(0)), p)


def mutual_information_wrong_condition(p):
    """H(X) − H(Y|X)."""
    return entropy(p.sum(1)) - (joint_entropy(p) - entropy(p.sum(1)))


def kl_divergence_cross_entropy(p, q):
    """H(P) forgotten."""
    return cross_entropy(p, q)


def jensen_shannon_sum(p, q):
    """Without the halves."""
    m = (p + q) / 2
    return kl_divergence(p, m) + kl_divergence(q, m)


def jensen_shannon_distance(p, q):
    """Its root, as a well-known library returns it."""
    return math.sqrt(max(jensen_shannon(p, q), 0.0))


def chi2_neyman(p, q):
    """Divided by P."""
    return chi2(q, p)


def chi2_symmetric(p, q):
    total = p + q
    here = total > 0
    return np.sum((p[here] - q[here]) ** 2 / total[here])


def squared_hellinger_root(p, q):
    return math.sqrt(max(squared_hellinger_half(p, q), 0.0))


def total_variation_unhalved(p, q):
    return np.abs(p - q).sum()


def gaussian_entropy_no_e(cov):
    return 0.5 * (cov.shape[0] * math.log(2 * math.pi) + np.linalg.slogdet(cov)[1])


def capacity_at_uniform(channel):
    """The information of a uniform input."""
    p = np.full(len(channel), 1 / len(channel))
    return mutual_information(p[:, None] * channel)


def conditional_mutual_information_unconditional(p):
    return mutual_information(p.sum(axis=2))


def joint_entropy_of_marginals(p):
    """As if X and Y were independent."""
    return entropy(p.sum(axis=0)) + entropy(p.sum(axis=1))


# ---- structural similarity


def _window(size=11, sigma=1.5):
    x = np.arange(size) - size // 2
    g = np.exp(-(x**2) / (2 * sigma**2))
    return np.outer(g, g) / g.sum() ** 2


def _filter(image, window):
    views = np.lib.stride_tricks.sliding_window_view(image, window.shape)
    return np.einsum("hwij,ij->hw", views, window)


def _ssim(a, b, scale=1.0, window=None, k=(0.01, 0.03), unbiased=False, structure=False):
    window = _window() if window is None else window
    c1, c2 = (k[0] * scale) ** 2, (k[1] * scale) ** 2
    out = np.empty(len(a))
    for i in range(len(a)):
        values = []
        for c in range(a.shape[3]):
            x, y = a[i, :, :, c].astype(np.float64), b[i, :, :, c].astype(np.float64)
            mu_x, mu_y = _filter(x, window), _filter(y, window)
            n = window.size
            correct = n / (n - 1) if unbiased else 1.0
            var_x = correct * (_filter(x * x, window) - mu_x**2)
            var_y = correct * (_filter(y * y, window) - mu_y**2)
            cov = correct * (_filter(x * y, window) - mu_x * mu_y)
            similarity = (2 * cov + c2) / (var_x + var_y + c2)
            if not structure:
                similarity = similarity * (2 * mu_x * mu_y + c1) / (mu_x**2 + mu_y**2 + c1)
            values.append(similarity.mean())
        out[i] = np.mean(values)
    return out


def ssim_for_bytes(a, b):
    """Constants for a range of 255 on images in [0, 1]."""
    return _ssim(a, b, scale=255.0)


def ssim_uniform_window(a, b):
    """A flat 11 × 11 window."""
    return _ssim(a, b, window=np.full((11, 11), 1 / 121))


def ssim_uniform_seven(a, b):
    """A library's default: a flat 7 × 7 window and the unbiased covariance."""
    return _ssim(a, b, window=np.full((7, 7), 1 / 49), unbiased=True)


def ssim_loss(a, b):
    return 1 - _ssim(a, b)


def ms_ssim(a, b, scale=1.0, weights=(0.0448, 0.2856, 0.3001, 0.2363, 0.1333), normalize=True):
    """As many scales as hold the window."""
    size = min(a.shape[1:3])
    count = sum(size // 2**s >= 11 for s in range(5))
    weights = np.array(weights[:count])
    if normalize:
        weights = weights / weights.sum()
    x, y = a.astype(np.float64), b.astype(np.float64)
    out = np.empty(a.shape[0])
    for i in range(a.shape[0]):
        channels = []
        for c in range(a.shape[3]):
            u, v = x[i, :, :, c], y[i, :, :, c]
            value = 1.0
            for s, weight in enumerate(weights):
                block_u, block_v = u[None, :, :, None], v[None, :, :, None]
                term = _ssim(block_u, block_v, scale=scale, structure=s < len(weights) - 1)[0]
                value *= max(term, 0.0) ** weight
                h, w = u.shape[0] // 2 * 2, u.shape[1] // 2 * 2
                u = (u[:h:2, :w:2] + u[1:h:2, :w:2] + u[:h:2, 1:w:2] + u[1:h:2, 1:w:2]) / 4
                v = (v[:h:2, :w:2] + v[1:h:2, :w:2] + v[:h:2, 1:w:2] + v[1:h:2, 1:w:2]) / 4
            channels.append(value)
        out[i] = np.mean(channels)
    return out


def ms_ssim_weights_not_normalized(a, b):
    """The five weights cut off, not divided by their sum."""
    return ms_ssim(a, b, normalize=False)


# ---- helpers


def _entropy(p):
    return special.entr(np.asarray(p)).sum()


def _kl(p, q):
    return special.rel_entr(p, q).sum()


def _information(p):
    return _kl(p, p.sum(1, keepdims=True) @ p.sum(0, keepdims=True))


# ---- entropy


def entropy_relative(p):
    """As a share of the largest."""
    return _entropy(p) / np.log(p.size)


# ---- joint entropy


def joint_entropy_of_rows(p):
    return _entropy(p.sum(axis=1))


# ---- conditional entropy


def conditional_entropy_is_joint(p):
    """The condition is never used."""
    return _entropy(p.ravel())


# ---- conditional mutual information


def _conditional_information(p):
    """The condition is the last axis."""
    return sum(
        p[..., z].sum() * _information(p[..., z] / p[..., z].sum()) for z in range(p.shape[2]) if p[..., z].any()
    )


def conditional_information_first(p):
    return _conditional_information(np.moveaxis(p, 0, -1))


# ---- capacity


def capacity_first_bound(channel):
    """The upper bound of the first iteration."""
    return max(_kl(row, channel.mean(axis=0)) for row in channel)


# ---- cross entropy


def cross_entropy_after_softmax(p, q):
    return -p @ (q - special.logsumexp(q))


def cross_entropy_less_entropy(p, q):
    return special.rel_entr(p, q).sum()


# ---- reverse Kullback–Leibler divergence


def reverse_kl_forward(p, q):
    return _kl(p, q)


def reverse_kl_weighted_by_p(p, q):
    here = p > 0
    return p[here] @ np.log(q[here] / p[here])


# ---- Hellinger


def hellinger_affinity(p, q):
    return np.sqrt(p) @ np.sqrt(q)


# ---- total variation


def variation_of_one_outcome(p, q):
    return np.abs(p - q).max()


def variation_squared(p, q):
    return 0.5 * np.square(p - q).sum()


# ---- Gaussians


def gaussian_entropy_one_dimension(cov):
    return 0.5 * np.log(2 * np.pi * np.e * np.linalg.det(cov))


def _canonical_correlations(cov, dim_x):
    l_x, l_y = np.linalg.cholesky(cov[:dim_x, :dim_x]), np.linalg.cholesky(cov[dim_x:, dim_x:])
    half = linalg.solve_triangular(l_x, cov[:dim_x, dim_x:], lower=True)
    whitened = linalg.solve_triangular(l_y, half.T, lower=True)
    return np.linalg.svd(whitened, compute_uv=False)


def gaussian_information_total_correlation(cov, dim_x):
    deviations = np.sqrt(np.diag(cov))
    return -0.5 * np.linalg.slogdet(cov / np.outer(deviations, deviations))[1]


def gaussian_information_unsquared(cov, dim_x):
    return -0.5 * np.log(1 - _canonical_correlations(cov, dim_x)).sum()


def _log_det(cov):
    return np.linalg.slogdet(cov)[1]


def gaussian_kl_minus_one(mean_p, cov_p, mean_q, cov_q):
    """The formula of one dimension."""
    inverse, gap = np.linalg.inv(cov_q), mean_q - mean_p
    return 0.5 * (np.trace(inverse @ cov_p) + gap @ inverse @ gap - 1 + _log_det(cov_q) - _log_det(cov_p))


def gaussian_kl_log_ratio_inverted(mean_p, cov_p, mean_q, cov_q):
    precision, gap = np.linalg.inv(cov_q), mean_p - mean_q
    log_ratio = np.log(np.linalg.det(cov_p) / np.linalg.det(cov_q))
    return 0.5 * ((precision * cov_p).sum() + gap @ precision @ gap - gap.size + log_ratio)
