"""Measure the objects of one cell together, or one large object in pieces."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.pixel_validity import invalid_pixels
from napari_sam.errors import ImageError
from napari_sam.io.labels.journal.row_values import parse_plane
from napari_sam.io.labels.label_pyramid import blocks
from napari_sam.io.labels.measurement.properties import INTENSITY, PIXEL_COLUMNS, SHAPE
from napari_sam.io.labels.measurement.running_statistics import RunningStatistics
from napari_sam.io.shape_moments import mask_moments, shape_from_moments

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.journal.rows import Plane
    from napari_sam.io.labels.measurement.properties import PieceSizes
    from napari_sam.io.labels.reading.store_view import StoreView

    Columns = dict[str, NDArray[Any]]

_CHANNELS = 4  # that are read together
_SKIMAGE_NAMES = {"equivalent_diameter": "equivalent_diameter_area"}
_BOX_COLUMNS = ("y0", "x0", "y1", "x1")
_NO_LABELS = np.zeros(0, np.int64)


class ObjectMeasurer:
    """Measure objects of a store.

    Parameters
    ----------
    labels : LabelStore
        The objects.
    image : Image or None
        Image for the intensities.
    channels : list of int
        Channels of the image.
    properties : list of str
        Names of the properties.
    sizes : PieceSizes
        Sizes of the pieces that are read together.
    """

    def __init__(
        self, labels: StoreView, image: Image | None, channels: list[int], properties: list[str], sizes: PieceSizes
    ) -> None:
        self._labels, self._image, self._channels, self._sizes = labels, image, channels, sizes
        self._shape = [_SKIMAGE_NAMES.get(name, name) for name in properties if name in SHAPE]
        self._intensity = [name for name in properties if name in INTENSITY]

    def measure(self, rows: pd.DataFrame) -> Columns:
        """Return the values of objects that lie near each other, or of one large object, by column."""
        if not len(rows):
            return self._empty_columns()
        boxes = rows[list(_BOX_COLUMNS)].to_numpy(np.int64)
        labels = rows["label"].to_numpy(np.int64)
        box = Box(*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist())
        plane = parse_plane(str(rows["plane"].iloc[0]))
        if len(rows) == 1 and box.area > self._sizes.exact_px:
            return self._measure_in_pieces(int(labels[0]), box, plane)
        return self._measure_region(self._labels.read(box, plane=plane), labels, box, plane)

    def _empty_columns(self) -> Columns:
        return self._measure_region(np.zeros((1, 1), np.uint32), _NO_LABELS, Box(0, 0, 1, 1), ())

    def _measure_region(self, region: NDArray[np.uint32], labels: NDArray[np.int64], box: Box, plane: Plane) -> Columns:
        """Measure the objects `labels` of a region with scikit-image."""
        numbered = renumber(region, labels)
        present = np.flatnonzero(np.bincount(numbered.ravel(), minlength=len(labels) + 1)[1:])
        columns: Columns = {"label": labels[present]}
        for name, values in _region_properties(numbered, None, self._shape).items():
            columns.update(_in_image_frame(name, values, box))
        for channels in _groups_of_channels(self._channels):
            if self._intensity:
                pixels = (
                    self._pixels(box, plane, channels) if len(labels) else np.zeros((1, 1, len(channels)), np.float32)
                )
                for name, values in self._intensities(numbered, pixels, present + 1).items():
                    stem, _, index = name.rpartition("-")
                    columns[channel_column(stem, channels[int(index)], self._image)] = values
        return columns

    def _intensities(self, numbered: NDArray[np.int32], pixels: NDArray[Any], present: NDArray[np.int64]) -> Columns:
        """Return the intensities of the objects `present`; values without measurement do not count."""
        invalid = invalid_pixels(pixels, None if self._image is None else self._image.nodata)
        if not invalid.any():
            return _region_properties(numbered, pixels, self._intensity)
        columns: Columns = {}
        for channel in range(pixels.shape[-1]):
            valid = np.where(invalid[..., channel], 0, numbered)
            measured = _region_properties(valid, pixels[..., channel], ["label", *self._intensity])
            rows = np.searchsorted(present, measured.pop("label"))
            for name, values in measured.items():
                column = columns[f"{name}-{channel}"] = np.full(len(present), np.nan)
                column[rows] = values
        return columns

    def _measure_in_pieces(self, label: int, box: Box, plane: Plane) -> Columns:
        """Measure one object that is too large to read at once."""
        centre = ((box.y0 + box.y1) / 2, (box.x0 + box.x1) / 2)  # moments around it lose no digits
        moments = np.zeros(6)
        tight: Box | None = None
        statistics = [RunningStatistics() for _ in self._channels]
        for part in blocks(box, self._sizes.piece_px):
            mask = self._labels.read(part, plane=plane) == label
            rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if not len(rows):
                continue
            inner = Box(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1).shift(part.y0, part.x0)
            tight = inner if tight is None else tight.union(inner)
            moments += mask_moments(mask, part.y0 - centre[0], part.x0 - centre[1])
            for i, channel in enumerate(self._channels if self._intensity else []):
                values = self._pixels(part, plane, [channel])[..., 0][mask]
                statistics[i].add(values[~invalid_pixels(values, None if self._image is None else self._image.nodata)])
        if tight is None:
            return self._empty_columns()
        values = {"label": float(label)} | shape_from_moments(moments, centre) | self._outline(label, tight, plane)
        values |= dict(zip(_BOX_COLUMNS, map(float, tight), strict=True))
        for channel, statistic in zip(self._channels, statistics, strict=True):
            values |= {channel_column(name, channel, self._image): value for name, value in statistic.values().items()}
        columns = {
            name: np.array([values[name]], float if math.isnan(values[name]) else column.dtype)
            for name, column in self._empty_columns().items()
        }
        return {**columns, "label": np.array([label], np.int64)}

    def _outline(self, label: int, box: Box, plane: Plane) -> dict[str, float]:
        """Return perimeter and solidity of a large object from every `2 ** k`-th pixel."""
        if not {"perimeter", "solidity"} & set(self._shape):
            return {}
        k = 0
        while box.area >> 2 * k > self._sizes.exact_px >> 2 and k < len(self._labels.levels) - 1:
            k += 1
        y0, x0, y1, x1 = (-(-v // (1 << k)) for v in box)
        mask = self._labels.read((y0, x0, max(y1, y0 + 1), max(x1, x0 + 1)), k, plane) == label
        columns = _region_properties(mask.astype(np.int32), None, ["perimeter", "solidity"])
        perimeter, solidity = (float(values[0]) if len(values) else math.nan for values in columns.values())
        return {"perimeter_px": perimeter * (1 << k), "solidity": solidity}

    def _pixels(self, box: Box, plane: Plane, channels: list[int]) -> NDArray[Any]:
        """Return the image's raw values (h, w, channels)."""
        if self._image is None:
            raise ImageError("there is no image to measure intensities in", remedy="give {image}")
        pixels = self._image.with_plane(plane or self._image.plane, channels).read(0, *box)
        return pixels.view(np.uint8) if pixels.dtype.kind == "b" else pixels


