"""Losses that several ranks compute together: what is planted is named, with the ratios that one process gives."""

import json
import re

import numpy as np
import pytest
from audit.distributed import planted_numpy as numpy_
from click.testing import CliRunner

from dimref.audit import audit_distributed
from dimref.audit.answering import evaluate
from dimref.audit.contract import AuditError, find
from dimref.audit.distributed import catalogue
from dimref.audit.distributed.audit import ALONE
from dimref.audit.distributed.quantities import QUANTITIES, simulate
from dimref.cli import main
from dimref.trees import leaves

try:
    from audit.distributed import planted_torch as torch_
except ImportError:
    torch_ = None

NEEDS_TORCH = pytest.mark.skipif(torch_ is None, reason="PyTorch is not installed: pip install '.[oracle]'")
CONFORMS, CONVENTION, MISTAKE, WITHIN = "conforms", "another valid convention", "mistake", "conforms within"
BY_NUMPY = [  # the first five by default
    ("infonce", numpy_.infonce_bound, {}, CONFORMS, ""),
    ("infonce", numpy_.infonce_whole, {}, CONVENTION, "needs-mean"),
    ("infonce", numpy_.infonce_stopped, {}, MISTAKE, "gather-without-gradient"),
    ("moments", numpy_.moments_as_if_equal, {}, WITHIN, "unequal-counts"),
    ("batch_norm", numpy_.batch_norm, {}, CONFORMS, ""),
    ("infonce", numpy_.infonce_share, {}, CONFORMS, ""),
    ("infonce", numpy_.infonce_share, {"reduction": "mean"}, MISTAKE, "needs-sum"),
    ("infonce", numpy_.infonce_whole, {"reduction": "mean"}, CONFORMS, ""),
    ("infonce", numpy_.infonce_mean_of_means, {"reduction": "mean"}, WITHIN, "uneven-batch"),
    ("infonce", numpy_.infonce_no_offset, {"ranks": 3}, MISTAKE, "no-offset"),
    ("moments", numpy_.moments, {}, CONFORMS, ""),
]


def by_torch():
    """(quantity, function, options, verdict, key), those of the default suite first."""
    t = torch_
    return [] if t is None else [
        ("clip", t.clip_padded(False), {"ranks": 2}, WITHIN, "uneven-batch"),
        ("clip", t.clip_local(t.own_slice), {"ranks": 2}, MISTAKE, "own-slice"),
        ("moments", t.moments(t.in_place), {"ranks": 2}, MISTAKE, "no-backward"),
        ("clip", t.clip_local(t.alive), {}, CONFORMS, ""),
        ("clip", t.clip_global(t.own_slice), {}, MISTAKE, "own-slice"),
        ("clip", t.clip_local(t.stopped), {}, MISTAKE, "gather-without-gradient"),
        ("clip", t.clip_local(t.alive, offset=False), {}, MISTAKE, "no-offset"),
        ("clip", t.clip_global(t.alive), {}, CONFORMS, ""),
        ("clip", t.clip_global(t.alive), {"reduction": "sum"}, MISTAKE, "needs-mean"),
        ("clip", t.clip_global(t.OwnTimesW.apply), {}, CONFORMS, ""),  # equal losses: it is their sum's gradient
        ("clip", t.clip_local(t.OwnTimesW.apply), {}, MISTAKE, "own-slice-times-w"),
        ("clip", t.clip_global(t.own_slice), {"reduction": "sum"}, CONVENTION, "own-slice"),
        ("clip", t.clip_times_w, {}, CONVENTION, "own-slice-times-w"),
        ("clip", t.clip_share, {}, CONVENTION, "needs-sum"),
        ("clip", t.clip_share, {"reduction": "sum"}, CONFORMS, ""),
        ("clip", t.clip_share, {"reduction": "mean"}, MISTAKE, "needs-sum"),
        ("clip", t.clip_negatives_of_the_rank, {}, MISTAKE, "local-negatives"),
        ("clip", t.clip_offset_alone, {}, MISTAKE, "offset-alone"),
        ("clip", t.clip_padded(True), {"ranks": 2}, CONFORMS, ""),
        ("clip", t.clip_padded(True, offset=False), {"ranks": 3, "rows": 8}, WITHIN, "uneven-batch"),
        ("nt_xent", t.nt_xent(""), {}, CONFORMS, ""),
        ("nt_xent", t.nt_xent("by rank"), {}, MISTAKE, "order"),
        ("dcl", t.dcl_local(t.alive), {}, CONFORMS, ""),
        ("dcl", t.dcl_local(t.stopped), {}, MISTAKE, "gather-without-gradient"),
        ("siglip", t.siglip_local(t.alive), {}, CONFORMS, ""),
        ("siglip", t.siglip_local(t.own_slice), {}, MISTAKE, "own-slice"),
        ("infonce", t.infonce_own_first(False), {"ranks": 3}, MISTAKE, "order"),
        ("infonce", t.infonce_own_first(True), {"ranks": 3}, MISTAKE, "own-slice"),
        ("moments", t.moments(t.with_backward.all_reduce), {}, CONFORMS, ""),
        ("moments", t.moments(t.in_place, 1), {}, MISTAKE, "no-backward"),
        ("moments", t.moments_of_the_rank, {}, MISTAKE, "not-synchronized"),
        ("moments", t.moments_averaged, {}, MISTAKE, "variances-averaged"),
        ("batch_norm", t.batch_norm(t.with_backward.all_reduce), {}, CONFORMS, ""),
        ("batch_norm", t.batch_norm(t.with_backward.all_reduce, counted=False), {}, WITHIN, "unequal-counts"),
        ("batch_norm", t.batch_norm(t.in_place), {}, MISTAKE, "no-backward"),
        ("batch_norm", t.batch_norm_of_the_rank, {}, MISTAKE, "not-synchronized"),
    ]  # fmt: skip


