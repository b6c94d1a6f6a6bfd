"""Laws of many ranks: W of them compute together what one process computes of the whole batch.

The ranks of a case run in lock step in this process. The false statements at the end are those by which public code has
the right loss, or a plausible one, and another gradient.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from dimref import amdim, bounds, discriminators, encoders, objectives, ops, optim, ranks
from dimref.amdim import encoder as amdim_encoder
from dimref.backend import NUMPY, Backend
from dimref.distributed.ranks import Carrier, Ranks
from dimref.distributed.threads import lockstep
from dimref.laws.cases import in_float64
from dimref.laws.law import Case, Draw, Sizes, Slack, equal, law, rounding, tightest
from dimref.objectives import Objective
from dimref.ranks import OneRank
from dimref.step import train_step
from dimref.tape import stop_gradient, value_and_gradients
from dimref.trees import Array, Tree, leaves, map_tree

HJELM, OORD, AMDIM, DDP = "arXiv 1808.06670", "arXiv 1807.03748", "arXiv 1906.00910", "arXiv 2006.15704"

# ---- the collectives


def _rows(rng: np.random.Generator, sizes: Sizes) -> Case:
    """Rows of W ranks, as many as each has, and a weight for every number that a collective returns anywhere."""
    w = int(rng.integers(1, 5))
    counts = tuple(map(int, rng.integers(1, 4, w)))
    row = (sizes.m, sizes.locations)
    return {
        "x": rng.standard_normal((sum(counts), *row)),
        "gathered": rng.standard_normal((w, sum(counts), *row)),
        "y": rng.standard_normal((w, *row)),
        "summed": rng.standard_normal((w, *row)),
        "counts": counts,
    }


@law("identity", "Σ_r ⟨gather(x), u_r⟩ = Σ_r ⟨x_r, gather*(u)_r⟩, and so for the sum; twice", _rows,
     "arXiv 1502.05767, section 3.2")  # fmt: skip
def collectives_have_their_adjoints(case: Case, backend: Backend) -> Slack:
    """On every rank another u_r. gather* sums over ranks and cuts out the own rows; the sum is its own adjoint.

    The VJPs are made of the collectives, so ∂⟨x*(u), x⟩/∂u, a second backward pass, is the collective again.
    """
    counts, w = case["counts"], len(case["counts"])
    starts = np.cumsum((0, *counts))

    def program(carrier: Carrier) -> list[np.ndarray]:
        r, now = carrier.rank, Ranks(carrier, sum(counts))
        x, gathered, y, summed = backend.tree_to_device(
            {"x": case["x"][starts[r] : starts[r + 1]], **{k: case[k][r] for k in ("gathered", "y", "summed")}}
        ).values()
        with ranks.among(now):
            results = (
                *_pulled_twice(lambda a: now.all_gather(a, counts), x, gathered),
                *_pulled_twice(now.all_sum, y, summed),
            )
        return [backend.to_host(a) for a in results]

    gathered, of_x, gathered_again, summed, of_y, summed_again = zip(*lockstep(w, program), strict=True)
    of_all, total = [case["x"]] * w, [case["y"].sum(axis=0)] * w
    return tightest(
        *(equal(result, of_all, 1e-12) for result in (gathered, gathered_again)),
        *(equal(result, total, 1e-12) for result in (summed, summed_again)),
        equal(np.concatenate(of_x), case["gathered"].sum(axis=0), 1e-12),
        equal(of_y, [case["summed"].sum(axis=0)] * w, 1e-12),
    )


def _pulled_twice(collective: Callable[[Array], Array], x: Array, u: Array) -> tuple[Array, Array, Array]:
    """collective(x), pulled(u) = ∂⟨collective(x), u⟩/∂x, and ∂⟨pulled(u), x⟩/∂u."""

    def pulled(u: Array) -> Array:
        return _slope(lambda at: ops.total(ops.multiply(collective(at), u)), x)

    return collective(x), pulled(u), _slope(lambda u: ops.total(ops.multiply(pulled(u), x)), u)


def _slope(function: Callable[[Array], Array], x: Array) -> Array:
    return value_and_gradients(lambda tree: (function(tree["x"]), {}), {"x": x})[1]["x"]


# ---- training steps

DIM_LAYOUT = encoders.Layout(8, 1, width=3, fc=7, representation=4)
AMDIM_LAYOUT = amdim_encoder.Layout(32, 3, ndf=2, ndepth=1, nrkhs=8)
_mixed = partial(Objective, 0.5, 1.0, 0.1)
OBJECTIVES: dict[str, Objective | amdim.Objective] = {
    "jsd": _mixed("jsd", gradient_penalty=0.3),
    "jsd dot": _mixed("jsd", "dot", "all-pairs", prior="gaussian", prior_loss="non-saturating"),
    "dv": _mixed("dv", local_negatives="roll"),
    "dv dot": _mixed("dv", "dot", "all-pairs"),
    "mine": _mixed("mine"),
    "mine dot": _mixed("mine", "dot", "all-pairs"),
    "nwj": _mixed("nwj", global_negatives="roll"),
    "nwj dot": _mixed("nwj", "dot", "all-pairs"),
    "infonce": _mixed("infonce", "dot", "same-location", "same-location"),
    "infonce all locations": _mixed("infonce", "dot", "all-locations", "all-locations"),
    "infonce official critic": _mixed(
        "infonce", "dot", "all-locations", "all-locations", dot=discriminators.DOT_PIECES, global_map="local"
    ),
    "infonce sampled": _mixed("infonce", "concat", "sampled", "sampled", candidates=3),
    "infonce concat": _mixed("infonce", "concat", "same-location", "all-locations"),
    "amdim": amdim.Objective(),
}
LR, EPSILON = 1e-3, 1e-3


def training(objective: str, n: int, seed: int, backend: Backend = NUMPY, w: int | None = None, steps: int = 5) -> list:
    """What each of W ranks, or one process without any, has of some steps in float64: a tree of arrays for each step.

    Adam's ε is 1e-3: at 1e-8 it makes a step of up to lr·(rounding/ε) of a gradient that is 0 but for rounding, as that
    of a bias before batch norm, which then differs in the tenth digit.
    """
    chosen = OBJECTIVES[objective]
    method, layout = (amdim, AMDIM_LAYOUT) if objective == "amdim" else (objectives, DIM_LAYOUT)
    rng = np.random.default_rng(seed)
    parameters, state = map(in_float64, method.init_parameters(rng, layout, chosen))
    if isinstance(chosen, Objective) and chosen.local_scorer == "dot":  # a narrower one
        sizes = layout.local[1], layout.representation
        parameters["local"] = in_float64(discriminators.init_dot(rng, *sizes, units=5, pieces=chosen.dot))
    shape = (n, layout.padded, layout.padded, layout.channels)
    batches = [(rng.uniform(-1, 1, shape), method.draw_noise(rng, chosen, layout, n)) for _ in range(steps)]

    def program(carrier: Carrier | None = None) -> list[Tree]:
        now = ranks.OneRank() if carrier is None else Ranks(carrier, n)
        own, model = map(backend.tree_to_device, (map_tree(np.copy, parameters), state))
        adam, seen = optim.init_adam(own), []

        def check(value: Array, gradients: Tree, report: Tree) -> None:
            parts = {name: report[name] for name in ("terms", "saturated", "state")}
            seen.append(_on_host({**parts, "share": value, "gradients": gradients}, backend))

        with ranks.among(now):
            for k, (images, noise) in enumerate(batches):
                own, model, adam, _ = train_step(
                    lambda *a: method.loss(*a, chosen, layout), own, model, adam,
                    now.own(backend.to_device(images)), backend.tree_to_device(in_float64(noise)),
                    LR, rates=optim.step_rates(k + 1, LR, epsilon=EPSILON), check=check,
                )  # fmt: skip
                seen[-1] |= _on_host({"parameters": own}, backend)
        return seen

    return [program()] if w is None else lockstep(w, program)


def _on_host(tree: Tree, backend: Backend) -> dict[str, np.ndarray]:
    return {path: np.array(backend.to_host(leaf)) for path, leaf in leaves(tree) if leaf is not None}


def differences(many: list, one: list) -> dict[str, float]:
    """The worst difference from one process by part, of every step and rank, as a share of an array's largest number.

    "share" is of the sum over ranks. "bits" is of the parameters between ranks, which are equal to the last bit.
    """
    worst: dict[str, float] = {}
    for step, expected in enumerate(one):
        for path, b in expected.items():
            part = path.partition("/")[0]
            a = np.stack([rank[step][path] for rank in many])
            bits = np.abs(a - a[0]).max(initial=0)
            a = a.sum(axis=0) if part == "share" else a
            relative = np.abs(a - b).max(initial=0) / max(1.0, np.abs(b).max(initial=0))
            for name, value in ((part, relative), *((("bits", bits),) if part == "parameters" else ())):
                worst[name] = float(np.maximum(worst.get(name, 0.0), value))  # NaN stays
    return worst


def _training(rng: np.random.Generator, sizes: Sizes) -> Case:
    """An objective, 2 … 4 images more than W needs and 1 … 4 ranks: shares are equal, or differ by one."""
    w = int(rng.integers(1, 5))
    n = int(rng.integers(max(w, 4), 8))
    return {"objective": str(rng.choice(list(OBJECTIVES))), "ranks": w, "images": n, "seed": int(rng.integers(2**31))}


@law("identity", "loss, gradients, state and parameters of five steps on W ranks are one process's", _training,
     f"{HJELM}, eq. (8); {AMDIM}, eq. (1)", weight=50)  # fmt: skip
def five_steps_are_one_process(case: Case, backend: Backend) -> Slack:
    """Whatever is over the batch is over all ranks, and every rank adds its share, L/W, to the gradient.

    State: running statistics and MINE's average. Every bound, critic and kind of negatives, the prior's game, AMDIM.
    """
    (one,) = training(case["objective"], case["images"], case["seed"], backend)
    many = training(case["objective"], case["images"], case["seed"], backend, case["ranks"])
    worst = differences(many, one)
    if worst.pop("bits"):
        return Slack(-math.inf, 0.0)
    return equal(list(worst.values()), [0.0] * len(worst), 1e-12)


# ---- one linear encoder of two views


def _views(rng: np.random.Generator, w: int, n: int) -> Case:
    """Pairs x_i, y_i whose embeddings are xA and yA."""
    x = rng.standard_normal((n, 4))
    noise = rng.standard_normal((n, 4))
    return {"x": x, "y": x + 0.5 * noise, "a": rng.standard_normal((4, 3)), "ranks": w}


def _shared_views(rng: np.random.Generator, sizes: Sizes) -> Case:
    w = int(rng.integers(1, 5))
    return _views(rng, w, w + sizes.n)


Local = Callable[[Array, Array, Ranks], Array]  # own embeddings of x and y → a loss of one rank


def _on_ranks(case: Case, backend: Backend, loss: Local) -> tuple[np.ndarray, np.ndarray]:
    """Every rank's loss, (W,), and gradient in A, (W, 4, 3)."""

    def program(carrier: Carrier) -> tuple[float, np.ndarray]:
        now = Ranks(carrier, len(case["x"]))
        with ranks.among(now):
            x, y = (now.own(backend.to_device(case[k])) for k in ("x", "y"))
            value, slopes, _ = value_and_gradients(
                lambda tree: (loss(ops.matmul(x, tree["a"]), ops.matmul(y, tree["a"]), now), {}),
                {"a": backend.to_device(case["a"])},
            )
        return float(backend.to_host(value)), backend.to_host(slopes["a"])

    values, slopes = zip(*lockstep(case["ranks"], program), strict=True)
    return np.array(values), np.stack(slopes)


