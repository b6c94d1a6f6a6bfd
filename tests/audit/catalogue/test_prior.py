"""The prior's losses: PyTorch's cross entropies and autograd conform, every variant gives its number."""

import numpy as np
import pytest
from catalogue_checks import PLAIN, SIZES, answered, apart, drawn, forms, percent, refuse_two_alike, same, variants

from dimref.audit.catalogue.prior import CONTRACTS
from dimref.audit.contract import Sizes
from dimref.trees import leaves, map_tree

FORMS = {name.rpartition("-")[0]: form for name, form in forms(CONTRACTS)}
KNOWN = variants(CONTRACTS) + [(f"{n}-{v.key}", form, v) for n, form in FORMS.items() for v in form.numerical]


def torch_functions():
    torch = pytest.importorskip("torch")
    entropy = torch.nn.functional.binary_cross_entropy_with_logits

    def logits(parameters, y):
        for name in ("first", "second"):
            y = torch.relu(y @ parameters[name]["w"] + parameters[name]["b"])
        return (y @ parameters["score"]["w"] + parameters["score"]["b"])[:, 0]

    def discriminator(real, fake):
        return entropy(real, torch.ones_like(real)) + entropy(fake, torch.zeros_like(fake))

    def game(transform):
        def both(parameters, y, z):
            y, frozen = transform(y), map_tree(torch.Tensor.detach, parameters)
            loss = discriminator(logits(parameters, z), logits(parameters, y.detach()))
            seen = logits(frozen, y)
            return loss, -entropy(seen, torch.zeros_like(seen))

        return both

    def penalty(parameters, z):
        z = z.clone().requires_grad_()
        (slope,) = torch.autograd.grad(logits(parameters, z).sum(), z)
        return (slope**2).sum(1).mean() / 2

    return {
        "discriminator_loss": discriminator,
        "encoder_loss": lambda fake: -entropy(fake, torch.zeros_like(fake)),
        "encoder_loss_non_saturating": lambda fake: entropy(fake, torch.ones_like(fake)),
        "game_uniform": game(torch.sigmoid),
        "game_gaussian": game(lambda y: y),
        "gradient_penalty": penalty,
    }


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_pytorch_conforms(name, dtype):
    torch, function, form = pytest.importorskip("torch"), torch_functions()[name], FORMS[name]
    signature = form.signature
    for k, sizes in enumerate(SIZES):
        inputs = drawn(form, Sizes(**{**vars(sizes), "dtype": dtype}), k)
        tensors = map_tree(torch.tensor, {name: inputs[name] for name in signature.arguments})
        wanted = {name: tensors[name] for name in signature.differentiate}
        for _, leaf in leaves(wanted):
            leaf.requires_grad_()
        found = function(*tensors.values())
        outputs = dict(zip(signature.outputs, found if isinstance(found, tuple) else (found,), strict=True))
        if wanted:
            sum(
                each * float(inputs["weight"][name]) if len(outputs) > 1 else each for name, each in outputs.items()
            ).backward()
        answer = {name: each.detach().numpy() for name, each in outputs.items()}
        answer.update({f"∂{path}": leaf.grad.numpy() for path, leaf in leaves(wanted)})
        same(answer, answered(form.reference, form, inputs), 1e-8 if dtype == "float64" else 1e-4, floor=1e-3)


@pytest.mark.parametrize(("form", "variant"), [each[1:] for each in KNOWN], ids=[each[0] for each in KNOWN])
def test_a_variant_differs_from_the_reference(form, variant):
    assert apart(form, form.reference, variant.function)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_variants_differ_from_each_other(form):
    refuse_two_alike(form)


@pytest.mark.parametrize("key", [v.key for v in FORMS["discriminator_loss"].mistakes])
def test_the_loss_of_a_discriminator_is_what_is_said(key):
    form = FORMS["discriminator_loss"]
    (variant,) = (each for each in form.mistakes if each.key == key)
    if " in place of " not in variant.consequence:
        return
    at = {"real": np.array([2.0]), "fake": np.array([-2.0])}
    if key == "averaged-before-softplus":
        at = {"real": np.array([2.0, -2.0]), "fake": np.array([2.0, -2.0])}
    said = variant.consequence.split(": ")[1].split(" in place of ")
    found, right = (float(function(at)["value"]) for function in (variant.function, form.reference))
    assert found == pytest.approx(float(said[0]), abs=1e-5)
    assert right == pytest.approx(float(said[1].split(";")[0].split(",")[0].split(" ")[0]), abs=1e-5)


def test_what_gradients_lose_is_what_is_said():
    for name in ("game_uniform", "game_gaussian", "gradient_penalty"):
        form = FORMS[name]
        for variant in form.mistakes:
            said = percent(variant.consequence)
            if said is None:
                continue
            part = {
                "gradient in y": "∂y",
                "gradients in the par": "∂parameters",
                "discriminator's loss": "discriminator",
            }
            key = next((value for words, value in part.items() if words in variant.consequence), "value")
            errors, sizes = 0.0, 0.0
            for seed in range(8):
                inputs = drawn(form, Sizes(**PLAIN), seed)
                right, found = (answered(f, form, inputs) for f in (form.reference, variant.function))
                names = [each for each in right if each.startswith(key)]
                errors += sum(float(((right[each] - found[each]) ** 2).sum()) for each in names)
                sizes += sum(float((right[each] ** 2).sum()) for each in names)
            assert said == pytest.approx(np.sqrt(errors / sizes), rel=0.1), variant.key


def test_where_naive_logarithms_end():
    for name, sign in (("encoder_loss", 1), ("encoder_loss_non_saturating", -1)):
        (naive,) = FORMS[name].numerical
        for dtype in (np.float32, np.float64):
            with np.errstate(all="ignore"):
                ends = [
                    d
                    for d in range(1, 800)
                    if not np.isfinite(naive.function({"fake": np.array([sign * d], dtype)})["value"])
                ]
            assert ends[0] in {np.float64: (37, 710), np.float32: (17, 89)}[dtype]
