"""AMDIM's objective as it is stated: against literal loops and public code's formula, its gradients, its number range."""

import dataclasses
import math

import numpy as np
import pytest
from autograd.tracer import isbox
from fake_cupy import STRICT, DeviceArray
from finite_differences import check_all, draw
from hypothesis import given
from hypothesis import strategies as st

from dimref import bounds, discriminators
from dimref.amdim import augmentation as amdim_augmentation
from dimref.amdim import encoder as amdim_encoder
from dimref.amdim import objective as amdim_objective
from dimref.amdim.encoder import Layout
from dimref.amdim.objective import Objective
from dimref.engine import direction
from dimref.tape import value_and_gradients
from dimref.trees import leaves, map_tree

pytestmark = pytest.mark.usefixtures("plain_forms")
seeds = st.integers(0, 2**32 - 1)
TINY = Layout(8, 1, ndf=1, ndepth=1, nrkhs=6)


def literal(y, f, clip):
    """One direction by loops: cross entropy, certified nats, mean square, in Python's numbers."""
    (n, units), locations = y.shape, f.shape[1]
    s = [[[float(f[i, at] @ y[j]) / math.sqrt(units) for j in range(n)] for at in range(locations)] for i in range(n)]
    t = [[[clip * math.tanh(v / clip) if clip else v for v in row] for row in image] for image in s]
    entropy, certified = [], []
    for j in range(n):
        others = sum(math.exp(t[i][at][j]) for i in range(n) if i != j for at in range(locations))
        for at in range(locations):
            positive = math.exp(t[j][at][j])
            entropy.append(-math.log(positive / (positive + others)))
            certified.append(math.log(n) + math.log(positive / (positive + others / locations)))
    squares = [v * v for image in s for row in image for v in row]
    return tuple(sum(values) / len(values) for values in (entropy, certified, squares))


# ---- one direction


@given(seeds, st.integers(2, 5), st.integers(1, 4), st.sampled_from([0.0, 1.0, 20.0]), st.sampled_from([0.3, 3.0]))
def test_a_direction_is_the_literal_loop(seed, n, locations, clip, scale):
    y, f = draw(seed, (n, 3), (n, locations, 3), scale=scale)
    value, scores = amdim_objective.contrast(y, f, clip, 0.05)
    entropy, certified, square = literal(y, f, clip)
    np.testing.assert_allclose(scores.nats, math.log(1 + (n - 1) * locations) - entropy, atol=1e-10)
    np.testing.assert_allclose(scores.certified_nats, certified, atol=1e-10)
    np.testing.assert_allclose(scores.mean_square, square, rtol=1e-10)
    np.testing.assert_allclose(value, entropy + 0.05 * square, atol=1e-9)


@given(seeds, st.integers(2, 5), st.integers(1, 4))
def test_a_direction_is_all_locations_infonce_of_its_square(seed, n, locations):
    y, f = draw(seed, (n, 4), (n, locations, 4), scale=2.0)
    _, scores = amdim_objective.contrast(y, f, 5.0, 0.0)
    square = 5 * np.tanh(np.einsum("ile,je->ijl", f, y) / 2 / 5)
    np.testing.assert_allclose(scores.nats, bounds.infonce(square, "all-locations"), atol=1e-10)
    np.testing.assert_allclose(scores.certified_nats, bounds.infonce_certified(square), atol=1e-10)


@given(seeds, st.integers(2, 6), st.integers(1, 4))
def test_a_direction_is_public_codes_formula(seed, n, locations):
    """Masks, maxima and the −c of the positives among the negatives, as public code writes them, in PyTorch."""
    torch = pytest.importorskip("torch")
    y, f = draw(seed, (n, 5), (n, locations, 5), scale=3.0)
    theirs_y, theirs_f = torch.tensor(y, requires_grad=True), torch.tensor(f, requires_grad=True)
    raw = (theirs_y @ theirs_f.reshape(n * locations, 5).T).reshape(n, n, locations) / 5**0.5
    penalty = 5e-2 * (raw**2).mean()
    clipped = 20 * torch.tanh(raw / 20)
    own = torch.eye(n, dtype=torch.float64)[:, :, None].expand(-1, -1, locations)
    positives = (own * clipped).sum(dim=1)
    negatives = ((1 - own) * clipped - 20 * own).reshape(n, -1)
    top = negatives.max(dim=1, keepdim=True)[0]
    rest = ((1 - own).reshape(n, -1) * torch.exp(negatives - top)).sum(dim=1, keepdim=True)
    expected = -((positives - top) - torch.log(torch.exp(positives - top) + rest)).mean() + penalty
    expected.backward()
    named = {"y": y, "f": f}
    value, slopes, _ = value_and_gradients(lambda at: amdim_objective.contrast(at["y"], at["f"], 20.0, 5e-2), named)
    np.testing.assert_allclose(value, expected.item(), atol=1e-10)
    np.testing.assert_allclose(slopes["y"], theirs_y.grad.numpy(), atol=1e-10)
    np.testing.assert_allclose(slopes["f"], theirs_f.grad.numpy(), atol=1e-10)


