"""The critics are their literal networks, and a broken one is not."""

import numpy as np
import pytest
from law_cases import broken_functions_break, laws_of

from dimref import discriminators, layers, ops
from dimref.laws import critics

pytestmark = pytest.mark.usefixtures("plain_forms")
LAWS = laws_of(critics)


# ---- what each law is there to catch: (module, function, what replaces it given the original, the laws that break)

BROKEN = [
    (discriminators, "concat_pairs", lambda good: lambda p, f, y, i: good(p, f, y, np.argsort(i, axis=0)),
     ["split_layer_is_the_literal_one"]),
    (discriminators, "concat_pairs", lambda good: lambda p, f, y, i: good(p, f, y, np.repeat(i[:, :1], i.shape[1], 1)),
     ["split_layer_is_the_literal_one", "local_is_global_on_1x1_maps"]),
    (discriminators, "concat_scores", lambda good: lambda p, f, y: good(p, f, y).transpose(1, 0, 2),
     ["split_layer_is_the_literal_one", "candidates_are_entries_of_the_matrix"]),
    (discriminators, "concat_candidates", lambda good: lambda p, f, y, s: good(p, f, y, s[::-1].copy()),
     ["candidates_are_entries_of_the_matrix"]),
    (discriminators, "concat_candidates", lambda good: lambda p, f, y, s: good(p, f, np.roll(y, 1, axis=0), s),
     ["candidates_are_entries_of_the_matrix"]),
    (discriminators, "dot_scores", lambda good: lambda p, f, y: good(p, f, y).transpose(1, 0, 2),
     ["dot_scores_are_every_inner_product"]),
    (discriminators, "dot_scores", lambda good: lambda p, f, y: good(p, f, y) * 2,
     ["dot_scores_are_every_inner_product"]),
    (layers, "layer_norm", lambda good: lambda p, x: x, ["dot_scores_are_every_inner_product"]),
    (ops, "relu", lambda good: lambda x: x, ["split_layer_is_the_literal_one"]),
    (layers, "linear_rows", lambda good: lambda x, w, b, relu: good(x, w, b, False),
     ["split_layer_is_the_literal_one", "dot_scores_are_every_inner_product"]),
]  # fmt: skip


test_broken_function_breaks_its_laws = broken_functions_break(LAWS, BROKEN)
