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


def scores_positives_left_in(scores, clip, penalty):
    t = tanh_clip(scores, clip).permute(1, 0, 2)
    n = len(t)
    everything = torch.logsumexp(t.reshape(n, -1), dim=1)
    positive = torch.diagonal(t, dim1=0, dim2=1).T
    return -(positive - torch.logaddexp(positive, everything[:, None])).mean() + penalty * (scores**2).mean()


def scores_masked_once(scores, clip, penalty):
    t = tanh_clip(scores, clip).permute(1, 0, 2)
    n = len(t)
    pos = torch.eye(n, dtype=t.dtype)[:, :, None]
    others = torch.logsumexp((t * (1 - pos) - clip * pos).reshape(n, -1), dim=1)
    positive = torch.diagonal(t, dim1=0, dim2=1).T
    return -(positive - torch.logaddexp(positive, others[:, None])).mean() + penalty * (scores**2).mean()


def scores_sum_over_places(scores, clip, penalty):
    return nce(tanh_clip(scores, clip)) * scores.shape[2] + penalty * (scores**2).mean()


def rows_of(scores, clip):
    """The own image's scores and the others', anchor by anchor."""
    t = tanh_clip(scores, clip)
    for j in range(len(t)):
        yield t[j, j], torch.cat([t[i, j] for i in range(len(t)) if i != j])


def scores_mean_positive(scores, clip, penalty):
    """The own image's locations are averaged to one positive."""
    terms = [F.softplus(torch.logsumexp(others, 0) - own.mean()) for own, others in rows_of(scores, clip)]
    return torch.stack(terms).mean() + penalty * (scores**2).mean()


# ---- from embeddings


def square(candidates, anchors):
    return torch.einsum("ile,je->ijl", candidates, anchors)


def direction(candidates, anchors, clip, penalty):
    return scores_plain(square(candidates, anchors) / anchors.shape[1] ** 0.5, clip, penalty)


def direction_divided_by_units(candidates, anchors, clip, penalty):
    return scores_plain(square(candidates, anchors) / anchors.shape[1], clip, penalty)


def direction_penalty_before_root(candidates, anchors, clip, penalty):
    raw = square(candidates, anchors)
    return nce(tanh_clip(raw / math.sqrt(anchors.shape[1]), clip)) + penalty * (raw**2).mean()


# ---- both directions


def pair(f_1, y_1, f_2, y_2, clip, penalty):
    return 0.5 * (direction(f_2, y_1, clip, penalty) + direction(f_1, y_2, clip, penalty))


def pair_summed(f_1, y_1, f_2, y_2, clip, penalty):
    return direction(f_2, y_1, clip, penalty) + direction(f_1, y_2, clip, penalty)


def pair_first(f_1, y_1, f_2, y_2, clip, penalty):
    return direction(f_2, y_1, clip, penalty)


def pair_same_view(f_1, y_1, f_2, y_2, clip, penalty):
    return 0.5 * (direction(f_1, y_1, clip, penalty) + direction(f_2, y_2, clip, penalty))


def pair_penalties_added(f_1, y_1, f_2, y_2, clip, penalty):
    scores = [square(f, y) / y.shape[1] ** 0.5 for f, y in ((f_2, y_1), (f_1, y_2))]
    entropy = sum(nce(tanh_clip(s, clip)) for s in scores) / 2
    return entropy + penalty * sum((s**2).mean() for s in scores)


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


def accuracy_over_len_of_loader(logits, labels, batch_size):
    batches = loader(logits, labels, batch_size)
    return sum((x.argmax(1) == y).sum() for x, y in batches).double() / (len(batches) * batch_size)


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


def norm_warmed_on_test(x, gain, shift, mean, variance):
    """One pass in training mode "to warm up", then evaluation."""
    mean, variance = mean.clone(), variance.clone()
    F.batch_norm(x.detach(), mean, variance, training=True, momentum=0.1)
    return F.batch_norm(x, mean, variance, gain, shift, training=False)
