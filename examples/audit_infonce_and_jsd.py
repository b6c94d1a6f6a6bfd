"""InfoNCE and JSD in PyTorch, as one would write them, held against the reference.

Needs PyTorch and Hypothesis (pip install '.[oracle,check]'). The same from a shell:

    dimref audit bound jsd examples/audit_infonce_and_jsd.py:jsd
    dimref audit bound infonce examples/audit_infonce_and_jsd.py:infonce_loss
"""

import math
import sys

from dimref.audit import assert_conforms, audit

try:
    import torch
    from torch.nn import functional as F
except ImportError:
    sys.exit("audit_infonce_and_jsd: expected PyTorch, found it not installed; pip install '.[oracle]'")


def jsd(joint: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """2 log 2 − E_P[sp(−T)] − E_Q[sp(T)] of scores of pairs."""
    return 2 * math.log(2) - F.softplus(-joint).mean() - F.softplus(product).mean()


def infonce(scores: torch.Tensor) -> torch.Tensor:
    """log N + mean(T_ii − logsumexp over the images of one representation); scores[i, j] = T(x_i, y_j)."""
    n = len(scores)
    return math.log(n) + (scores.diagonal() - torch.logsumexp(scores, dim=0)).mean()


def infonce_loss(scores: torch.Tensor) -> torch.Tensor:
    """As a loss over the other axis, the way most training code has it: another convention, not a mistake."""
    return F.cross_entropy(scores, torch.arange(len(scores)))


def main() -> None:
    for name, function in (("jsd", "jsd"), ("infonce", "infonce"), ("infonce", "infonce_loss")):
        print(audit(f"{__file__}:{function}", "bound", name, cases=32), end="\n\n")
    assert_conforms(jsd, "bound", "jsd", cases=32)  # how a test would say it, in this process
    print("assert_conforms has nothing to say")


if __name__ == "__main__":
    main()
