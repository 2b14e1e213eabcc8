"""What files beside an image declare: world files, and the .aux.xml files of GDAL and ArcGIS."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from napari_sam.io.geo.crs import crs_text, known_crs
from napari_sam.io.geo.geotiff import MapPosition, fit_control_points, is_usable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_sam.io.geo.geotiff import Affine

_WORLD_BYTES = 4096
_XML_BYTES = 8 << 20


def map_position(path: Path, internal: MapPosition | None = None) -> MapPosition:
    """Return the map position of an image file, with the precedence of GDAL.

    An .aux.xml file overrides what the file itself says; a world file applies if nothing else has a transform.

    Parameters
    ----------
    path : Path
        The image.
    internal : MapPosition, optional
        What the file itself says.
    """
    own, beside = internal or MapPosition(), _auxiliary_position(path)
    position = MapPosition(beside.crs or own.crs, beside.transform or own.transform)
    if position.transform is None:
        position = replace(position, transform=_world_transform(path))
    if position.transform is None:
        position = replace(position, control_points=beside.control_points or own.control_points)
    return position


def _world_transform(path: Path) -> Affine | None:
    """Return the affine of the world file of an image; None without one, or if it is damaged."""
    for candidate in _world_files(path):
        text = _text(candidate, _WORLD_BYTES)
        if text is None:
            continue
        try:
            a, d, b, e, x, y = (float(line.replace(",", ".")) for line in text.split()[:6])
        except ValueError:
            continue
        affine = (a, b, x - (a + b) / 2, d, e, y - (d + e) / 2)  # the file has the first pixel's centre
        if is_usable(affine):
            return affine
    return None


def _world_files(path: Path) -> Iterator[Path]:
    """Iterate over the names that a world file may have: for a.tif these are a.tfw, a.tifw and a.wld."""
    extension = path.suffix[1:].lower()
    if not extension:
        return
    for name in (f"{extension[0]}{extension[-1]}w", f"{extension}w", "wld"):
        yield path.with_suffix(f".{name}")
        yield path.with_suffix(f".{name.upper()}")


def nodata_beside(path: Path) -> float | None:
    """Return the "no data" value that the .aux.xml file of an image declares.

    None without one, or if its bands have different ones. As in GDAL, it overrides what the file itself says.

    Parameters
    ----------
    path : Path
        The image.
    """
    root = _auxiliary_root(path)
    if root is None:
        return None
    try:
        values = [float(band.text or "") for band in root.iterfind("PAMRasterBand/NoDataValue")]
    except ValueError:
        return None
    is_one = values and all(v == values[0] or (math.isnan(v) and math.isnan(values[0])) for v in values)
    return values[0] if is_one else None


def _auxiliary_root(path: Path) -> ElementTree.Element | None:
    """Return the content of the .aux.xml file of an image; None without one, or if it is damaged."""
    text = _text(path.with_name(f"{path.name}.aux.xml"), _XML_BYTES)
    if text is None:
        return None
    try:
        return ElementTree.fromstring(text)  # noqa: S314 - expat limits the expansion of entities
    except ElementTree.ParseError:
        return None


def _auxiliary_position(path: Path) -> MapPosition:
    """Return what the .aux.xml file of an image says."""
    root = _auxiliary_root(path)
    if root is None:
        return MapPosition()
    try:
        points = [[float(p.get(key, "nan")) for key in ("Pixel", "Line", "X", "Y")] for p in root.iter("GCP")]
        numbers = [float(v) for v in (root.findtext("GeoTransform") or "").split(",") if v.strip()]
    except ValueError:
        return MapPosition()
    affine: Affine | None = None
    if len(numbers) == 6:
        c, a, b, f, d, e = numbers
        affine = (a, b, c, d, e, f)
    elif points:
        affine = fit_control_points(np.array(points))
    listed = root.find("GCPList")
    described = (root.findtext("SRS"), None if listed is None else listed.get("Projection"), _esri_wkt(root))
    crs = next((known for known in map(known_crs, described) if known is not None), None)
    usable = affine is not None and is_usable(affine)
    return MapPosition(None if crs is None else crs_text(crs), affine if usable else None, 0 if usable else len(points))


def _esri_wkt(root: ElementTree.Element) -> str | None:
    """Return the WKT that ArcGIS writes in a section of its own."""
    return next((e.text for e in root.iter("WKT") if e.text), None)


def _text(path: Path, limit_bytes: int) -> str | None:
    """Return the content of a small regular file; None if there is none."""
    try:
        if not path.is_file() or path.stat().st_size > limit_bytes:
            return None
        return path.read_text("utf-8", errors="replace")
    except (OSError, ValueError):
        return None
