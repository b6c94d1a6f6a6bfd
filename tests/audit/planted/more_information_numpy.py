"""More mistakes in information-theoretic quantities of tables and Gaussians, in NumPy."""

import math

import numpy as np
from scipy import linalg, special

# ---- helpers


def _entropy(p):
    return special.entr(np.asarray(p)).sum()


def _kl(p, q):
    return special.rel_entr(p, q).sum()


def _information(p):
    return _kl(p, p.sum(1, keepdims=True) @ p.sum(0, keepdims=True))


# ---- entropy


def entropy_mean(p):
    return special.entr(p).mean()


def entropy_relative(p):
    """As a share of the largest."""
    return _entropy(p) / np.log(p.size)


def entropy_after_softmax(p):
    e = np.exp(p - p.max())
    s = e / e.sum()
    return -(s * np.log(s)).sum()


def entropy_of_coins(p):
    return _entropy(p) + _entropy(1 - p)


# ---- joint entropy


def joint_entropy_tiny_offset(p):
    return -np.einsum("ij,ij->", p, np.log(p + 1e-8))


def joint_entropy_mean(p):
    return special.entr(p).mean()


def joint_entropy_of_rows(p):
    return _entropy(p.sum(axis=1))


def joint_entropy_nan(p):
    flat = p.ravel()
    return -flat @ np.log(flat)


# ---- conditional entropy


def conditional_entropy_is_joint(p):
    """The condition is never used."""
    return _entropy(p.ravel())


def conditional_entropy_plain_mean(p):
    columns = [column / column.sum() for column in p.T if column.sum() > 0]
    return np.mean([_entropy(column) for column in columns])


def conditional_entropy_unconditioned(p):
    p_x = p.sum(1)
    p_x = p_x[p_x > 0]
    return -(p_x * np.log(p_x)).sum()


def conditional_entropy_is_information(p):
    return _entropy(p.sum(1)) + _entropy(p.sum(0)) - _entropy(p)


def conditional_entropy_tiny_offset(p):
    p_y = p.sum(0)
    p_x_given_y = np.divide(p, p_y, out=np.zeros_like(p), where=p_y > 0)
    return -(p * np.log(p_x_given_y + 1e-8)).sum()


def conditional_entropy_nan(p):
    return -(p * np.log(p / p.sum(axis=0))).sum()


# ---- mutual information


def information_plus_joint(p):
    return _entropy(p.sum(1)) + _entropy(p.sum(0)) + _entropy(p)


def information_without_joint(p):
    return sum(_entropy(p.sum(axis)) for axis in (0, 1))


def information_wrong_condition(p):
    """H(X) − H(Y|X)."""
    h_x = _entropy(p.sum(1))
    h_y_given_x = _entropy(p) - h_x
    return h_x - h_y_given_x


def information_mean_marginals(p):
    p_x, p_y = p.mean(axis=1), p.mean(axis=0)
    i, j = np.nonzero(p)
    return np.sum(p[i, j] * np.log(p[i, j] / (p_x[i] * p_y[j])))


def information_of_conditional(p):
    """Rows are made P(y|x), and then taken for a joint table with equal rows."""
    rows = p / np.where(p.sum(1, keepdims=True) > 0, p.sum(1, keepdims=True), 1)
    return _information(rows / rows.sum())


def information_normalized(p):
    h_x, h_y = _entropy(p.sum(1)), _entropy(p.sum(0))
    return 2 * (h_x + h_y - _entropy(p)) / (h_x + h_y)


def information_normalized_root(p):
    return _information(p) / np.sqrt(_entropy(p.sum(1)) * _entropy(p.sum(0)))


def information_normalized_smaller(p):
    return _information(p) / min(_entropy(p.sum(1)), _entropy(p.sum(0)))


def information_normalized_larger(p):
    return _information(p) / np.maximum(_entropy(p.sum(1)), _entropy(p.sum(0)))


def information_normalized_joint(p):
    """One less Rajski's distance."""
    h_xy = _entropy(p)
    return (_entropy(p.sum(1)) + _entropy(p.sum(0)) - h_xy) / h_xy


