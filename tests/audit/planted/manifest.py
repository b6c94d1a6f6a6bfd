"""What the audit must say of every planted function: file → "kind name form" → "verdict and key: functions; …".

A verdict is "conforms", "convention KEY" or "mistake KEY"; the key is the catalogue's, or one of the audit's own:
"scaled", "sum-for-mean", "constant", "gradient", "locations", "clamped", "not-stabilised", "unknown" (a mistake that the
catalogue does not know).
"""

from __future__ import annotations

MANIFEST: dict[str, dict[str, str]] = {
    "amdim_numpy": {
        "bound amdim_direction scores": "conforms: loss_loops; convention certified: loss_of_averaged_negatives",
        "measure accuracy_over_batches logits": "convention error: error_rate",
    },
    "amdim_torch": {
        "bound amdim_direction scores": """
            convention constant: scores_as_bound; mistake clipped-hard: scores_hardtanh; mistake clip-20:
            scores_paper_clip; mistake clipped-after-softmax: scores_log_softmax_clipped; mistake penalty-left-out:
            scores_no_penalty""",
        "bound amdim_pair embeddings": """
            conforms: pair; convention directions-summed: pair_summed; mistake first-direction: pair_first; mistake
            within-a-view: pair_same_view""",
        "measure accuracy_over_batches logits": """
            conforms: accuracy; convention percent: top1_percent; convention error-percent: top1_error_percent;
            mistake first-batch: accuracy_break; mistake dropped-and-counted: accuracy_drop_last_over_dataset""",
        "layer batch_norm_inference channels-first": "conforms: norm_eval",
    },
    "contrastive_jax": {
        "bound jsd pairs": "conforms: jsd; mistake naive-softplus: jsd_log_one_plus_exp",
        "bound dv pairs": "conforms: dv; mistake product-detached: dv_negatives_stopped",
        "bound infonce matrix": "conforms: infonce; mistake missing-log-k: infonce_no_log_k",
    },
    "contrastive_numpy": {
        "bound moco features": """
            mistake positive-excluded: moco_without_positive; mistake own-key-among-negatives:
            moco_keys_enqueued_first""",
        "bound infonce_all_locations matrix": """
            mistake positive-twice: all_own_unmasked; mistake softmax-first: all_softmax_twice""",
        "bound infonce_certified matrix": "mistake log-k-of-all-locations: certified_all_counted",
    },
    "contrastive_torch": {
        "bound clip features": """
            conforms: clip; convention scaled-loss: clip_sum_of_both; mistake image-to-text-only: clip_one_direction;
            mistake not-normalized: clip_not_normalized; mistake temperature-multiplied: clip_times_temperature;
            mistake temperature-ignored: clip_no_temperature""",
        "bound nt_xent features": """
            mistake self-subtracted: nt_xent_self_subtracted; conforms: nt_xent; mistake naive-softmax:
            nt_xent_exponentials; mistake mask-multiplied: nt_xent_self_set_to_zero; convention across-views-one-way:
            nt_xent_one_view; mistake wrong-pairs: nt_xent_wrong_positive""",
        "bound moco features": """
            conforms: moco; mistake wrong-label: moco_wrong_label; mistake temperature-on-negatives-only:
            moco_temperature_on_negatives_only""",
    },
    "devious_torch": {
        "bound jsd pairs": """
            mistake logits-averaged-by-location: jsd_two_mistakes; mistake no-gradient: jsd_through_item; mistake
            gradient: jsd_double_gradient; mistake unknown: jsd_half_precision""",
        "bound infonce matrix": """
            conforms: infonce_sorted infonce_pairwise_sigmoids; mistake missing-log-k: infonce_two_mistakes; mistake
            unknown: infonce_wrong_from_four""",
        "bound dv pairs": "conforms: dv_unusual_but_right; mistake constant: dv_small_sample_corrected",
        "bound nwj pairs": "conforms: nwj_single_precision",
    },
    "discriminators_numpy": {
        "discriminator concat_pairs arrays": "convention features-gathered: concat_pairs_inverse_index",
        "discriminator concat_square arrays": "convention transposed: concat_square_other_way",
        "discriminator dot_square arrays": """
            convention not-scaled: dot_square_raw; mistake unknown: dot_square_shortcut_alone""",
        "discriminator prior_logits arrays": """
            mistake probability: prior_logits_probabilities; mistake sigmoid-before: prior_logits_of_sigmoid""",
        "discriminator global_pairs arrays": """
            mistake flattened-columns-first: global_pairs_transposed_map; mistake map-detached:
            global_pairs_map_constant""",
    },
    "discriminators_torch": {
        "discriminator concat_pairs arrays": """
            conforms: concat_pairs; convention index-of-first-location: concat_pairs_first_location; mistake
            sigmoid-on-score: concat_pairs_sigmoid; mistake feature-map-detached-product:
            concat_pairs_features_detached; mistake layer-bypassed: concat_pairs_hidden_bypassed; mistake
            index-ignored: concat_pairs_same_partner; mistake first-relu-missing:
            concat_pairs_no_first_relu""",
        "discriminator concat_square arrays": "conforms: concat_square",
        "discriminator global_pairs arrays": """
            conforms: global_pairs; convention flattened-channels-first: global_pairs_channels_first""",
        "discriminator dot_square arrays": """
            conforms: dot_square; convention scaled-by-e: dot_square_divided_by_e; mistake norm-left-out:
            dot_square_no_norm; mistake cosine: dot_square_cosine""",
        "discriminator prior_logits arrays": "conforms: prior_logits",
    },
    "estimators_numpy": {
        "bound plug_in pairs": "mistake joint-mean-alone: plug_in_joint_only",
        "bound smile pairs": "mistake masked-infinity: smile_of_exponentials",
        "bound mine pairs": """
            within: mine_autograd; mistake average-not-fed-back: mine_not_fed_back_numpy; mistake average-attached:
            mine_not_detached_numpy; mistake average-in-value-detached: mine_log_of_average""",
        "bound chi2 pairs": "conforms: chi2; mistake half-for-quarter: chi2_half",
        "bound reverse_kl pairs": "conforms: reverse_kl; mistake constant-sign: reverse_kl_sign",
        "bound squared_hellinger pairs": """
            mistake not-stabilised: squared_hellinger_conjugate; mistake no-activation: hellinger_raw""",
        "bound total_variation pairs": "convention sum-of-differences: total_variation_tanh",
    },
    "estimators_torch": {
        "bound plug_in pairs": "conforms: plug_in; mistake read-by-nwj: plug_in_through_nwj",
        "bound smile pairs": "conforms: smile",
        "bound tuba pairs": "conforms: tuba",
        "bound mine pairs": """
            within: mine; convention surrogate-value: mine_average_in_value; mistake no-correction: mine_uncorrected""",
        "bound reverse_kl pairs": "mistake roles-swapped: reverse_kl_official",
        "bound squared_hellinger pairs": "conforms: squared_hellinger; convention sign-turned: hellinger_exchanged",
        "bound total_variation pairs": "conforms: total_variation",
        "bound gan pairs": "conforms: gan",
        "bound chi2 pairs": "mistake squared-scores-negative: chi2_official",
    },
    "information_numpy": {
        "measure ssim images": """
            convention window-11: ssim_uniform_window; convention window-7-unbiased: ssim_uniform_seven; convention
            dissimilarity: ssim_loss; mistake range-255: ssim_for_bytes""",
        "measure ms_ssim images": "conforms: ms_ssim; mistake weights-not-normalized: ms_ssim_weights_not_normalized",
        "information entropy table": """
            conforms: entropy; mistake sign: entropy_sign; mistake evenness: entropy_relative""",
        "information joint_entropy table": """
            conforms: joint_entropy; mistake sum-of-marginals: joint_entropy_of_marginals; mistake one-marginal:
            joint_entropy_of_rows""",
        "information conditional_entropy table": """
            conforms: conditional_entropy; mistake other-condition: conditional_entropy_other_way; mistake joint:
            conditional_entropy_is_joint""",
        "information mutual_information table": """
            conforms: mutual_information; mistake reversed: mutual_information_outer; mistake unweighted:
            mutual_information_unweighted; mistake marginal-left-out:
            mutual_information_of_entropies; mistake other-condition: mutual_information_wrong_condition""",
        "information conditional_mutual_information table": """
            conforms: conditional_mutual_information; mistake unconditioned:
            conditional_mutual_information_unconditional; mistake condition-on-first: conditional_information_first""",
        "information capacity channel": """
            conforms: capacity; mistake uniform-input: capacity_at_uniform; mistake upper-end: capacity_first_bound""",
        "information cross_entropy table": """
            conforms: cross_entropy; mistake softmax-before: cross_entropy_after_softmax; mistake divergence:
            cross_entropy_less_entropy""",
        "information kl_divergence table": """
            conforms: kl_divergence; mistake cross-entropy: kl_divergence_cross_entropy""",
        "information jensen_shannon table": """
            conforms: jensen_shannon; convention distance: jensen_shannon_distance; mistake half-left-out:
            jensen_shannon_sum""",
        "information reverse_kl table": """
            conforms: reverse_kl; mistake forward: reverse_kl_forward; mistake weighted-by-p: reverse_kl_weighted_by_p""",
        "information chi2 table": "conforms: chi2; mistake neyman: chi2_neyman; mistake symmetric: chi2_symmetric",
        "information squared_hellinger table": """
            convention halved: squared_hellinger_half; mistake distance: squared_hellinger_root; mistake affinity:
            hellinger_affinity""",
        "information total_variation table": """
            convention doubled: total_variation_unhalved; mistake largest-difference: variation_of_one_outcome;
            mistake squared: variation_squared""",
        "information gaussian_entropy covariance": """
            mistake e-left-out: gaussian_entropy_no_e; mistake dimension-left-out: gaussian_entropy_one_dimension""",
        "information gaussian_kl moments": """
            conforms: gaussian_kl; mistake one-for-dimension: gaussian_kl_minus_one; mistake determinants-exchanged:
            gaussian_kl_log_ratio_inverted""",
        "information gaussian_mutual_information covariance": """
            mistake total-correlation: gaussian_information_total_correlation; mistake correlation-not-squared:
            gaussian_information_unsquared""",
    },
    "information_torch": {
        "measure ssim images": "conforms: ssim; mistake padded-zeros: ssim_padded",
        "information kl_divergence table": """
            mistake zero-over-zero: kl_divergence; mistake mean-for-sum: kl_divergence_mean""",
        "information jensen_shannon table": "mistake zero-log-zero: jensen_shannon",
        "information total_variation table": "conforms: total_variation",
        "information squared_hellinger table": "conforms: squared_hellinger",
        "information gaussian_entropy covariance": "conforms: gaussian_entropy; convention bits: gaussian_entropy_bits",
        "information gaussian_mutual_information covariance": "conforms: gaussian_mutual_information",
    },
    "layers_numpy": {
        "layer linear rows": "conforms: linear; mistake unknown: linear_bias_twice",
        "layer conv2d channels-last": "conforms: conv2d",
        "layer batch_norm channels-last": """
            conforms: batch_norm; convention momentum-0.9: batch_norm_momentum_the_other_way; convention
            running-variance-biased: batch_norm_running_biased""",
        "layer batch_norm output-last": "conforms: batch_norm_output",
        "layer batch_norm_inference channels-last": """
            conforms: batch_norm_inference; mistake batch-statistics: batch_norm_inference_of_batch""",
        "layer linear torch": "mistake weight-reshaped: linear_reshaped",
    },
    "layers_torch": {
        "layer linear torch": "conforms: linear",
        "layer conv2d channels-first": """
            mistake kernel-transposed: conv2d_kernel_transposed; mistake padding-replicated: conv2d_reflected""",
        "layer conv_transpose2d channels-first": """
            conforms: conv_transpose2d; mistake bias-left-out: conv_transpose2d_no_bias; mistake kernel-flipped:
            conv_transpose2d_flipped""",
        "layer batch_norm channels-first": "mistake running-statistics-not-moved: batch_norm_not_moved",
        "layer batch_norm output-first": """
            convention epsilon-1e-3: batch_norm_output_keras_eps; mistake gain-and-shift-left-out:
            batch_norm_output_no_gain""",
        "layer batch_norm_inference channels-first": "mistake no-root: batch_norm_inference_no_root",
        "layer layer_norm rows": """
            conforms: layer_norm; mistake annotated-transformer: layer_norm_std_plus_eps; mistake
            epsilon-outside-root: layer_norm_eps_outside""",
    },
    "measures_numpy": {
        "measure ms_ssim images": "mistake luminance-at-every-scale: ms_ssim_of_ssims",
    },
    "negatives_numpy": {
        "negatives all_pairs matrix": """
            mistake upper-triangle: all_pairs_upper_only; mistake unknown: all_pairs_wrong_axes""",
        "negatives mask count": """
            conforms: mask_boolean; convention true-is-joint: mask_inverted_numpy; mistake nothing-masked:
            mask_ones_numpy; mistake unknown: mask_off_by_one""",
        "negatives roll index": "mistake rolled-by-zero: roll_ignores_shift; mistake not-wrapped: roll_clipped",
        "negatives derangements index": """
            conforms: derangements; convention repeated: others_with_replacement; mistake fixed-points:
            shuffles_with_fixed_points; mistake index-shape: derangements_flat""",
        "negatives distinct_shifts index": """
            mistake repeated: shifts_with_replacement; mistake shift-of-zero: shifts_with_zero""",
        "negatives candidates index": "conforms: candidates; mistake outside: candidates_not_wrapped",
    },
    "negatives_torch": {
        "negatives all_pairs matrix": "conforms: all_pairs",
        "negatives masked_logsumexp matrix": """
            conforms: masked_logsumexp; convention other-axis: masked_wrong_axis; mistake diagonal-included:
            masked_not_at_all; mistake naive-exp-sum-log: masked_naive; mistake ten-subtracted:
            masked_by_minus_ten_added""",
        "negatives roll index": "conforms: roll_torch; convention other-direction: roll_backwards",
        "negatives distinct_shifts index": "conforms: distinct_shifts_torch",
    },
    "pairs_numpy": {
        "bound jsd pairs": "conforms: jsd; convention js-itself: jsd_one_half; mistake scaled: jsd_tenfold",
        "bound dv pairs": "mistake naive-exp-mean-log: dv_exp_mean_log",
        "bound nwj pairs": """
            within: nwj; convention critic-less-one: nwj_shifted; mistake scores-averaged-by-location:
            nwj_mean_in_exponent""",
        "bound smile pairs": "mistake clipped-without-exponential: smile_of_clipped_ratio",
        "bound tuba pairs": "mistake baseline-ignored: tuba_without_baseline",
        "bound reverse_kl pairs": "mistake constant: reverse_kl_no_constant",
        "bound total_variation pairs": "mistake relu-on-scores: total_variation_rectified",
        "bound gan pairs": "mistake same-sign: gan_same_sign; mistake product-alone: gan_fake_alone",
    },
    "pairs_torch": {
        "bound jsd pairs": """
            convention bits: jsd_bits; mistake logits-averaged-by-location: jsd_averaged_negatives; mistake
            maximum-subtracted-both: jsd_max_subtracted; mistake epsilon-1e-8: jsd_naive_sigmoid_eps; mistake
            both-summed: jsd_summed; mistake locations: jsd_location_mean""",
        "bound dv pairs": """
            convention locations-pooled: dv_pooled; mistake joint-summed: dv_summed; mistake clamped: dv_clamped""",
        "bound nwj pairs": "mistake logarithm-kept: nwj_via_logsumexp; mistake product-summed: nwj_summed",
        "bound tuba pairs": "mistake baseline-detached: tuba_baseline_detached",
    },
    "priors_numpy": {
        "prior encoder_loss logits": "mistake sign-flipped: encoder_loss_wrong_sign",
        "prior encoder_loss_non_saturating logits": """
            conforms: encoder_loss_non_saturating; mistake wasserstein: encoder_loss_ns_critic; mistake minimax-sign:
            encoder_loss_ns_minimax_sign""",
        "prior game_uniform arrays": """
            within: game_uniform; mistake sigmoid-missing: game_uniform_raw; mistake encoder-sign:
            game_uniform_wrong_sign""",
        "prior game_gaussian arrays": "mistake y-not-stopped: game_gaussian_y_flows",
    },
    "priors_torch": {
        "prior discriminator_loss logits": """
            conforms: discriminator_loss; convention scaled-loss: discriminator_loss_halved; mistake exchanged:
            discriminator_loss_labels_exchanged; mistake averaged-before-softplus: discriminator_loss_averaged""",
        "prior encoder_loss logits": """
            conforms: encoder_loss; convention non-saturating: encoder_loss_non_saturating; mistake
            non-saturating-sign: encoder_loss_ns_sign_flipped""",
        "prior game_uniform arrays": "conforms: game_uniform",
        "prior game_gaussian arrays": """
            conforms: game_gaussian; convention parameters-not-stopped: game_gaussian_parameters_not_stopped; mistake
            sigmoid-added: game_gaussian_with_sigmoid""",
        "prior gradient_penalty arrays": """
            conforms: gradient_penalty; convention half-left-out: gradient_penalty_no_half; mistake of-mean-logit:
            gradient_penalty_mean_of_outputs; mistake not-squared: gradient_penalty_not_squared; mistake unknown:
            gradient_penalty_one_row""",
    },
    "square_numpy": {
        "bound infonce matrix": """
            convention other-axis: infonce_rows; convention both-axes: infonce_both_ways; mistake sum-for-mean:
            infonce_total""",
        "bound infonce_all_locations matrix": """
            conforms: all_locations; convention own-locations-too: all_locations_own""",
        "bound infonce_certified matrix": "conforms: certified; mistake all-locations: certified_unaveraged",
        "bound dv matrix": "convention diagonal-included: dv_square_with_diagonal",
        "bound nwj matrix": "mistake masked-mean: nwj_over_n_squared",
    },
    "square_torch": {
        "bound infonce matrix": """
            mistake maximum-off-other-axis: infonce_maximum_of_rows; mistake binary-cross-entropy: infonce_binary;
            mistake sum-for-mean: infonce_summed; mistake divided-again: infonce_divided_twice""",
        "bound dv matrix": "mistake masked-by-minus-10: dv_square_masked_by_minus_ten",
    },
}
