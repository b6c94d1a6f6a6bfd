"""The ways in which W ranks compute a quantity, right and wrong, with their threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from dimref.audit.distributed.quantities import Counts, Quantity, Way

GATHER = "gather with a backward pass that sums over ranks, as torch.distributed.nn.functional.all_gather's"


@dataclass(frozen=True)
class Named:
    """A way, and what is known of it.

    Attributes:
        key: of the kind of mistake, "" for what is right.
        title: what the ranks do.
    """

    key: str
    title: str
    way: Way
    consequence: str = ""
    fix: str = ""
    source: str = ""


# ---- which rows take a gradient: key, title, gradient weights of own rows and of others, consequence, fix, source

SUMMED = Named("", "gathered with gradient", Way(False, lambda w: (1, 1)))
GATHERS = (
    SUMMED,
    Named("gather-without-gradient", "gathered without gradient", Way(False, lambda w: (0, 0)),
          "as a candidate no row is pushed anywhere: the loss is right, and no forward test sees it",
          GATHER, "github.com/facebookresearch/SLIP issue 31; mlfoundations/open_clip issue 616"),
    Named("own-slice", "gathered with the own slice alive", Way(False, lambda w: (1, 0)),
          "what a rank's rows do in the others' losses is lost: the loss is right, and no forward test sees it",
          GATHER, "github.com/Spijkervet/SimCLR issue 33; KevinMusgrave/pytorch-metric-learning issue 363"),
    Named("own-slice-times-w", "gathered with the own slice alive, its gradient × W", Way(False, lambda w: (w, 0)),
          "what averaging divides by W is put back, for a loss of the whole batch alone", GATHER,
          "github.com/modelscope/ms-swift pull request 10081"),
    Named("gather-averaged", "gathered with a gradient averaged over ranks", Way(False, lambda w: (1 / w, 1 / w)),
          "the gradient as a candidate is 1/W of what it should be", GATHER, ""),
    Named("gather-times-w", "gathered with a gradient × W", Way(False, lambda w: (w, w)),
          "the gradient as a candidate is W times what it should be", GATHER, "github.com/Tencent/TFace issue 34"),
)  # fmt: skip
OF_STATISTICS = {  # the same of an all_reduce of statistics: title, consequence, fix, source
    "": ("statistics of the whole batch, with their gradient", "", "", ""),
    "gather-without-gradient": (
        "statistics of the whole batch that take no gradient",
        "the output is right; what a row does through the mean and the variance is lost", "", ""),
    "own-slice": (
        "an all_reduce without a backward pass: each rank's gradient through the statistics ends at its own rows",
        "the value is right, and no forward test sees it", "",
        "github.com/lightly-ai/lightly issue 1977; facebookresearch/barlowtwins issue 8"),
}  # fmt: skip
REDUCE = "torch.distributed.nn.functional.all_reduce, whose backward is an all_reduce itself"

# ---- where labels point


def _order(of: Callable[[int, Counts], list[int]]) -> Callable[[int, Counts, np.ndarray], np.ndarray]:
    """Labels as if rows came in the order of the ranks, which is another."""
    return lambda rank, counts, places: np.array([row for r in of(rank, counts) for row in _rows(r, counts)])[places]


def _rows(rank: int, counts: Counts) -> range:
    return range(sum(counts[:rank]), sum(counts[: rank + 1]))


def _interleaved(rank: int, counts: Counts, places: np.ndarray) -> np.ndarray:
    n, w = min(counts), len(counts)
    return np.arange(n * w).reshape(w, n).T.reshape(-1)[np.minimum(places, n * w - 1)]


ORDERS = {
    "the own rows first": _order(lambda rank, counts: [rank, *(r for r in range(len(counts)) if r != rank)]),
    "the last rank first": _order(lambda rank, counts: list(range(len(counts)))[::-1]),
    "the next rank first": _order(lambda rank, counts: [(r + 1) % len(counts) for r in range(len(counts))]),
    "the first row of every rank first": _interleaved,
}
NO_OFFSET = Named(
    "no-offset", "labels without the rank's offset",
    Way(False, None, lambda rank, counts, places: places - sum(counts[:rank])),
    "every rank but the first pulls its rows toward those of rank 0", "labels = arange(n) + rank · n",
    "github.com/modelscope/ms-swift pull request 10069",
)  # fmt: skip
ORDER = Named(
    "order", "rows gathered in another order than the labels': {}", Way(False, None),
    "positives are other images'", "concatenate what all_gather returns in the order of the ranks",
    "github.com/Spijkervet/SimCLR pull request 46; huggingface/sentence-transformers pull request 3453",
)  # fmt: skip
OFFSET_ALONE = Named(
    "offset-alone", "labels with the rank's offset although nothing was gathered",
    Way(False, None, lambda rank, counts, places: places + sum(counts[:rank])),
    "no rank but the first has a positive", "the offset only where rows were gathered",
    "github.com/lightly-ai/lightly issue 1176",
)  # fmt: skip
LOCAL = Named(
    "local-negatives", "nothing is gathered: each rank has its own rows as negatives", Way(False, None),
    "another objective, of fewer negatives: its gradient is none of the whole batch's", GATHER,
    "github.com/Lightning-Universe/lightning-bolts issue 179; HobbitLong/SupContrast issue 26",
)  # fmt: skip
NOT_SYNCHRONIZED = replace(
    LOCAL, key="not-synchronized", title="statistics of each rank's own rows, not synchronized",
    consequence="another function of each row, which depends on W", fix=REDUCE,
    source="github.com/pytorch/pytorch issue 2584",
)  # fmt: skip
UNEQUAL = "sum n, Σx and Σ(x − mean)² over ranks, and divide once"
VARIANCES = Named(
    "variances-averaged", "the ranks' variances averaged, without the spread of their means", Way(False, None),
    "too small by the variance of the ranks' means", UNEQUAL, "github.com/PaddlePaddle/Paddle issue 32464",
)  # fmt: skip

# ---- what a last, uneven batch shows

MEAN_OF_MEANS = Named(
    "uneven-batch", "the mean of the ranks' means, as if all had as many rows", Way(False, None),
    "a row of a rank with fewer rows weighs more", "the rank's mean times n_rank · W / N; or drop the last batch",
    "github.com/facebookresearch/fairchem pull request 269; pytorch/pytorch issue 67253",
)  # fmt: skip
EQUAL_COUNTS = Named(
    "unequal-counts", "the ranks' moments averaged as if all had as many rows", Way(False, None, statistics="equal"),
    "a row of a rank with fewer rows weighs more", UNEQUAL,
    "github.com/PaddlePaddle/Paddle issue 32464; pytorch/pytorch issue 22192",
)  # fmt: skip
OFFSET_OF_OWN = Named(
    "uneven-offset", "the offset as rank times the own number of rows",
    Way(False, None, lambda rank, counts, places: places - sum(counts[:rank]) + rank * counts[rank]),
    "positives are other images'", "the sum of the numbers of rows of the ranks before", "",
)  # fmt: skip


def ways(name: str, quantity: Quantity) -> Iterator[Named]:
    """Every way for one quantity, the right ones first."""
    if quantity.reduction:
        for gather in GATHERS[:3]:
            title, consequence, fix, source = OF_STATISTICS[gather.key]
            key = "no-backward" if gather.key else ""
            for statistics in ("", "two passes") if gather.key == "own-slice" else ("",):
                way = replace(gather.way, statistics=statistics)
                yield Named(key, title, way, consequence, fix or (key and REDUCE), source)
        for gather in GATHERS[:3]:
            yield replace(VARIANCES, way=replace(gather.way, statistics="variances"))
        yield NOT_SYNCHRONIZED
        return
    for everything, scope in (
        (False, "each rank has the loss of its own rows"),
        (True, "every rank has the whole loss"),
    ):
        for gather in GATHERS:
            way = replace(gather.way, everything=everything)
            yield replace(gather, title=f"{scope}, {gather.title}", way=way)
    yield LOCAL
    yield OFFSET_ALONE
    for gather in GATHERS[:3]:
        also = f", {gather.title}"
        for masked in (False, True) if quantity.views else (False,):
            way = replace(gather.way, labels=NO_OFFSET.way.labels, masked=masked)
            yield replace(NO_OFFSET, title=f"{NO_OFFSET.title}{also}", way=way)
        for words, labels in ORDERS.items():
            for everything in (False, True) if name in ("infonce", "siglip") else (False,):
                way = replace(gather.way, labels=labels, everything=everything)
                yield replace(ORDER, title=f"{ORDER.title.format(words)}{also}", way=way)
        if quantity.views:
            way = replace(gather.way, everything=True, by_rank=True)
            yield replace(ORDER, title=f"{ORDER.title.format('both views of a rank together')}{also}", way=way)


def of_uneven(quantity: Quantity, named: Named) -> Iterator[Named]:
    """What a rank with fewer rows may do wrong where equal shares show nothing."""
    if quantity.reduction:
        yield replace(EQUAL_COUNTS, way=replace(named.way, statistics="equal"))
        return
    yield replace(MEAN_OF_MEANS, way=named.way)
    yield replace(OFFSET_OF_OWN, way=replace(named.way, labels=OFFSET_OF_OWN.way.labels))