@pytest.mark.parametrize("clip", [0.0, 2.0, 20.0])
@pytest.mark.parametrize("penalty", [0.0, 0.5])
@pytest.mark.parametrize(("n", "locations"), [(2, 1), (4, 3), (3, 5)])
def test_a_direction_differentiates(clip, penalty, n, locations):
    y, f = draw(2, (n, 4), (n, locations, 4))

    def value(y, f):
        return amdim_objective.contrast(y, f, clip, penalty)[0]

    check_all(value, y, f)


def test_scores_have_the_image_first_then_the_anchor_then_the_location():
    y, f = draw(1, (3, 4), (3, 2, 4))
    expected = [[[float(f[i, at] @ y[j]) / 2 for at in range(2)] for j in range(3)] for i in range(3)]
    np.testing.assert_allclose(discriminators.score_matrix(f, y), expected, rtol=1e-12)
    check_all(discriminators.score_matrix, f, y)


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_what_is_reported_is_off_the_tape_and_counts_what_the_clip_cuts(clip):
    y, f = draw(7, (4, 3), (4, 5, 3))
    s = discriminators.score_matrix(f, y)
    seen = []

    def function(at):
        value, direction = amdim_objective.contrast(at, f, clip, 0.1)
        seen.extend(map(isbox, (value, *direction)))
        return value, direction

    _, _, direction = value_and_gradients(function, y)
    assert seen == [True, False, False, False, False]
    assert direction.saturated == ((np.abs(s) > clip).mean() if clip else 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e2, 1e4])
@pytest.mark.parametrize("clip", [0.0, 20.0])
@pytest.mark.parametrize("contrast", [amdim_objective.contrast.plain, direction.contrast], ids=["plain", "blocks"])
def test_large_scores_stay_finite(dtype, scale, clip, contrast):
    for sign in (1, -1):
        y = math.sqrt(scale) * np.eye(4, dtype=dtype)
        f = sign * np.repeat(y[:, None], 3, axis=1)
        at = {"y": y, "f": f}
        value, slopes, scores = value_and_gradients(lambda at: contrast(at["y"], at["f"], clip, 0.0), at)
        for array in (value, scores.certified_nats, slopes["y"], slopes["f"]):
            assert np.isfinite(array).all()
            assert np.asarray(array).dtype == dtype
        top = min(scale / 2, clip or math.inf)
        expected = 0 if sign > 0 else top
        assert abs(float(value) - expected) < 0.05 * top + math.log(10)


@given(seeds, st.sampled_from([0.1, 5.0, 300.0]))
def test_soft_clip_bounds_and_is_near_the_identity_for_small_scores(seed, scale):
    (s,) = draw(seed, (50,), scale=scale)
    t = amdim_objective.soft_clip(s, 20.0)
    assert (np.abs(t) <= 20).all()
    assert (np.abs(t) <= np.abs(s)).all()
    assert (np.sign(t) == np.sign(s)).all()
    np.testing.assert_allclose(t, s, atol=np.abs(s).max() ** 3 / 1200 + 1e-12)
    np.testing.assert_array_equal(amdim_objective.soft_clip(s, 0.0), s)


@pytest.mark.parametrize("clip", [0.0, 0.7, 20.0])
def test_soft_clip_is_differentiable_twice_on_every_backend(clip):
    (s,) = draw(3, (4, 5), scale=2.0)
    check_all(lambda x: amdim_objective.soft_clip(x, clip) * x, s)


