"""AMDIM's step spelled out: it is training's, it conforms on another side, and planted mistakes are named."""

import numpy as np
import pytest
import tiny_runs
from fake_cupy import STRICT
from trace_graphs import graph_of

from dimref import ops
from dimref.amdim.objective import LOCATIONS
from dimref.audit.trace import export, manifest
from dimref.audit.trace.layouts import LAYOUTS, recipe
from dimref.audit.trace.pieces import evaluate
from dimref.audit.trace.step import forward, state_after
from dimref.errors import DimrefError
from dimref.training import loop
from dimref.training import state as states
from dimref.training.method import METHODS
from dimref.training.task import STEP, noise_at
from dimref.trees import leaves

CONFIGURATIONS = [
    {}, {"clip": 0.0, "scales": "1-7"}, {"augmentation": "none", "scales": "5-5,1-5"}, {"augmentation": "crop"},
    {"ndepth": 2, "score_penalty": 0.0}, {"clip": 1.0}, {"channels": 1},
]  # fmt: skip
ids = lambda options: "-".join(map(str, options.values())) or "default"  # noqa: E731


@pytest.fixture
def images(tmp_path):
    """Images of three channels, whose colours the views turn."""
    return tiny_runs.write_npz(tmp_path / "images.npz", channels=3)


@pytest.fixture
def amdim(prepare, images):
    """The task of a configuration of AMDIM."""

    def make(channels=3, **options):
        if channels == 1:
            tiny_runs.write_npz(images)
        return prepare(**{"method": "amdim", "ndf": 4, "nrkhs": 16, "lr": 2e-4, **options})

    return make


@pytest.fixture
def traced(amdim):
    """A trace of its first step, or of a later one, when no product is 0 any more."""
    return lambda dtype="float32", after=0, **options: export.trace(amdim(**options), dtype, after)


# ---- the step is training's


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=ids)
def test_the_loss_is_trainings_own(options, amdim):
    task = amdim(**options)
    found = export.trace(task)
    state = states.initial_state(task)
    batch, noise = found.arrays["batch/scaled"], noise_at(task, STEP, 0, 4)
    value, rest = task.loss(state.parameters, state.model, batch, noise)
    assert found.arrays["loss"] == pytest.approx(value, rel=1e-5)
    for term in task.objective.scales:
        assert found.arrays[f"{term}/bound"] == pytest.approx(rest["terms"][term], rel=1e-4, abs=1e-5)
        assert found.arrays[f"{term}/certified"] == pytest.approx(
            rest["terms"][f"{term}_certified"], rel=1e-4, abs=1e-5
        )
    penalties = [float(a) for name, a in found.arrays.items() if name.endswith("/penalty") and "gradient" not in name]
    assert sum(penalties) / 2 == pytest.approx(float(rest["terms"]["penalty"]), rel=1e-5)
    after = dict(leaves({"after": {"state": rest["state"]}}))
    assert {name for name in found.arrays if name.startswith("after/state")} == after.keys()
    for piece in state_after(task.objective, task.layout):
        mine = evaluate(piece, found.arrays)
        np.testing.assert_allclose(mine, after[piece.name], rtol=1e-5, atol=1e-7, err_msg=piece.name)
        np.testing.assert_array_equal(found.arrays[piece.name], after[piece.name])


def test_the_views_are_those_that_training_encodes(amdim):
    from dimref.amdim import objective as method

    for options in ({}, {"augmentation": "crop"}, {"augmentation": "none"}, {"channels": 1}):
        task = amdim(**options)
        found = export.trace(task).arrays
        for name, view in zip(("first", "second"), method.views(found["batch/scaled"], noise_at(task, STEP, 0, 4)),
                              strict=True):  # fmt: skip
            np.testing.assert_allclose(found[f"{name}/view"], view, atol=1e-6)


@pytest.mark.parametrize("after", [0, 2])
def test_parameters_and_state_after_are_those_of_training(after, amdim):
    task = amdim()
    found = export.trace(task, after=after)
    state = states.initial_state(task)
    for _ in range(after + 1):
        state, seen = loop.train_step(task, state)
    moments = {"m": state.adam["m"], "v": state.adam["v"]}
    expected = dict(leaves({"after": {"state": state.model, "parameters": state.parameters, "adam": moments}}))
    for name, array in expected.items():
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)
    squares = sum(
        float((a.astype(float) ** 2).sum()) for n, a in found.arrays.items() if n.startswith("gradient/parameters")
    )
    assert squares**0.5 == pytest.approx(seen["gradient_norm"], rel=1e-5)


