"""GeoJSON as prompts: points and polygons in pixels, map coordinates, or longitude and latitude."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import PromptError
from napari_sam.io.class_styles import (
    cleaned_name,
    joined_styles,
    qualified_name,
    qualified_styles,
    styles_of_json,
)
from napari_sam.io.geo.crs import crs_name, is_same_crs
from napari_sam.io.geo.map_coordinates import LON_LAT, projection
from napari_sam.io.prompts.formats.polygon_masks import polygons_mask
from napari_sam.io.prompts.prompt_rows import BOX, POINT, PromptRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prompts import MaskPrompt
    from napari_sam.io.class_styles import ClassStyle
    from napari_sam.io.geo.map_coordinates import Project
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.json_types import JsonObject

    Polygons = list[list[NDArray[np.float64]]]
    Convert = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_LON_LAT_NAMES = ("CRS84", "EPSG::4326", "EPSG:4326")


def rows_of_geojson(content: JsonObject, name: str, image: Image, coordinates: str = "auto") -> PromptRows:
    """Return features as rows: a polygon gives its box, a point itself, a multipoint several points of one object.

    Parameters
    ----------
    content : dict
        A Feature or a FeatureCollection.
    name : str
        Name of the file in messages.
    image : Image
        The image to segment.
    coordinates : str
        As for `read_prompts`.

    Raises
    ------
    PromptError
        If the coordinates cannot be converted to pixels.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    features = content.get("features") if content.get("type") == "FeatureCollection" else [content]
    if not isinstance(features, list):
        raise PromptError(f"{name}: 'features' is not a list", remedy="check that the file is complete")
    convert = _converter(content, name, image, coordinates)
    is_own = isinstance(content.get("napari_sam"), dict)
    rows: list[JsonObject] = []
    outlines: dict[int, Polygons] = {}
    for i, feature in enumerate(features):
        properties = _properties(feature, is_own=is_own) | {"object": i}
        try:
            points, polygons = _geometry(feature["geometry"], convert)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            rows.append({**properties, "problem": f"its geometry cannot be used ({_reason(error)})"})
            continue
        if polygons:
            outlines[len(rows)] = polygons
            corners = np.concatenate([ring for polygon in polygons for ring in polygon])
            box = zip(BOX, [*corners.min(0).tolist(), *corners.max(0).tolist()], strict=True)
            rows.append({**properties, **dict(box)})
        rows += [{**properties, "y": y, "x": x} for y, x in points.tolist()]
    columns = [*BOX, *POINT, "object", "category", "score", "plane", "track", "parent", "problem"]
    frame = pd.DataFrame(rows, columns=columns)
    numbers = np.array([row["object"] for row in rows], np.int64)

    def mask(i: int) -> MaskPrompt | None:
        return polygons_mask(outlines[i], image.shape) if i in outlines else None

    return PromptRows(frame, name, "feature", numbers, mask if outlines else None, _classes(content, features))


def _classes(content: JsonObject, features: list[Any]) -> tuple[ClassStyle, ...]:
    """Return the classes of a file: those that our own exports list, and those of QuPath's classifications."""
    note = content.get("napari_sam")
    listed = styles_of_json(note.get("classes")) if isinstance(note, dict) else []
    if listed:
        return joined_styles(listed)
    found: dict[str, object] = {}
    for feature in features:
        classification = _classification(feature)
        name = _name_of(classification)
        if name is not None:
            found.setdefault(name, classification.get("color", classification.get("colorRGB")))
    return joined_styles(style for name, colour in found.items() for style in qualified_styles(name, colour))


