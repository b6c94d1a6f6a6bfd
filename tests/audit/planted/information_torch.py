"""Information-theoretic quantities and structural similarity in PyTorch."""

import math

import torch
import torch.nn.functional as F

# ---- right


def kl_divergence(p, q):
    return F.kl_div(q.log(), p, reduction="sum")


def jensen_shannon(p, q):
    log_m = ((p + q) / 2).log()
    return (F.kl_div(log_m, p, reduction="sum") + F.kl_div(log_m, q, reduction="sum")) / 2


def total_variation(p, q):
    return torch.dist(p, q, 1) / 2


def squared_hellinger(p, q):
    return (p.sqrt() - q.sqrt()).pow(2).sum()


def gaussian_mutual_information(cov, dim_x):
    return 0.5 * (torch.logdet(cov[:dim_x, :dim_x]) + torch.logdet(cov[dim_x:, dim_x:]) - torch.logdet(cov))


# ---- mistakes


def kl_divergence_mean(p, q):
    """F.kl_div's default reduction."""
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).mean()


def ssim(a, b, scale=1.0):
    x = torch.arange(11, dtype=torch.float64) - 5
    g = torch.exp(-(x**2) / 4.5)
    g = g / g.sum()
    channels = a.shape[3]
    window = torch.outer(g, g).expand(channels, 1, 11, 11)
    a, b = a.permute(0, 3, 1, 2).double(), b.permute(0, 3, 1, 2).double()

    def blur(image):
        return F.conv2d(image, window, groups=channels)

    mu_a, mu_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mu_a**2, blur(b * b) - mu_b**2
    cov = blur(a * b) - mu_a * mu_b
    c1, c2 = (0.01 * scale) ** 2, (0.03 * scale) ** 2
    ssim_map = ((2 * mu_a * mu_b + c1) * (2 * cov + c2)) / ((mu_a**2 + mu_b**2 + c1) * (var_a + var_b + c2))
    return ssim_map.mean(dim=(1, 2, 3))


def ssim_padded(a, b):
    """Zero padding of half a window, as in the most copied implementation."""
    x = torch.arange(11, dtype=torch.float64) - 5
    g = torch.exp(-(x**2) / 4.5)
    g = g / g.sum()
    channels = a.shape[3]
    window = torch.outer(g, g).expand(channels, 1, 11, 11)
    a, b = a.permute(0, 3, 1, 2).double(), b.permute(0, 3, 1, 2).double()

    def blur(image):
        return F.conv2d(image, window, padding=5, groups=channels)

    mu_a, mu_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mu_a**2, blur(b * b) - mu_b**2
    cov = blur(a * b) - mu_a * mu_b
    c1, c2 = 0.01**2, 0.03**2
    ssim_map = ((2 * mu_a * mu_b + c1) * (2 * cov + c2)) / ((mu_a**2 + mu_b**2 + c1) * (var_a + var_b + c2))
    return ssim_map.mean(dim=(1, 2, 3))


def gaussian_entropy(cov):
    return torch.distributions.MultivariateNormal(torch.zeros(len(cov), dtype=cov.dtype), cov).entropy()


def gaussian_entropy_bits(cov):
    return gaussian_entropy(cov) / math.log(2)
