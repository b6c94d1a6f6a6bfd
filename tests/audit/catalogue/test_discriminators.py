"""Scorers: PyTorch's modules written plainly conform, every variant departs as much as it says."""

import math

import numpy as np
import pytest
from catalogue_checks import SIZES, answered, drawn, forms, same

from dimref.audit.catalogue.discriminators import CONTRACTS
from dimref.audit.contract import Sizes
from dimref.trees import leaves, map_tree

FORMS = {name.rpartition("-")[0]: form for name, form in forms(CONTRACTS)}


def torch_functions():
    torch = pytest.importorskip("torch")

    def linear(parameters, x):
        return torch.nn.functional.linear(x, parameters["w"].T, parameters.get("b"))

    def concat(parameters, features, y):
        """One linear layer of [features, y], y repeated to (…, D)."""
        w = torch.cat([parameters["feature"]["w"], parameters["representation"]["w"]])
        first = torch.relu(torch.cat([features, y], -1) @ w + parameters["feature"]["b"])
        return linear(parameters["score"], torch.relu(linear(parameters["hidden"], first)))[..., 0]

    def pairs(parameters, features, y, index):
        here = y[:, None].expand(-1, features.shape[1], -1)
        return concat(parameters, features, here), concat(parameters, features, y[index])

    def whole(parameters, last_map, y, index):
        flat = last_map.flatten(1)
        return concat(parameters, flat, y), concat(parameters, flat, y[index])

    def square(parameters, features, y):
        n, locations, _ = features.shape
        left = features[:, None].expand(-1, n, -1, -1)
        return concat(parameters, left, y[None, :, None].expand(n, -1, locations, -1))

    def embed(parameters, x):
        out = linear(parameters["out"], torch.relu(linear(parameters["hidden"], x))) + linear(parameters["shortcut"], x)
        norm = parameters["norm"]
        return torch.nn.functional.layer_norm(out, out.shape[-1:], norm["gain"], norm["shift"])

    def dot(parameters, features, y):
        a, b = embed(parameters["feature"], features), embed(parameters["representation"], y)
        return torch.einsum("ile,je->ijl", a, b) / math.sqrt(b.shape[1])

    def logits(parameters, y):
        hidden = torch.relu(linear(parameters["second"], torch.relu(linear(parameters["first"], y))))
        return linear(parameters["score"], hidden)[:, 0]

    return {
        "concat_pairs": pairs,
        "global_pairs": whole,
        "concat_square": square,
        "dot_square": dot,
        "prior_logits": logits,
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
        given = inputs["weight"] if signature.of == "" else {signature.of: inputs["weight"]}
        sum((torch.tensor(given[name]) * each).sum() for name, each in outputs.items()).backward()
        answer = {name: each.detach().numpy() for name, each in outputs.items()}
        answer.update({f"∂{path}": leaf.grad.numpy() for path, leaf in leaves(wanted)})
        same(answer, answered(form.reference, form, inputs), 1e-8 if dtype == "float64" else 2e-3)


@pytest.mark.parametrize("name", ["concat_pairs", "global_pairs"])
def test_the_index_has_no_fixed_points(name):
    for k, sizes in enumerate(SIZES):
        index = drawn(FORMS[name], sizes, k)["index"]
        rows = np.arange(len(index)).reshape(-1, *(1,) * (index.ndim - 1))
        assert (index != rows).all()
        assert (np.sort(index, axis=0) == rows).all()
