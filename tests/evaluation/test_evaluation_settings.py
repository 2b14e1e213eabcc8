"""Settings of experiments, runs and calibration."""

from __future__ import annotations

import pytest

from napari_sam.errors import SettingsError
from napari_sam.evaluation.evaluation_settings import CalibrationSettings, ExperimentSettings, RunSettings


def test_values_that_are_not_given_keep_the_default_of_the_experiment():
    assert ExperimentSettings().arguments("per_image", "grid") == {}


def test_zero_stands_for_all():
    assert ExperimentSettings(max_images=0, per_image=2).arguments("per_image") == {"max_images": None, "per_image": 2}


def test_only_the_named_values_are_returned():
    assert ExperimentSettings(per_image=2, grid=4).arguments("grid") == {"grid": 4}


@pytest.mark.parametrize("bad", [{"max_images": -1}, {"clicks": 0}, {"grid": 257}, {"per_image": 2.5}])
def test_sizes_out_of_range_are_refused(bad):
    with pytest.raises(SettingsError) as error:
        ExperimentSettings(**bad)
    assert error.value.parameter in bad


def test_the_number_of_processes_is_checked():
    with pytest.raises(SettingsError, match="workers is -1"):
        RunSettings(workers=-1)


def test_calibration_needs_images():
    with pytest.raises(SettingsError, match="images is 0"):
        CalibrationSettings(images=0)
