"""Small encoders and critics in float64, and geometries of convolutions, for tests of plain and of fast forms alike."""

import numpy as np
from finite_differences import draw

from dimref import discriminators, encoders
from dimref.trees import leaves, map_tree

GEOMETRIES = [  # (H, W), kernel, stride, padding
    ((4, 4), (4, 4), (2, 2), (1, 1)),  # the encoder's
    ((5, 4), (3, 2), (2, 1), (1, 0)),  # nothing square
    ((4, 5), (2, 3), (1, 2), (0, 1)),
    ((7, 6), (3, 3), (2, 2), (0, 0)),  # stride does not divide: a column is never read
    ((6, 7), (2, 2), (3, 4), (0, 0)),  # kernel smaller than stride: gaps
    ((5, 5), (5, 4), (1, 3), (2, 1)),  # kernel no multiple of stride
    ((3, 3), (1, 1), (1, 1), (0, 0)),
    ((3, 4), (1, 1), (2, 3), (0, 0)),
    ((1, 1), (3, 3), (1, 1), (1, 1)),  # a pixel and its border
    ((1, 5), (1, 3), (1, 1), (0, 2)),
    ((2, 2), (2, 2), (5, 5), (0, 0)),  # one window
    ((3, 2), (3, 2), (1, 1), (3, 2)),  # windows that see the border only
]


def encoder_and_images(seed, layout, batch, dtype=np.float64):
    """Parameters with gains and shifts that are not 1 and 0, running statistics that are not 0 and 1, and images."""
    parameters, state = encoders.init_encoder(np.random.default_rng(seed), layout)
    rng = np.random.default_rng(seed + 1)
    for name, tree in parameters.items():
        if name.startswith("norm"):
            tree["gain"] = 1 + 0.3 * rng.standard_normal(tree["gain"].shape)
            tree["shift"] = 0.3 * rng.standard_normal(tree["shift"].shape)
            state[name]["mean"] = 0.3 * rng.standard_normal(tree["gain"].shape)
            state[name]["variance"] = 0.5 + rng.random(tree["gain"].shape)
    images = rng.uniform(-1, 1, (batch, layout.padded, layout.padded, layout.channels)).astype(dtype)
    parameters, state = (map_tree(lambda leaf: leaf.astype(dtype), tree) for tree in (parameters, state))
    return parameters, state, images


def in_float64(tree):
    return map_tree(lambda leaf: leaf.astype(np.float64), tree)


def concat(seed, features, representation, hidden=5):
    return in_float64(discriminators.init_concat(np.random.default_rng(seed), features, representation, hidden))


def dot(seed, features, representation, units=6, pieces=()):
    """With a gain and a shift that are not 1 and 0, so that leaving them out is seen."""
    tree = in_float64(discriminators.init_dot(np.random.default_rng(seed), features, representation, units, pieces))
    for k, side in enumerate(tree.values()):
        for norm in {"norm", "hidden_norm"} & set(side):
            gain, shift = draw(seed + k, (units,), (units,))
            side[norm] = {"gain": 1 + 0.3 * gain, "shift": 0.3 * shift}
    return tree


def as_function(tree, function):
    """(leaves of the tree, *more arrays) → function(tree, *more): for the checks, whose functions take arrays."""
    count = len(list(leaves(tree)))

    def call(*arrays):
        rest = iter(arrays[:count])
        return function(map_tree(lambda _: next(rest), tree), *arrays[count:])

    return call, [leaf for _, leaf in leaves(tree)]
