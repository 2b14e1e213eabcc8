"""Prompts for many objects, read from tables, detectors, drawings and other programs' labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import PromptError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.store_access import JOURNAL_FILE
from napari_sam.io.prompts.check_prompts import check_prompts
from napari_sam.io.prompts.formats.label_prompts import rows_of_labels, rows_of_store
from napari_sam.io.prompts.formats.prompt_files import rows_of_file
from napari_sam.io.prompts.prompt_planes import rows_on_plane
from napari_sam.io.prompts.prompt_rows import BOX, POINT, PromptRows, rows_of_table
from napari_sam.io.prompts.prompt_table import PromptTable
from src_models.user_paths import existing_path

if TYPE_CHECKING:
    from napari_sam.io.images.lazy_image import Image

COORDINATES = ("auto", "pixels", "map", "lonlat")
_ERRORS = ("raise", "skip")


def read_prompts(
    source: Any,
    image: Any,
    *,
    masks: bool | None = False,
    coordinates: str = "auto",
    image_id: int | str | None = None,
    errors: str = "raise",
) -> PromptTable:
    """Read prompts from any source and check them against an image.

    Parameters
    ----------
    source
        A CSV or Parquet file or a pandas DataFrame with columns ``y0, x0, y1, x1`` (boxes, half-open; or ``x, y,
        width, height``, ``xmin, ymin, xmax, ymax``, ``left, top, right, bottom``) or ``y, x`` (points; pixel centres
        are whole numbers; or napari's ``axis-0, axis-1``), optionally ``category`` and ``score``, and for points
        ``label`` (1 on the object, 0 beside it) and ``object`` (points with the same value are one prompt); a COCO
        file of annotations or detections; a text file of YOLO (fractions of the image's size; class names from
        ``classes.txt``, ``obj.names`` or ``data.yaml`` near it); an XML file of Pascal VOC; GeoJSON points and
        polygons, a GeoPackage, or ImageJ ROIs (a polygon gives its box); labels of another program: a ``_seg.npy`` of
        Cellpose, a `LabelStore` or its folder, a label image (path, or array of whole numbers of the image's shape),
        whose objects give their boxes; an array of boxes (n, 4) or points (n, 2); or a `PromptTable`. Of prompts that
        name a plane (column ``plane``, QuPath's ``plane`` in GeoJSON, a COCO image's ``plane``, labels of a stack),
        those on the image's plane are used.
    image : Image
        The image to segment, or any source that `open_image` accepts.
    masks : bool or None
        Pass the objects' pixels to the network as mask prompts, too: of labels and polygons. None does so where the
        source has them, and True requires it.
    coordinates : {"auto", "pixels", "map", "lonlat"}
        Coordinates of a GeoJSON file. "auto" means pixels if the image has no CRS; else the coordinates that the
        file declares, and longitude and latitude if it declares none.
    image_id : int or str, optional
        Id of the image in a COCO file with several; by default the image with the name of this image's file.
    errors : {"raise", "skip"}
        How to handle a prompt that is empty, not finite or outside the image: raise an error for the first one, or
        leave it out and count it.

    Returns
    -------
    PromptTable
        The prompts, in the order of the source.

    Raises
    ------
    PromptError
        If the source is none of these, cannot be read, or holds a prompt that is not valid.
    ImageError
        If the image, or a label image, cannot be opened.

    Examples
    --------
    >>> table = read_prompts(np.array([[2, 3, 8, 9], [0, 0, 4, 20]]), np.zeros((10, 10), np.uint8))
    >>> [table.keywords(i) for i in range(2)]
    [{'box': (2.0, 3.0, 8.0, 9.0)}, {'box': (0.0, 0.0, 4.0, 10.0)}]
    """
    if errors not in _ERRORS:
        raise PromptError(f"errors is {errors!r}", parameter="errors", remedy="use 'raise' or 'skip'")
    if coordinates not in COORDINATES:
        raise PromptError(
            f"coordinates is {coordinates!r}", parameter="coordinates", remedy=f"use one of {', '.join(COORDINATES)}"
        )
    if isinstance(source, PromptTable):
        return source
    image = open_image(image)
    rows = _rows(source, image, coordinates, image_id)
    if masks and rows.mask is None:
        raise PromptError(
            f"{rows.name}: has no masks",
            parameter="masks",
            remedy="give labels or GeoJSON polygons, or leave out {masks}",
        )
    rows, elsewhere = rows_on_plane(rows, image)
    table = check_prompts(rows, image.shape, skip=errors == "skip", masks=masks is not False)
    return replace(table, skipped={**table.skipped, "other planes": elsewhere}) if elsewhere else table


def _rows(source: Any, image: Image, coordinates: str, image_id: int | str | None) -> PromptRows:
    """Return the rows of a source, by its type."""
    if isinstance(source, str | Path):
        path = Path(source) if "://" in str(source) else existing_path(source, PromptError)
        if (path / JOURNAL_FILE).is_file():
            with LabelStore.open(source, "r") as store:
                return rows_of_store(store, image)
        return rows_of_file(source, image, coordinates, image_id)
    if isinstance(source, LabelStore):
        return rows_of_store(source, image)
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        return rows_of_table(source, "the table")
    return _rows_of_array(source, image)


def _rows_of_array(source: Any, image: Image) -> PromptRows:
    """Return the rows of boxes, points or labels in an array or a list."""
    array = source if hasattr(source, "shape") and hasattr(source, "dtype") else np.asarray(_listed(source), object)
    shape = tuple(int(n) for n in array.shape)
    if array.dtype.kind in "biu" and shape in (image.shape, (*image.plane_axes.values(), *image.shape)):
        axes = "yx" if shape == image.shape else "".join(image.plane_axes) + "yx"
        return rows_of_labels(open_image(array, axes=axes), image, "the label image")
    if array.dtype.kind in "biufO" and len(shape) == 2 and shape[1] in (2, 4):
        import pandas as pd  # noqa: PLC0415 - slow to import

        frame = pd.DataFrame(np.asarray(array), columns=list(POINT if shape[1] == 2 else BOX))
        return PromptRows(frame, "the prompts", "row", np.arange(len(frame)))
    raise PromptError(
        f"prompts of shape {shape} and dtype {array.dtype}",
        remedy=f"give boxes (n, 4), points (n, 2), a label image of shape {tuple(image.shape)}, a DataFrame, "
        "a LabelStore, or a file",
    )


def _listed(source: Any) -> list[list[Any]]:
    try:
        return [list(row) for row in source]
    except TypeError:
        raise PromptError(
            f"cannot read prompts from {type(source).__name__}",
            remedy="give a file, a DataFrame, boxes (n, 4), points (n, 2), a label image or a LabelStore",
        ) from None
