"""Write labels as a GeoPackage in the image's own CRS, or in undefined map coordinates if it has none.

A GeoPackage is an SQLite file with prescribed tables, so that no GDAL is needed.
"""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.exports.export_source import plane_text
from napari_sam.io.exports.geopackage_classes import CLASS_COLUMNS, add_class_metadata, class_values
from napari_sam.io.exports.object_measurements import WHOLE_COLUMNS, ObjectMeasurements, as_properties
from napari_sam.io.geo.crs import crs_name, epsg_code, well_known_text
from napari_sam.io.geo.map_coordinates import control_points_text, to_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.io.exports.export_job import ExportJob
    from napari_sam.io.exports.export_source import ExportedObject
    from napari_sam.io.exports.outlines import Outlines

_TABLE = "objects"
_UNDEFINED_SRS_ID, _CUSTOM_SRS_ID = -1, 100_000  # of map coordinates without CRS, and of a CRS without EPSG code
_WGS84 = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
)
_COLUMNS = "label plane category area_px predicted_iou stability_score model created".split()
_COLUMN_TYPES = (
    "label INTEGER, plane TEXT, category TEXT, area_px INTEGER, predicted_iou DOUBLE, stability_score DOUBLE, "
    "model TEXT, created DATETIME"
)
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
"""


def write_geopackage(job: ExportJob) -> None:
    """Write one layer of multipolygons in map coordinates.

    Raises
    ------
    LabelsError
        If the image has no map coordinates.
    """
    transform = job.source.transform
    if transform is None:
        points = job.source.control_points
        reason = f"this image has {control_points_text(points)}" if points else "this image has no CRS and no transform"
        raise LabelsError(
            f"{job.path}: a GeoPackage holds map coordinates, and {reason}", remedy="write .geojson, which takes pixels"
        )
    extent = np.array([np.inf, np.inf, -np.inf, -np.inf])
    measurements = ObjectMeasurements(job, shape=True)
    measured_columns = [name for name in measurements.names if name not in _COLUMNS]
    class_columns = CLASS_COLUMNS if job.classes else ()
    names = ",".join(f'"{name}"' for name in (*_COLUMNS, *class_columns, *measured_columns))
    marks = ",".join("?" * (1 + len(_COLUMNS) + len(class_columns) + len(measured_columns)))
    insert = f"INSERT INTO {_TABLE} (geom,{names}) VALUES ({marks})"  # noqa: S608 - names of columns, quoted
    with contextlib.closing(sqlite3.connect(job.partial, isolation_level=None)) as db:
        db.executescript(_SCHEMA)
        db.execute(_table_schema(class_columns, measured_columns))
        db.execute("BEGIN")
        srs_id = _add_reference_systems(db, job.crs)
        for batch, outlines in job.outlined(job.sequence()):
            geometries, bounds = encode_geometries(outlines, transform, srs_id)
            extent = np.append(np.fmin(extent[:2], bounds[:, :2].min(0)), np.fmax(extent[2:], bounds[:, 2:].max(0)))
            rows = []
            for (obj, runs), geometry in zip(batch, geometries, strict=True):
                measured = as_properties(measurements.of(obj, runs))
                of_class = class_values(job.classes, obj.category) if class_columns else ()
                rows.append((geometry, *_object_values(obj), *of_class, *(measured[name] for name in measured_columns)))
                job.step()
            db.executemany(insert, rows)
        db.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, min_x, min_y, max_x, max_y, srs_id) "
            "VALUES (?, 'features', ?, ?, ?, ?, ?, ?)",
            (_TABLE, _TABLE, *(float(v) if np.isfinite(v) else None for v in extent), srs_id),
        )
        db.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'MULTIPOLYGON', ?, 0, 0)", (_TABLE, srs_id))
        if job.classes:
            add_class_metadata(db, _TABLE, job.classes)
        db.execute("COMMIT")


def _table_schema(class_columns: tuple[str, ...], measured_columns: list[str]) -> str:
    """Return the statement that makes the table of objects."""
    types = "".join(f', "{name}" TEXT' for name in class_columns)
    types += "".join(f', "{name}" {"INTEGER" if name in WHOLE_COLUMNS else "DOUBLE"}' for name in measured_columns)
    return (
        f"CREATE TABLE {_TABLE} (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom MULTIPOLYGON, "
        f"{_COLUMN_TYPES}{types})"
    )


def _add_reference_systems(db: sqlite3.Connection, crs: str | None) -> int:
    """Add the three reference systems that the standard requires, and the image's own; returns the id of the last."""
    rows: list[tuple[str | int | None, ...]] = [
        ("Undefined cartesian SRS", _UNDEFINED_SRS_ID, "NONE", _UNDEFINED_SRS_ID, "undefined", None),
        ("Undefined geographic SRS", 0, "NONE", 0, "undefined", None),
        ("WGS 84 geodetic", 4326, "EPSG", 4326, _WGS84, "longitude/latitude"),
    ]
    code = epsg_code(crs)
    srs_id = _UNDEFINED_SRS_ID if not crs else _CUSTOM_SRS_ID if code is None else code
    if crs and srs_id != 4326:
        organization, _, number = crs.partition(":")
        if not number.isdecimal():  # WKT, or a name
            organization, number = "NONE", str(srs_id)
        rows.append((crs_name(crs), srs_id, organization.upper(), int(number), well_known_text(crs), None))
    db.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", rows)
    return srs_id


def _object_values(obj: ExportedObject) -> tuple[str | float | None, ...]:
    """Return the values of `_COLUMNS`."""
    created = datetime.fromtimestamp(obj.created, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    scores = (obj.predicted_iou, obj.stability_score)
    return obj.label, plane_text(obj.plane) or None, obj.category, obj.area_px, *scores, obj.model, created


def encode_geometries(
    outlines: Outlines, transform: tuple[float, ...], srs_id: int
) -> tuple[list[bytes], NDArray[np.float64]]:
    """Return multipolygons in the GeoPackage's binary form, and their bounds.

    Parameters
    ----------
    outlines : Outlines
        K objects, in pixels.
    transform : tuple of float
        Affine (a, b, c, d, e, f) from (column, row) to map coordinates.
    srs_id : int
        The file's number of the reference system.

    Returns
    -------
    geometries : list of bytes
        One of each object.
    bounds : ndarray of float
        (K, 4) min x, min y, max x, max y.
    """
    import shapely  # noqa: PLC0415 - slow to import

    corners, rings = outlines.closed()
    positions = np.stack(to_map(transform, *corners.T.astype(float)), axis=1)
    shapes = shapely.from_ragged_array(
        shapely.GeometryType.MULTIPOLYGON, positions, (rings, outlines.polygons, outlines.objects)
    )
    bounds: NDArray[np.float64] = shapely.bounds(shapes)
    heads = [b"GP" + struct.pack("<BBi4d", 0, 0b11, srs_id, x0, x1, y0, y1) for x0, y0, x1, y1 in bounds.tolist()]
    bodies = shapely.to_wkb(shapes, byte_order=1).tolist()
    return [head + body for head, body in zip(heads, bodies, strict=True)], bounds
