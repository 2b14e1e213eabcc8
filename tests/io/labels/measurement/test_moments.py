"""Statistics and moments in pieces, against numpy on the whole."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import ellipse
from skimage.measure import regionprops

from napari_sam.errors import SettingsError
from napari_sam.io.labels.measurement.moments import RunningStatistics, mask_moments, shape_from_moments
from napari_sam.io.labels.measurement.properties import checked_properties


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_statistics_do_not_depend_on_the_pieces(pieces):
    values = np.random.default_rng(0).normal(1e6, 1, 700)
    statistics = RunningStatistics()
    for piece in np.split(values, pieces):
        statistics.add(piece)
    expected = (values.mean(), values.min(), values.max(), values.std())
    np.testing.assert_allclose(list(statistics.values().values()), expected, rtol=1e-9)


def test_moments_of_halves_give_the_shape_that_scikit_image_measures():
    mask = np.zeros((60, 80), bool)
    mask[ellipse(30, 40, 9, 27, rotation=0.4)] = True
    sums = mask_moments(mask[:30], 0, 0) + mask_moments(mask[30:], 30, 0)
    (expected,) = regionprops(mask.astype(int))
    shape = shape_from_moments(sums, (100.0, 200.0))
    assert shape["area_px"] == expected.area
    assert shape["centroid_y_px"] == pytest.approx(expected.centroid[0] + 100)
    assert shape["eccentricity"] == pytest.approx(expected.eccentricity)
    assert shape["orientation"] == pytest.approx(expected.orientation)


def test_properties_are_listed_once_and_intensities_need_an_image():
    assert checked_properties(["area", "area", "intensity_mean"], with_image=False) == ["area"]
    assert checked_properties("area", with_image=True) == ["area"]
    with pytest.raises(SettingsError, match="choose from") as refused:
        checked_properties(["colour"], with_image=True)
    assert refused.value.parameter == "properties"
