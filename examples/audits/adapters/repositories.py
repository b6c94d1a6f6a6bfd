"""Code of public repositories, in clones of the user's own (run.py --clones DIR, in DIR/OWNER/NAME)."""

from __future__ import annotations

import types
from typing import Any

from parts import clone, cpu_for_cuda, one_hot, unit

# ---- rdevon/DIM: losses of local features l (N, units, L) and global ones m (N, units, 1)


def _dim(loss: str, scores: Any, *rest: Any) -> Any:
    scores = scores if scores.ndim == 3 else scores[..., None]
    losses = clone("rdevon/DIM", "cortex_DIM.functions.dim_losses")
    return getattr(losses, loss)(scores, one_hot(scores)[..., None], *rest)


def dim_jsd(scores: Any) -> Any:
    """fenchel_dual_loss, measure JSD."""
    return _dim("fenchel_dual_loss", scores, "JSD")


def dim_gan(scores: Any) -> Any:
    """fenchel_dual_loss, measure GAN."""
    return _dim("fenchel_dual_loss", scores, "GAN")


def dim_kl(scores: Any) -> Any:
    """fenchel_dual_loss, measure KL."""
    return _dim("fenchel_dual_loss", scores, "KL")


def dim_rkl(scores: Any) -> Any:
    """fenchel_dual_loss, measure RKL."""
    return _dim("fenchel_dual_loss", scores, "RKL")


def dim_h2(scores: Any) -> Any:
    """fenchel_dual_loss, measure H2."""
    return _dim("fenchel_dual_loss", scores, "H2")


def dim_x2(scores: Any) -> Any:
    """fenchel_dual_loss, measure X2."""
    return _dim("fenchel_dual_loss", scores, "X2")


def dim_nce(scores: Any) -> Any:
    """infonce_loss."""
    return _dim("infonce_loss", scores)


def dim_dv(scores: Any) -> Any:
    """donsker_varadhan_loss."""
    return _dim("donsker_varadhan_loss", scores)


def dim_prior_encoder(fake: Any) -> Any:
    """generator_loss, GAN, non-saturating."""
    return clone("rdevon/DIM", "cortex_DIM.functions.gan_losses").generator_loss(fake, "GAN", "non-saturating")


# ---- Philip-Bachman/amdim-public


def amdim_direction(candidates: Any, anchors: Any, clip: float, penalty: float) -> Any:
    """NCE_MI_MULTI._loss_g2l; its penalty has the weight 0.05."""
    import torch

    cost = clone("Philip-Bachman/amdim-public", "costs").NCE_MI_MULTI(tclip=float(clip))
    targets = candidates.permute(2, 0, 1).reshape(candidates.shape[2], -1)
    loss, weighted = cost._loss_g2l(anchors, targets, torch.eye(len(anchors), dtype=anchors.dtype))
    return loss + weighted * (penalty / 5e-2)


# ---- ermongroup/smile-mi-estimator: scores[i, j] = T(x_i, y_j)


def _smile(name: str, scores: Any, **options: Any) -> Any:
    cpu_for_cuda()
    estimators = clone("ermongroup/smile-mi-estimator", "estimators")
    original = estimators.logmeanexp_nodiag
    estimators.logmeanexp_nodiag = lambda x, dim=None, device="cpu": original(x, dim, "cpu")
    return getattr(estimators, name)(scores, **options)


def smile_nwj(scores: Any) -> Any:
    """nwj_lower_bound."""
    return _smile("nwj_lower_bound", scores)


def smile_infonce(scores: Any) -> Any:
    """infonce_lower_bound."""
    return _smile("infonce_lower_bound", scores)


def smile_js(scores: Any) -> Any:
    """js_fgan_lower_bound."""
    return _smile("js_fgan_lower_bound", scores)


def smile_js_nwj(scores: Any) -> Any:
    """js_lower_bound: JS's gradient, NWJ's value."""
    return _smile("js_lower_bound", scores)


def smile_dv(scores: Any) -> Any:
    """dv_upper_lower_bound."""
    return _smile("dv_upper_lower_bound", scores)


