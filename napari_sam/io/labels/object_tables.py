"""Label images and tables of predictions that were not written to a label store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_sam.errors import LabelsError
from napari_sam.io.geo.geotiff import make_geo_tags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.io.geo.geotiff import MapPosition, Tag
    from napari_sam.io.json_types import JsonObject

_MAX_PX = 1 << 29  # of a dense label image (2 GiB)


def render_labels(
    predictions: Sequence[Prediction], shape: tuple[int, int], crop: bool = False
) -> tuple[NDArray[np.uint32], tuple[int, int]]:
    """Draw the best masks into a label image, numbered from 1; earlier objects stay on top.

    Parameters
    ----------
    predictions : sequence of Prediction
        Objects of one image.
    shape : (int, int)
        Height and width of the image.
    crop : bool
        Draw only the region around all objects.

    Returns
    -------
    labels : ndarray of uint32
        (H, W), or the region.
    origin : (int, int)
        (y, x) of its first pixel in the image.

    Raises
    ------
    LabelsError
        If the image is too large for a dense label image.
    """
    boxes = np.array([p.bbox for p in predictions])
    top, left = boxes[:, :2].min(0) if crop else (0, 0)
    bottom, right = boxes[:, 2:].max(0) if crop else shape
    if int(bottom - top) * int(right - left) > _MAX_PX:
        raise LabelsError(
            f"labels of shape {(int(bottom - top), int(right - left))} are too large", remedy="use {crop=True}"
        )
    labels = np.zeros((bottom - top, right - left), np.uint32)
    for label, p in enumerate(predictions, start=1):
        y0, x0, y1, x1 = p.bbox
        region = labels[y0 - top : y1 - top, x0 - left : x1 - left]
        region[p.mask & (region == 0)] = label
    return labels, (int(top), int(left))


def object_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """Return one row for each object: label, area in pixels, box, scores, model and window."""
    return pd.DataFrame([describe(label, p) for label, p in enumerate(predictions, start=1)])


def describe(label: int, prediction: Prediction) -> JsonObject:
    """Return the columns of one object, as tables and ``--json`` show them."""
    y0, x0, y1, x1 = prediction.bbox
    return {
        "label": label,
        "area_px": int(prediction.mask.sum()),
        "y0": y0,
        "x0": x0,
        "y1": y1,
        "x1": x1,
        "predicted_iou": round(float(prediction.predicted_iou[prediction.best]), 4),
        "stability_score": round(float(prediction.stability_score[prediction.best]), 4),
        "model": prediction.model,
        "window_px": max(prediction.window.shape),
    }


def write_labels(
    path: str | Path,
    labels: NDArray[np.uint32],
    origin: tuple[int, int] = (0, 0),
    position: MapPosition | None = None,
) -> None:
    """Write a label image as TIFF or PNG.

    Parameters
    ----------
    path : str or Path
        The file, ending in .tif, .tiff or .png.
    labels : ndarray of uint32
        (H, W).
    origin : (int, int)
        (y, x) of its first pixel in the image it belongs to; kept in a TIFF's description.
    position : MapPosition, optional
        Where the image lies on the map; a TIFF becomes a GeoTIFF.

    Raises
    ------
    LabelsError
        If the ending is another one, the folder does not exist, or PNG cannot hold the labels.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise LabelsError(f"{path}: the folder {path.parent} does not exist", remedy="create it first")
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            import tifffile  # noqa: PLC0415 - only writing needs it

            tags = _geo_tags(position, origin, labels.shape)
            tifffile.imwrite(path, labels, compression="zlib", metadata={"origin_yx": list(origin)}, extratags=tags)
        elif path.suffix.lower() == ".png":
            if int(labels.max(initial=0)) > np.iinfo(np.uint16).max:
                raise LabelsError(f"{path}: {int(labels.max())} objects do not fit a 16-bit PNG", remedy="write .tif")
            from PIL import Image  # noqa: PLC0415

            Image.fromarray(labels.astype(np.uint16)).save(path)
        else:
            raise LabelsError(
                f"{path}: cannot write {path.suffix or 'a file without ending'}", remedy="use .tif or .png"
            )
    except OSError as error:
        raise LabelsError(f"{path}: cannot be written: {error}", remedy="free space, or choose another path") from error


def _geo_tags(position: MapPosition | None, origin: tuple[int, int], shape: tuple[int, ...]) -> list[Tag]:
    """Return the GeoTIFF tags of a part of an image; none for an image that lies on no map."""
    if position is None or position.transform is None:
        return []
    a, b, c, d, e, f = position.transform
    y, x = origin
    return make_geo_tags(position.crs, (a, b, c + a * x + b * y, d, e, f + d * x + e * y), shape)


def overlay(rgb: NDArray[np.uint8], labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return an image with its objects tinted and outlined, for a quick look.

    Parameters
    ----------
    rgb : ndarray of uint8
        (H, W, 3).
    labels : ndarray of int
        (H, W), 0 is background.

    Returns
    -------
    ndarray of uint8
        (H, W, 3).
    """
    from skimage.color import label2rgb  # noqa: PLC0415 - slow to import
    from skimage.segmentation import mark_boundaries  # noqa: PLC0415

    tinted = label2rgb(labels, rgb, alpha=0.35, bg_label=0, saturation=1)
    tinted[labels == 0] = rgb[labels == 0] / 255  # scikit-image dims the background, too
    outlined = mark_boundaries(tinted, labels, color=(1, 0.95, 0.3))
    rendered: NDArray[np.uint8] = (np.clip(outlined, 0, 1) * 255 + 0.5).astype(np.uint8)
    return rendered
