"""What the audit must say of every planted function: file → "kind name form" → verdict and key → functions.

A verdict is "conforms", "convention KEY" or "mistake KEY"; the key is the catalogue's, or one of the audit's own:
"scaled", "sum-for-mean", "constant", "gradient", "not-stabilised", "unknown" (a mistake that the catalogue does not know).
"""

from __future__ import annotations

MANIFEST: dict[str, dict[str, dict[str, str]]] = {
    "pairs_torch": {
        "bound jsd pairs": {
            "conforms": """jsd_expectations jsd_bce jsd_logsigmoid jsd_double_inside jsd_one_bce_call jsd_logaddexp
                jsd_loss_signed""",
            "convention log-2-dropped-twice": "jsd_loss",
            "convention bits": "jsd_bits",
            "convention js-itself": "jsd_gan_half jsd_halved",
            "mistake log-2-dropped-twice": "jsd_no_constant",
            "mistake log-2-dropped-once": "jsd_one_log2",
            "mistake logits-averaged-by-location": "jsd_averaged_negatives",
            "mistake all-logits-averaged": "jsd_averaged_both",
            "mistake maximum-subtracted-both": "jsd_max_subtracted",
            "mistake naive-softplus": "jsd_naive",
            "mistake naive-log-sigmoid": "jsd_naive_sigmoid",
            "mistake epsilon-1e-8": "jsd_naive_sigmoid_eps",
            "mistake roles-swapped": "jsd_signs_swapped",
            "mistake product-detached": "jsd_detached_negatives",
            "mistake unknown": "jsd_summed jsd_relu_scores",
        },
        "bound dv pairs": {
            "conforms": "dv_logsumexp dv_shifted dv_softmax_trick dv_loss",
            "convention locations-pooled": "dv_pooled",
            "mistake sum-in-log": "dv_without_count",
            "mistake naive-exp-mean-log": "dv_naive",
            "mistake no-log": "dv_without_log",
            "mistake mean-of-scores": "dv_averaged_negatives dv_mean_of_logs",
            "mistake product-detached": "dv_detached_negatives",
            "mistake joint-summed": "dv_summed",
        },
        "bound nwj pairs": {
            "conforms": "nwj_plain nwj_divided_by_e nwj_f_gan nwj_loss",
            "convention bits": "nwj_bits",
            "convention critic-less-one": "nwj_one_outside",
            "mistake no-minus-one": "nwj_without_minus_one",
            "mistake logarithm-kept": "nwj_via_logsumexp",
            "mistake product-summed": "nwj_summed",
            "mistake unknown": "nwj_averaged_negatives",
        },
    },
    "pairs_numpy": {
        "bound jsd pairs": {
            "conforms": "jsd jsd_by_halves jsd_loop jsd_tanh",
            "convention log-2-dropped-twice": "jsd_negated_sum_of_means",
            "convention js-itself": "jsd_one_half",
            "mistake scaled": "jsd_tenfold",
            "mistake log-2-dropped-twice": "jsd_nearly_dropped",
            "mistake log-2-dropped-once": "jsd_only_once",
            "mistake logits-averaged-by-location": "jsd_mean_first",
            "mistake naive-softplus": "jsd_log_one_plus_exp",
            "mistake naive-log-sigmoid": "jsd_probabilities",
            "mistake maximum-subtracted-both": "jsd_stabilised",
            "mistake roles-swapped": "jsd_other_way_round",
            "mistake product-detached": "jsd_stopped",
            "mistake unknown": "jsd_rectified jsd_sum",
        },
        "bound dv pairs": {
            "conforms": "dv dv_scipy dv_loop_over_locations",
            "convention bits": "dv_bits",
            "mistake naive-exp-mean-log": "dv_exp_mean_log",
            "mistake no-log": "dv_no_log",
            "mistake mean-of-scores": "dv_jensen",
        },
        "bound nwj pairs": {
            "conforms": "nwj nwj_einsum nwj_negated",
            "convention critic-less-one": "nwj_shifted",
            "mistake no-minus-one": "nwj_kl",
            "mistake unknown": "nwj_mean_in_exponent",
        },
    },
    "square_torch": {
        "bound dv matrix": {
            "conforms": "dv_square dv_square_masked",
            "convention diagonal-included": "dv_square_all",
            "mistake naive-exp-mean-log": "dv_square_naive",
            "mistake unknown": "dv_square_masked_by_minus_ten",
        },
        "bound nwj matrix": {
            "conforms": "nwj_square",
            "mistake diagonal-included": "nwj_square_all",
        },
        "bound jsd matrix": {
            "conforms": "jsd_square jsd_square_labels",
            "convention js-itself": "jsd_square_halved",
            "mistake diagonal-included": "jsd_square_all",
            "mistake masked-mean": "jsd_square_divided_by_all",
            "mistake constant": "jsd_square_masked_logits",
            "mistake logits-averaged-by-location": "jsd_square_averaged",
        },
    },
    "square_numpy": {
        "bound dv matrix": {
            "conforms": "dv_square",
            "convention diagonal-included": "dv_square_with_diagonal",
        },
        "bound nwj matrix": {
            "mistake not-stabilised": "nwj_square",
            "mistake diagonal-included": "nwj_square_with_diagonal",
            "mistake no-minus-one": "nwj_square_no_shift",
        },
        "bound jsd matrix": {
            "conforms": "jsd_square",
            "mistake diagonal-included": "jsd_square_with_diagonal",
            "mistake masked-mean": "jsd_square_over_n_squared",
            "mistake unknown": "jsd_square_first_only",
        },
    },
    "layers_torch": {
        "layer linear torch": {"conforms": "linear", "mistake bias-left-out": "linear_no_bias"},
        "layer conv2d channels-first": {
            "conforms": "conv2d conv2d_unfold",
            "mistake bias-left-out": "conv2d_no_bias",
            "mistake kernel-flipped": "conv2d_flipped",
            "mistake kernel-transposed": "conv2d_kernel_transposed",
            "mistake padding-behind": "conv2d_padded_behind",
            "mistake padding-replicated": "conv2d_reflected",
        },
        "layer conv_transpose2d channels-first": {
            "conforms": "conv_transpose2d",
            "mistake bias-left-out": "conv_transpose2d_no_bias",
            "mistake kernel-flipped": "conv_transpose2d_flipped",
        },
        "layer batch_norm channels-first": {
            "conforms": "batch_norm",
            "convention momentum-0.9": "batch_norm_swapped_momentum",
            "convention running-variance-biased": "batch_norm_biased_running",
            "mistake running-statistics-not-moved": "batch_norm_not_moved",
        },
        "layer batch_norm output-first": {
            "conforms": "batch_norm_output",
            "convention epsilon-0.001": "batch_norm_output_keras_eps",
            "mistake by-image": "batch_norm_output_test_statistics",
            "mistake unbiased-variance": "batch_norm_output_unbiased",
            "mistake epsilon-outside-root": "batch_norm_output_eps_outside",
            "mistake statistics-detached": "batch_norm_output_statistics_detached",
            "mistake gain-and-shift-left-out": "batch_norm_output_no_gain",
        },
        "layer batch_norm output-last": {"conforms": "batch_norm_output_last"},
        "layer batch_norm_inference channels-first": {
            "conforms": "batch_norm_inference",
            "mistake batch-statistics": "batch_norm_inference_batch_statistics",
            "mistake no-root": "batch_norm_inference_no_root",
        },
        "layer layer_norm rows": {
            "conforms": "layer_norm",
            "mistake unbiased-variance": "layer_norm_unbiased",
            "mistake annotated-transformer": "layer_norm_std_plus_eps",
            "mistake epsilon-outside-root": "layer_norm_eps_outside",
            "mistake over-batch": "layer_norm_over_batch",
            "mistake gain-and-shift-left-out": "layer_norm_no_gain",
            "mistake root-mean-square": "layer_norm_no_centre",
        },
    },
    "layers_numpy": {
        "layer linear rows": {
            "conforms": "linear",
            "mistake bias-left-out": "linear_bias_forgotten",
            "mistake unknown": "linear_bias_twice",
        },
        "layer conv2d channels-last": {
            "conforms": "conv2d conv2d_windows",
            "mistake bias-left-out": "conv2d_bias_forgotten",
            "mistake kernel-flipped": "conv2d_mathematical",
            "mistake padding-in-front": "conv2d_padding_in_front",
            "mistake padding-behind": "conv2d_padding_behind",
        },
        "layer batch_norm channels-last": {
            "conforms": "batch_norm",
            "convention momentum-0.9": "batch_norm_momentum_the_other_way",
            "convention running-variance-biased": "batch_norm_running_biased",
        },
        "layer batch_norm output-last": {
            "conforms": "batch_norm_output",
            "mistake by-image": "batch_norm_output_per_image",
            "mistake unbiased-variance": "batch_norm_output_ddof",
            "mistake epsilon-outside-root": "batch_norm_output_sigma_plus_eps",
            "mistake statistics-detached": "batch_norm_output_stopped",
        },
        "layer batch_norm_inference channels-last": {
            "conforms": "batch_norm_inference",
            "mistake batch-statistics": "batch_norm_inference_of_batch",
        },
        "layer layer_norm rows": {
            "conforms": "layer_norm",
            "mistake unbiased-variance": "layer_norm_ddof",
            "mistake over-batch": "layer_norm_columns",
        },
    },
}