def _infonce(x: Array, y: Array) -> Array:
    """−InfoNCE over the batch of the present ranks: candidates x' of one y."""
    scores = discriminators.score_matrix(ops.reshape(x, (x.shape[0], 1, x.shape[1])), y)
    return -bounds.infonce(ops.reshape(scores, scores.shape[:2]))


def whole(x: Array, y: Array, now: OneRank) -> Array:
    """The loss L of the whole batch, on every rank."""
    return _infonce(x, y)


def local_negatives(x: Array, y: Array, now: Ranks) -> Array:
    """InfoNCE's loss of the rank's own rows alone."""
    with ranks.among(OneRank()):
        return _infonce(x, y)


def own_slice(x: Array, y: Array, now: Ranks) -> Array:
    """The loss of the rank's own y among the gathered x, of which the own rows alone are traced; a mean over these y."""
    others = now.all_gather(stop_gradient(x))
    own_rows = (slice(now.first, now.first + now.count),)
    everyone = ops.paste(x - stop_gradient(x), others.shape, own_rows) + others  # plus 0: their value is right
    products = ops.matmul(everyone, ops.transpose(y, (1, 0))) * (1 / math.sqrt(y.shape[1]))
    own = ops.total(ops.multiply(x, y)) * (1 / math.sqrt(y.shape[1]) / now.count)
    return ops.mean(ops.logsumexp(products, axis=0)) - own - math.log(now.n)


