"""Golden vectors: small inputs, outputs and gradients of the public mathematics, for tests in any language.

A case (`case.py`) is one call of one function. The families lie in files of their own: `scores.py` (bounds, negatives),
`tables.py` (information, f-divergences, channels, Gaussians), `networks.py` (primitives, layers, critics), `training.py`
(encoder, prior, objective, Adam), `multiview.py` (views, multi-scale encoder and objective). `write.py` computes them all
and writes one .npz for each module and one manifest.

Every input is a multiple of 1/1024 made from the raw stream of PCG64, so that it is the same in every version of NumPy and
exact in float32, too; nothing depends on how NumPy turns bits into normal deviates or permutations.
"""

SUITE = "2026.11"  # of the cases, their ids and the known mistakes: the month of the last change to any of them

# Public names that get no vector, and why.
EXCEPTIONS = {
    "negatives.derangements": "a random draw; any derangement will do, and the traces carry theirs",
    "negatives.sampled": "a random draw, as above",
    "negatives.check_scores": "a check of shapes",
    "f_divergences.Generator": "a record of functions: each shows in the vectors of f_divergence",
    "channels.Capacity": "a record: what capacity returns",
    "discriminators.init_concat": "random initial values; the vectors carry their parameters",
    "discriminators.init_dot": "random initial values, as above",
    "discriminators.init_prior": "random initial values, as above",
    "objectives.Objective": "a record of options",
    "objectives.init_parameters": "random initial values, as above",
    "objectives.model_state": "shapes: they show in the vectors of loss",
    "objectives.draw_noise": "random draws, as above",
    "encoders.Layout": "a record of sizes",
    "encoders.check_images": "raises, or does nothing",
    "encoders.check_size": "raises, or does nothing",
    "encoders.Encoding": "a record: what encode returns",
    "encoders.init_encoder": "random initial values, as above",
    "augment.draw_views": "random draws, as above",
    "augment.draw_shifts": "random draws, as above",
    "augment.draw_crops": "random draws, as above",
    "multiscale.Layer": "a record of sizes",
    "multiscale.Layout": "a record of sizes",
    "multiscale.Encoding": "a record: what encode returns",
    "multiscale.init_encoder": "random initial values, as above",
    "amdim.Objective": "a record of options",
    "amdim.Direction": "a record: what contrast returns",
    "amdim.init_parameters": "random initial values, as above",
    "amdim.model_state": "shapes: they show in the vectors of loss",
    "amdim.draw_noise": "random draws, as above",
    "amdim.views": "what loss encodes: augment, scaled",
    "discriminators.check": "raises, or does nothing",
    "discriminators.index_by_location": "rows of y or of scores by an index: it shows in the vectors of concat_pairs",
    "discriminators.score_matrix": "what dot_scores and amdim.contrast multiply: it shows in their vectors",
    "discriminators.embed": "a network of the dot scorer: it shows in the vectors of dot_square",
    "discriminators.concat_head": "the concat critic above its first layer: it shows in the vectors of concat_pairs",
    "amdim.check": "raises, or does nothing",
    "amdim.augmented": "scaled views: augment, scaled",
    "multiscale.largest_map": "a part of encode",
    "layers.linear_rows": "what linear computes",
    "layers.convolution": "what conv2d computes",
    "layers.normalize": "what batch_norm computes in training",
    "layers.moving_average": "it shows in the vectors of batch_norm",
    "layers.mlp_with_shortcut": "it shows in the vectors of dot_square and multiscale.embed",
    "layers.init_linear": "random initial values, as above",
    "layers.init_conv2d": "random initial values, as above",
    "layers.init_conv_transpose2d": "random initial values, as above",
    "optim.update": "what adam_step computes",
    "optim.step_rates": "two numbers: they show in the vectors of adam_step",
}
