"""Conversion between pixels, map coordinates and longitude and latitude, with and without pyproj."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from napari_sam.io.map_coordinates import LON_LAT, epsg_code, is_geographic, projection, to_map, well_known_text

UTM = (0.5, 0.0, 500_000.0, 0.0, -0.5, 5_200_000.0)
DEGREES = (0.001, 0.0, 10.0, 0.0, -0.001, 50.0)


def test_positions_are_converted_one_by_one_or_as_arrays():
    assert to_map(UTM, 4, 10) == (500_002, 5_199_995)
    x, y = to_map(UTM, np.array([0.0, 4]), np.array([0.0, 10]))
    assert (x.tolist(), y.tolist()) == ([500_000, 500_002], [5_200_000, 5_199_995])


@pytest.mark.parametrize(
    ("crs", "code"), [("EPSG:32632", 32632), (" epsg:4326", 4326), ("My own grid", None), (None, None)]
)
def test_the_code_of_a_crs(crs, code):
    assert epsg_code(crs) == code


@pytest.mark.parametrize("installed", [True, False])
def test_geographic_systems_are_told_apart_with_and_without_pyproj(monkeypatch, installed):
    if not installed:
        monkeypatch.setitem(sys.modules, "pyproj", None)
    assert is_geographic(4326, DEGREES, (1000, 1000))
    assert not is_geographic(32632, UTM, (1000, 1000))


def test_the_same_crs_needs_no_pyproj(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyproj", None)
    x, y = np.array([1.0]), np.array([2.0])
    assert projection("epsg:4326", LON_LAT)(x, y) == (x, y)
    with pytest.raises(ImportError):
        projection("EPSG:32632", LON_LAT)
    assert (well_known_text("EPSG:32632"), well_known_text("My own grid")) == ("undefined", "My own grid")


def test_an_unknown_crs_is_a_value_error():
    pytest.importorskip("pyproj")
    with pytest.raises(ValueError, match="grid"):
        projection("My own grid", LON_LAT)
