"""The words of the command line are those that the code behind it knows."""

import subprocess
import sys

import pytest

from dimref import bounds, data
from dimref.backend import BackendError, get_backend
from dimref.commands.export import SUFFIX
from dimref.evaluation.evaluate import MEASURES
from dimref.evaluation.probes import PROBES
from dimref.export import weights
from dimref.training import choices as choices_module
from dimref.training import run_directory
from dimref.training.config import Config


def test_every_dataset_of_the_command_line_has_a_reader():
    assert choices_module.DATA == data.NAMES


def test_every_probe_and_measure_of_the_command_line_has_a_function():
    assert tuple(PROBES) == choices_module.PROBES
    assert tuple(MEASURES) == choices_module.MEASURES


def test_every_backend_is_known():
    for name in choices_module.BACKENDS:
        try:
            assert get_backend(name).name == name
        except BackendError as error:  # no device here, but the name is right
            assert "expected one of" not in str(error)  # noqa: PT017


def test_every_bound_has_a_function_and_a_ceiling():
    for name in choices_module.BOUNDS:
        assert callable(getattr(bounds, name))
        assert bounds.ceiling(name, 8) > 0


@pytest.mark.parametrize("bound", choices_module.BOUNDS)
def test_every_kind_of_negatives_fits_some_bound(bound):
    fitting = choices_module.CANDIDATE_NEGATIVES if bound == "infonce" else choices_module.PAIR_NEGATIVES
    assert Config(bound=bound).negatives_of("local") in fitting
    assert set(choices_module.PAIR_NEGATIVES).isdisjoint(choices_module.CANDIDATE_NEGATIVES)


def test_defaults_are_among_the_choices():
    config = Config()
    for name, choices in {
        "data": choices_module.DATA,
        "backend": choices_module.BACKENDS,
        "bound": choices_module.BOUNDS,
        "critic": choices_module.LOCAL_CRITICS,
        "prior": choices_module.PRIORS,
        "prior_loss": choices_module.PRIOR_LOSSES,
    }.items():
        assert getattr(config, name) in choices


def test_checkpoints_and_formats_are_those_of_the_files():
    assert [f"{name}.npz" for name in choices_module.CHECKPOINTS] == [run_directory.NEWEST, run_directory.BEST]
    assert set(choices_module.WEIGHT_FORMATS) == set(SUFFIX)
    for form in choices_module.WEIGHT_FORMATS:
        assert form in (weights.__doc__ or "")


def test_names_and_configuration_load_no_numpy():
    code = "import sys, dimref.training.choices, dimref.training.config, dimref.cli; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
