"""Losses that several ranks compute together: what is planted is named, with the ratios that one process gives."""

import json
import re

import numpy as np
from audit.distributed import planted_numpy as numpy_
import pytest
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
BY_NUMPY = [
    ("infonce", numpy_.infonce_share, {}, CONFORMS, ""),
    ("infonce", numpy_.infonce_share, {"reduction": "mean"}, MISTAKE, "needs-sum"),
    ("infonce", numpy_.infonce_bound, {}, CONFORMS, ""),
    ("infonce", numpy_.infonce_whole, {}, CONVENTION, "needs-mean"),
    ("infonce", numpy_.infonce_whole, {"reduction": "mean"}, CONFORMS, ""),
    ("infonce", numpy_.infonce_mean_of_means, {"reduction": "mean"}, WITHIN, "uneven-batch"),
    ("infonce", numpy_.infonce_stopped, {}, MISTAKE, "gather-without-gradient"),
    ("infonce", numpy_.infonce_no_offset, {"ranks": 3}, MISTAKE, "no-offset"),
    ("moments", numpy_.moments, {}, CONFORMS, ""),
    ("moments", numpy_.moments_as_if_equal, {}, WITHIN, "unequal-counts"),
    ("batch_norm", numpy_.batch_norm, {}, CONFORMS, ""),
]


def by_torch():
    """(quantity, function, options, verdict, key), those of the default suite first."""
    t = torch_
    return [] if t is None else [
        ("clip", t.clip_local(t.alive), {}, CONFORMS, ""),
        ("clip", t.clip_local(t.own_slice), {}, MISTAKE, "own-slice"),
        ("clip", t.clip_global(t.own_slice), {}, MISTAKE, "own-slice"),
        ("moments", t.moments(t.in_place), {}, MISTAKE, "no-backward"),
        ("clip", t.clip_padded(False), {"ranks": 2}, WITHIN, "uneven-batch"),
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
    found = audit_distributed(function, name, **options)
    assert (found.judgement.verdict, found.judgement.key) == (verdict, key), str(found)
    return found


@pytest.mark.parametrize(("name", "function", "options", "verdict", "key"), BY_NUMPY)
def test_what_is_planted_in_numpy_is_named(name, function, options, verdict, key):
    check(name, function, options, verdict, key)


@NEEDS_TORCH
@pytest.mark.parametrize(
    "planted", [pytest.param(p, marks=[pytest.mark.exhaustive] if k > 4 else []) for k, p in enumerate(by_torch())]
)
def test_what_is_planted_in_torch_is_named(planted):
    check(*planted)
