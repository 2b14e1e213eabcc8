"""Coordinate reference systems as text."""

from __future__ import annotations

import pytest

from napari_sam.io.geo.crs import (
    crs_name,
    crs_text,
    epsg_code,
    is_same_crs,
    known_crs,
    metres_per_unit,
    parse_crs,
    well_known_text,
)
from tests.io.geo.places import is_same_place

ALBERS = "+proj=aea +lat_0=23 +lon_0=-96 +lat_1=29.5 +lat_2=45.5 +datum=WGS84 +type=crs"


@pytest.mark.parametrize(
    ("crs", "code"), [("EPSG:32632", 32632), (" epsg:4326", 4326), ("My own grid", None), (None, None)]
)
def test_the_code_of_a_crs(crs, code):
    assert epsg_code(crs) == code


def test_a_system_without_code_is_kept_as_wkt():
    text = crs_text(parse_crs(ALBERS))
    assert text.startswith("PROJCRS")
    assert is_same_place(text, ALBERS)
    assert is_same_place(well_known_text(text), ALBERS)
    assert well_known_text(text).startswith("PROJCS")
    assert crs_name(text) == "unknown"


def test_the_height_of_a_compound_system_is_left_out():
    assert crs_text(parse_crs("EPSG:32632+5773")) == "EPSG:32632"


def test_codes_that_are_not_known_are_no_systems():
    assert known_crs("EPSG:32599") is known_crs("") is known_crs(None) is None
    assert (well_known_text("EPSG:32599"), well_known_text("My own grid")) == ("undefined", 'LOCAL_CS["My own grid"]')
    with pytest.raises(ValueError, match="grid"):
        parse_crs("My own grid")


def test_systems_are_compared_by_meaning():
    assert is_same_crs("urn:ogc:def:crs:EPSG::32632", "EPSG:32632")
    assert is_same_crs("urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326")
    assert not is_same_crs("EPSG:32632", "EPSG:32633")
    assert not is_same_crs("My own grid", "EPSG:32633")
    assert is_same_crs("My own grid", well_known_text("My own grid"))


def test_map_units_in_metres():
    assert metres_per_unit("EPSG:32632") == 1
    assert metres_per_unit("EPSG:2264") == pytest.approx(1200 / 3937)
    assert metres_per_unit("EPSG:4326") is metres_per_unit("My own grid") is None


HOSTILE = ['{"a":' * 20_000, "[" * 5000, "GEOGCS[" * 2000, "x" * 1_000_000, "+proj=" + "x" * 50_000]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:6])
def test_hostile_texts_are_no_systems_and_have_short_names(text):
    assert known_crs(text) is None
    assert len(crs_name(text)) <= 60
