import pytest

from napari_sam.errors import SettingsError
from napari_sam.jobs.job_settings import PromptedSettings
from napari_sam.jobs.run_options import RunOptions, settings_from


@pytest.mark.parametrize("workers", [0, -1, 1.5, None, True, "2"])
def test_a_wrong_number_of_workers_is_named_with_a_remedy(workers):
    with pytest.raises(SettingsError, match=r"^workers is .*; give a whole number from 1") as raised:
        RunOptions(workers=workers)
    assert raised.value.parameter == "workers"


def test_a_run_is_distributed_with_several_workers_or_a_client():
    assert not RunOptions().is_distributed
    assert RunOptions(workers=2).is_distributed
    assert RunOptions(client="a client").is_distributed


def test_keywords_make_a_settings_object():
    assert settings_from(PromptedSettings, None, {"nms": None, "batch": 8}) == PromptedSettings(nms=None, batch=8)


def test_a_settings_object_is_used_if_all_keywords_have_their_defaults():
    settings = PromptedSettings(batch=8)
    assert settings_from(PromptedSettings, settings, {"nms": 0.5, "batch": 64}) is settings


def test_a_keyword_beside_a_settings_object_is_refused():
    with pytest.raises(SettingsError, match="batch is 8 although settings is given") as raised:
        settings_from(PromptedSettings, PromptedSettings(), {"batch": 8})
    assert raised.value.parameter == "batch"


def test_something_else_than_a_settings_object_is_refused():
    with pytest.raises(SettingsError, match="give PromptedSettings"):
        settings_from(PromptedSettings, {"batch": 8}, {})