def smile_smile(scores: Any, tau: float) -> Any:
    """smile_lower_bound: JS's gradient, SMILE's value."""
    return _smile("smile_lower_bound", scores, clip=float(tau))


def smile_tuba(scores: Any, log_a: Any) -> Any:
    """tuba_lower_bound, its baseline of the rows; it changes its input in place."""
    return _smile("tuba_lower_bound", scores.T * 1, log_baseline=log_a)


def smile_mine(scores: Any) -> Any:
    """mine_lower_bound from a moving average of 1."""
    import torch

    return _smile("mine_lower_bound", scores, buffer=torch.tensor(1.0))[0]


# ---- Linear95/CLUB: networks of (x, y), here a table of scores by index


def _club(name: str, attribute: str, scores: Any) -> Any:
    import torch

    model = getattr(clone("Linear95/CLUB", "mi_estimators"), name)(1, 1, 2)

    class Table(torch.nn.Module):
        def forward(self, pair: Any) -> Any:
            return scores[pair[..., 0].long(), pair[..., 1].long()][..., None]

    setattr(model, attribute, Table())
    points = torch.arange(len(scores), dtype=scores.dtype)[:, None]
    return model(points, points)


def club_nwj(scores: Any) -> Any:
    """NWJ."""
    return _club("NWJ", "F_func", scores)


def club_infonce(scores: Any) -> Any:
    """InfoNCE; its critic ends in a softplus, here in the scores themselves."""
    return _club("InfoNCE", "F_func", scores)


def club_club(scores: Any) -> Any:
    """CLUB, whose q(y|x) is a Gaussian."""
    return _gaussian("CLUB", scores)


def club_l1out(scores: Any) -> Any:
    """L1OutUB, likewise."""
    return _gaussian("L1OutUB", scores)


def _gaussian(name: str, scores: Any) -> Any:
    """y_j = 10⁴·e_j and a coordinate 0, whose variance makes log q(y_j | x_i) = scores[i, j] + a constant; in float64."""
    import torch

    cpu_for_cuda()
    model = getattr(clone("Linear95/CLUB", "mi_estimators"), name)(1, 1, 2)
    means, far = scores.double() / 1e4, 1e4 * one_hot(scores.double())
    zero = means.new_zeros(len(means), 1)
    variance = torch.cat([torch.zeros_like(means), -(means**2).sum(1, keepdim=True)], dim=1)
    model.get_mu_logvar = lambda x: (torch.cat([means, zero], dim=1), variance)
    points = torch.cat([far, zero], dim=1)
    return model(points, points).to(scores.dtype)


# ---- MINE


class _Scores:
    """A network that returns the joint's scores, then the product's."""

    def __init__(self, joint: Any, product: Any) -> None:
        self.scores = [product[:, None], joint[:, None]]

    def __call__(self, *_: Any) -> Any:
        return self.scores.pop()


def _mine_pytorch(joint: Any, product: Any, loss: str, average: Any = 0, rate: float = 0.01) -> Any:
    import torch

    others = ("pytorch_lightning", "torchvision", "torchvision.transforms", "mine.datasets", "mine.models.gan")
    mine = clone("gtegner/mine-pytorch", "mine.models.mine", without=others)
    torch.autograd.set_detect_anomaly(False)
    model = mine.Mine(torch.nn.Identity(), loss=loss, alpha=float(rate))
    del model.T
    object.__setattr__(model, "T", _Scores(joint, product))
    model.running_mean = torch.as_tensor(average) if average else 0
    return model(joint[:, None], joint[:, None], joint[:, None]).squeeze(), model.running_mean


def mine_pytorch(joint: Any, product: Any, average: Any, rate: float) -> Any:
    """gtegner/mine-pytorch, Mine(loss="mine"), one step from a running mean."""
    return _mine_pytorch(joint, product, "mine", average, rate)


def mine_pytorch_biased(joint: Any, product: Any) -> Any:
    """gtegner/mine-pytorch, Mine(loss="mine_biased")."""
    return _mine_pytorch(joint, product, "mine_biased")[0]


def mine_pytorch_fdiv(joint: Any, product: Any) -> Any:
    """gtegner/mine-pytorch, Mine(loss="fdiv")."""
    return _mine_pytorch(joint, product, "fdiv")[0]