def information_tiny_offset(p):
    outer = np.outer(p.sum(1), p.sum(0))
    ratio = np.divide(p, outer, out=np.zeros_like(p), where=outer > 0)
    return np.sum(p * np.log(ratio + 1e-8))


def information_nan(p):
    return np.sum(p * np.log(p / np.outer(p.sum(1), p.sum(0))))


# ---- conditional mutual information


def _conditional_information(p):
    """The condition is the last axis."""
    return sum(
        p[..., z].sum() * _information(p[..., z] / p[..., z].sum()) for z in range(p.shape[2]) if p[..., z].any()
    )


def conditional_information_first(p):
    return _conditional_information(np.moveaxis(p, 0, -1))


def conditional_information_second(p):
    p_xy, p_yz, p_y = p.sum(2), p.sum(0), p.sum((0, 2))
    return _entropy(p_xy) + _entropy(p_yz) - _entropy(p) - _entropy(p_y)


def conditional_information_plain_mean(p):
    values = []
    for z in range(p.shape[2]):
        table = p[:, :, z]
        values.append(_information(table / table.sum()) if table.sum() > 0 else 0.0)
    return np.mean(values)


def conditional_information_no_p_z(p):
    p_xz, p_yz = p.sum(1), p.sum(0)
    product = np.einsum("xz,yz->xyz", p_xz, p_yz)
    return _kl(p, product)


def conditional_information_of_pair(p):
    """Y and Z together."""
    return _information(p.reshape(p.shape[0], -1))


def conditional_information_nan(p):
    p_xz, p_yz, p_z = p.sum(1, keepdims=True), p.sum(0, keepdims=True), p.sum((0, 1), keepdims=True)
    return (p * np.log(p * p_z / (p_xz * p_yz))).sum()


# ---- capacity


def _blahut(channel):
    p = np.ones(len(channel)) / len(channel)
    for _ in range(5000):
        d = special.rel_entr(channel, p @ channel).sum(1)
        lower, upper = np.log(p @ np.exp(d)), d.max()
        if upper - lower < 1e-11:
            break
        p = p * np.exp(d - lower)
    return lower


def capacity_first_bound(channel):
    """The upper bound of the first iteration."""
    return max(_kl(row, channel.mean(axis=0)) for row in channel)


def capacity_of_columns(channel):
    """Columns taken for P(y|x) after being normalized."""
    columns = channel.T
    columns = columns[columns.sum(1) > 0]
    return _blahut(columns / columns.sum(1, keepdims=True))


def capacity_symmetric(channel):
    """log Y − H(row), as for a symmetric channel."""
    return math.log(channel.shape[1]) - _entropy(channel[0])


# ---- cross entropy


def cross_entropy_after_softmax(p, q):
    return -p @ (q - special.logsumexp(q))


def cross_entropy_less_entropy(p, q):
    return special.rel_entr(p, q).sum()


def cross_entropy_of_coins(p, q):
    return -(special.xlogy(p, q) + special.xlog1py(1 - p, -q)).sum()


def cross_entropy_mean(p, q):
    return -special.xlogy(p, q).mean()


def cross_entropy_of_p_alone(p, q):
    """Log p where log q belongs."""
    return -special.xlogy(p, p).sum()


def cross_entropy_unnegated(p, q):
    return sum(a * np.log(b) for a, b in zip(p, q, strict=True) if a > 0)


def cross_entropy_tiny_offset(p, q):
    return -np.dot(p, np.log(q + 1e-8))


def cross_entropy_nan(p, q):
    return -np.sum(p * np.log(q))


# ---- Kullback–Leibler divergence


def kl_both_ways(p, q):
    return _kl(p, q) + _kl(q, p)


def kl_both_ways_mean(p, q):
    return np.mean([_kl(p, q), _kl(q, p)])


def kl_log_ratios(p, q):
    return np.sum(np.log(p) - np.log(q))


def kl_of_softmax(p, q):
    return _kl(p, special.softmax(q))


def kl_ratio_upside_down(p, q):
    return (special.xlogy(p, q) - special.xlogy(p, p)).sum()


def kl_doubled(p, q):
    """As the G statistic, but without the number of draws."""
    return 2.0 * np.sum(special.rel_entr(p, q))


