"""The f-divergences' bounds with detached scores, as PyTorch repositories write them."""


# ---- the product detached: a generator's detach() left in where there is no generator


def chi2_fake_detached(v_real, v_fake):
    fake = v_fake.detach()
    return v_real.mean() - (fake + fake.pow(2) / 4).mean()


# ---- the joint detached


def chi2_real_detached(v_real, v_fake):
    return v_real.detach().mean() - v_fake.mean() - v_fake.square().mean() / 4


# ---- the value alone, as for a curve in a log