@pytest.mark.parametrize(
    "name", ["first/down1_1/conv", "second/norm5", "first/f1", "1-7/first/scores", "1-5/second/clipped"]
)
def test_gradients_of_intermediates_against_central_differences(name, traced):
    found = traced(dtype="float64", after=1, clip=2.0)
    direction = np.random.default_rng(0).standard_normal(found.arrays[name].shape)

    def loss(step):
        graph = graph_of(found)
        graph.accept({name: lambda *_: found.arrays[name] + step * direction})
        return float(graph.expected("loss"))

    along = float((found.arrays[f"gradient/{name}"] * direction).sum())
    assert along == pytest.approx((loss(1e-6) - loss(-1e-6)) / 2e-6, rel=1e-4, abs=1e-8)


def test_the_strict_device_gives_the_same(amdim, monkeypatch):
    expected = export.trace(amdim(), "float64")
    monkeypatch.setattr("dimref.training.task.get_backend", lambda name, *more: STRICT)
    found = export.trace(amdim(), "float64")
    assert found.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        assert isinstance(found.arrays[name], np.ndarray)
        np.testing.assert_allclose(found.arrays[name], array, rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_loss_that_is_not_trainings_is_no_trace(amdim, monkeypatch):
    right = METHODS["amdim"]

    def other(*args):
        value, found = right.loss(*args)
        return value * (1 + 1e-3), found

    tiny_runs.change_method(monkeypatch, "amdim", loss=other)
    with pytest.raises(RuntimeError, match="the step spelled out gives the loss"):
        export.trace(amdim())


# ---- what is said of it


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=ids)
def test_pieces_are_in_order_and_described(options, amdim):
    task = amdim(**options)
    found = export.trace(task, after=1)
    known = {"batch/images", "batch/scaled"}
    known |= {name for name in found.arrays if name.startswith(("parameters/", "noise/", "state/"))}
    for piece in [*forward(task.objective, task.layout), *state_after(task.objective, task.layout)]:
        assert piece.name not in known
        assert set(piece.inputs) <= known, piece.name
        assert piece.meaning
        known.add(piece.name)
    assert [entry["name"] for entry in found.manifest["arrays"]] == list(found.arrays)
    for entry in found.manifest["arrays"]:
        assert entry["layout"] in LAYOUTS
        assert entry["meaning"]
    assert found.manifest["what"] == "one training step of Augmented Multiscale Deep InfoMax"
    config, objective, layout = manifest.step_of(found.manifest, "x")
    assert (config, objective, layout) == (task.config, task.objective, task.layout)


def test_shapes_of_the_scores(traced):
    found = traced()
    assert found.manifest["sizes"] == {"B": 4, "N": 4, "L5": 25, "L7": 49, "F": 16, "E": 16, "last_side": 1}
    for term in ("1-5", "1-7", "5-5"):
        for view in ("first", "second"):
            assert found.arrays[f"{term}/{view}/scores"].shape == (4, 4, LOCATIONS[term[-1]])
            assert f"gradient/{term}/{view}/scores" in found.arrays
    other = found.arrays["second/f7"][2, 5] @ found.arrays["first/f1"][1] / 4
    assert found.arrays["1-7/first/scores"][2, 1, 5] == pytest.approx(other, rel=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": {"size": 8, "channels": 3, "ndf": 4, "ndepth": 10**6, "nrkhs": 16}},
        {"encoder": {"size": 8, "channels": 3}, "objective": {}},
        {"objective": {"scales": ["1-9"]}},
        {"objective": {"scales": None}},
        {"objective": []},
    ],
    ids=str,
)
def test_an_impossible_step_is_refused_in_a_line(change, traced):
    with pytest.raises(DimrefError, match=r"^ref\.npz: expected a manifest of a step of dimref, found") as caught:
        manifest.step_of({**traced().manifest, **change}, "ref.npz")
    assert "\n" not in str(caught.value)


# ---- another side