def kl_tiny_offset(p, q):
    eps = 1e-8
    return np.sum(p * (np.log(p + eps) - np.log(q + eps)))


def kl_nan(p, q):
    return np.sum(p * np.log(p / q))


# ---- Jensen–Shannon divergence


def jensen_shannon_halved_again(p, q):
    m = (p + q) / 2
    return (0.5 * _kl(p, m) + 0.5 * _kl(q, m)) / 2


def jensen_shannon_of_sum(p, q):
    m = p + q
    return 0.5 * (_kl(p, m) + _kl(q, m))


def jensen_shannon_from_mixture(p, q):
    m = np.mean([p, q], axis=0)
    return np.mean([_kl(m, p), _kl(m, q)])


def jensen_shannon_one_side(p, q):
    return _kl(p, (p + q) / 2)


# ---- reverse Kullback–Leibler divergence


def reverse_kl_forward(p, q):
    return _kl(p, q)


def reverse_kl_unnegated(p, q):
    """Σ q log(p/q)."""
    return sum(b * np.log(a / b) for a, b in zip(p, q, strict=True) if b > 0)


def reverse_kl_weighted_by_p(p, q):
    here = p > 0
    return p[here] @ np.log(q[here] / p[here])


def reverse_kl_cross_entropy(p, q):
    return -special.xlogy(q, p).sum()


def reverse_kl_mean(p, q):
    return special.rel_entr(q, p).mean()


def reverse_kl_nan(p, q):
    return q @ np.log(q / p)


# ---- χ²


def _over(numerator, denominator):
    """0/0 is 0."""
    return np.where(numerator > 0, numerator / denominator, 0.0)


def chi2_plus_one(p, q):
    return _over(p**2, q).sum()


def chi2_histogram_half(p, q):
    """The χ² distance of histograms."""
    return 0.5 * _over((p - q) ** 2, p + q).sum()


def chi2_absolute(p, q):
    return _over(np.abs(p - q), q).sum()


def chi2_undivided(p, q):
    return np.square(p - q).sum()


def chi2_root(p, q):
    return np.sqrt(_over((p - q) ** 2, q).sum())


def chi2_mean(p, q):
    return _over((p - q) ** 2, q).mean()


# ---- Hellinger


def hellinger_norm(p, q):
    return np.linalg.norm(np.sqrt(p) - np.sqrt(q))


def hellinger_affinity(p, q):
    return np.sqrt(p) @ np.sqrt(q)


def hellinger_bhattacharyya(p, q):
    return -math.log(sum(math.sqrt(a * b) for a, b in zip(p, q, strict=True)) or 5e-324)


def hellinger_no_roots(p, q):
    return ((p - q) ** 2).sum()


def hellinger_absolute(p, q):
    return np.abs(np.sqrt(p) - np.sqrt(q)).sum()


def hellinger_mean(p, q):
    return np.mean((p**0.5 - q**0.5) ** 2)


# ---- total variation


def variation_of_one_outcome(p, q):
    return np.abs(p - q).max()


def variation_squared(p, q):
    return 0.5 * np.square(p - q).sum()


def variation_signed(p, q):
    return np.sum(p - q) / 2


def variation_euclidean(p, q):
    return np.linalg.norm(p - q)


def variation_mean(p, q):
    return np.abs(p - q).mean() / 2


# ---- Gaussians


def gaussian_entropy_one_dimension(cov):
    return 0.5 * np.log(2 * np.pi * np.e * np.linalg.det(cov))


def gaussian_entropy_of_coordinates(cov):
    return sum(0.5 * math.log(2 * math.pi * math.e * variance) for variance in np.diag(cov))


def gaussian_entropy_deviations(cov):
    """log σ of what is σ²."""
    return len(cov) / 2 * math.log(2 * math.pi * math.e) + np.log(np.linalg.eigvalsh(cov)).sum()


def gaussian_entropy_half_twice(cov):
    """½ log det of the Cholesky factor."""
    log_det_l = np.log(np.diag(np.linalg.cholesky(cov))).sum()
    return 0.5 * (len(cov) * (1 + math.log(2 * math.pi)) + log_det_l)


def gaussian_entropy_no_constant(cov):
    return 0.5 * np.linalg.slogdet(cov).logabsdet