def _classification(feature: object) -> JsonObject:
    """Return QuPath's classification of a feature; empty without one."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    classification = properties.get("classification") if isinstance(properties, dict) else None
    return classification if isinstance(classification, dict) else {}


def _name_of(classification: JsonObject) -> str | None:
    """Return the name of a classification, which versions of QuPath write as text or as a list of its parts."""
    names = classification.get("names")
    if isinstance(names, list) and names and all(isinstance(part, str) for part in names):
        return cleaned_name(qualified_name(names))
    return cleaned_name(classification.get("name"))


def _geometry(geometry: JsonObject, convert: Convert) -> tuple[NDArray[np.float64], Polygons]:
    """Return points (P, 2) and polygons of rings (R, 2) of a geometry, as (y, x).

    Pixel centres are whole numbers for points; rings count from the outer corner of the first pixel.
    """
    if not isinstance(geometry, dict):
        raise ValueError("it is empty" if geometry is None else f"{geometry!r} is not a geometry")
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind in ("Point", "MultiPoint"):
        return convert(_positions([coordinates] if kind == "Point" else coordinates)) - 0.5, []
    if kind in ("Polygon", "MultiPolygon"):
        listed = [coordinates] if kind == "Polygon" else coordinates
        polygons = [[convert(_positions(ring)) for ring in polygon] for polygon in listed]
        if not polygons or not all(polygons):
            raise ValueError("an empty polygon")
        return np.zeros((0, 2)), polygons
    raise ValueError(f"{kind}: give points or polygons")


def _positions(listed: list[Any]) -> NDArray[np.float64]:
    positions = np.array([[float(p[0]), float(p[1])] for p in listed]).reshape(-1, 2)
    if not len(positions):
        raise ValueError("no coordinates")
    return positions


def _properties(feature: Any, *, is_own: bool) -> JsonObject:
    """Return category, score and plane of a feature, and which object it shows there; our own exports call it label."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    properties = properties if isinstance(properties, dict) else {}
    name = _name_of(_classification(feature))
    score = properties.get("score", properties.get("predicted_iou"))
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    plane = geometry.get("plane") if isinstance(geometry, dict) else None  # QuPath's
    track = properties.get("track_id", properties.get("label") if is_own else None)
    return {
        "category": properties.get("category", name),
        "score": score,
        "plane": properties.get("plane", plane),
        "track": _text(track),
        "parent": _text(properties.get("parent")),
    }


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, int | float | str) else None


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return str(error) if isinstance(error, ValueError) else "its coordinates are not lists of numbers"


def _converter(content: JsonObject, name: str, image: Image, coordinates: str) -> Convert:
    """Return the function from (n, 2) as (x, y) of the file to (y, x) in pixels from the outer corner of the first."""
    kind = _kind(content, image) if coordinates == "auto" else coordinates
    if kind == "pixels":
        return lambda xy: xy[:, ::-1]
    if image.transform is None:
        raise PromptError(
            f"{name}: its coordinates are {'on a map' if kind == 'map' else 'longitude and latitude'}, but the image "
            "has no map position",
            parameter="coordinates",
            remedy="give {coordinates=pixels}, or an image with a transform",
        )
    a, b, c, d, e, f = image.transform
    inverse = np.linalg.inv(np.array([[a, b], [d, e]], float))
    project = _projection(name, image) if kind == "lonlat" else None

    def convert(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        if project is not None:
            xy = np.stack(project(xy[:, 0], xy[:, 1]), axis=1)
        with np.errstate(all="ignore"):  # values that are not finite are refused when the prompts are checked
            columns_rows: NDArray[np.float64] = (xy - np.array([c, f])) @ inverse.T
        return columns_rows[:, ::-1]

    return convert


def _kind(content: JsonObject, image: Image) -> str:
    """Return the kind of coordinates that a file declares."""
    note = content.get("napari_sam")
    if isinstance(note, dict) and "pixel" in str(note.get("coordinates", "")):
        return "pixels"
    if image.transform is None or image.crs is None:
        return "pixels"
    crs = _declared_crs(content)
    if crs and is_same_crs(crs, image.crs):
        return "lonlat" if is_same_crs(crs, LON_LAT) else "map"
    if crs and not any(name in crs.upper() for name in _LON_LAT_NAMES):
        raise PromptError(
            f"GeoJSON in {crs}, but the image lies in {crs_name(image.crs)}",
            parameter="coordinates",
            remedy="convert one of them, or declare the coordinates with {coordinates}: pixels, map or lonlat",
        )
    return "lonlat"


def _declared_crs(content: JsonObject) -> str:
    """Return the name of the CRS in a file; empty without one."""
    crs = content.get("crs")
    properties = crs.get("properties") if isinstance(crs, dict) else None
    return str(properties.get("name") or "") if isinstance(properties, dict) else ""


def _projection(name: str, image: Image) -> Project:
    """Return the function from longitude and latitude to the image's map coordinates."""
    try:
        return projection(LON_LAT, str(image.crs))
    except ValueError as error:
        raise PromptError(
            f"{name}: the image's CRS {crs_name(str(image.crs))!r} is not known", remedy="give pixel coordinates"
        ) from error
