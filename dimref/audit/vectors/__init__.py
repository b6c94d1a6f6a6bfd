"""Golden vectors: small inputs, outputs and gradients of the public mathematics, for tests in any language.

A case (`case.py`) is one call of one function. The families lie in files of their own: `scores.py` (bounds, negatives),
`tables.py` (information, f-divergences, channels, Gaussians), `networks.py` (primitives, layers, critics), `training.py`
(encoder, prior, objective, Adam), `multiview.py` (views, multi-scale encoder and objective). `negative.py` says what known
mistakes give in them. `write.py` computes them all and writes, for each module, one .npz and one .json beside one manifest.

Every input is a multiple of 1/1024 made from the raw stream of PCG64, so that it is the same in every version of NumPy and
exact in float32, too; nothing depends on how NumPy turns bits into normal deviates or permutations.
"""

SUITE = "2026.11"  # of the cases, their ids and the known mistakes: the month of the last change to any of them

# Public names that get no vector, by the reason why.
REASONS = {
    "a random draw: any derangement will do, and the traces carry theirs": "negatives.derangements negatives.sampled",
    "random draws: the vectors carry theirs": "objectives.draw_noise augment.draw_views augment.draw_shifts "
    "augment.draw_crops amdim.draw_noise",
    "random initial values: the vectors carry their parameters": "discriminators.init_concat discriminators.init_dot "
    "discriminators.init_prior objectives.init_parameters encoders.init_encoder multiscale.init_encoder "
    "amdim.init_parameters layers.init_linear layers.init_conv2d layers.init_conv_transpose2d",
    "a check: raises, or does nothing": "negatives.check_scores discriminators.check amdim.check "
    "encoders.check_images encoders.check_size",
    "a record: its fields are in the options or outputs of vectors": "f_divergences.Generator channels.Capacity "
    "objectives.Objective encoders.Layout encoders.Encoding multiscale.Layer multiscale.Layout multiscale.Encoding "
    "amdim.Objective amdim.Direction",
    "shapes: they show in the vectors of loss": "objectives.model_state amdim.model_state",
    "a part of what has vectors: concat_pairs": "discriminators.index_by_location discriminators.concat_head",
    "a part of what has vectors: dot_square": "discriminators.embed layers.mlp_with_shortcut",
    "a part of what has vectors: augment, scale": "amdim.views amdim.augmented",
    "a part of what has vectors: dot_square, contrast": "discriminators.score_matrix",
    "a part of what has vectors: encode": "multiscale.largest_map",
    "a part of what has vectors: infonce, infonce_sampled, leave_one_out": "negatives.positives negatives.without_positives "
    "negatives.inverse",
    "a part of what has vectors: linear": "layers.linear_rows",
    "a part of what has vectors: conv2d": "layers.convolution",
    "a part of what has vectors: batch_norm": "layers.normalize layers.moving_average",
    "a part of what has vectors: adam_step": "optim.update optim.step_rates",
    "several ranks at once: `dimref audit distributed` holds them": "distributed.ranks.Carrier distributed.ranks.Ranks "
    "distributed.ranks.shares",
}
EXCEPTIONS = {name: reason for reason, names in REASONS.items() for name in names.split()}
