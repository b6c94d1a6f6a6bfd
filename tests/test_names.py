"""The words of the command line are those that the code behind it knows."""

import subprocess
import sys

import pytest

from dimref import bounds, data, export, names, runs
from dimref.backend import BackendError, get_backend
from dimref.commands.export import SUFFIX
from dimref.config import Config
from dimref.evaluation.judge import MEASURES
from dimref.evaluation.probes import PROBES


def test_every_dataset_of_the_command_line_has_a_reader():
    assert names.DATA == data.NAMES


def test_every_probe_and_measure_of_the_command_line_has_a_function():
    assert tuple(PROBES) == names.PROBES
    assert tuple(MEASURES) == names.MEASURES


def test_every_backend_is_known():
    for name in names.BACKENDS:
        try:
            assert get_backend(name).name == name
        except BackendError as error:  # no device here, but the name is right
            assert "expected one of" not in str(error)  # noqa: PT017


def test_every_bound_has_a_function_and_a_ceiling():
    for name in names.BOUNDS:
        assert callable(getattr(bounds, name))
        assert bounds.ceiling(name, 8) > 0


@pytest.mark.parametrize("bound", names.BOUNDS)
def test_every_kind_of_negatives_fits_some_bound(bound):
    fitting = names.CANDIDATE_NEGATIVES if bound == "infonce" else names.PAIR_NEGATIVES
    assert Config(bound=bound).negatives_of("local") in fitting
    assert set(names.PAIR_NEGATIVES).isdisjoint(names.CANDIDATE_NEGATIVES)


def test_defaults_are_among_the_choices():
    config = Config()
    for name, choices in {
        "data": names.DATA,
        "backend": names.BACKENDS,
        "bound": names.BOUNDS,
        "scorer": names.SCORERS,
        "prior": names.PRIORS,
        "prior_loss": names.PRIOR_LOSSES,
    }.items():
        assert getattr(config, name) in choices


def test_checkpoints_and_formats_are_those_of_the_files():
    assert [f"{name}.npz" for name in names.CHECKPOINTS] == [runs.NEWEST, runs.BEST]
    assert set(names.WEIGHT_FORMATS) == set(SUFFIX)
    for form in names.WEIGHT_FORMATS:
        assert form in (export.__doc__ or "")


def test_names_and_configuration_load_no_numpy():
    code = "import sys, dimref.names, dimref.config, dimref.cli; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