def channel_column(stem: str, channel: int, image: Image | None) -> str:
    """Return the name of a column of a channel: with the channel's name, if all are distinct, or its number."""
    names = () if image is None else image.channel_names
    is_named = channel < len(names) and len(set(names)) == len(names)
    return f"{stem}_{names[channel] if is_named else channel}"


def renumber(region: NDArray[np.uint32], labels: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return a region with the objects `labels` numbered from 1, and everything else 0."""
    if not len(labels):
        return np.zeros(region.shape, np.int32)
    indices = np.minimum(np.searchsorted(labels, region), len(labels) - 1)
    return np.where(labels[indices] == region, indices + 1, 0).astype(np.int32)


def _region_properties(numbered: NDArray[np.int32], pixels: NDArray[Any] | None, names: list[str]) -> Columns:
    """Call `regionprops_table`, which returns all columns even without an object."""
    from skimage.measure import regionprops_table  # noqa: PLC0415 - slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about objects too thin to have a hull
        columns: Columns = regionprops_table(numbered, pixels, properties=tuple(names)) if names else {}
    return columns


def _in_image_frame(name: str, values: NDArray[Any], box: Box) -> Columns:
    """Return a column of scikit-image under its own name here, in the image's coordinates."""
    stem, _, axis = name.rpartition("-")
    if stem == "bbox":
        return {_BOX_COLUMNS[int(axis)]: values + box[int(axis) % 2]}
    if stem == "centroid":
        return {f"centroid_{'yx'[int(axis)]}_px": values + box[int(axis)]}
    return {PIXEL_COLUMNS.get(name, name): values}


def _groups_of_channels(channels: list[int]) -> list[list[int]]:
    return [channels[i : i + _CHANNELS] for i in range(0, len(channels), _CHANNELS)]
