"""GeoJSON as prompts: points and polygons in pixels, map coordinates, or longitude and latitude."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.engine.windows import LARGEST_MASK_PX
from napari_sam.errors import PromptError
from napari_sam.io.prompts.prompt_tables import BOX, POINT, Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image

    Polygons = list[list[NDArray[np.float64]]]
    Convert = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_LON_LAT = "EPSG:4326"
_LON_LAT_NAMES = ("CRS84", "EPSG::4326", "EPSG:4326")


def rows_of_geojson(content: dict[str, Any], name: str, image: Image, coordinates: str = "auto") -> Rows:
    """Features as rows: a polygon gives its box, a point itself, a multipoint several points of one object.

    Parameters
    ----------
    content : dict
        A Feature or a FeatureCollection.
    name : str
        What messages call it.
    image : Image
        Where the features lie.
    coordinates : str
        As in `read_prompts`.

    Raises
    ------
    PromptError
        If the coordinates cannot be had in pixels.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    features = content.get("features") if content.get("type") == "FeatureCollection" else [content]
    if not isinstance(features, list):
        raise PromptError(f"{name}: 'features' is not a list; is the file whole?")
    convert = _converter(content, name, image, coordinates)
    rows: list[dict[str, Any]] = []
    outlines: dict[int, Polygons] = {}
    for i, feature in enumerate(features):
        own = _properties(feature) | {"object": i}
        try:
            points, polygons = _geometry(feature["geometry"], convert)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            rows.append({**own, "problem": f"its geometry cannot be used ({_why(error)})"})
            continue
        if polygons:
            outlines[len(rows)] = polygons
            corners = np.concatenate([ring for polygon in polygons for ring in polygon])
            rows.append({**own, **dict(zip(BOX, [*corners.min(0).tolist(), *corners.max(0).tolist()], strict=True))})
        rows += [{**own, "y": y, "x": x} for y, x in points.tolist()]
    columns = [*BOX, *POINT, "object", "category", "score", "problem"]
    frame = pd.DataFrame(rows, columns=columns)
    numbers = np.array([row["object"] for row in rows], np.int64)

    def mask(i: int) -> MaskPrompt | None:
        return _mask(outlines[i], image.shape) if i in outlines else None

    return Rows(frame, name, "feature", numbers, mask if outlines else None)


def _geometry(geometry: dict[str, Any], convert: Convert) -> tuple[NDArray[np.float64], Polygons]:
    """Points (P, 2) with centres at whole numbers, and polygons of rings (R, 2) from the outer corner, as (y, x)."""
    kind, given = geometry["type"], geometry["coordinates"]
    none = np.zeros((0, 2))
    if kind in ("Point", "MultiPoint"):
        return convert(_positions([given] if kind == "Point" else given)) - 0.5, []
    if kind in ("Polygon", "MultiPolygon"):
        listed = [given] if kind == "Polygon" else given
        polygons = [[convert(_positions(ring)) for ring in polygon] for polygon in listed]
        if not polygons or not all(polygons):
            raise ValueError("an empty polygon")
        return none, polygons
    raise ValueError(f"{kind}: give points or polygons")


def _positions(listed: list[Any]) -> NDArray[np.float64]:
    found = np.array([[float(p[0]), float(p[1])] for p in listed]).reshape(-1, 2)
    if not len(found):
        raise ValueError("no coordinates")
    return found


def _properties(feature: Any) -> dict[str, Any]:
    own = feature.get("properties") if isinstance(feature, dict) else None
    own = own if isinstance(own, dict) else {}
    kind = own.get("classification")
    name = kind.get("name") if isinstance(kind, dict) else None  # QuPath's
    score = own.get("score", own.get("predicted_iou"))
    return {"category": own.get("category", name), "score": score}