def check(name, function, options, verdict, key):
    found = audit_distributed(function, name, time_limit=60.0, **options)
    assert (found.judgement.verdict, found.judgement.key) == (verdict, key), str(found)
    return found


def listed(planted, by_default):
    return [pytest.param(p, marks=[pytest.mark.exhaustive] if k >= by_default else []) for k, p in enumerate(planted)]


@pytest.mark.parametrize("planted", listed(BY_NUMPY, 5))
def test_what_is_planted_in_numpy_is_named(planted):
    check(*planted)


@NEEDS_TORCH
@pytest.mark.parametrize("planted", listed(by_torch(), 3))
def test_what_is_planted_in_torch_is_named(planted):
    check(*planted)


# ---- the formulas


@pytest.mark.parametrize("name", QUANTITIES)
def test_one_rank_with_all_rows_is_the_contracts_reference(name):
    quantity, rng = QUANTITIES[name], np.random.default_rng(3)
    inputs = quantity.draw(rng, 5)
    losses, gradients = simulate(quantity, quantity.formulas[""], ALONE, inputs, (5,))
    if name == "batch_norm":
        form = find("layer", name).form("output-last")
    elif name == "moments":
        x, weight = inputs["x"], inputs["weight"]
        assert losses[0] == pytest.approx((x.mean(0) * weight["mean"] + x.var(0) * weight["variance"]).sum(), rel=1e-12)
        return
    else:
        form = find("bound", name).form("features")
    expected = evaluate(form.reference, form.signature, inputs)
    value = (expected.value["out"] * inputs["weight"]).sum() if name == "batch_norm" else expected.value["value"]
    sign = -1 if name == "infonce" else 1  # whose contract is the bound
    assert losses[0] == pytest.approx(float(value) if sign > 0 else np.log(5) - float(value), rel=1e-12)
    for path, gradient in leaves(gradients):
        np.testing.assert_allclose(gradient, sign * dict(leaves(expected.gradients))[path], rtol=1e-9, atol=1e-12)


def test_the_ratios_of_public_code():
    """CLIP's loss on 4 ranks of 3 rows, gradients averaged: what is wrong, and that three have exactly the right loss."""
    quantity, rng = QUANTITIES["clip"], np.random.default_rng(0)
    inputs = quantity.draw(rng, 12)
    (one,), whole = simulate(quantity, quantity.formulas[""], ALONE, inputs, (12,))
    whole = np.concatenate([g.ravel() for _, g in leaves(whole)])
    found = {}
    for named in catalogue.ways("clip", quantity):
        losses, gradients = simulate(quantity, quantity.formulas[""], named.way, inputs, (3,) * 4)
        g = np.concatenate([g.ravel() for _, g in leaves(gradients)]) / 4
        cosine = g @ whole / max(np.linalg.norm(g) * np.linalg.norm(whole), 1e-30)
        found[named.title] = losses.mean() / one, np.linalg.norm(g) / np.linalg.norm(whole), cosine
    own, every = "each rank has the loss of its own rows, gathered ", "every rank has the whole loss, gathered "
    assert found[own + "with gradient"] == pytest.approx((1, 1, 1), rel=1e-12)
    assert found[every + "with gradient"] == pytest.approx((1, 1, 1), rel=1e-12)
    assert found[every + "with the own slice alive"] == pytest.approx((1, 1 / 4, 1), rel=1e-12)
    for wrong in ("without gradient", "with the own slice alive"):
        loss, norm, cosine = found[own + wrong]
        assert loss == pytest.approx(1, rel=1e-12)
        assert abs(norm - 1) > 0.02 or cosine < 0.99
    assert found[catalogue.LOCAL.title][0] < 0.6