@pytest.mark.parametrize(
    "options", [{}, *(pytest.param(options, marks=pytest.mark.exhaustive) for options in CONFIGURATIONS[1:])], ids=ids
)
def test_a_right_side_conforms_whatever_it_saves(options, sides, traced):
    found = traced(after=1, **options)
    for dtype in (np.float32, np.float64):
        right = sides.planted(found, dtype=dtype)
        for part in ("", "gradient/parameters/", "after/parameters/", "/bound"):
            theirs = {name: array for name, array in right.items() if part in name}
            result = sides.held(found, theirs)
            assert [(d.name, d.finding.text) for d in result.departures] == []
            assert set(result.conforming) == set(theirs)


def test_the_twin_in_pytorch_conforms(traced, sides):
    """Loss, gradients and running statistics of the module that the benchmark times, saved in PyTorch's layout."""
    torch = pytest.importorskip("torch")
    from dimref.bench.oracle import amdim

    found = traced(after=1)
    _, objective, layout = manifest.step_of(found.manifest, "x")
    model = amdim.Model(layout, objective)
    given = export.in_pytorch(found)
    leaf = {
        "w": "weight",
        "b": "bias",
        "gain": "weight",
        "shift": "bias",
        "mean": "running_mean",
        "variance": "running_var",
    }
    paths = {}
    for name in found.arrays:
        section, _, path = name.partition("/")
        if section in ("parameters", "state"):
            *module, last = path.split("/")
            paths[path] = ".".join([*module, leaf[last]])
    named = {paths[name.partition("parameters/")[2]]: a for name, a in given.items() if "parameters/" in name}
    named |= {paths[name[6:]]: a for name, a in found.arrays.items() if name.startswith("state/")}
    model.load_state_dict({name: torch.tensor(array) for name, array in named.items()}, strict=False)

    def tensors(prefix):
        return {n.removeprefix(prefix): torch.tensor(a) for n, a in found.arrays.items() if n.startswith(prefix)}

    noise = {view: tensors(f"noise/{view}/") for view in ("first", "second", "anchors")}
    loss = model(torch.tensor(given["torch/batch/scaled"]), noise)
    loss.backward()
    of = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    theirs = {"loss": loss.detach().numpy()}
    for path, name in paths.items():
        if "running" in name:
            theirs[f"after/state/{path}"] = of[name].numpy()
        else:
            theirs[f"torch/gradient/parameters/{path}"] = of[name].grad.numpy()
    result = sides.held(found, theirs)
    assert [(d.name, d.finding.text) for d in result.departures] == []
    assert len(result.conforming) == len(theirs) == 1 + len(paths)
    wrong = {**theirs, "torch/gradient/parameters/encoder/one/conv/w": 2 * of["encoder.one.conv.weight"].grad.numpy()}
    (departure,) = sides.held(found, wrong).departures
    assert departure.finding.id == "scale"


def test_copies_for_pytorch_lie_as_its_modules_have_them(traced):
    found = traced()
    given = export.in_pytorch(found)
    assert given["torch/batch/images"].shape == (4, 3, 8, 8)
    assert given["torch/parameters/encoder/down2_1/conv/w"].shape == (16, 8, 2, 2)
    assert given["torch/parameters/encoder/down2_1/out/w"].shape == (16, 16, 1, 1)
    kernel = given["torch/parameters/encoder/first/w"]
    assert kernel[2, 1, 0, 2] == found.arrays["parameters/encoder/first/w"][2 * 3 + 1, 2]
    assert recipe("locations", found.arrays["first/f7"].shape, 1).shape == (4, 16, 49)


# ---- planted mistakes


def dot(f, y):
    n, locations, units = f.shape
    return ops.transpose(ops.reshape(ops.matmul(ops.reshape(f, (n * locations, units)), ops.transpose(y, (1, 0))), (
        n, locations, n)), (0, 2, 1))  # fmt: skip


def with_own(t):
    n, _, locations = t.shape
    return ops.logsumexp(ops.reshape(ops.transpose(t, (1, 0, 2)), (n, n * locations)), axis=1)


def tanh(s):
    return 2.0 * ops.sigmoid(2.0 * s) - 1.0


def mean(x):
    return ops.mean(ops.mean(ops.mean(x, 2, True), 1, True), 0, True)