def _why(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _converter(content: dict[str, Any], name: str, image: Image, coordinates: str) -> Convert:
    """From (n, 2) as (x, y) of the file to (y, x) in pixels from the outer corner of the first."""
    kind = _kind(content, image) if coordinates == "auto" else coordinates
    if kind == "pixels":
        return lambda xy: xy[:, ::-1]
    if image.transform is None:
        raise PromptError(
            f"{name}: its coordinates are {'on a map' if kind == 'map' else 'longitude and latitude'}, but the image "
            'does not say where it lies; give coordinates="pixels", or an image with a transform'
        )
    a, b, c, d, e, f = image.transform
    inverse = np.linalg.inv(np.array([[a, b], [d, e]], float))
    project = _projection(name, image) if kind == "lonlat" else None

    def convert(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        if project is not None:
            xy = np.stack(project(xy[:, 0], xy[:, 1]), axis=1)
        with np.errstate(all="ignore"):  # what is not finite is named when the prompts are checked
            columns_rows: NDArray[np.float64] = (xy - np.array([c, f])) @ inverse.T
        return columns_rows[:, ::-1]

    return convert


def _kind(content: dict[str, Any], image: Image) -> str:
    """What the file's coordinates are."""
    own = content.get("napari_sam")
    if isinstance(own, dict) and "pixel" in str(own.get("coordinates", "")):
        return "pixels"
    if image.transform is None or image.crs is None:
        return "pixels"
    crs = content.get("crs")
    said = crs.get("properties") if isinstance(crs, dict) else None
    named = str(said.get("name") or "") if isinstance(said, dict) else ""
    code = named.upper().rpartition(":")[2]
    if named and code == str(image.crs).upper().rpartition(":")[2]:
        return "map"
    if named and not any(known in named.upper() for known in _LON_LAT_NAMES):
        raise PromptError(
            f"GeoJSON in {named}, but the image lies in {image.crs}: convert one of them, or say what its numbers are "
            'with coordinates="pixels", "map" or "lonlat"'
        )
    return "lonlat"


def _projection(name: str, image: Image) -> Callable[[Any, Any], tuple[Any, Any]] | None:
    """Longitude and latitude to the image's map coordinates; None if they are the same."""
    if str(image.crs).upper() == _LON_LAT:
        return None
    try:
        pyproj = import_module("pyproj")
    except ImportError as error:
        raise PromptError(
            f"{name}: to get from longitude and latitude to the image's {image.crs} needs pyproj; run "
            "'pip install napari-sam-xl[geo]', or give map coordinates with coordinates=\"map\""
        ) from error
    try:
        transformer = pyproj.Transformer.from_crs(_LON_LAT, image.crs, always_xy=True)
    except pyproj.exceptions.CRSError as error:
        raise PromptError(f"{name}: nobody knows the image's CRS {image.crs!r}; give pixel coordinates") from error
    convert: Callable[[Any, Any], tuple[Any, Any]] = transformer.transform
    return convert


def _mask(polygons: Polygons, shape: tuple[int, int]) -> MaskPrompt | None:
    """Pixels whose centres lie in one of the polygons; None if there is none."""
    from skimage.draw import polygon2mask  # noqa: PLC0415 - slow to import

    corners = np.concatenate([ring for polygon in polygons for ring in polygon])
    y0, x0 = (max(0, int(v)) for v in np.floor(corners.min(0)))
    y1, x1 = (min(n, int(v)) for n, v in zip(shape, np.ceil(corners.max(0)), strict=True))
    if y1 <= y0 or x1 <= x0 or (y1 - y0) * (x1 - x0) > LARGEST_MASK_PX:
        return None
    mask = np.zeros((y1 - y0, x1 - x0), bool)
    for outer, *holes in polygons:
        part = polygon2mask(mask.shape, outer - (y0 + 0.5, x0 + 0.5))
        for hole in holes:
            part &= ~polygon2mask(mask.shape, hole - (y0 + 0.5, x0 + 0.5))
        mask |= part
    return MaskPrompt(mask, (y0, x0, y1, x1)) if mask.any() else None
