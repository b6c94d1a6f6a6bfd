"""The words for edits of a formula: what each kind does, how it is undone, and the names that known ones keep."""

from __future__ import annotations

# kind: consequence, fix, whether the value must agree too (it is the reference's, or differs from it by a constant)
KINDS: dict[str, tuple[str, str, bool]] = {
    "constant": ("the gradient is right, the value is not", "correct the constant", True),
    "drop": ("another quantity: a term is missing", "put the term back", False),
    "factor": ("another quantity: a factor is missing or inverted", "correct the factor", False),
    "sign": ("a term is pushed the wrong way", "turn the sign", False),
    "detach": (
        "the value is right; no gradient passes there",
        "do not detach it (stop_gradient, .data, no_grad)",
        True,
    ),
    "squash": (
        "scores that are squashed or cut off lose their size, and the gradient with it",
        "pass the raw scores",
        False,
    ),
    "maximum": ("not invariant to a shift of the scores", "subtract a maximum only where it is added back", False),
    "swap": ("it is optimized by a critic that is wrong about every pair", "exchange the arguments", False),
    "scalar": ("the number does not do what its name says", "use it as the formula does", False),
    "call": ("another quantity: a function stands for another", "use the formula's function", False),
    "axis": ("another variable's marginal", "sum over the other axis", False),
    "sum": ("it depends on the size of the batch", "take the mean", False),
    "inside": ("by Jensen's inequality another number: single samples no longer count", "average last", False),
    "pooled": ("locations are pooled before the logarithm", "take the logarithm at each location", False),
    "epsilon": ("the logarithm has a floor, below which there is no gradient", "use logsumexp or softplus", False),
    "whole": ("value and gradient are a multiple of what they should be", "drop the factor", False),
    "mask": ("negatives weigh (N − 1)/N of what they should", "divide by the number of pairs that are left", False),
    "other": ("another quantity", "use the formula", False),
    "candidate": ("every denominator has one more candidate", "leave it out whole", False),
}
# what stands in a formula, as a person says it; the longer first
SPOKEN = (
    ("log(1 + negatives.shape[0])", "log K"),
    ("log(scores.shape[1] - 1)", "log(N − 1)"),
    ("1 + negatives.shape[0]", "K"),
    ("negatives.shape[0]", "the number of negatives"),
    ("logits.shape[0]", "N"),
    ("scores.shape[1]", "N"),
    ("logaddexp(positives, logsumexp(negatives, axis=0))", "log Σ e^T"),
    ("logsumexp(negatives, axis=0)", "log Σ e^T of the negatives"),
    ("logsumexp(_off(logits), axis=1, keepdims=True)", "log Σ e^logits of the other rows"),
    ("_signs(logits) * logits", "±logits"),
    ("_weights(labels, logits.dtype)", "1/|P(i)|"),
    ("concatenate([a, b])", "both views"),
    ("layers.linear(parameters['first'], y)", "its first layer"),
    ("layers.linear(parameters['second'], hidden)", "its second layer"),
    (", axis=0", ""),
    (", axis=1", ""),
    (", keepdims=True", ""),
    (" - ", " − "),
    (" * ", " · "),
)
_KNOWN = {  # by formula, edit=name; an edit that is its own name is one of two that are tried at once
    "bounds.dv": """
        masked-mean-of-product=masked-mean no-log-of-product=no-log
        logsumexp-for-logmeanexp-of-product=sum-in-log mean-for-logmeanexp-of-product=mean-of-scores
        logmeanexp-of-joint=both-exponential logmeanexp-product-maximum-kept=maximum-kept logmeanexp-epsilon=epsilon""",
    "bounds.infonce_sampled": """
        positives-not-counted=positive-excluded log-1-negatives-shape-0-left-out=missing-log-k
        log-1-negatives-shape-0-negated=log-k-subtracted
        1-left-out=log-k-minus-1 mean-positives-logaddexp-positives-logsumexp-negatives-sign=log-k-subtracted
        candidate-0=mask-multiplied candidate-twice=positive-twice
        logmeanexp-for-logsumexp-of-negatives=negatives-averaged negatives-averaged-first=logits-averaged
        mean-for-logsumexp-of-negatives=logits-averaged-to-one
        positives-logaddexp-positives-logsumexp-negatives-averaged-in-its-logarithm=share-averaged
        mean-exp-of-positives-logaddexp-positives-logsumexp-negatives=no-logarithm
        logaddexp-positives-logsumexp-negatives-detached=denominator-detached
        positives-detached-at-1=numerator-detached positives-detached=joint-detached share-epsilon=epsilon
        logaddexp-epsilon=denominator-epsilon
        logmeanexp-of-positives-logaddexp-positives-logsumexp-negatives=share-averaged""",
    "bounds.jsd": """
        joint-ignored=negatives-alone product-ignored=positives-alone masked-mean-of-softplus-product=masked-mean
        LOG_4-halved=log-2-dropped-once LOG_4-left-out=log-2-dropped-twice LOG_4-negated=log-2-wrong-sign
        mean-inside-softplus-product=logits-averaged
        mean-inside-softplus-product-by-location=logits-averaged-by-location averaged-first=all-logits-averaged
        maximum-off-product=maximum-subtracted product-negated=same-sign softplus-product-summed=product-summed
        mean-softplus-joint-left-out=negatives-alone mean-softplus-product-left-out=positives-alone
        exp-for-softplus-of-product=product-exponential sigmoid-on-scores=softplus-squashed""",
    "bounds.nwj": """
        masked-mean-of-exp-product-1-0=masked-mean 1-0-left-out=no-minus-one minus-1=minus-one-on-both
        dv-instead=logarithm-kept 1-0-sign=plus-one mean-inside-exp-product-1-0=scores-averaged
        exp-product-1-0-summed=product-summed mean-inside-exp-product-1-0-by-location=scores-averaged-by-location""",
    "bounds.plug_in": """
        masked-mean-of-exp-product=masked-mean nwj-instead=read-by-nwj 1-0-left-out=no-constant
        product-ignored=joint-mean-alone dv-instead=logarithm-kept exp-product-summed=product-summed""",
    "bounds.smile": """
        clip-above-alone=clipped-above-only logmeanexp-clipped=logarithm-clipped""",
    "bounds.tuba": """
        baseline-on-joint-missing+product_log_a-ignored=baseline-ignored
        joint_log_a-detached+product_log_a-detached=baseline-detached joint_log_a-ignored=baseline-on-joint-missing
        product_log_a-ignored=product_log_a-ignored joint_log_a-detached=joint_log_a-detached
        product_log_a-detached=product_log_a-detached joint_log_a-left-out=baseline-on-joint-missing
        product_log_a-sign=baseline-multiplied 1-0-left-out=no-constant""",
    "contrastive.clip_logits": """
        temperature-inverted=temperature-multiplied temperature-squared=temperature-twice""",
    "contrastive.moco_logits": """
        q-detached=no-gradient q-detached-in-positive=joint-detached q-detached-at-2=negatives-detached
        temperature-inverted=temperature-multiplied temperature-squared=temperature-twice""",
    "contrastive.nt_xent_logits": """
        temperature-inverted=temperature-multiplied temperature-squared=temperature-twice
        """,
    "discriminators.concat_pairs": """
        features-detached=feature-map-detached features-detached-in-joint=feature-map-detached-joint
        features-detached-in-product=feature-map-detached-product y-detached-in-joint=y-detached-joint
        y-detached-in-product=y-detached-product
        feature-map-detached-product+y-detached-product=product-inputs-detached
        head-parameters-first-parameters-features-gather-y-index-detached=product-detached""",
    "discriminators.dot": "features-detached=feature-map-detached",
    "discriminators.global_pairs": """
        last_map-detached=map-detached last_map-detached-in-joint=map-detached-joint
        last_map-detached-in-product=map-detached-product""",
    "discriminators.logits": """
        relu-left-out=relu-missing
        relu-left-out-of-layers-linear-parameters-second-hidden=second-relu-missing
        sigmoid-on-scores=sigmoid-before sign=negated""",
    "discriminators.square": "features-detached=feature-map-detached",
    "divergences.chi2": "q-factor-left-out=not-divided",
    "divergences.cross_entropy": "roles-swapped=exchanged",
    "divergences.jensen_shannon": "halved=halved-again arguments-exchanged=mixture-first",
    "divergences.kl_divergence": "ratio-epsilon=epsilon",
    "divergences.reverse_kl": "ratio-epsilon=epsilon",
    "divergences.squared_hellinger": "root=not-squared sqrt-left-out=roots-left-out",
    "divergences.total_variation": "abs-left-out-of-p-q=signed",
    "f_divergences.chi2": """
        0-25-factor-left-out=quarter-missing 0-25-doubled=half-for-quarter product-left-out=linear-term-missing
        product-sign=linear-term-sign""",
    "f_divergences.gan": """
        joint-ignored=product-alone product-negated=same-sign mean-softplus-joint-left-out=product-alone""",
    "f_divergences.reverse_kl": """
        joint-negated=joint-sign 1-0-left-out=constant 1-0-sign=constant-sign mean-product-1-0-sign=product-sign
        nwj-instead=forward-kl""",
    "f_divergences.squared_hellinger": """
        product-negated=exponential-on-joint joint-negated=joint-sign 1-0-left-out=constant 1-0-sign=constants""",
    "f_divergences.total_variation": """
        tanh-left-out=no-activation 0-5-factor-left-out=0-5-factor-left-out
        sigmoid-for-tanh-of-joint=sigmoid-for-tanh-of-joint
        0-5-factor-left-out+sigmoid-for-tanh-of-joint=sigmoid-for-tanh""",
    "gaussians.entropy": """
        doubled=half-left-out len-cov-factor-left-out=dimension-left-out
        len-cov-log-2-pi-e-left-out=constant-left-out""",
    "gaussians.kl": """
        doubled=half-left-out len-mean_p-left-out=dimension-left-out
        log_det-cov_q-log_det-cov_p-sign=determinants-exchanged distance-mean_p-mean_q-cov_q-left-out=means-left-out""",
    "information.conditional_entropy": "denominator-left-out=joint",
    "information.conditional_information": "entropy-p_xyz-sum-0-1-left-out=ratio-without-z",
    "information.conditional_of_entropies": "epsilon=entropies-epsilon entropy-p_xy-sum-0-left-out=joint",
    "information.information_of_entropies": """
        epsilon=entropies-epsilon entropy-p_xy-left-out=joint-left-out entropy-p_xy-sign=joint-added
        p_xy-sum-0-other-axis=other-condition""",
    "information.mutual_information": """
        weight-left-out=unweighted mean-for-sum-everywhere=averaged-marginals
        p_xy-sum-0-factor-left-out=marginal-left-out""",
    "layers.conv2d": "b-left-out=bias-left-out",
    "layers.conv_transpose2d": "b-left-out=bias-left-out",
    "layers.linear": "b-left-out=bias-left-out",
    "multiview.loss": "penalty-squares-scores-left-out=penalty-left-out",
    "negatives.log_sum": "logmeanexp-for-logsumexp-of-split-scores-1=mean-for-sum",
    "norms.batch_norm_inference": "mean-ignored=mean-left-out",
    "prior.discriminator_loss": """
        roles-swapped=exchanged averaged-first=averaged-before-softplus sigmoid-on-scores=sigmoid-twice
        mean-softplus-fake-left-out=fake-left-out mean-softplus-real-left-out=real-left-out fake-negated=both-real
        softplus-left-out=wasserstein""",
    "prior.minimax": """
        sign=sign-flipped softplus-fake-summed=sum-for-mean sigmoid-on-scores=sigmoid-twice
        mean-inside-softplus-fake=averaged-before-softplus softplus-left-out-of-fake=wasserstein
        fake-detached=detached fake-negated=non-saturating-sign""",
    "prior.non_saturating": """
        sign=sign-flipped softplus-fake-summed=sum-for-mean sigmoid-on-scores=sigmoid-twice
        mean-inside-softplus-fake=averaged-before-softplus softplus-left-out-of-fake=wasserstein
        fake-detached=detached fake-negated=minimax-sign""",
}
KNOWN = {formula: dict(pair.split("=") for pair in pairs.split()) for formula, pairs in _KNOWN.items()}


def spoken(code: str) -> str:
    """Source, as a person says it."""
    for source, words in SPOKEN:
        code = code.replace(source, words)
    return code


def stem(key: str) -> str:
    """An edit's key without the ε in it."""
    return key.partition("-1e-")[0]


def key(formula: str, key: str) -> str:
    """The key of an edit: that under which it was always known, or its own."""
    root = stem(key)
    common = "softmax-before" if root.startswith("softmax-of-") else root
    return KNOWN.get(formula, {}).get(root, common) + key.removeprefix(root)