def _of_one(case: Case, backend: Backend) -> tuple[float, np.ndarray]:
    values, slopes = _on_ranks({**case, "ranks": 1}, backend, whole)
    return float(values[0]), slopes[0]


@law("identity", "∂L = Σ_r ∂(L/W) = mean_r ∂L, the loss L of the whole batch on every rank", _shared_views,
     f"{OORD}, eq. (4); {DDP}, section 3.2", weight=5)  # fmt: skip
def gradients_are_summed(case: Case, backend: Backend) -> Slack:
    """Collectives' VJPs sum over ranks. So a framework that averages gradients must differentiate W times the share."""
    value, slope = _of_one(case, backend)
    values, slopes = _on_ranks(case, backend, whole)
    _, shares = _on_ranks(case, backend, lambda x, y, now: now.share(whole(x, y, now)))
    tolerance = rounding(case["x"], slope)
    return tightest(
        equal(values, np.full(len(values), value), tolerance),
        equal(shares.sum(axis=0), slope, tolerance),
        equal(slopes.mean(axis=0), slope, tolerance),
    )


# ---- false statements


def _pinned(case: Case) -> Draw:
    return lambda rng, sizes: case


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Of the angle between two gradients."""
    return float((a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum()))


FOUR_BY_THREE = _pinned(_views(np.random.default_rng(0), 4, 12))
SEPARATED = _pinned({"x": np.eye(12), "y": np.eye(12), "a": 20 * np.eye(12), "ranks": 4})


@law("counterexample", "the gradient with each rank's own negatives has the direction of the whole batch's",
     FOUR_BY_THREE, f"{OORD}, eq. (4)")  # fmt: skip
def local_negatives_have_its_direction(case: Case, backend: Backend) -> Slack:
    """Another objective: of 12 candidates in 4 ranks, 9 push nothing."""
    _, slopes = _on_ranks(case, backend, local_negatives)
    return equal(cosine(slopes.mean(axis=0), _of_one(case, backend)[1]), 1.0, 1e-3)


@law("counterexample", "the mean over ranks of their own InfoNCE is that of the whole batch", SEPARATED,
     f"{OORD}, section 2.3")  # fmt: skip
def local_infonces_average_to_it(case: Case, backend: Backend) -> Slack:
    """Each is at most log n, the whole at most log Wn: a critic that knows every pair shows both ceilings."""
    values, _ = _on_ranks(case, backend, local_negatives)
    return equal(values.mean(), _of_one(case, backend)[0], 1e-3)


@law("counterexample", "losses that sum to the whole batch's have gradients that do", FOUR_BY_THREE,
     f"{OORD}, eq. (4); {DDP}, section 3.2")  # fmt: skip
def own_slice_has_its_direction(case: Case, backend: Backend) -> Slack:
    """Of the gathered rows the own alone are traced: the loss is right, but no x learns from the y of other ranks."""
    value, slope = _of_one(case, backend)
    values, slopes = _on_ranks(case, backend, own_slice)
    right = equal(values.mean(), value, 1e-9)
    return equal(cosine(slopes.mean(axis=0), slope), 1.0, 1e-3) if right.holds else Slack(math.nan, 0.0)


@law("counterexample", "∂L = mean_r ∂(L/W)", FOUR_BY_THREE, f"{DDP}, section 3.2")
def averaged_shares_have_its_length(case: Case, backend: Backend) -> Slack:
    """The direction is right, the length 1/W: hidden by Adam, not by what else the loss is added to."""
    _, slopes = _on_ranks(case, backend, lambda x, y, now: now.share(whole(x, y, now)))
    return equal(np.linalg.norm(slopes.mean(axis=0)) / np.linalg.norm(_of_one(case, backend)[1]), 1.0, 1e-3)