def _canonical_correlations(cov, dim_x):
    l_x, l_y = np.linalg.cholesky(cov[:dim_x, :dim_x]), np.linalg.cholesky(cov[dim_x:, dim_x:])
    half = linalg.solve_triangular(l_x, cov[:dim_x, dim_x:], lower=True)
    whitened = linalg.solve_triangular(l_y, half.T, lower=True)
    return np.linalg.svd(whitened, compute_uv=False)


def gaussian_information_negative(cov, dim_x):
    both = np.linalg.det(cov)
    return 0.5 * np.log(both / (np.linalg.det(cov[:dim_x, :dim_x]) * np.linalg.det(cov[dim_x:, dim_x:])))


def gaussian_information_total_correlation(cov, dim_x):
    deviations = np.sqrt(np.diag(cov))
    return -0.5 * np.linalg.slogdet(cov / np.outer(deviations, deviations))[1]


def gaussian_information_unsquared(cov, dim_x):
    return -0.5 * np.log(1 - _canonical_correlations(cov, dim_x)).sum()


def gaussian_information_first_canonical(cov, dim_x):
    return -0.5 * math.log(1 - _canonical_correlations(cov, dim_x).max() ** 2)


def gaussian_information_first_order(cov, dim_x):
    rho = _canonical_correlations(cov, dim_x)
    return rho @ rho / 2


def _log_det(cov):
    return np.linalg.slogdet(cov)[1]


def gaussian_kl_no_dimension(mean_p, cov_p, mean_q, cov_q):
    inverse, gap = np.linalg.inv(cov_q), mean_q - mean_p
    return 0.5 * (np.trace(inverse @ cov_p) + gap @ inverse @ gap + _log_det(cov_q) - _log_det(cov_p))


def gaussian_kl_minus_one(mean_p, cov_p, mean_q, cov_q):
    """The formula of one dimension."""
    inverse, gap = np.linalg.inv(cov_q), mean_q - mean_p
    return 0.5 * (np.trace(inverse @ cov_p) + gap @ inverse @ gap - 1 + _log_det(cov_q) - _log_det(cov_p))


def gaussian_kl_log_ratio_inverted(mean_p, cov_p, mean_q, cov_q):
    precision, gap = np.linalg.inv(cov_q), mean_p - mean_q
    log_ratio = np.log(np.linalg.det(cov_p) / np.linalg.det(cov_q))
    return 0.5 * ((precision * cov_p).sum() + gap @ precision @ gap - gap.size + log_ratio)


def gaussian_kl_gap_by_p(mean_p, cov_p, mean_q, cov_q):
    gap = mean_q - mean_p
    trace = np.trace(np.linalg.solve(cov_q, cov_p))
    mahalanobis = gap @ np.linalg.solve(cov_p, gap)
    return 0.5 * (trace + mahalanobis - len(gap) + _log_det(cov_q) - _log_det(cov_p))


def gaussian_kl_gap_euclidean(mean_p, cov_p, mean_q, cov_q):
    trace = np.trace(np.linalg.solve(cov_q, cov_p))
    squares = np.square(mean_q - mean_p).sum()
    return 0.5 * (trace + squares - len(mean_p) + _log_det(cov_q) - _log_det(cov_p))


def gaussian_kl_no_means(mean_p, cov_p, mean_q, cov_q):
    ratio = np.linalg.solve(cov_q, cov_p)
    return 0.5 * (np.trace(ratio) - len(ratio) - _log_det(ratio))


def gaussian_kl_of_coordinates(mean_p, cov_p, mean_q, cov_q):
    v_p, v_q = np.diag(cov_p), np.diag(cov_q)
    return 0.5 * np.sum(np.log(v_q / v_p) + (v_p + (mean_p - mean_q) ** 2) / v_q - 1)


def gaussian_kl_trace_inverted(mean_p, cov_p, mean_q, cov_q):
    gap = mean_q - mean_p
    trace = np.trace(np.linalg.inv(cov_p) @ cov_q)
    mahalanobis = gap @ np.linalg.inv(cov_q) @ gap
    return 0.5 * (trace + mahalanobis - len(gap) + _log_det(cov_q) - _log_det(cov_p))
