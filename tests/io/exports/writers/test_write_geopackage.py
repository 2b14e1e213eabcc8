"""GeoPackage: map coordinates in the tables that the standard prescribes."""

from __future__ import annotations

import contextlib
import sqlite3
import struct

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from napari_sam.io.geo.crs import crs_text, known_crs, parse_crs
from tests.io.exports.drawings import UTM, area, on_map
from tests.io.geo.places import is_same_place


def test_a_geopackage_holds_map_coordinates(tmp_path):
    with on_map(tmp_path, "EPSG:32632", UTM) as labels:
        out = labels.export(tmp_path / "o.gpkg")
    with contextlib.closing(sqlite3.connect(out)) as db:
        assert db.execute("PRAGMA application_id").fetchone()[0] == 0x47504B47
        blob, label, pixels = db.execute("SELECT geom, label, area_px FROM objects").fetchone()
        extent = db.execute("SELECT min_x, min_y, max_x, max_y, srs_id FROM gpkg_contents").fetchone()
    assert (label, pixels) == (1, 3)
    assert extent == (500_010.0, 5_199_994.0, 500_011.0, 5_199_995.0, 32632)
    assert struct.unpack("<2sBBi4d", blob[:40]) == (b"GP", 0, 3, 32632, 500_010.0, 500_011.0, 5_199_994.0, 5_199_995.0)
    assert struct.unpack("<BIIBIII", blob[40:62]) == (1, 6, 1, 1, 3, 1, 7)
    ring = np.frombuffer(blob[62:], "<f8").reshape(-1, 2)
    assert abs(area(ring[:-1].tolist())) == 0.75


def test_a_geopackage_without_a_map_is_refused(small, tmp_path):
    with pytest.raises(LabelsError, match="no CRS"):
        small.export(tmp_path / "o.gpkg")


ALBERS = "+proj=aea +lat_0=23 +lon_0=-96 +lat_1=29.5 +lat_2=45.5 +datum=WGS84 +type=crs"


@pytest.mark.parametrize("crs", [crs_text(parse_crs(ALBERS)), "ESRI:102003", None, "My own grid"])
def test_a_crs_without_epsg_code_is_defined_in_the_file(tmp_path, crs):
    geopandas = pytest.importorskip("geopandas")
    with on_map(tmp_path, crs, UTM) as labels:
        frame = geopandas.read_file(labels.export(tmp_path / "o.gpkg"))
    assert frame.total_bounds.tolist() == [500_010.0, 5_199_994.0, 500_011.0, 5_199_995.0]
    if known_crs(crs) is None:
        assert frame.crs is None or frame.crs.is_engineering
    else:
        assert is_same_place(frame.crs.to_wkt(), crs)
