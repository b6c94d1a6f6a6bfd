"""Five losses that run, train and are wrong; the audit says what each computes in truth.

Needs PyTorch and Hypothesis (pip install '.[oracle,check]').
"""

import math
import sys

from dimref.audit import audit

try:
    import torch
    from torch.nn import functional as F
except ImportError:
    sys.exit("audit_five_mistakes: expected PyTorch, found it not installed; pip install '.[oracle]'")


def infonce_positive_excluded(scores: torch.Tensor) -> torch.Tensor:
    own = torch.eye(len(scores), dtype=torch.bool)
    others = scores.masked_fill(own, -math.inf)
    return (torch.logsumexp(others, dim=0) - scores.diagonal()).mean()


def infonce_masked_by_ten(scores: torch.Tensor) -> torch.Tensor:
    own = torch.eye(len(scores), dtype=scores.dtype)
    negatives = scores * (1 - own) - 10 * own  # the positive is to vanish from the negatives
    logits = torch.cat([scores.diagonal()[:, None], negatives.T], dim=1)
    return -F.log_softmax(logits, dim=1)[:, 0].mean()


def jsd_naive(joint: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    return 2 * math.log(2) - torch.log(1 + torch.exp(-joint)).mean() - torch.log(1 + torch.exp(product)).mean()


def dv_without_log(joint: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    return joint.mean() - torch.exp(product).mean()


def nt_xent_self_included(a: torch.Tensor, b: torch.Tensor, temperature: float) -> torch.Tensor:
    n = len(a)
    z = F.normalize(torch.cat([a, b]))
    partner = torch.arange(2 * n).roll(n)
    return F.cross_entropy(z @ z.T / temperature, partner)


FIVE = (
    (infonce_positive_excluded, "infonce"),
    (infonce_masked_by_ten, "infonce"),
    (jsd_naive, "jsd"),
    (dv_without_log, "dv"),
    (nt_xent_self_included, "nt_xent"),
)


def main() -> None:
    for function, name in FIVE:
        report = audit(function, "bound", name, cases=32)
        print(f"{function.__name__}: {report.verdict}\n    {report.judgement.diagnosis}")
        print(f"    consequence: {report.judgement.consequence}\n    fix: {report.judgement.fix}\n")


if __name__ == "__main__":
    main()
