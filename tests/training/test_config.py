"""A configuration is checked whole, and its file is read back as it was written or refused in one line."""

import dataclasses
import json

import pytest

from dimref.discriminators import DOT_PIECES
from dimref.errors import DimrefError
from dimref.training import choices
from dimref.training import config as configs
from dimref.training.config import PRESETS, Config


def refusal(call, *args, **options):
    """The one line that a call is refused with."""
    with pytest.raises(DimrefError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.fixture
def file(tmp_path):
    """Write a configuration file."""

    def write(content):
        path = tmp_path / "config.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_read_as_shells_and_editors_write_it(tmp_path, encoding):
    (tmp_path / "c.json").write_text('{"data_dir": "Ω"}', encoding=encoding)
    assert configs.read(tmp_path / "c.json") == {"data_dir": "Ω"}


# ---- values


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": "mnist"}, ("--data", "shapes, cifar10", "'mnist'")),
        ({"backend": "torch"}, ("--backend", "numpy, cupy")),
        ({"bound": "smile"}, ("--bound", "jsd, dv, mine, nwj, infonce")),
        ({"local_scorer": "bilinear"}, ("--local-scorer", "concat, dot")),
        ({"negatives": "hard"}, ("--negatives", "shuffle, roll, all-pairs")),
        ({"prior": "laplace"}, ("--prior", "uniform, gaussian")),
        ({"prior_loss": "hinge"}, ("--prior-loss", "minimax, non-saturating")),
        ({"limit": 0}, ("--limit", "at least 1", "0")),
        ({"noise": -0.1}, ("--noise", "at least 0")),
        ({"noise": float("nan")}, ("--noise", "nan")),
        ({"candidates": 1}, ("--candidates", "at least 2")),
        ({"global_weight": -1.0}, ("--global-weight", "at least 0")),
        ({"local_weight": float("inf")}, ("--local-weight", "inf")),
        ({"prior_weight": float("nan")}, ("--prior-weight", "nan")),
        ({"gradient_penalty": -1.0}, ("--gradient-penalty", "at least 0")),
        ({"epochs": 0}, ("--epochs", "at least 1")),
        ({"steps": 0}, ("--steps", "at least 1")),
        ({"batch_size": 1}, ("--batch-size", "at least 2")),
        ({"lr": 0.0}, ("--lr", "above 0")),
        ({"lr": float("nan")}, ("--lr", "nan")),
        ({"lr": float("inf")}, ("--lr", "inf")),
        ({"seed": -1}, ("--seed", "at least 0")),
        ({"threads": 0}, ("--threads", "at least 1")),
        ({"log_every": 0}, ("--log-every", "at least 1")),
        ({"checkpoint_every": 0}, ("--checkpoint-every", "at least 1")),
        ({"local_weight": 0.0}, ("--global-weight", "--local-weight", "nothing to learn")),
        ({"prior_weight": 0.0, "gradient_penalty": 1.0}, ("--gradient-penalty", "--prior-weight is 0")),
        ({"negatives": "sampled"}, ("--negatives sampled", "--bound jsd takes shuffle, roll, all-pairs")),
        (
            {"bound": "infonce", "negatives": "shuffle"},
            ("--bound infonce takes same-location, all-locations, sampled",),
        ),
        ({"bound": "infonce", "negatives": "sampled"}, ("dot critic", "one matrix product", "use same-location")),
        ({"local_scorer": "dot", "negatives": "roll"}, ("dot critic", "use all-pairs")),
        (
            {"bound": "infonce", "local_scorer": "concat", "candidates": 65},
            ("--candidates", "at most the batch size (64)", "65"),
        ),
    ],
)
def test_nonsense_is_refused_with_its_reason(options, words):
    line = refusal(Config, **options)
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("bound", "negatives", "instead"),
    [
        ("jsd", "all-pairs", "shuffle"),
        ("dv", "all-pairs", "shuffle"),
        ("infonce", "same-location", "sampled"),
        ("infonce", "all-locations", "sampled"),
    ],
)
def test_every_pair_with_the_concat_scorer_is_refused_with_its_cost(bound, negatives, instead):
    line = refusal(Config, bound=bound, local_scorer="concat", negatives=negatives)
    assert "262,144 pairs" in line  # 64² pairs at 64 locations
    assert "412 GFLOP" in line  # times 512 × 512, multiplied and added, forward and two gradients
    assert f"--negatives {instead}" in line


def test_the_cost_is_of_the_local_term_alone():
    """The global scorer sees one location: all pairs of a batch are 64² evaluations there."""
    config = Config(**PRESETS["dim-global"], negatives="all-pairs")
    assert config.negatives_of("global") == "all-pairs"


def test_candidates_matter_only_where_they_are_sampled():
    assert Config(candidates=1000).candidates == 1000
    assert "--candidates" in refusal(Config, bound="infonce", local_scorer="concat", batch_size=4)


# ---- what follows from what


