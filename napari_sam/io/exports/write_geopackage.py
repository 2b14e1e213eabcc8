"""Labels as a GeoPackage in the image's own CRS. It is an SQLite file with prescribed tables, so needs no GDAL."""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.exports.polygons import polygons_of
from napari_sam.io.exports.write_table import map_point
from napari_sam.io.exports.write_tiff import epsg_code

if TYPE_CHECKING:
    from napari_sam.io.exports.export_job import Job
    from napari_sam.io.exports.polygons import Ring

_TABLE = "objects"
_OWN_ID = 100_000  # of a CRS without EPSG code
_WGS84 = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
)
_COLUMNS = "label plane category area_px predicted_iou stability_score model created".split()
_SCHEMA = f"""
PRAGMA application_id = {0x47504B47};
PRAGMA user_version = 10300;
PRAGMA journal_mode = OFF;
CREATE TABLE gpkg_spatial_ref_sys (
    srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY, organization TEXT NOT NULL,
    organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (
    table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE, description TEXT DEFAULT '',
    last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
    min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
    CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
CREATE TABLE gpkg_geometry_columns (
    table_name TEXT NOT NULL, column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL,
    z TINYINT NOT NULL, m TINYINT NOT NULL,
    CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name), CONSTRAINT uk_gc_table_name UNIQUE (table_name),
    CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents (table_name),
    CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
CREATE TABLE {_TABLE} (
    fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom MULTIPOLYGON, label INTEGER, plane TEXT, category TEXT,
    area_px INTEGER, predicted_iou DOUBLE, stability_score DOUBLE, model TEXT, created DATETIME);
"""


def write_gpkg(job: Job) -> None:
    """Write one layer of multipolygons in map coordinates.

    Raises
    ------
    LabelsError
        If the image does not lie on the map.
    """
    crs, transform = job.crs, job.transform
    if crs is None or transform is None:
        raise LabelsError(
            f"{job.path}: a GeoPackage holds places on the map, and the image of these labels has no CRS; write "
            ".geojson, which takes pixels"
        )
    code = epsg_code(crs)
    extent = np.array([np.inf, np.inf, -np.inf, -np.inf])
    marks = ",".join("?" * (1 + len(_COLUMNS)))
    insert = f"INSERT INTO {_TABLE} (geom,{','.join(_COLUMNS)}) VALUES ({marks})"  # noqa: S608 - our own names
    with contextlib.closing(sqlite3.connect(job.partial, isolation_level=None)) as db:
        db.executescript(_SCHEMA)
        db.execute("BEGIN")
        srs = _add_systems(db, crs, code)
        for row, runs in job.objects():
            blob, box = geometry(polygons_of(runs), transform, srs)
            extent = np.array([*np.minimum(extent[:2], box[:2]), *np.maximum(extent[2:], box[2:])])
            created = datetime.fromtimestamp(row["created"], UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
            values = {**row, "created": created, "plane": row["plane"] or None}
            db.execute(insert, (blob, *(values[c] for c in _COLUMNS)))
        bounds = [float(v) if np.isfinite(v) else None for v in extent]
        db.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, min_x, min_y, max_x, max_y, srs_id) "
            "VALUES (?, 'features', ?, ?, ?, ?, ?, ?)",
            (_TABLE, _TABLE, *bounds, srs),
        )
        db.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'MULTIPOLYGON', ?, 0, 0)", (_TABLE, srs))
        db.execute("COMMIT")


def _add_systems(db: sqlite3.Connection, crs: str, code: int | None) -> int:
    """The three systems that must be there, and the image's own; returns its id."""
    rows: list[tuple[Any, ...]] = [
        ("Undefined cartesian SRS", -1, "NONE", -1, "undefined", None),
        ("Undefined geographic SRS", 0, "NONE", 0, "undefined", None),
        ("WGS 84 geodetic", 4326, "EPSG", 4326, _WGS84, "longitude/latitude"),
    ]
    srs = _OWN_ID if code is None else code
    if srs != 4326:
        named = ("NONE", srs) if code is None else ("EPSG", srs)
        rows.append((crs, srs, *named, _definition(crs), None))
    db.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", rows)
    return srs


def _definition(crs: str) -> str:
    """WKT, if pyproj is here to tell; readers know an EPSG code by themselves."""
    try:
        pyproj = import_module("pyproj")
        return str(pyproj.CRS.from_user_input(crs).to_wkt("WKT1_GDAL"))
    except (ImportError, RuntimeError):  # pyproj's CRSError is a RuntimeError
        return "undefined" if epsg_code(crs) is not None else crs


def geometry(
    polygons: list[list[Ring]], transform: tuple[float, ...], srs: int
) -> tuple[bytes, tuple[float, float, float, float]]:
    """A multipolygon as a GeoPackage stores it, and its (min x, min y, max x, max y)."""
    box = [np.inf, np.inf, -np.inf, -np.inf]
    body = [struct.pack("<BII", 1, 6, len(polygons))]
    for polygon in polygons:
        body.append(struct.pack("<BII", 1, 3, len(polygon)))
        for ring in polygon:
            x, y = np.array([*ring, ring[0]], float).T
            points = np.stack(map_point(transform, x, y), axis=1)
            body += [struct.pack("<I", len(points)), points.astype("<f8").tobytes()]
            low, high = points.min(0), points.max(0)
            box = [min(box[0], low[0]), min(box[1], low[1]), max(box[2], high[0]), max(box[3], high[1])]
    x0, y0, x1, y1 = (float(v) for v in box)
    head = b"GP" + struct.pack("<BBi4d", 0, 0b11, srs, x0, x1, y0, y1)
    return head + b"".join(body), (x0, y0, x1, y1)
