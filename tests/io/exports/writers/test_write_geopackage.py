"""GeoPackage: map coordinates in the tables that the standard prescribes."""

from __future__ import annotations

import contextlib
import sqlite3
import struct

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from tests.io.exports.drawings import UTM, area, on_map


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