# ---- contrastive losses


def supcontrast(a: Any, b: Any, temperature: float) -> Any:
    """HobbitLong/SupContrast, SupConLoss without labels; it leaves the norm and the weight τ/τ₀ to its caller."""
    import torch

    loss = clone("HobbitLong/SupContrast", "losses").SupConLoss(float(temperature), base_temperature=float(temperature))
    return loss(torch.stack(unit(a, b), dim=1))


def supcontrast_default(a: Any, b: Any, temperature: float) -> Any:
    """The same with its default weight τ/0.07."""
    import torch

    return clone("HobbitLong/SupContrast", "losses").SupConLoss(float(temperature))(torch.stack(unit(a, b), dim=1))


def supcontrast_classes(features: Any, labels: Any, temperature: float) -> Any:
    """The same with labels and one view, weight 1."""
    import torch

    loss = clone("HobbitLong/SupContrast", "losses").SupConLoss(float(temperature), base_temperature=float(temperature))
    return loss(unit(features)[0][:, None], torch.as_tensor(labels))


def spijkervet_nt_xent(a: Any, b: Any, temperature: float) -> Any:
    """Spijkervet/SimCLR, NT_Xent."""
    nt_xent = clone("Spijkervet/SimCLR", "simclr.modules.nt_xent", without=("simclr.simclr", "torchvision"))
    return nt_xent.NT_Xent(len(a), temperature, 1)(a, b)


def sthalles_simclr(a: Any, b: Any, temperature: float) -> Any:
    """sthalles/SimCLR, info_nce_loss with its cross entropy."""
    import torch

    simclr = clone("sthalles/SimCLR", "simclr", without=("torch.utils.tensorboard", "tqdm", "utils", "torchvision"))
    args = types.SimpleNamespace(batch_size=len(a), n_views=2, temperature=temperature, device="cpu")
    logits, labels = simclr.SimCLR.info_nce_loss(types.SimpleNamespace(args=args), torch.cat([a, b]))
    return torch.nn.functional.cross_entropy(logits, labels)


def moco_v3(image: Any, text: Any, temperature: float) -> Any:
    """facebookresearch/moco-v3, contrastive_loss of both directions, on one process; keys with their gradient."""
    import torch

    cpu_for_cuda()
    builder = clone("facebookresearch/moco-v3", "moco.builder")
    builder.concat_all_gather = lambda tensor: tensor
    torch.distributed.get_rank = lambda *_: 0
    model = types.SimpleNamespace(T=temperature)
    loss = builder.MoCo.contrastive_loss
    return loss(model, image, text) + loss(model, text, image)


def dcl(a: Any, b: Any, temperature: float) -> Any:
    """raminnakhli/Decoupled-Contrastive-Learning, DCL in both directions."""
    loss = clone("raminnakhli/Decoupled-Contrastive-Learning", "loss.dcl").DCL(float(temperature))
    a, b = unit(a, b)
    return (loss(a, b) + loss(b, a)) / 2


def cmc_softmax(logits: Any) -> Any:
    """HobbitLong/CMC, NCESoftmaxLoss."""
    cpu_for_cuda()
    return clone("HobbitLong/CMC", "NCECriterion", "NCE").NCESoftmaxLoss()(logits)


# ---- graphs


def infograph_dv(scores: Any) -> Any:
    """donsker_varadhan_loss, which InfoGraph has from an earlier DIM."""
    cpu_for_cuda()
    scores = scores if scores.ndim == 3 else scores[..., None]
    losses = clone("sunfanyunn/InfoGraph", "cortex_DIM.functions.dim_losses", "unsupervised")
    return losses.donsker_varadhan_loss(scores, one_hot(scores))


def infograph_jsd(scores: Any) -> Any:
    """sunfanyunn/InfoGraph, local_global_loss_, measure JSD, one node a graph."""
    cpu_for_cuda()
    losses = clone("sunfanyunn/InfoGraph", "losses", "unsupervised")
    return losses.local_global_loss_(scores, one_hot(scores), None, range(len(scores)), "JSD")
