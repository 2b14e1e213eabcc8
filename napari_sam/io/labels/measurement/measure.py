"""Measure every object of a label store."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import CancelledError, ImageError, SettingsError
from napari_sam.io.images.open_image import completed, open_image
from napari_sam.io.labels.journal.rows import TableRow
from napari_sam.io.labels.measurement.measured_table import join_measurements
from napari_sam.io.labels.measurement.object_measurer import ObjectMeasurer
from napari_sam.io.labels.measurement.properties import PROPERTIES, PieceSizes, checked_properties
from napari_sam.io.labels.reading.own_plane import at_own_plane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.reading.store_view import StoreView


def measure(
    labels: StoreView,
    image: Any = None,
    properties: Sequence[str] = PROPERTIES,
    channels: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    sizes: PieceSizes | None = None,
) -> pd.DataFrame:
    """Measure all objects of a label store, as scikit-image's `regionprops_table` does with a whole array.

    Parameters
    ----------
    labels : LabelStore
        The objects.
    image : optional
        Whatever `open_image` opens, of the labels' height and width: its raw values, whatever contrast is shown.
        Without it only shapes are measured.
    properties : sequence of str
        Some of "area", "bbox", "centroid", "perimeter", "eccentricity", "orientation", "solidity",
        "equivalent_diameter", "intensity_mean", "intensity_min", "intensity_max", "intensity_std".
    channels : sequence of int, optional
        Channels of the file; all by default.
    progress : callable, optional
        Called with the number of objects done and of all objects.
    cancelled : callable, optional
        Called between cells; the work stops when it returns True.
    sizes : PieceSizes, optional
        Sizes of the pieces that are read together.

    Returns
    -------
    DataFrame
        One row for each object, in stacks for each of its planes, by label: ``label``, ``plane`` in stacks,
        ``category``; the measured values, lengths in pixels of level 0 (``area_px``, ``y0 x0 y1 x1`` half-open,
        ``centroid_y_px`` with pixel centres at whole numbers, ``perimeter_px`` …) and, where the image has a pixel
        size, in its unit (``area_um2``, ``centroid_y_um`` …) or on the map (``area_m2``, ``centroid_x_map`` …);
        ``orientation`` in radians from the y axis, ``intensity_mean_0`` and so on, or with the channel's name;
        predicted IoU, stability score and model.

    Raises
    ------
    SettingsError
        If a property or channel does not exist.
    ImageError
        If the image does not fit the labels, or cannot be read.
    StoreError
        If pixels of the labels cannot be read.
    CancelledError
        If `cancelled` returned True.

    Notes
    -----
    Objects whose box has more than 16 million pixels are read in pieces. Their area, box, centroid, eccentricity,
    orientation, diameter and intensities are exact all the same; perimeter and solidity come from every second,
    fourth … pixel, so that a few million pixels are used.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    sizes = sizes or PieceSizes()
    names = checked_properties(properties, image is not None)
    opened = None if image is None else open_fitting(image, labels)
    chosen = [] if opened is None else checked_channels(opened, channels)
    rows = pd.DataFrame(labels.journal.objects.table_of_planes(), columns=list(TableRow._fields))
    measurer = ObjectMeasurer(labels, opened, chosen, names, sizes)
    parts, done = [_of_plane(measurer.measure(rows.iloc[:0]), "")], 0
    for members in _cells(rows, sizes.cell_px):
        if cancelled is not None and cancelled():
            raise CancelledError(f"measuring was stopped after {done} of {len(rows)} objects")
        parts.append(_of_plane(measurer.measure(rows.iloc[members]), str(rows["plane"].iloc[members[0]])))
        done += len(members)
        if progress is not None:
            progress(done, len(rows))
    measured = pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    return join_measurements(rows, measured, labels, opened)


def _of_plane(columns: dict[str, NDArray[Any]], plane: str) -> dict[str, NDArray[Any]]:
    """Return measured values with the plane of the objects."""
    return {**columns, "plane": np.full(len(columns["label"]), plane, object)}


def _cells(rows: pd.DataFrame, cell_px: int) -> Iterator[NDArray[np.int64]]:
    """Iterate over the positions of rows that are read together: the objects of one cell, or one large object."""
    plane = rows["plane"].astype("category").cat.codes.to_numpy(np.int64)
    boxes = rows[["y0", "x0", "y1", "x1"]].to_numpy(np.int64)
    is_large = (boxes[:, 2:] - boxes[:, :2] > cell_px).any(1)
    large_label = np.where(is_large, rows["label"].to_numpy(np.int64), 0)
    keys = np.stack([plane, boxes[:, 0] // cell_px, boxes[:, 1] // cell_px, large_label], axis=1)
    order = np.lexsort(keys.T[::-1])
    keys = keys[order]
    begins = np.flatnonzero(np.append(True, (keys[1:] != keys[:-1]).any(1))[: len(keys)]).tolist()
    for start, stop in pairwise([*begins, len(keys)]):
        if stop > start:
            yield np.sort(order[start:stop])


def checked_channels(image: Image, channels: Sequence[int] | None) -> list[int]:
    """Return the channels to measure, all by default.

    Raises
    ------
    SettingsError
        If one does not exist.
    """
    chosen = list(range(image.channel_count)) if channels is None else [int(c) for c in channels]
    if any(not 0 <= c < image.channel_count for c in chosen):
        raise SettingsError(
            f"channels {chosen}: the image has channels 0 to {image.channel_count - 1}",
            parameter="channels",
            remedy="choose among these",
        )
    return chosen


def open_fitting(source: Any, labels: StoreView) -> Image:
    """Open an image that the labels were made on; of a file with a stack, the plane that they were made on.

    Raises
    ------
    ImageError
        If it has another shape than the labels, or it is not known which plane of it they were made on.
    """
    image = open_image(source)
    leading = len(labels.shape) - 2
    if tuple(image.shape) != tuple(labels.shape[-2:]):
        raise ImageError(
            f"{image.name}: shape {tuple(image.shape)} is not that of the labels, {labels.shape[-2:]}",
            remedy="give the image that the labels were made on",
        )
    if leading and tuple(image.plane_axes.values()) != tuple(labels.shape[:-2]):
        sizes = ", ".join(f"{axis} {size}" for axis, size in image.plane_axes.items())
        raise ImageError(
            f"{image.name}: axes {image.array_axes}{f' with {sizes}' if sizes else ''} do not fit labels of axes "
            f"{labels.meta('axes')} and shape {tuple(labels.shape)}",
            remedy="give the image that the labels were made on",
        )
    return at_own_plane(completed(image), labels) if isinstance(source, str | Path) else completed(image)
