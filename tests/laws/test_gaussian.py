"""Laws of Gaussians hold, and a broken closed form breaks the right one."""

import math

import numpy as np
import pytest
from law_cases import broken_functions_break, laws_of

from dimref import bounds
from dimref.laws import gaussian
from dimref.theory import gaussian as closed_forms

pytestmark = pytest.mark.usefixtures("plain_forms")
LAWS = laws_of(gaussian)


# ---- what each law is there to catch: (module, function, what replaces it given the original, the laws that break)


def scaled(good):
    return lambda *arguments, **options: 1.1 * good(*arguments, **options)


BROKEN = [
    (closed_forms, "gaussian_mutual_information", scaled,
     ["gaussian_information_three_ways", "closed_form_is_the_expectation_of_r", "closed_forms_of_one_correlation"]),
    (closed_forms, "gaussian_mutual_information", lambda good: lambda c, d: good(c, d) + 1,
     ["monte_carlo_mean_of_r", "monte_carlo_bounds", "monte_carlo_infonce"]),
    (closed_forms, "gaussian_mutual_information", lambda good: lambda c, d: -good(c, d),
     ["noise_lowers_gaussian_information"]),
    (closed_forms, "gaussian_mutual_information", lambda good: lambda c, d: good(c, d) * np.asarray(c)[0][0],
     ["invertible_maps_keep_information"]),
    (closed_forms, "gaussian_entropy", scaled, ["invertible_maps_keep_information", "gaussian_information_three_ways"]),
    (closed_forms, "gaussian_kl", lambda good: lambda m, c, n, d: good(n, d, m, c), ["gaussian_information_three_ways"]),
    (bounds, "dv", lambda good: lambda j, p: good(j, p) + math.log(2), ["monte_carlo_bounds"]),
    (bounds, "nwj", lambda good: lambda j, p: good(j - 1, p - 1), ["monte_carlo_bounds"]),
    (bounds, "infonce", lambda good: lambda s: good(s) - math.log(len(s)), ["monte_carlo_infonce"]),
]  # fmt: skip


test_broken_function_breaks_its_laws = broken_functions_break(LAWS, BROKEN)