@pytest.mark.parametrize(
    ("options", "scorer", "local", "global_"),
    [
        ({}, "concat", "shuffle", "shuffle"),
        ({"bound": "mine", "negatives": "roll"}, "concat", "roll", "roll"),
        ({"bound": "infonce"}, "dot", "same-location", "same-location"),
        ({"bound": "infonce", "negatives": "all-locations"}, "dot", "all-locations", "all-locations"),
        ({"bound": "infonce", "local_scorer": "concat"}, "concat", "sampled", "same-location"),
        ({"local_scorer": "dot"}, "dot", "all-pairs", "shuffle"),
    ],
)
def test_scorer_and_negatives_default_to_the_cheapest_that_fit(options, scorer, local, global_):
    config = Config(**options, global_weight=0.5)
    assert (config.critic, config.negatives_of("local"), config.negatives_of("global")) == (
        scorer,
        local,
        global_,
    )
    objective = config.objective()
    assert (objective.local_scorer, objective.local_negatives, objective.global_negatives) == (scorer, local, global_)


def test_objective_sees_every_option_that_it_knows():
    options = {
        "global_weight": 0.25, "local_weight": 0.75, "prior_weight": 0.5, "bound": "nwj", "local_scorer": "dot",
        "candidates": 5, "global_map": "local", "prior": "gaussian", "prior_loss": "non-saturating", "gradient_penalty": 2.0,
    }  # fmt: skip
    objective = Config(**options).objective()
    assert {name: getattr(objective, name) for name in options} == options


def test_presets_are_the_papers_weights_and_the_defaults_are_dim_local():
    found = {name: Config(**options) for name, options in PRESETS.items()}
    triples = {n: (c.global_weight, c.local_weight, c.prior_weight) for n, c in found.items() if c.method == "dim"}
    paper = dict.fromkeys(("paper-jsd", "paper-dv", "paper-infonce"), (0, 1, 0))
    local = dict.fromkeys(("dim-local", "dim-infonce"), (0, 1, 0.1))
    assert triples == {**local, "dim-global": (1, 0, 1), "dim-mixed": (0.5, 0.1, 0.1), **paper}
    for name in paper:  # the official code's: all pairs by its dot critic, and its Adam
        objective = found[name].objective()
        assert (objective.local_scorer, objective.dot, found[name].betas) == ("dot", DOT_PIECES, (0.5, 0.999))
        kind = "all-locations" if name == "paper-infonce" else "all-pairs"
        assert (objective.bound, objective.local_negatives) == (name.removeprefix("paper-"), kind)
    assert choices.DOT_PIECES == DOT_PIECES
    assert [found[name].global_map for name in ("dim-global", "dim-mixed", "dim-local")] == ["local", "local", "last"]
    assert Config() == Config(**PRESETS["dim-local"])


# ---- files


def test_a_file_gives_back_what_was_written(file):
    config = Config(data="npz", data_dir="a b/ü.npz", limit=7, lr=3e-4, steps=5, threads=2, bound="infonce")
    assert Config(**configs.read(file(configs.write(config)))) == config
    assert json.loads(configs.write(config)) == dataclasses.asdict(config)


def test_a_file_may_hold_some_options_only(file):
    assert configs.read(file({"lr": 1, "steps": None})) == {"lr": 1, "steps": None}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"learning_rate": 1.0}, ("unknown option 'learning_rate'",)),
        ({"seed": "1"}, ("seed", "expected int", "'1'")),
        ({"seed": 1.5}, ("seed", "expected int")),
        ({"seed": True}, ("seed", "expected int", "True")),
        ({"lr": "fast"}, ("lr", "expected float")),
        ({"lr": None}, ("lr", "expected float", "None")),
        ({"lr": 10**400}, ("lr", "expected float")),
        ({"data": 1}, ("data", "expected str")),
        ({"data_dir": ["a"]}, ("data_dir", "expected str")),
        ({"threads": {}}, ("threads", "expected int")),
        ({"tf32": 1}, ("tf32", "expected bool", "1")),
        ({"graph": None}, ("graph", "expected bool", "None")),
        ([1, 2], ("expected a JSON object", "list")),
        ("3", ("expected a JSON object", "int")),
        ("", ("expected JSON",)),
        ('{"lr": 0.1', ("expected JSON",)),
        pytest.param("[" * 200_000, ("expected JSON",), id="deep"),
    ],
)
def test_a_wrong_file_is_refused_in_a_short_line_that_names_it(file, content, words):
    path = file(content)
    line = refusal(configs.read, path)
    assert str(path) in line
    assert len(line) < len(str(path)) + 200
    for word in words:
        assert word in line


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    assert "No such file" in refusal(configs.read, tmp_path / "none.json")
    assert "directory" in refusal(configs.read, tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    assert "expected JSON" in refusal(configs.read, tmp_path / "bytes")


def test_a_gpu_saves_less_often():
    """A step there takes a hundredth of the time, a checkpoint as long."""
    assert Config().checkpoint_steps == 200
    assert Config(backend="cupy").checkpoint_steps == 5000
    for backend in ("numpy", "cupy"):
        assert Config(backend=backend, checkpoint_every=7).checkpoint_steps == 7
