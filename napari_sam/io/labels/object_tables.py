"""Masks out: label images and object tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_sam.errors import LabelsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction

_MAX_PIXELS = 1 << 29  # a whole label image beyond this (2 GiB) is not written densely


def render_labels(
    predictions: Sequence[Prediction], shape: tuple[int, int], crop: bool = False
) -> tuple[NDArray[np.uint32], tuple[int, int]]:
    """Best masks as a label image, numbered from 1; earlier objects stay on top.

    Parameters
    ----------
    predictions : sequence of Prediction
        Objects of one image.
    shape : (int, int)
        Height and width of the image.
    crop : bool
        Render only the region around all objects.

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
    if int(bottom - top) * int(right - left) > _MAX_PIXELS:
        raise LabelsError(f"labels of shape {(int(bottom - top), int(right - left))} are too large; use --crop")
    labels = np.zeros((bottom - top, right - left), np.uint32)
    for label, p in enumerate(predictions, start=1):
        y0, x0, y1, x1 = p.bbox
        region = labels[y0 - top : y1 - top, x0 - left : x1 - left]
        region[p.mask & (region == 0)] = label
    return labels, (int(top), int(left))


def object_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """One row per object: label, area in pixels, box, scores, model and window."""
    return pd.DataFrame([describe(label, p) for label, p in enumerate(predictions, start=1)])


def describe(label: int, prediction: Prediction) -> dict[str, Any]:
    """What a table, or ``--json``, says of one object."""
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


def write_labels(path: str | Path, labels: NDArray[np.uint32], origin: tuple[int, int] = (0, 0)) -> None:
    """Write a label image as TIFF or PNG.

    Parameters
    ----------
    path : str or Path
        Ending in .tif, .tiff or .png.
    labels : ndarray of uint32
        (H, W).
    origin : (int, int)
        (y, x) of its first pixel in the image it belongs to; kept in a TIFF's description.

    Raises
    ------
    LabelsError
        If the ending is another one, the folder does not exist, or PNG cannot hold the labels.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise LabelsError(f"{path}: the folder {path.parent} does not exist; create it first")
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            import tifffile  # noqa: PLC0415 - only writing needs it

            tifffile.imwrite(path, labels, compression="zlib", metadata={"origin_yx": list(origin)})
        elif path.suffix.lower() == ".png":
            if int(labels.max(initial=0)) > np.iinfo(np.uint16).max:
                raise LabelsError(f"{path}: {int(labels.max())} objects do not fit a 16-bit PNG; write .tif")
            from PIL import Image  # noqa: PLC0415

            Image.fromarray(labels.astype(np.uint16)).save(path)
        else:
            raise LabelsError(f"{path}: cannot write {path.suffix or 'a file without ending'}; use .tif or .png")
    except OSError as error:
        raise LabelsError(f"{path}: cannot be written: {error}") from error


def overlay(rgb: NDArray[np.uint8], labels: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """An image with its objects tinted and outlined, for a quick look.

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
    lined = mark_boundaries(tinted, labels, color=(1, 0.95, 0.3))
    out: NDArray[np.uint8] = (np.clip(lined, 0, 1) * 255 + 0.5).astype(np.uint8)
    return out
