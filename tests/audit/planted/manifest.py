"""What the audit must say of every planted function: file → "kind name form" → "verdict and key: functions; …".

A verdict is "conforms", "convention KEY" or "mistake KEY"; the key is the catalogue's, or one of the audit's own:
"scaled", "sum-for-mean", "constant", "gradient", "locations", "clamped", "not-stabilised", "unknown" (a mistake that the
catalogue does not know).
"""

from __future__ import annotations

MANIFEST: dict[str, dict[str, str]] = {
    "pairs_torch": {
        "bound jsd pairs": """
            convention bits: jsd_bits; mistake logits-averaged-by-location: jsd_averaged_negatives; mistake
            maximum-subtracted-both: jsd_max_subtracted; mistake epsilon-1e-8: jsd_naive_sigmoid_eps; mistake
            both-summed: jsd_summed""",
        "bound dv pairs": "convention locations-pooled: dv_pooled; mistake joint-summed: dv_summed",
        "bound nwj pairs": """
            convention bits: nwj_bits; mistake logarithm-kept: nwj_via_logsumexp; mistake product-summed: nwj_summed""",
    },
    "pairs_numpy": {
        "bound jsd pairs": """
            conforms: jsd; convention js-itself: jsd_one_half; mistake scaled: jsd_tenfold; mistake
            logits-averaged-by-location: jsd_mean_first; mistake naive-log-sigmoid: jsd_probabilities; mistake
            maximum-subtracted-both: jsd_stabilised; mistake roles-swapped: jsd_other_way_round; mistake both-summed:
            jsd_sum""",
        "bound dv pairs": "convention bits: dv_bits; mistake naive-exp-mean-log: dv_exp_mean_log",
        "bound nwj pairs": """
            within: nwj; convention critic-less-one: nwj_shifted; mistake scores-averaged-by-location:
            nwj_mean_in_exponent""",
    },
    "square_torch": {
        "bound infonce matrix": """
            mistake maximum-off-other-axis: infonce_maximum_of_rows; mistake binary-cross-entropy: infonce_binary;
            convention bits: infonce_bits; mistake sum-for-mean: infonce_summed; mistake divided-again:
            infonce_divided_twice; mistake mask-multiplied: infonce_mask_multiplied""",
        "bound dv matrix": "mistake masked-by-minus-10: dv_square_masked_by_minus_ten",
    },
    "square_numpy": {
        "bound infonce matrix": """
            convention other-axis: infonce_rows; convention both-axes: infonce_both_ways; mistake positive-excluded:
            infonce_only_negatives; mistake masked-by-minus-10: infonce_minus_ten; mistake naive-softmax:
            infonce_overflows; mistake sum-for-mean: infonce_total; mistake divided-again: infonce_twice_divided;
            mistake softmax-first: infonce_softmax_twice; mistake dv-over-all-pairs: infonce_everything""",
        "bound infonce_all_locations matrix": """
            conforms: all_locations; convention own-locations-too: all_locations_own""",
        "bound infonce_certified matrix": "conforms: certified; mistake all-locations: certified_unaveraged",
        "bound dv matrix": "convention diagonal-included: dv_square_with_diagonal",
        "bound nwj matrix": "convention diagonal-included: nwj_square_with_diagonal",
        "bound jsd matrix": """
            convention diagonal-included: jsd_square_with_diagonal; mistake masked-mean: jsd_square_over_n_squared""",
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
            convention epsilon-0.001: batch_norm_output_keras_eps; mistake gain-and-shift-left-out:
            batch_norm_output_no_gain""",
        "layer batch_norm_inference channels-first": "mistake no-root: batch_norm_inference_no_root",
        "layer layer_norm rows": """
            conforms: layer_norm; mistake annotated-transformer: layer_norm_std_plus_eps; mistake epsilon-outside-root:
            layer_norm_eps_outside; mistake gain-and-shift-left-out: layer_norm_no_gain; mistake root-mean-square:
            layer_norm_no_centre""",
    },
    "layers_numpy": {
        "layer linear rows": """
            conforms: linear; mistake bias-left-out: linear_bias_forgotten; mistake unknown: linear_bias_twice""",
        "layer conv2d channels-last": """
            conforms: conv2d conv2d_windows; mistake bias-left-out: conv2d_bias_forgotten; mistake kernel-flipped:
            conv2d_mathematical; mistake padding-in-front: conv2d_padding_in_front; mistake padding-behind:
            conv2d_padding_behind""",
        "layer batch_norm channels-last": """
            conforms: batch_norm; convention momentum-0.9: batch_norm_momentum_the_other_way; convention
            running-variance-biased: batch_norm_running_biased""",
        "layer batch_norm output-last": """
            conforms: batch_norm_output; mistake by-image: batch_norm_output_per_image; mistake unbiased-variance:
            batch_norm_output_ddof; mistake epsilon-outside-root: batch_norm_output_sigma_plus_eps; mistake
            statistics-detached: batch_norm_output_stopped""",
        "layer batch_norm_inference channels-last": """
            conforms: batch_norm_inference; mistake batch-statistics: batch_norm_inference_of_batch""",
        "layer layer_norm rows": """
            conforms: layer_norm; mistake unbiased-variance: layer_norm_ddof; mistake over-batch: layer_norm_columns""",
    },
    "estimators_torch": {
        "bound plug_in pairs": "conforms: plug_in; mistake read-by-nwj: plug_in_through_nwj",
        "bound smile pairs": "conforms: smile",
        "bound tuba pairs": "conforms: tuba",
        "bound mine pairs": """
            within: mine; convention surrogate-value: mine_average_in_value; mistake no-correction:
            mine_uncorrected""",
        "bound reverse_kl pairs": "mistake roles-swapped: reverse_kl_official",
        "bound squared_hellinger pairs": "conforms: squared_hellinger; convention sign-turned: hellinger_exchanged",
        "bound total_variation pairs": "conforms: total_variation",
        "bound gan pairs": "conforms: gan",
        "bound chi2 pairs": "mistake squared-scores-negative: chi2_official",
    },
    "estimators_numpy": {
        "bound plug_in pairs": "conforms: plug_in_expm1; mistake joint-mean-alone: plug_in_joint_only",
        "bound smile pairs": "conforms: smile_clipped_scores; mistake masked-infinity: smile_of_exponentials",
        "bound tuba pairs": "conforms: tuba_division",
        "bound mine pairs": """
            within: mine_autograd; mistake average-not-fed-back: mine_not_fed_back_numpy; mistake average-attached:
            mine_not_detached_numpy; mistake average-in-value-detached: mine_log_of_average; mistake rate-swapped:
            mine_rate_swapped""",
        "bound chi2 pairs": """
            conforms: chi2 chi2_square_completed; mistake half-for-quarter: chi2_half; mistake linear-term-missing:
            chi2_no_linear""",
        "bound reverse_kl pairs": "conforms: reverse_kl reverse_kl_short; mistake constant-sign: reverse_kl_sign",
        "bound squared_hellinger pairs": """
            conforms: squared_hellinger; mistake not-stabilised: squared_hellinger_conjugate; mistake no-activation:
            hellinger_raw""",
        "bound total_variation pairs": "conforms: total_variation; convention sum-of-differences: total_variation_tanh",
        "bound gan pairs": "conforms: gan_discriminator_loss",
    },
    "contrastive_torch": {
        "bound clip features": """
            conforms: clip; convention scaled-loss: clip_sum_of_both; mistake image-to-text-only: clip_one_direction;
            mistake not-normalized: clip_not_normalized; mistake temperature-multiplied: clip_times_temperature; mistake
            temperature-ignored: clip_no_temperature; mistake softmax-first: clip_softmax_first""",
        "bound nt_xent features": """
            mistake self-subtracted: nt_xent_self_subtracted;
            conforms: nt_xent; mistake naive-softmax: nt_xent_exponentials; mistake mask-multiplied:
            nt_xent_self_set_to_zero; convention across-views-one-way: nt_xent_one_view; mistake temperature-multiplied:
            nt_xent_times_temperature; mistake wrong-pairs: nt_xent_wrong_positive""",
        "bound moco features": """
            conforms: moco; mistake wrong-label: moco_wrong_label; mistake temperature-on-negatives-only:
            moco_temperature_on_negatives_only""",
    },
    "contrastive_numpy": {
        "bound clip features": """
            conforms: clip; mistake text-to-image-only: clip_text_only; mistake not-normalized: clip_raw; mistake
            temperature-multiplied: clip_multiplied""",
        "bound nt_xent features": """
            conforms: nt_xent; mistake self-not-masked: nt_xent_with_self; mistake not-normalized: nt_xent_raw; mistake
            positive-excluded: nt_xent_no_positive""",
        "bound moco features": """
            conforms: moco; mistake positive-excluded: moco_without_positive; mistake not-normalized: moco_raw""",
    },
    "negatives_torch": {
        "negatives all_pairs matrix": "conforms: all_pairs; mistake mask-multiplied: all_pairs_zeroed",
        "negatives masked_logsumexp matrix": """
            conforms: masked_logsumexp masked_logsumexp_gathered; convention other-axis: masked_wrong_axis; mistake
            masked-by-minus-10: masked_by_minus_ten; mistake mask-multiplied: masked_to_zero; mistake diagonal-included:
            masked_not_at_all; mistake naive-exp-sum-log: masked_naive; mistake ten-subtracted:
            masked_by_minus_ten_added""",
        "negatives roll index": "conforms: roll_torch; convention other-direction: roll_backwards",
        "negatives distinct_shifts index": "conforms: distinct_shifts_torch",
    },
    "negatives_numpy": {
        "negatives all_pairs matrix": """
            conforms: all_pairs_upper_then_lower; mistake diagonal-included: all_pairs_with_diagonal_numpy; mistake
            upper-triangle: all_pairs_upper_only; mistake unknown: all_pairs_wrong_axes""",
        "negatives mask count": """
            conforms: mask_boolean mask_loop; convention true-is-joint: mask_inverted_numpy; mistake nothing-masked:
            mask_ones_numpy; mistake upper-triangle: mask_upper; mistake unknown: mask_off_by_one""",
        "negatives roll index": "conforms: roll; mistake rolled-by-zero: roll_ignores_shift",
        "negatives derangements index": """
            conforms: derangements one_shuffle_for_all_locations; convention repeated: others_with_replacement; mistake
            fixed-points: shuffles_with_fixed_points""",
        "negatives distinct_shifts index": """
            conforms: distinct_shifts; mistake repeated: shifts_with_replacement; mistake shift-of-zero:
            shifts_with_zero""",
        "negatives candidates index": """
            conforms: candidates; mistake fixed-points: candidates_with_own; mistake repeated: candidates_repeated""",
    },
    "priors_torch": {
        "prior discriminator_loss logits": """
            conforms: discriminator_loss; convention scaled-loss: discriminator_loss_halved; mistake exchanged:
            discriminator_loss_labels_exchanged; mistake averaged-before-softplus: discriminator_loss_averaged""",
        "prior encoder_loss logits": """
            conforms: encoder_loss; convention non-saturating: encoder_loss_non_saturating; mistake non-saturating-sign:
            encoder_loss_ns_sign_flipped""",
        "prior game_uniform arrays": "conforms: game_uniform",
        "prior game_gaussian arrays": """
            conforms: game_gaussian; convention parameters-not-stopped: game_gaussian_parameters_not_stopped; mistake
            sigmoid-added: game_gaussian_with_sigmoid""",
        "prior gradient_penalty arrays": """
            conforms: gradient_penalty; convention half-left-out: gradient_penalty_no_half; mistake of-mean-logit:
            gradient_penalty_mean_of_outputs; mistake not-squared: gradient_penalty_not_squared; mistake one-centred:
            gradient_penalty_wgan; mistake unknown: gradient_penalty_one_row""",
    },
    "priors_numpy": {
        "prior discriminator_loss logits": """
            conforms: discriminator_loss; mistake naive-log-sigmoid: discriminator_loss_probabilities""",
        "prior encoder_loss logits": "conforms: encoder_loss; mistake sign-flipped: encoder_loss_wrong_sign",
        "prior encoder_loss_non_saturating logits": "conforms: encoder_loss_non_saturating",
        "prior game_uniform arrays": """
            within: game_uniform; mistake sigmoid-missing: game_uniform_raw; mistake encoder-sign:
            game_uniform_wrong_sign""",
        "prior game_gaussian arrays": "conforms: game_gaussian; mistake y-not-stopped: game_gaussian_y_flows",
        "prior gradient_penalty arrays": "conforms: gradient_penalty; mistake one-row: gradient_penalty_first_row",
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
    "information_numpy": {
        "measure ssim images": """
            conforms: ssim; convention window-11: ssim_uniform_window; convention window-7-unbiased: ssim_uniform_seven;
            convention dissimilarity: ssim_loss; mistake range-255: ssim_for_bytes; mistake range-2:
            ssim_symmetric_range; mistake luminance-left-out: ssim_structure_only; mistake constants-not-squared:
            ssim_constants_not_squared; mistake batch-mean: ssim_over_batch""",
        "measure ms_ssim images": """
            conforms: ms_ssim; mistake range-255: ms_ssim_for_bytes; mistake weights-not-normalized:
            ms_ssim_weights_not_normalized""",
        "information entropy table": """
            conforms: entropy entropy_masked; convention bits: entropy_bits; mistake sign: entropy_sign; mistake
            zero-log-zero: entropy_nan_at_zero; mistake epsilon-0.001: entropy_with_epsilon""",
        "information joint_entropy table": """
            conforms: joint_entropy; mistake sum-of-marginals: joint_entropy_of_marginals""",
        "information conditional_entropy table": """
            conforms: conditional_entropy conditional_entropy_chain; mistake other-condition:
            conditional_entropy_other_way""",
        "information mutual_information table": """
            conforms: mutual_information mutual_information_sum; convention bits: mutual_information_bits; mistake
            reversed: mutual_information_outer; mistake unweighted: mutual_information_unweighted; mistake unknown:
            mutual_information_of_entropies""",
        "information conditional_mutual_information table": """
            conforms: conditional_mutual_information; mistake unconditioned:
            conditional_mutual_information_unconditional""",
        "information capacity channel": "conforms: capacity; mistake uniform-input: capacity_at_uniform",
        "information cross_entropy table": "conforms: cross_entropy; mistake exchanged: cross_entropy_reversed",
        "information kl_divergence table": """
            conforms: kl_divergence; convention bits: kl_divergence_bits; mistake reversed: kl_divergence_reversed;
            mistake cross-entropy: kl_divergence_cross_entropy; mistake infinite-skipped: kl_divergence_skips_zeros""",
        "information jensen_shannon table": """
            conforms: jensen_shannon jensen_shannon_entropies; convention distance: jensen_shannon_distance; mistake
            half-left-out: jensen_shannon_sum; mistake jeffreys: jensen_shannon_symmetrised_kl""",
        "information reverse_kl table": "conforms: reverse_kl",
        "information chi2 table": "conforms: chi2; mistake neyman: chi2_neyman; mistake symmetric: chi2_symmetric",
        "information squared_hellinger table": """
            conforms: squared_hellinger; convention halved: squared_hellinger_half; mistake distance:
            squared_hellinger_root""",
        "information total_variation table": "conforms: total_variation; convention doubled: total_variation_unhalved",
        "information gaussian_entropy covariance": """
            conforms: gaussian_entropy; mistake e-left-out: gaussian_entropy_no_e; mistake half-left-out:
            gaussian_entropy_unhalved""",
        "information gaussian_kl moments": """
            conforms: gaussian_kl; mistake reversed: gaussian_kl_reversed; mistake half-left-out: gaussian_kl_unhalved""",
        "information gaussian_mutual_information covariance": """
            conforms: gaussian_mutual_information; mistake half-left-out: gaussian_mutual_information_unhalved""",
    },
    "discriminators_torch": {
        "discriminator concat_pairs arrays": """
            conforms: concat_pairs; convention index-of-first-location: concat_pairs_first_location; mistake
            sigmoid-on-score: concat_pairs_sigmoid; mistake feature-map-detached-product:
            concat_pairs_features_detached; mistake layer-bypassed: concat_pairs_hidden_bypassed; mistake index-ignored:
            concat_pairs_same_partner; mistake unknown: concat_pairs_no_first_relu""",
        "discriminator concat_square arrays": "conforms: concat_square",
        "discriminator global_pairs arrays": """
            conforms: global_pairs; convention flattened-channels-first: global_pairs_channels_first""",
        "discriminator dot_square arrays": """
            conforms: dot_square; convention scaled-by-e: dot_square_divided_by_e; mistake norm-left-out:
            dot_square_no_norm; mistake cosine: dot_square_cosine; mistake y-detached: dot_square_y_detached; mistake
            feature-map-detached: dot_square_features_detached""",
        "discriminator prior_logits arrays": "conforms: prior_logits",
    },
    "discriminators_numpy": {
        "discriminator concat_pairs arrays": """
            conforms: concat_pairs; convention features-gathered: concat_pairs_inverse_index; mistake relu-on-score:
            concat_pairs_rectified; mistake y-detached-product: concat_pairs_y_stopped; mistake
            feature-map-detached-joint: concat_pairs_features_stopped""",
        "discriminator concat_square arrays": "conforms: concat_square; convention transposed: concat_square_other_way",
        "discriminator global_pairs arrays": "conforms: global_pairs",
        "discriminator dot_square arrays": """
            conforms: dot_square; convention not-scaled: dot_square_raw; mistake relu-on-both-branches:
            dot_square_both_rectified; mistake unknown: dot_square_shortcut_alone""",
        "discriminator prior_logits arrays": "conforms: prior_logits; mistake probability: prior_logits_probabilities",
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
    "more_negatives_numpy": {
        "negatives all_pairs matrix": """
            mistake masked-by-minus-10: all_pairs_minus_ten; mistake wrong-diagonal: all_pairs_anti_diagonal""",
        "negatives mask count": "mistake triangle-with-diagonal: mask_triu; mistake other-diagonal: mask_flipped",
        "negatives masked_logsumexp matrix": "mistake mean-for-sum: masked_log_mean_exp",
        "negatives roll index": "mistake not-wrapped: roll_clipped; mistake reversed: roll_reversed",
        "negatives derangements index": """
            mistake index-shape: derangements_flat; mistake outside: derangements_from_one""",
        "negatives distinct_shifts index": """
            mistake index-shape: distinct_shifts_all; mistake outside: distinct_shifts_negative""",
        "negatives candidates index": "mistake index-shape: candidates_by_row; mistake outside: candidates_not_wrapped",
    },
    "more_discriminators_numpy": {
        "discriminator concat_pairs arrays": """
            mistake tanh-on-score: concat_pairs_tanh; mistake relu-missing: concat_pairs_linear; mistake
            second-relu-missing: concat_pairs_one_relu; mistake leaky-relu: concat_pairs_leaky; mistake biases-left-out:
            concat_pairs_no_bias; mistake y-tiled: concat_pairs_tiled; mistake index-transposed:
            concat_pairs_index_by_location; mistake index-reshaped: concat_pairs_features_by_location""",
        "discriminator global_pairs arrays": """
            mistake flattened-columns-first: global_pairs_transposed_map; mistake map-detached:
            global_pairs_map_constant""",
        "discriminator dot_square arrays": """
            mistake relu-on-sum: dot_square_rectified_sum; mistake unbiased-variance: dot_square_ddof; mistake
            shortcut-left-out: dot_square_no_shortcut""",
        "discriminator prior_logits arrays": """
            mistake sigmoid-before: prior_logits_of_sigmoid; mistake negated: prior_logits_fake_is_one""",
    },
    "more_discriminators_torch": {
        "discriminator concat_pairs arrays": """
            mistake y-detached-joint: concat_pairs_y_detached_joint; mistake product-detached:
            concat_pairs_negatives_without_grad; mistake product-inputs-detached: concat_pairs_negatives_of_constants""",
        "discriminator global_pairs arrays": """
            mistake map-detached-joint: global_pairs_map_detached_joint; mistake map-detached-product:
            global_pairs_map_detached_product""",
        "discriminator dot_square arrays": "mistake relu-after-norm: dot_square_positive_embeddings",
    },
    "more_layers_numpy": {
        "layer linear torch": "mistake weight-reshaped: linear_reshaped",
        "layer linear rows": """
            mistake relu-on-output: linear_rectified; mistake gradient-per-batch: linear_backward_by_hand""",
        "layer conv2d channels-last": "mistake relu-on-output: conv2d_rectified",
        "layer conv2d channels-first": """
            mistake weight-reshaped: conv2d_weight_reshaped; mistake image-reshaped: conv2d_image_reshaped""",
        "layer conv_transpose2d channels-last": """
            mistake cropped-behind: conv_transpose2d_cropped_behind; mistake cropped-in-front:
            conv_transpose2d_cropped_in_front; mistake kernel-transposed: conv_transpose2d_rows_for_columns""",
        "layer batch_norm output-last": """
            mistake epsilon-left-out: batch_norm_output_no_epsilon; mistake no-root: batch_norm_output_by_variance;
            mistake shift-before-gain: batch_norm_output_shift_first; mistake by-place: batch_norm_output_axis_zero;
            mistake over-everything: batch_norm_output_all_axes""",
        "layer batch_norm output-first": "mistake by-pixel: batch_norm_output_last_axis",
        "layer batch_norm channels-last": """
            mistake running-statistics-in-training: batch_norm_by_old_running; mistake moved-statistics-in-training:
            batch_norm_by_running; mistake running-deviation: batch_norm_running_std; mistake running-sum:
            batch_norm_running_added""",
        "layer batch_norm_inference channels-last": """
            mistake epsilon-outside-root: batch_norm_inference_eps_outside; mistake gain-and-shift-left-out:
            batch_norm_inference_plain; mistake mean-left-out: batch_norm_inference_uncentred""",
        "layer layer_norm rows": """
            mistake epsilon-left-out: layer_norm_no_epsilon; mistake over-everything: layer_norm_whole_batch; mistake
            not-divided: layer_norm_centred; mistake statistics-detached: layer_norm_constants""",
    },
    "more_layers_torch": {
        "layer conv2d channels-first": "mistake gradient-per-batch: conv2d_backward_by_hand",
        "layer conv_transpose2d channels-first": "mistake overlaps-overwritten: conv_transpose2d_assigned",
        "layer layer_norm rows": "mistake unbiased-epsilon-outside: layer_norm_std",
    },
    "more_priors_numpy": {
        "prior discriminator_loss logits": """
            mistake fake-left-out: discriminator_loss_real_only; mistake real-left-out: discriminator_loss_fake_only;
            mistake both-real: discriminator_loss_all_ones; mistake label-smoothing: discriminator_loss_smoothed;
            mistake epsilon-1e-8: discriminator_loss_guarded""",
        "prior encoder_loss logits": "mistake sum-for-mean: encoder_loss_total; mistake detached: encoder_loss_stopped",
        "prior encoder_loss_non_saturating logits": """
            mistake sum-for-mean: encoder_loss_ns_total; mistake wasserstein: encoder_loss_ns_critic; mistake
            minimax-sign: encoder_loss_ns_minimax_sign""",
        "prior game_uniform arrays": """
            mistake tanh-for-sigmoid: game_uniform_tanh; mistake nothing-stopped: game_uniform_nothing_stopped; mistake
            encoder-detached: game_uniform_both_stopped""",
        "prior game_gaussian arrays": "mistake encoder-sign-non-saturating: game_gaussian_non_saturating_sign",
        "prior gradient_penalty arrays": """
            mistake of-the-batch: gradient_penalty_one_norm; mistake over-features: gradient_penalty_all_mean; mistake
            of-probability: gradient_penalty_of_probability""",
    },
    "more_priors_torch": {
        "prior discriminator_loss logits": """
            mistake sigmoid-twice: discriminator_loss_bce_of_probabilities; mistake hinge: discriminator_loss_hinge""",
        "prior game_uniform arrays": "mistake y-not-stopped-non-saturating: game_uniform_ns_y_not_stopped",
    },
    "more_measures_numpy": {
        "measure ssim images": """
            mistake range-of-data: ssim_data_range; mistake constants-left-out: ssim_without_constants; mistake
            constants-exchanged: ssim_k_swapped; mistake one-constant: ssim_one_constant; mistake unbiased-variances:
            ssim_sample_covariance; mistake padded-symmetric: ssim_mirrored; convention padded-reflected: ssim_reflected;
            mistake sigma-squared: ssim_narrow_window; mistake no-windows: ssim_global; mistake means-multiplied:
            ssim_product_of_means; mistake grey: ssim_grey""",
        "measure ms_ssim images": """
            mistake luminance-at-every-scale: ms_ssim_of_ssims; mistake luminance-left-out: ms_ssim_no_luminance;
            mistake equal-weights: ms_ssim_equal_weights; mistake weights-backwards: ms_ssim_weights_reversed; mistake
            sum-of-scales: ms_ssim_weighted_sum; mistake every-second-pixel: ms_ssim_strided; mistake largest-pixel:
            ms_ssim_max_pooled; mistake padded-zeros: ms_ssim_same_size; mistake powers-of-windows:
            ms_ssim_powers_first; mistake absolute-values: ms_ssim_absolute; mistake not-clipped: ms_ssim_raw_powers""",
    },
    "more_pairs_numpy": {
        "bound dv pairs": "mistake maximum-kept: dv_maximum_forgotten",
        "bound nwj pairs": "mistake softplus-for-exp: nwj_softplus",
        "bound jsd pairs": """
            mistake maximum-subtracted: jsd_maximum_of_product; mistake positives-alone: jsd_without_negatives""",
        "bound plug_in pairs": "mistake logarithm-kept: plug_in_through_dv",
        "bound smile pairs": "mistake clipped-without-exponential: smile_of_clipped_ratio",
        "bound tuba pairs": "mistake baseline-ignored: tuba_without_baseline",
    },
    "more_pairs_torch": {
        "bound dv pairs": "mistake clamped: dv_clamped",
        "bound jsd pairs": """
            mistake clamped: jsd_clamped; mistake locations: jsd_location_mean; mistake naive-cross-entropy-clamped:
            jsd_bce_clamped""",
        "bound tuba pairs": "mistake baseline-detached: tuba_baseline_detached",
    },
    "masks_numpy": {
        "bound dv matrix": "mistake mask-multiplied: dv_masked_to_zero; mistake masked-mean: dv_over_n_squared",
        "bound nwj matrix": """
            mistake mask-multiplied: nwj_masked_to_zero; mistake masked-by-minus-10: nwj_minus_ten; mistake masked-mean:
            nwj_over_n_squared""",
        "bound jsd matrix": "mistake mask-multiplied: jsd_masked_to_zero; mistake masked-by-minus-10: jsd_minus_ten",
        "bound plug_in matrix": """
            convention diagonal-included: plug_in_of_all; mistake mask-multiplied: plug_in_masked_to_zero; mistake
            masked-by-minus-10: plug_in_minus_ten; mistake masked-mean: plug_in_over_n_squared""",
        "bound smile matrix": "convention diagonal-included: smile_of_all",
        "bound chi2 matrix": """
            convention diagonal-included: chi2_of_all; mistake mask-multiplied: chi2_masked_to_zero; mistake
            masked-by-minus-10: chi2_minus_ten""",
        "bound reverse_kl matrix": """
            convention diagonal-included: reverse_kl_of_all; mistake mask-multiplied: reverse_kl_masked_to_zero; mistake
            masked-by-minus-10: reverse_kl_minus_ten""",
        "bound squared_hellinger matrix": """
            convention diagonal-included: squared_hellinger_of_all; mistake mask-multiplied:
            squared_hellinger_masked_to_zero; mistake masked-by-minus-10: squared_hellinger_minus_ten""",
        "bound total_variation matrix": """
            convention diagonal-included: total_variation_of_all; mistake mask-multiplied: total_variation_masked_to_zero;
            mistake masked-by-minus-10: total_variation_minus_ten""",
        "bound gan matrix": """
            convention diagonal-included: gan_of_all; mistake mask-multiplied: gan_masked_to_zero; mistake
            masked-by-minus-10: gan_minus_ten""",
    },
    "divergences_numpy": {
        "bound chi2 pairs": """
            mistake squared-scores: chi2_even; mistake quarter-missing: chi2_whole_square; mistake linear-term-sign:
            chi2_minus_v; mistake roles-swapped: chi2_exchanged; mistake relu-on-scores: chi2_rectified""",
        "bound reverse_kl pairs": """
            mistake constant: reverse_kl_no_constant; mistake product-sign: reverse_kl_minus_v; mistake forward-kl:
            reverse_kl_forward; mistake relu-on-scores: reverse_kl_rectified""",
        "bound squared_hellinger pairs": """
            mistake joint-sign: hellinger_both_exponential; mistake constants: hellinger_constants_left_out; mistake
            relu-on-scores: hellinger_rectified""",
        "bound total_variation pairs": "mistake relu-on-scores: total_variation_rectified",
        "bound gan pairs": """
            mistake same-sign: gan_same_sign; mistake product-alone: gan_fake_alone; mistake roles-swapped:
            gan_exchanged""",
    },
    "divergences_torch": {
        "bound chi2 pairs": "mistake product-detached: chi2_fake_detached; mistake joint-detached: chi2_real_detached",
    },
    "more_square_numpy": {
        "bound infonce matrix": """
            mistake no-logarithm: infonce_accuracy_like;
            mistake naive-exp-sum-log: infonce_exp_sum_log; mistake all-entries-averaged: infonce_every_pair_positive;
            mistake candidates-along-locations: infonce_of_own_locations; mistake locations-averaged-first:
            infonce_of_mean_location; mistake off-diagonal-dv: infonce_one_denominator""",
        "bound infonce logits": "mistake candidates-along-batch: logits_softmax_of_batch",
    },
    "more_information_numpy": {
        "information entropy table": """
            mistake mean-for-sum: entropy_mean; mistake evenness: entropy_relative; mistake softmax-before:
            entropy_after_softmax; mistake binary-terms: entropy_of_coins""",
        "information joint_entropy table": """
            mistake epsilon-1e-08: joint_entropy_tiny_offset; mistake mean-for-sum: joint_entropy_mean; mistake
            one-marginal: joint_entropy_of_rows; mistake zero-log-zero: joint_entropy_nan""",
        "information conditional_entropy table": """
            mistake joint: conditional_entropy_is_joint; mistake unweighted: conditional_entropy_plain_mean; mistake
            marginal: conditional_entropy_unconditioned; mistake information: conditional_entropy_is_information;
            mistake epsilon-1e-08: conditional_entropy_tiny_offset; mistake zero-log-zero: conditional_entropy_nan""",
        "information mutual_information table": """
            mistake joint-added: information_plus_joint; mistake joint-left-out: information_without_joint; mistake
            other-condition: information_wrong_condition; mistake averaged-marginals: information_mean_marginals;
            mistake rows-normalized: information_of_conditional; mistake normalized-arithmetic: information_normalized;
            mistake normalized-geometric: information_normalized_root; mistake normalized-min:
            information_normalized_smaller; mistake normalized-max: information_normalized_larger; mistake
            normalized-joint: information_normalized_joint; mistake epsilon-1e-08: information_tiny_offset; mistake
            zero-log-zero: information_nan""",
        "information conditional_mutual_information table": """
            mistake condition-on-first: conditional_information_first; mistake condition-on-second:
            conditional_information_second; mistake unweighted: conditional_information_plain_mean; mistake
            ratio-without-z: conditional_information_no_p_z; mistake with-condition: conditional_information_of_pair;
            mistake zero-log-zero: conditional_information_nan""",
        "information capacity channel": """
            mistake upper-end: capacity_first_bound; mistake columns-as-inputs: capacity_of_columns; mistake
            symmetric-formula: capacity_symmetric""",
        "information cross_entropy table": """
            mistake softmax-before: cross_entropy_after_softmax; mistake divergence: cross_entropy_less_entropy; mistake
            binary: cross_entropy_of_coins; mistake mean-for-sum: cross_entropy_mean; mistake entropy:
            cross_entropy_of_p_alone; mistake sign: cross_entropy_unnegated; mistake epsilon-1e-08:
            cross_entropy_tiny_offset; mistake zero-log-zero: cross_entropy_nan""",
        "information kl_divergence table": """
            mistake symmetric: kl_both_ways; mistake symmetric-mean: kl_both_ways_mean; mistake unweighted:
            kl_log_ratios; mistake softmax-before: kl_of_softmax; mistake sign: kl_ratio_upside_down; mistake doubled:
            kl_doubled; mistake epsilon-1e-08: kl_tiny_offset; mistake zero-log-zero: kl_nan""",
        "information jensen_shannon table": """
            mistake halved-again: jensen_shannon_halved_again; mistake mixture-not-halved: jensen_shannon_of_sum;
            mistake mixture-first: jensen_shannon_from_mixture; mistake one-sided: jensen_shannon_one_side""",
        "information reverse_kl table": """
            mistake forward: reverse_kl_forward; mistake sign: reverse_kl_unnegated; mistake weighted-by-p:
            reverse_kl_weighted_by_p; mistake cross-entropy: reverse_kl_cross_entropy; mistake mean-for-sum:
            reverse_kl_mean; mistake zero-log-zero: reverse_kl_nan""",
        "information chi2 table": """
            mistake one-not-taken-off: chi2_plus_one; mistake symmetric-half: chi2_histogram_half; mistake not-squared:
            chi2_absolute; mistake not-divided: chi2_undivided; mistake root: chi2_root; mistake mean-for-sum: chi2_mean""",
        "information squared_hellinger table": """
            mistake not-squared: hellinger_norm; mistake affinity: hellinger_affinity; mistake bhattacharyya:
            hellinger_bhattacharyya; mistake roots-left-out: hellinger_no_roots; mistake absolute: hellinger_absolute;
            mistake mean-for-sum: hellinger_mean""",
        "information total_variation table": """
            mistake largest-difference: variation_of_one_outcome; mistake squared: variation_squared; mistake signed:
            variation_signed; mistake root: variation_euclidean; mistake mean-for-sum: variation_mean""",
        "information gaussian_entropy covariance": """
            mistake dimension-left-out: gaussian_entropy_one_dimension; mistake diagonal:
            gaussian_entropy_of_coordinates; mistake deviations: gaussian_entropy_deviations; mistake variances-squared:
            gaussian_entropy_half_twice; mistake constant-left-out: gaussian_entropy_no_constant""",
        "information gaussian_mutual_information covariance": """
            mistake sign: gaussian_information_negative; mistake total-correlation:
            gaussian_information_total_correlation; mistake correlation-not-squared: gaussian_information_unsquared;
            mistake first-canonical: gaussian_information_first_canonical; mistake small-correlations:
            gaussian_information_first_order""",
        "information gaussian_kl moments": """
            mistake dimension-left-out: gaussian_kl_no_dimension; mistake one-for-dimension: gaussian_kl_minus_one;
            mistake determinants-exchanged: gaussian_kl_log_ratio_inverted; mistake means-by-p: gaussian_kl_gap_by_p;
            mistake means-euclidean: gaussian_kl_gap_euclidean; mistake means-left-out: gaussian_kl_no_means; mistake
            diagonal: gaussian_kl_of_coordinates; mistake trace-inverted: gaussian_kl_trace_inverted""",
    },
    "more_information_torch": {
        "information conditional_entropy table": "mistake entropies-epsilon-1e-08: conditional_entropy_eps",
        "information mutual_information table": """
            mistake ratio-epsilon-1e-08: information_eps; mistake entropies-epsilon-1e-08: information_of_entropies_eps""",
        "information kl_divergence table": """
            mistake probabilities-for-logarithms: kl_div_of_probabilities; mistake probabilities-and-reversed:
            kl_div_of_probabilities_exchanged""",
    },
    "amdim_torch": {
        "bound amdim_direction scores": """
            convention constant: scores_as_bound; mistake clipped-hard: scores_hardtanh; mistake clip-20:
            scores_paper_clip; mistake clipped-after-softmax: scores_log_softmax_clipped; mistake penalty-left-out:
            scores_no_penalty; mistake own-image-among-negatives: scores_positives_left_in; mistake masked-by-minus-c:
            scores_masked_once; mistake locations-summed: scores_sum_over_places; mistake positives-averaged:
            scores_mean_positive""",
        "bound amdim_direction embeddings": """
            mistake scaled-by-e: direction_divided_by_units; mistake penalty-without-root: direction_penalty_before_root""",
        "bound amdim_pair embeddings": """
            conforms: pair; convention directions-summed: pair_summed; mistake first-direction: pair_first; mistake
            within-a-view: pair_same_view; mistake penalties-summed: pair_penalties_added""",
        "measure accuracy_over_batches logits": """
            conforms: accuracy; convention percent: top1_percent; convention error-percent: top1_error_percent; mistake
            first-batch: accuracy_break; mistake dropped-and-counted: accuracy_drop_last_over_dataset; mistake
            divided-by-full-batches: accuracy_over_len_of_loader""",
        "layer batch_norm_inference channels-first": """
            conforms: norm_eval; mistake moved-on-test-images: norm_warmed_on_test""",
    },
    "amdim_numpy": {
        "bound amdim_direction scores": """
            conforms: loss_loops loss_exponentials; convention certified: loss_of_averaged_negatives; mistake
            all-summed: loss_total; mistake clip-10: loss_clip_of_ten; mistake not-clipped: loss_without_clip; mistake
            penalty-clipped: loss_regularized_after; mistake penalty-of-positives: loss_regularized_positives; mistake
            positive-excluded: loss_without_positive; mistake same-location: loss_of_one_location; mistake over-anchors:
            loss_softmax_over_anchors; mistake own-locations-too: loss_every_location""",
        "bound amdim_pair embeddings": """
            conforms: of_views; mistake not-scaled: of_views_without_root; mistake second-direction: of_second_view""",
        "measure accuracy_over_batches logits": """
            conforms: accuracy_counted; convention error: error_rate; mistake partial-batch-dropped:
            accuracy_of_full_batches; mistake batch-means-averaged: accuracy_averaged; mistake last-batch:
            accuracy_overwritten""",
    },
    "more_contrastive_numpy": {
        "bound infonce_all_locations matrix": """
            mistake positive-excluded: all_only_negatives; mistake masked-by-minus-10: all_own_at_minus_ten; mistake
            ten-subtracted: all_less_ten; mistake mask-multiplied: all_own_zeroed; mistake positive-twice:
            all_own_unmasked; mistake softmax-first: all_softmax_twice; mistake epsilon-1e-12: all_log_share_1e_12;
            mistake epsilon-1e-10: all_log_share_1e_10; mistake epsilon-1e-8: all_log_share_1e_8; mistake naive-softmax:
            all_ratio; mistake naive-exp-sum-log: all_log_of_sum""",
        "bound infonce_certified matrix": """
            mistake missing-log-k: certified_without_log; mistake log-k-of-all-locations: certified_all_counted""",
        "bound clip features": """
            mistake one-denominator: clip_one_softmax; mistake positive-excluded: clip_positive_missing; mistake
            naive-softmax: clip_naive; mistake masked-by-minus-10: clip_minus_ten; mistake ten-subtracted:
            clip_less_ten; mistake mask-multiplied: clip_diagonal_zeroed""",
        "bound nt_xent features": """
            mistake one-view-anchors: nt_xent_first_view_only; mistake same-view-negatives: nt_xent_own_view_only;
            mistake ten-subtracted: nt_xent_self_less_ten; mistake softmax-first: nt_xent_softmax_twice""",
        "bound moco features": """
            mistake naive-softmax: moco_naive; mistake own-key-among-negatives: moco_keys_enqueued_first""",
        "bound mine pairs": """
            mistake average-in-value: mine_log_of_attached_average; mistake no-log-value: mine_no_division""",
    },
    "more_contrastive_torch": {
        "bound nt_xent features": "mistake masked-by-minus-10: nt_xent_self_at_minus_ten",
        "bound moco features": "mistake softmax-first: moco_softmax_first",
        "bound mine pairs": """
            mistake average-not-fed-back-batch-alone: mine_batch_mean; mistake average-of-scores: mine_average_of_scores""",
    },
    "contrastive_jax": {
        "bound jsd pairs": "conforms: jsd; mistake naive-softplus: jsd_log_one_plus_exp",
        "bound dv pairs": "conforms: dv; mistake product-detached: dv_negatives_stopped",
        "bound infonce matrix": "conforms: infonce; mistake missing-log-k: infonce_no_log_k",
    },
}
