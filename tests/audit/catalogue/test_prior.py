"""The prior's losses: PyTorch's cross entropies and autograd conform, every variant gives its number."""

import numpy as np
import pytest
from catalogue_checks import SIZES, answered, drawn, forms, same

from dimref.audit.catalogue.prior import CONTRACTS
from dimref.audit.contract import Sizes
from dimref.trees import leaves, map_tree

FORMS = {name.rpartition("-")[0]: form for name, form in forms(CONTRACTS)}


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