# ---- what cannot be run, and the command


@NEEDS_TORCH
@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("raises", r"rank 1 raised ValueError: no such luck \(planted_torch\.py, line \d+: .*\)"),
        ("dies", r"rank 1 ended its process with exit code 3"),
        pytest.param("hangs", r"rank 1 gave no answer within 3 s", marks=pytest.mark.exhaustive),
        pytest.param(
            "leaves_early", r"rank 0 waits in a collective that rank 1 ended without", marks=pytest.mark.exhaustive
        ),
    ],
)
def test_a_rank_that_does_not_answer_is_named(function, said):
    found = audit_distributed(getattr(torch_, function), "clip", ranks=2, time_limit=3.0)
    assert found.judgement.verdict == "could not run"
    assert re.fullmatch(said, found.judgement.diagnosis)


@NEEDS_TORCH
def test_a_pytorch_without_gloo_is_named(monkeypatch):
    monkeypatch.setattr("torch.distributed.is_gloo_available", lambda: False)
    found = audit_distributed(torch_.clip, "clip")
    assert found.judgement.diagnosis == "expected a PyTorch that has torch.distributed with gloo, found one without"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "moco"}, "NAME must be one of infonce, clip, .* was 'moco'"),
        ({"ranks": 5}, "--ranks 5: expected 2 to 4"),
        ({"ranks": 4, "rows": 3}, "--ranks 4: expected at most one for each row of the batch, found --rows 3"),
        ({"name": "batch_norm", "reduction": "mean"}, "--reduction mean: expected none for batch_norm, .*"),
    ],
)
def test_what_cannot_be_asked_is_one_line(options, said):
    with pytest.raises(AuditError, match=said):
        audit_distributed(numpy_.infonce_share, **{"name": "infonce", **options})


def test_threads_whose_collectives_do_not_match_are_named():
    found = audit_distributed(numpy_.one_more_collective, "infonce", ranks=2)
    assert found.judgement.verdict == "could not run"
    assert re.match(
        r"rank \d raised ValueError: all_gather: the ranks must have \(3, 3\) rows", found.judgement.diagnosis
    )


def command(*words):
    return CliRunner().invoke(main, ["audit", "distributed", *map(str, words)])


def test_the_command_in_numpy(tmp_path):
    target, file = f"{numpy_.__file__}:infonce_no_offset", tmp_path / "found.json"
    done = command("infonce", target, "--ranks", 2, "--json", file)
    assert done.exit_code == 1
    assert done.output.startswith(f"MISTAKE  distributed infonce  {target}\n")
    assert "labels without the rank's offset" in done.output
    found = json.loads(file.read_text())
    assert (found["key"], found["even"]["rows"], found["reduction"]) == ("no-offset", [3, 3], "sum")
    assert found["even"]["loss"] != pytest.approx(1, abs=0.01)
    assert found["even"]["norm"] > 0
    done = command("infonce", target, "--call", "infonce_no_offset({query})")
    assert done.exit_code == 2
    assert "expected arguments out of queries, keys, temperature, rank, world_size, rows, ranks" in done.output


@NEEDS_TORCH
@pytest.mark.exhaustive
def test_the_command_in_torch():
    """In the sandbox: a class by --call, what is printed, a limit that is kept, a convention refused."""
    target = torch_.__file__
    assert command("clip", f"{target}:clip_share", "--ranks", 2).exit_code == 0
    assert command("clip", f"{target}:clip_share", "--ranks", 2, "--strict").exit_code == 1
    done = command("clip", f"{target}:Clip", "--ranks", 2, "--call", "Clip({rank}, {world_size})")
    assert (done.exit_code, done.output.partition(" ")[0]) == (0, "CONFORMS")
    done = command("clip", f"{target}:Clip", "--ranks", 2)
    assert done.exit_code == 2
    assert 'expected --call "Clip(rank={rank}, world_size={world_size})"' in " ".join(done.output.split())
    assert "it prints: step 1" in command("clip", f"{target}:prints", "--ranks", 2).output
    done = command("clip", f"{target}:hangs", "--ranks", 2, "--time-limit", 3)
    assert done.exit_code == 2
    assert "rank 1 gave no answer within 3 s" in done.output
