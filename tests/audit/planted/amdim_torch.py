"""AMDIM's loss and evaluations around it, as they are written with PyTorch, right and wrong."""

import math

import torch
import torch.nn.functional as F

# ---- from scores[i, j, l]: location l of image i, anchor j


def tanh_clip(x, c):
    return c * torch.tanh(x / c)


def nce(scores):
    """(N, N, L) of clipped scores."""
    n, _, places = scores.shape
    eye = torch.eye(n, dtype=torch.bool)
    by_anchor = scores.permute(1, 0, 2)
    positive = by_anchor[eye]
    negative = by_anchor[~eye].reshape(n, (n - 1) * places)
    lse = torch.logsumexp(negative, dim=1, keepdim=True)
    return -(positive - torch.logaddexp(positive, lse)).mean()


def scores_plain(scores, clip, penalty):
    return nce(tanh_clip(scores, clip)) + penalty * (scores**2).mean()


def scores_as_bound(scores, clip, penalty):
    n, _, places = scores.shape
    return math.log(1 + (n - 1) * places) - scores_plain(scores, clip, penalty)


def scores_hardtanh(scores, clip, penalty):
    return nce(torch.clamp(scores, -clip, clip)) + penalty * (scores**2).mean()


def scores_paper_clip(scores, clip, penalty):
    return nce(20.0 * torch.tanh(scores / 20.0)) + penalty * (scores**2).mean()


def scores_log_softmax_clipped(scores, clip, penalty):
    n, _, places = scores.shape
    total = 0.0
    for j in range(n):
        others = torch.cat([scores[i, j] for i in range(n) if i != j])
        for place in range(places):
            log_p = torch.log_softmax(torch.cat([scores[j, j, place][None], others]), dim=0)[0]
            total = total - tanh_clip(log_p, clip)
    return total / (n * places) + penalty * (scores**2).mean()


def scores_no_penalty(scores, clip, penalty):
    return nce(tanh_clip(scores, clip))


# ---- from embeddings


def square(candidates, anchors):
    return torch.einsum("ile,je->ijl", candidates, anchors)


def direction(candidates, anchors, clip, penalty):
    return scores_plain(square(candidates, anchors) / anchors.shape[1] ** 0.5, clip, penalty)


# ---- both directions


def pair(f_1, y_1, f_2, y_2, clip, penalty):
    return 0.5 * (direction(f_2, y_1, clip, penalty) + direction(f_1, y_2, clip, penalty))


def pair_summed(f_1, y_1, f_2, y_2, clip, penalty):
    return direction(f_2, y_1, clip, penalty) + direction(f_1, y_2, clip, penalty)


def pair_first(f_1, y_1, f_2, y_2, clip, penalty):
    return direction(f_2, y_1, clip, penalty)


def pair_same_view(f_1, y_1, f_2, y_2, clip, penalty):
    return 0.5 * (direction(f_1, y_1, clip, penalty) + direction(f_2, y_2, clip, penalty))


# ---- evaluations


def loader(logits, labels, batch_size, drop_last=False):
    data = torch.utils.data.TensorDataset(logits, labels)
    return torch.utils.data.DataLoader(data, batch_size=batch_size, drop_last=drop_last)


def accuracy(logits, labels, batch_size):
    right = total = 0
    for x, y in loader(logits, labels, batch_size):
        right += (x.argmax(1) == y).sum().item()
        total += len(y)
    return torch.tensor(right / total)


def accuracy_drop_last_over_dataset(logits, labels, batch_size):
    right = sum((x.argmax(1) == y).sum() for x, y in loader(logits, labels, batch_size, drop_last=True))
    return right.double() / len(labels)


def top1_error_percent(logits, labels, batch_size):
    return 100.0 - 100.0 * (logits.argmax(1) == labels).double().mean()


def accuracy_break(logits, labels, batch_size):
    for x, y in loader(logits, labels, batch_size):
        return (x.argmax(1) == y).double().mean()


def top1_percent(logits, labels, batch_size):
    return 100.0 * (logits.argmax(1) == labels).double().mean()


def norm_eval(x, gain, shift, mean, variance):
    """Running statistics as they came from training."""
    return F.batch_norm(x, mean, variance, gain, shift, training=False)
