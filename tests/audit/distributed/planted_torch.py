"""Losses on ranks as public PyTorch writes them, right and wrong."""

import os
import time

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as with_backward
from torch.nn import functional as F


def still(x):
    """Every rank's rows, without gradient, as torch.distributed.all_gather leaves them."""
    found = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    dist.all_gather(found, x.contiguous())
    return found


def stopped(x):
    return torch.cat(still(x))


def alive(x):
    return torch.cat(with_backward.all_gather(x))


def own_slice(x):
    found = still(x)
    found[dist.get_rank()] = x
    return torch.cat(found)


def own_first(x):
    found = still(x)
    found.pop(dist.get_rank())
    return torch.cat([x, *found])


class OwnTimesW(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return stopped(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient.chunk(dist.get_world_size())[dist.get_rank()] * dist.get_world_size()


def both(image, text, all_image, all_text, labels, temperature):
    return (F.cross_entropy(image @ all_text.T / temperature, labels)
            + F.cross_entropy(text @ all_image.T / temperature, labels)) / 2  # fmt: skip


def clip_local(gather, offset=True):
    def loss(image, text, temperature):
        image, text = F.normalize(image, dim=1), F.normalize(text, dim=1)
        labels = torch.arange(len(image)) + offset * dist.get_rank() * len(image)
        return both(image, text, gather(image), gather(text), labels, temperature)

    return loss


def clip_global(gather, times=1.0):
    def loss(image, text, temperature):
        image, text = gather(F.normalize(image, dim=1)), gather(F.normalize(text, dim=1))
        return times * both(image, text, image, text, torch.arange(len(image)), temperature)

    return loss


def clip_share(image, text, temperature):
    return clip_local(alive)(image, text, temperature) / dist.get_world_size()


def clip_negatives_of_the_rank(image, text, temperature):
    return clip_local(lambda x: x, offset=False)(image, text, temperature)


def clip_offset_alone(image, text, temperature):
    return clip_local(lambda x: x)(image, text, temperature)


def clip_times_w(image, text, temperature):
    return clip_global(own_slice, dist.get_world_size())(image, text, temperature)


def padded(x, counts):
    """Rows of ranks that have unequal numbers of them."""
    most = max(counts)
    found = with_backward.all_gather(F.pad(x, (0, 0, 0, most - len(x))))
    return torch.cat([part[:n] for part, n in zip(found, counts, strict=True)])


def clip_padded(weigh, offset=True):
    """For uneven batches."""

    def loss(image, text, temperature):
        counts = [int(n) for n in still(torch.tensor([len(image)]))]
        image, text = F.normalize(image, dim=1), F.normalize(text, dim=1)
        first = sum(counts[: dist.get_rank()]) if offset else dist.get_rank() * len(image)
        found = both(
            image, text, padded(image, counts), padded(text, counts), torch.arange(len(image)) + first, temperature
        )
        return found * len(image) * len(counts) / sum(counts) if weigh else found

    return loss


def nt_xent(order):
    """SimCLR's global loss, of z gathered after the views were stacked, or before."""

    def loss(a, b, temperature):
        a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
        z = alive(torch.cat([a, b])) if order == "by rank" else torch.cat([alive(a), alive(b)])
        n = len(z) // 2
        scores = (z @ z.T / temperature).fill_diagonal_(-1e9)
        return F.cross_entropy(scores, (torch.arange(2 * n) + n) % (2 * n))

    return loss


def dcl_local(gather):
    def loss(a, b, temperature):
        a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
        z, n = torch.cat([gather(a), gather(b)]), len(a) * dist.get_world_size()
        me = torch.arange(len(a)) + dist.get_rank() * len(a)
        scores = torch.cat([a, b]) @ z.T / temperature
        itself, other, rows = torch.cat([me, me + n]), torch.cat([me + n, me]), torch.arange(2 * len(a))
        rest = scores.index_put((rows, itself), torch.tensor(-1e9).to(scores))
        rest = rest.index_put((rows, other), torch.tensor(-1e9).to(scores))
        return (rest.logsumexp(1) - scores[rows, other]).mean()

    return loss


def siglip_local(gather):
    def loss(image, text, log_scale, bias):
        image, text = F.normalize(image, dim=1), F.normalize(text, dim=1)
        logits = image @ gather(text).T * log_scale.exp() + bias
        here = torch.arange(len(image))
        signs = -torch.ones_like(logits)
        signs[here, here + dist.get_rank() * len(image)] = 1
        return -F.logsigmoid(signs * logits).sum() / len(image)

    return loss


def infonce_own_first(labels_too):
    """The order of what is gathered: harmless where labels are of it."""

    def loss(queries, keys, temperature):
        q, k = F.normalize(queries, dim=1), own_first(F.normalize(keys, dim=1))
        labels = torch.arange(len(q)) + (0 if labels_too else dist.get_rank() * len(q))
        return F.cross_entropy(q @ k.T / temperature, labels)

    return loss


def in_place(x):
    """torch.distributed.all_reduce: the sum, whose gradient stays here."""
    found = x.clone()
    dist.all_reduce(found)
    return found


def statistics(reduce, x, passes=2):
    n = reduce(torch.full((1,), float(len(x)), dtype=x.dtype))
    mean = reduce(x.sum(0)) / n
    if passes == 1:
        return mean, reduce((x * x).sum(0)) / n - mean**2
    return mean, reduce(((x - mean) ** 2).sum(0)) / n


def moments(reduce, passes=2):
    return lambda x: statistics(reduce, x, passes)


def moments_of_the_rank(x):
    return x.mean(0), x.var(0, unbiased=False)


def moments_averaged(x):
    w = dist.get_world_size()
    return tuple(with_backward.all_reduce(each) / w for each in moments_of_the_rank(x))


def batch_norm(reduce, counted=True):
    def layer(x, gain, shift):
        w = dist.get_world_size()
        if counted:
            mean, variance = statistics(reduce, x)
        else:
            mean = reduce(x.mean(0)) / w
            variance = reduce(((x - mean) ** 2).mean(0)) / w
        return (x - mean) / (variance + 1e-5).sqrt() * gain + shift

    return layer


def batch_norm_of_the_rank(x, gain, shift):
    return F.batch_norm(x, None, None, gain, shift, True)


# ---- what does not answer


def hangs(image, text, temperature):
    if dist.get_rank() == 1:
        time.sleep(60)
    return clip_local(alive)(image, text, temperature)


def dies(image, text, temperature):
    if dist.get_rank() == 1:
        os._exit(3)
    return clip_local(alive)(image, text, temperature)


def raises(image, text, temperature):
    if dist.get_rank() == 1:
        raise ValueError("no such luck")
    return clip_local(alive)(image, text, temperature)


def leaves_early(image, text, temperature):
    if dist.get_rank() == 1:
        return (image * text).mean() / temperature
    return clip_local(alive)(image, text, temperature)


def prints(image, text, temperature):
    print("step 1")
    return clip_local(alive)(image, text, temperature)


def clip(image, text, temperature):
    return clip_local(alive)(image, text, temperature)


class Clip:
    def __init__(self, rank, world_size):
        assert (rank, world_size) == (dist.get_rank(), dist.get_world_size())

    def __call__(self, image, text, temperature):
        return clip(image, text, temperature)