@pytest.mark.parametrize(
    ("y", "f"),
    [((1, 4), (1, 3, 4)), ((3, 4), (3, 4)), ((3, 4), (2, 3, 4)), ((3, 4), (3, 2, 5)), ((3, 4, 1), (3, 2, 4))],
)
def test_shapes_that_do_not_fit_are_refused(y, f):
    with pytest.raises(ValueError, match=r"anchors must be \(N, E\) and candidates \(N, L, E\) with N ≥ 2, were"):
        amdim_objective.contrast(np.zeros(y), np.zeros(f), 20.0, 0.0)


# ---- the whole objective


def set_up(seed, objective, layout=TINY, n=3, dtype=np.float64):
    rng = np.random.default_rng(seed)
    parameters, state = amdim_objective.init_parameters(rng, layout, objective)
    parameters = map_tree(lambda w: (w + 0.2 * rng.standard_normal(w.shape)).astype(dtype), parameters)
    images = rng.uniform(-1, 1, (n, layout.padded, layout.padded, layout.channels)).astype(dtype)
    return (
        parameters,
        map_tree(lambda a: a.astype(dtype), state),
        images,
        amdim_objective.draw_noise(rng, objective, layout, n),
    )


@pytest.mark.parametrize("scales", [amdim_objective.SCALES, ("1-7",), ("5-5", "1-5")])
@pytest.mark.parametrize("augmentation", amdim_objective.AUGMENTATIONS)
def test_the_loss_is_the_sum_over_scales_of_both_directions(scales, augmentation):
    objective = Objective(scales, clip=3.0, penalty=0.1, augmentation=augmentation)
    parameters, state, images, noise = set_up(1, objective)
    value, found = amdim_objective.loss(parameters, state, images, noise, objective, TINY)
    views = amdim_objective.views(images, noise)
    one, running = amdim_encoder.encode(parameters["encoder"], state["encoder"], views[0], TINY, True)
    two, running = amdim_encoder.encode(parameters["encoder"], running, views[1], TINY, True)
    expected, penalty = 0.0, 0.0
    for scale in scales:
        for here, there, view in ((one, two, "first"), (two, one, "second")):
            y = here.one
            if scale[0] == "5":
                y = np.stack([here.five[k // 25, k % 25] for k in noise["anchors"][view]])
            f = {"5": there.five, "7": there.seven}[scale[-1]]
            entropy, _, square = literal(y, f, 3.0)
            expected += 0.5 * entropy
            penalty += 0.5 * 0.1 * square
        np.testing.assert_allclose(found["terms"][scale], literal_nats(scale, one, two, noise), atol=1e-9)
    np.testing.assert_allclose(value, expected + penalty, rtol=1e-9)
    np.testing.assert_allclose(found["terms"]["penalty"], penalty, rtol=1e-9)
    assert found["terms"]["loss"] == value
    assert set(found["saturated"]) == set(scales)
    np.testing.assert_array_equal(found["y"], one.one)
    for (path, array), (_, other) in zip(leaves(found["state"]["encoder"]), leaves(running), strict=True):
        np.testing.assert_array_equal(array, other, err_msg=path)


def literal_nats(scale, one, two, noise):
    """The mean over both directions of log K − cross entropy."""
    values = []
    for here, there, view in ((one, two, "first"), (two, one, "second")):
        y = here.one if scale[0] == "1" else here.five.reshape(-1, here.five.shape[2])[noise["anchors"][view]]
        f = {"5": there.five, "7": there.seven}[scale[-1]]
        values.append(math.log(1 + (len(y) - 1) * f.shape[1]) - literal(y, f, 3.0)[0])
    return sum(values) / 2


def test_views_swapped_give_the_same_loss():
    """In inference, where no view moves the statistics that the other one is normalized with."""
    objective = Objective()
    parameters, state, images, noise = set_up(2, objective, n=4)
    swapped = {
        "first": noise["second"],
        "second": noise["first"],
        "anchors": {"first": noise["anchors"]["second"], "second": noise["anchors"]["first"]},
    }
    found = [
        amdim_objective.loss(parameters, state, images, draws, objective, TINY, training=False)[0]
        for draws in (noise, swapped)
    ]
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_the_order_of_the_batch_does_not_matter():
    objective = Objective(augmentation="crop")
    parameters, state, images, noise = set_up(3, objective, n=5)
    order = np.random.default_rng(0).permutation(5)
    turned = {view: {name: a[order] for name, a in noise[view].items()} for view in ("first", "second")}
    turned["anchors"] = {view: np.arange(5) * 25 + noise["anchors"][view][order] % 25 for view in ("first", "second")}
    one = amdim_objective.loss(parameters, state, images, noise, objective, TINY)[0]
    other = amdim_objective.loss(parameters, state, images[order], turned, objective, TINY)[0]
    np.testing.assert_allclose(one, other, rtol=1e-10)


def test_anchors_are_uniform_over_the_locations_and_each_images_own():
    noise = amdim_objective.draw_noise(np.random.default_rng(0), Objective(), TINY, 5000)
    for view in ("first", "second"):
        image, location = np.divmod(noise["anchors"][view], 25)
        np.testing.assert_array_equal(image, np.arange(5000))
        counts = np.bincount(location, minlength=25)
        assert counts.min() > 130
        assert counts.max() < 270
    assert (noise["anchors"]["first"] != noise["anchors"]["second"]).mean() > 0.9


def test_without_augmentation_both_views_are_the_image():
    objective = Objective(augmentation="none")
    _, _, images, noise = set_up(4, objective)
    assert set(noise) == {"anchors"}
    for view in amdim_objective.views(images, noise):
        np.testing.assert_array_equal(view, images)
    assert amdim_objective.draw_noise(np.random.default_rng(0), Objective(("1-7",), augmentation="none"), TINY, 3) == {}


def test_views_are_augmented_in_the_unit_range_and_scaled_back():
    objective = Objective(augmentation="crop")
    _, _, images, noise = set_up(5, objective, Layout(32, 3, 1, 1, 6))
    for name, view in zip(("first", "second"), amdim_objective.views(images, noise), strict=True):
        expected = 2 * amdim_augmentation.augment((images + 1) / 2, noise[name]) - 1
        np.testing.assert_allclose(view, expected, atol=1e-12)
        assert np.abs(view).max() <= 1


@pytest.mark.parametrize("training", [True, False])
def test_the_strict_device_gives_numpys_numbers(training):
    objective = Objective()
    layout = Layout(32, 3, 1, 1, 6)
    parameters, state, images, noise = set_up(6, objective, layout, dtype=np.float32)
    move = STRICT.tree_to_device

    def run(parameters, state, images, noise):
        return value_and_gradients(amdim_objective.loss, parameters, state, images, noise, objective, layout, training)

    host = run(parameters, state, images, noise)
    device = run(move(parameters), move(state), STRICT.to_device(images), move(noise))
    assert host[0].dtype == np.float32
    named = [{"value": found[0], "slopes": found[1], **found[2]} for found in (host, device)]
    for (path, array), (_, other) in zip(*map(leaves, named), strict=True):
        if array is not None:
            assert isinstance(other, DeviceArray), path
            np.testing.assert_array_equal(other.get(), array, err_msg=path)
            assert np.asarray(array).dtype == np.float32 or path.startswith("saturated"), path


def test_every_parameter_has_a_gradient():
    objective = Objective()
    layout = Layout(32, 3, 4, 2, 16)
    parameters, state, images, noise = set_up(7, objective, layout)
    _, slopes, _ = value_and_gradients(amdim_objective.loss, parameters, state, images, noise, objective, layout)
    for path, slope in leaves(slopes):
        assert slope is not None, path
        assert np.abs(slope).max() > 0, path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scales": ()}, "scales must be some of 1-5, 1-7, 5-5"),
        ({"scales": ("1-5", "1-5")}, "scales must be some of"),
        ({"scales": ("7-7",)}, "scales must be some of"),
        ({"augmentation": "blur"}, "augmentation must be one of shift, crop, none, was 'blur'"),
    ],
)
def test_options_that_cannot_be_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Objective(**options)


def test_ceilings_are_log_k_of_each_map():
    objective = Objective()
    assert objective.weights == {"1-5": 1.0, "1-7": 1.0, "5-5": 1.0}
    assert objective.for_batch(3) is objective
    for term, locations in (("1-5", 25), ("1-7", 49), ("5-5", 25)):
        assert objective.ceiling(term, 10, 49) == math.log(1 + 9 * locations)
    assert dataclasses.replace(objective, scales=("1-7",)).weights == {"1-7": 1.0}
