"""Names of properties."""

from __future__ import annotations

import pytest

from napari_sam.errors import SettingsError
from napari_sam.io.labels.measurement.properties import checked_properties


def test_properties_are_listed_once_and_intensities_need_an_image():
    assert checked_properties(["area", "area", "intensity_mean"], with_image=False) == ["area"]
    assert checked_properties("area", with_image=True) == ["area"]
    with pytest.raises(SettingsError, match="choose from") as refused:
        checked_properties(["colour"], with_image=True)
    assert refused.value.parameter == "properties"
