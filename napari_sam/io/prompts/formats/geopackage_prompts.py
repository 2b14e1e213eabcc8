"""Polygons of a GeoPackage as prompts and objects, such as our own exports or layers drawn in QGIS."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from napari_sam.errors import PromptError
from napari_sam.io.exports.geopackage_classes import read_class_metadata
from napari_sam.io.geo.crs import is_same_crs
from napari_sam.io.geo.map_coordinates import LON_LAT, projection
from napari_sam.io.prompts.formats.geojson_prompts import rows_of_geojson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from shapely.geometry.base import BaseGeometry

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.json_types import JsonObject
    from napari_sam.io.prompts.prompt_rows import PromptRows

_ENVELOPE_BYTES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
_HEAD_BYTES = 8
_DETAILS = ("category", "score", "predicted_iou", "plane")
_OWN_LAYER = "objects"


def rows_of_geopackage(path: Path, image: Image, coordinates: str = "auto") -> PromptRows:
    """Return the features of a layer as rows, as `rows_of_geojson` does.

    Parameters
    ----------
    path : Path
        The file. Of several layers, the one called "objects" is read, as our exports name it.
    image : Image
        The image to segment; the coordinates are converted to its CRS.
    coordinates : str
        As for `read_prompts`; "auto" takes the layer's CRS.

    Raises
    ------
    PromptError
        If the file is damaged, or has several layers none of which is called "objects".
    """
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as db:
            table, column, crs = _layer(db, path)
            convert, kind = _conversion(crs, image, coordinates, path)
            features = list(_features(db, table, column, convert))
            note = {"classes": read_class_metadata(db)}
    except sqlite3.Error as error:
        raise PromptError(f"{path}: not a GeoPackage, or damaged ({error})", remedy="export it again") from error
    content = {"type": "FeatureCollection", "features": features, "napari_sam": note}
    return rows_of_geojson(content, str(path), image, kind)


def _layer(db: sqlite3.Connection, path: Path) -> tuple[str, str, str | None]:
    """Return table, geometry column and CRS of the layer to read."""
    layers = db.execute("SELECT table_name, column_name, srs_id FROM gpkg_geometry_columns LIMIT 1000").fetchall()
    names = [str(name) for name, _, _ in layers]
    if len(layers) > 1 and _OWN_LAYER not in names:
        raise PromptError(
            f"{path}: has {len(layers)} layers ({', '.join(names[:10])})",
            remedy=f"save the layer to read in a file of its own, or call it {_OWN_LAYER}",
        )
    if not layers:
        raise PromptError(f"{path}: has no layer of geometries", remedy="give a GeoPackage with polygons or points")
    table, column, srs_id = layers[names.index(_OWN_LAYER) if _OWN_LAYER in names else 0]
    kind = db.execute("SELECT type FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    if kind != ("table",):
        raise PromptError(f"{path}: layer {table!r} is not a table", remedy="save the layer in a file of its own")
    query = "SELECT organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys WHERE srs_id = ?"
    known = db.execute(query, (srs_id,)).fetchone()
    if known is None or str(known[2]).strip().lower() == "undefined":
        return str(table), str(column), None
    organization, code, definition = known
    return str(table), str(column), f"EPSG:{code}" if str(organization).upper() == "EPSG" else str(definition)


def _conversion(
    crs: str | None, image: Image, coordinates: str, path: Path
) -> tuple[Callable[[BaseGeometry], BaseGeometry] | None, str]:
    """Return how to convert geometries to the image's CRS, and the kind of coordinates that they have then."""
    if coordinates != "auto":
        return None, coordinates
    if image.transform is None:
        return None, "map" if crs else "pixels"  # "map" is refused with its reason
    if crs is None or image.crs is None or is_same_crs(crs, image.crs):
        return None, "map"
    if is_same_crs(crs, LON_LAT):
        return None, "lonlat"
    import shapely  # noqa: PLC0415 - slow to import

    try:
        project = projection(crs, image.crs)
    except ValueError as error:
        raise PromptError(
            f"{path}: its coordinates cannot be converted to those of the image ({error})",
            parameter="coordinates",
            remedy="save the layer in the image's CRS, or declare its coordinates with {coordinates}",
        ) from error
    return lambda geometry: shapely.transform(geometry, project, interleaved=False), "map"


def _features(
    db: sqlite3.Connection, table: str, column: str, convert: Callable[[BaseGeometry], BaseGeometry] | None
) -> Iterator[JsonObject]:
    """Yield the rows of a layer as GeoJSON features."""
    import shapely  # noqa: PLC0415 - slow to import

    present = {str(row[1]) for row in db.execute(f"PRAGMA table_info({_quoted(table)})")}
    own = ("label",) if table == _OWN_LAYER and "plane" in present else ()  # the same on all planes of an object
    details = [name for name in (*_DETAILS, *own) if name in present]
    names = ", ".join(_quoted(name) for name in (column, *details))
    for blob, *values in db.execute(f"SELECT {names} FROM {_quoted(table)}"):  # noqa: S608 - quoted identifiers
        properties: dict[str, Any] = {k: v for k, v in zip(details, values, strict=True) if v is not None}
        feature: JsonObject = {"type": "Feature", "geometry": None, "properties": properties}
        with contextlib.suppress(shapely.errors.ShapelyError, ValueError, KeyError, TypeError, IndexError):
            geometry = shapely.from_wkb(_well_known_binary(blob))
            geometry = geometry if convert is None else convert(geometry)
            feature["geometry"] = shapely.geometry.mapping(geometry)  # else the row is reported as damaged
        yield feature


def _well_known_binary(blob: bytes) -> bytes:
    """Return the geometry of a GeoPackage's blob without its header (OGC 12-128r18, 2.1.3).

    Raises
    ------
    ValueError, KeyError
        If it has no such header.
    """
    if bytes(blob[:2]) != b"GP":
        raise ValueError("no GeoPackage geometry")
    return bytes(blob[_HEAD_BYTES + _ENVELOPE_BYTES[(blob[3] >> 1) & 7] :])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