def nine(x):
    """The sum of each window of 3×3."""
    high, wide = x.shape[1] - 2, x.shape[2] - 2
    total = 0.0
    for i, j in np.ndindex(3, 3):
        total = total + ops.cut(x, (slice(None), slice(i, i + high), slice(j, j + wide)))
    return total


COMPUTED = {
    "no clip": ("1-5/first/clipped", lambda s: s * 1.0, "not-clipped", "not clipped"),
    "another clip": ("1-7/first/clipped", lambda s: 10 * tanh(s * 0.1), "other-clip", "±10 in place of ±1"),
    "clipped hard": ("1-5/first/clipped", lambda s: ops.relu(s + 1.0) - ops.relu(s - 1.0) - 1.0, "clipped-hard", "hard"),
    "no root": ("1-5/first/scores", dot, "not-scaled", "√E"),
    "own locations": ("5-5/second/log_others", with_own, "own-locations-among-negatives", "own image"),
    "positive excluded": (
        "1-7/first/cross_entropy", lambda p, o: ops.mean(o) - ops.mean(p), "positive-excluded", "left out",
    ),
    "summed over positives": (
        "1-5/first/cross_entropy",
        lambda p, o: 100.0 * ops.mean(ops.softplus(ops.reshape(o, (o.shape[0], 1)) - p)),
        "scale", "N·L5",
    ),
    "penalty clipped": (
        "1-5/first/penalty", lambda s: 0.05 * ops.mean(tanh(s) * tanh(s)), "penalty-clipped", "clipped scores",
    ),
    "directions summed": ("1-5/loss", lambda a, b: a + b, "directions-summed", "sum over both"),
    "one direction": ("1-7/loss", lambda a, b: 1.0 * b, "one-direction", "second view"),
    "no shortcut": ("second/three_1/sum", lambda out, mean: 1.0 * out, "shortcut-left-out", "left out"),
    "the first pixel": (
        "first/five_1/mean", lambda x: ops.cut(x, (slice(None), slice(0, 5), slice(0, 5))), "not-pooled", "first pixel",
    ),
    "summed windows": ("first/five_1/mean", nine, "sum-pooled", "9 times"),
    "the middle of the map": ("5-5/first/anchors", lambda f, rows: f[:, 12], "other-anchors", "middle"),
    "eps of Keras": (
        "first/norm7",
        lambda x, gain, shift: (x - mean(x)) / (mean((x - mean(x)) * (x - mean(x))) + 1e-3) ** 0.5 * gain + shift,
        "eps", "0.001 in place of 1e-5",
    ),
    "statistics of the first view alone": (
        "after/state/encoder/norm5/mean", lambda x, before: before, "not-moved", "left as it was",
    ),
}  # fmt: skip


SOME = list(COMPUTED)[::5]


@pytest.mark.parametrize(
    "mistake", [m if m in SOME else pytest.param(m, marks=pytest.mark.exhaustive) for m in COMPUTED]
)
def test_a_mistake_in_a_piece_is_named_and_explains_the_rest(mistake, sides, traced):
    name, function, diagnosis, words = COMPUTED[mistake]
    found = traced(after=1, clip=1.0)
    result = sides.names(found, sides.planted(found, {name: function}), name, diagnosis, words)
    graph_before = list(found.arrays)[: list(found.arrays).index(name)]
    assert set(graph_before) <= set(result.conforming)


def test_the_same_mistake_in_every_direction_is_one_finding_though_only_gradients_are_saved(sides, traced):
    found = traced(after=1, clip=1.0)
    clips = [name for name in found.arrays if name.endswith("/clipped") and not name.startswith("gradient/")]
    assert len(clips) == 6
    theirs = sides.planted(found, dict.fromkeys(clips, COMPUTED["no clip"][1]))
    result = sides.names(found, theirs, clips[0], "not-clipped")
    assert result.departures[0].also == clips[1:]
    ends = {name: theirs[name] for name in theirs if name.startswith("gradient/parameters/")}
    result = sides.held(found, ends)
    assert {d.finding.id for d in result.departures} == {"not-clipped"}
    assert "every soft clip" in result.departures[0].finding.text


def test_a_view_without_its_flip_departs_at_its_pixels(sides, traced):
    found = traced()
    theirs = sides.planted(found, inputs={"first/view": found.arrays["first/view"][:, :, ::-1]})
    sides.names(found, theirs, "first/view", "mirrored", "axis 2")
