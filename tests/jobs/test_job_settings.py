import subprocess
import sys

import pytest

from napari_sam.errors import NapariSamError, PromptError, SettingsError
from napari_sam.jobs.job_settings import EverythingSettings, PromptedSettings


def test_the_defaults_are_allowed():
    assert EverythingSettings().method == "auto"
    assert PromptedSettings().nms == 0.5


@pytest.mark.parametrize(
    ("values", "parameter", "error"),
    [
        ({"method": "magic"}, "method", SettingsError),
        ({"method": "prompted"}, "method", SettingsError),
        ({"overlap": "erase"}, "overlap", SettingsError),
        ({"side": 64.5}, "side", SettingsError),
        ({"side": 0}, "side", SettingsError),
        ({"side": 64, "level": 1}, "side", SettingsError),
        ({"level": 17}, "level", SettingsError),
        ({"level": 1, "diameter_px": 20}, "level", SettingsError),
        ({"diameter_px": float("inf")}, "diameter_px", SettingsError),
        ({"diameter_px": "a"}, "diameter_px", SettingsError),
        ({"region": (0, 0, 100)}, "region", PromptError),
        ({"grid": 3}, "grid", SettingsError),
    ],
)
def test_a_wrong_setting_of_everything_mode_is_named_with_a_remedy(values, parameter, error):
    with pytest.raises(error, match=f"^{parameter} is ") as raised:
        EverythingSettings(**values)
    assert raised.value.parameter == parameter
    assert raised.value.remedy


@pytest.mark.parametrize(
    "values",
    [{"nms": 0}, {"nms": "a"}, {"min_iou": 2}, {"batch": 0}, {"overlap": "x"}, {"diameter_px": 10**400}],
)
def test_a_wrong_setting_of_prompted_mode_is_named(values):
    (name,) = values
    with pytest.raises(NapariSamError) as raised:
        PromptedSettings(**values)
    assert raised.value.parameter == name


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, True),
        ({"diameter_px": 20.0}, False),
        ({"diameter_px": 20.0, "coarser": True}, True),
        ({"coarser": False}, False),
    ],
)
def test_coarser_levels_are_searched_unless_a_diameter_is_given(values, expected):
    assert EverythingSettings(**values).searches_coarser is expected


def test_importing_the_settings_does_not_import_torch():
    code = "import sys, napari_sam.jobs.job_settings; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
