"""Conversion between pixels, map coordinates and longitude and latitude."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.io.geo.map_coordinates import LON_LAT, is_geographic, projection, to_map

UTM = (0.5, 0.0, 500_000.0, 0.0, -0.5, 5_200_000.0)
DEGREES = (0.001, 0.0, 10.0, 0.0, -0.001, 50.0)


def test_positions_are_converted_one_by_one_or_as_arrays():
    assert to_map(UTM, 4, 10) == (500_002, 5_199_995)
    x, y = to_map(UTM, np.array([0.0, 4]), np.array([0.0, 10]))
    assert (x.tolist(), y.tolist()) == ([500_000, 500_002], [5_200_000, 5_199_995])


def test_geographic_systems_are_told_apart_also_without_a_known_code():
    assert is_geographic(4326, DEGREES, (1000, 1000))
    assert not is_geographic(32632, UTM, (1000, 1000))
    assert is_geographic(32599, DEGREES, (1000, 1000))
    assert not is_geographic(32599, UTM, (1000, 1000))


def test_the_same_crs_needs_no_conversion():
    x, y = np.array([1.0]), np.array([2.0])
    assert projection("epsg:4326", LON_LAT)(x, y) == (x, y)


def test_an_unknown_crs_is_a_value_error():
    with pytest.raises(ValueError, match="grid"):
        projection("My own grid", LON_LAT)
