"""Shape and intensity of every object, cell by cell, so that memory does not grow with the image."""

from __future__ import annotations

import importlib
import math
import warnings
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.errors import CancelledError, ImageError, LabelsError, SettingsError
from napari_sam.io.images.open_image import completed, open_image
from napari_sam.io.labels.journal.rows import TableRow
from napari_sam.io.labels.label_pyramid import blocks
from napari_sam.io.map_coordinates import to_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.store_view import StoreView

SHAPE = ("area", "bbox", "centroid", "perimeter", "eccentricity", "orientation", "solidity", "equivalent_diameter")
INTENSITY = ("intensity_mean", "intensity_min", "intensity_max", "intensity_std")
PROPERTIES = (*SHAPE, *INTENSITY)
"""What is measured unless something else is asked for."""
EXACT_PX = 1 << 24
"""Objects whose box has more pixels are measured in pieces; their perimeter and solidity on a coarser level."""

_CELL_PX = 1024  # objects that begin in one cell of this side, and are no larger, are measured together
_PIECE_PX = 2048
_CHANNELS = 4  # that are read together
_SKIMAGE = {"equivalent_diameter": "equivalent_diameter_area"}
_COLUMNS = {"area": "area_px", "perimeter": "perimeter_px", "equivalent_diameter_area": "equivalent_diameter_px"}
_WHOLE = ("label", "area_px", "y0", "x0", "y1", "x1")
_UNITS = {"micrometer": "um", "nanometer": "nm", "millimeter": "mm", "centimeter": "cm", "meter": "m"}

Values = dict[str, "NDArray[Any]"]


def measure(  # one argument for each choice
    labels: StoreView,
    image: Any = None,
    properties: Sequence[str] = PROPERTIES,
    channels: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> pd.DataFrame:
    """Measure all objects of a label store, as scikit-image's `regionprops_table` does with a whole array.

    Parameters
    ----------
    labels : LabelStore
        The objects.
    image : optional
        Whatever `open_image` opens, of the labels' height and width: its own values, whatever contrast is shown.
        Without it only shapes are measured.
    properties : sequence of str
        Some of "area", "bbox", "centroid", "perimeter", "eccentricity", "orientation", "solidity",
        "equivalent_diameter", "intensity_mean", "intensity_min", "intensity_max", "intensity_std".
    channels : sequence of int, optional
        Which channels of the file; all by default.
    progress : callable, optional
        Called with objects done and their number.
    cancelled : callable, optional
        PredictionContext between cells whether to stop.

    Returns
    -------
    DataFrame
        One row for each object, by label: ``label``, ``plane`` in stacks, ``category``; what was measured, lengths
        in pixels of level 0 (``area_px``, ``y0 x0 y1 x1`` half-open, ``centroid_y_px`` with pixel centres at whole
        numbers, ``perimeter_px`` …) and, where the image says how large a pixel is, in its unit (``area_um2``,
        ``centroid_y_um`` …) or on the map (``area_map``, ``centroid_x_map`` …); ``orientation`` in radians from
        the y axis, ``intensity_mean_0`` and so on, or with the channel's name; predicted IoU, stability score
        and model.

    Raises
    ------
    SettingsError
        If a property or channel does not exist.
    ImageError
        If the image does not fit the labels, or cannot be read.
    StoreError
        If pixels of the labels cannot be read.
    CancelledError
        If `cancelled` said so.

    Notes
    -----
    Objects whose box has more than 16 million pixels are read in pieces. Their area, box, centroid, eccentricity,
    orientation, diameter and intensities are exact all the same; perimeter and solidity come from every second,
    fourth … pixel, so that a few million are looked at.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    wanted = _checked_properties(properties, image is not None)
    opened = None if image is None else _fitting(open_image(image), labels)
    chosen = [] if opened is None else _checked_channels(opened, channels)
    columns = ["label", "plane", "y0", "x0", "y1", "x1", "category", "predicted_iou", "stability_score", "model"]
    rows = pd.DataFrame(labels.journal.objects.table(), columns=list(TableRow._fields))[columns]
    work = _Measuring(labels, opened, chosen, wanted)
    parts, done = [work.of(rows.iloc[:0])], 0
    for members in _cells(rows):
        if cancelled is not None and cancelled():
            raise CancelledError(f"measuring was stopped after {done} of {len(rows)} objects")
        parts.append(work.of(rows.iloc[members]))
        done += len(members)
        if progress is not None:
            progress(done, len(rows))
    measured = pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    return _joined(rows, measured, labels, opened, wanted)


def write_table(table: pd.DataFrame, path: str | Path) -> Path:
    """Write a table as CSV or Parquet, by the ending.

    Raises
    ------
    LabelsError
        If the ending is another one, pyarrow is missing, or the file cannot be written.
    """
    path = Path(path).expanduser()
    check_table_path(path)
    try:
        if path.suffix.lower() == ".csv":
            table.to_csv(path, index=False)
        else:
            table.to_parquet(path, index=False)
    except OSError as error:
        raise LabelsError(f"{path}: cannot be written: {error}") from error
    return path


def check_table_path(path: Path) -> None:
    """Refuse what `write_table` could not write, before hours of work.

    Raises
    ------
    LabelsError
        As `write_table`.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise LabelsError(f"{path}: cannot write {path.suffix or 'a file without ending'}; use .csv or .parquet")
    if not path.parent.is_dir():
        raise LabelsError(f"{path}: the folder {path.parent} does not exist; create it first")
    if path.suffix.lower() == ".parquet":
        try:
            importlib.import_module("pyarrow")
        except ImportError as error:
            raise LabelsError(f"{path}: Parquet needs pyarrow; run 'pip install pyarrow', or write .csv") from error


class _Measuring:
    """Measures the objects of a cell."""

    def __init__(self, labels: StoreView, image: Image | None, channels: list[int], wanted: list[str]) -> None:
        self._labels, self._image, self._channels = labels, image, channels
        self._shape = [_SKIMAGE.get(p, p) for p in wanted if p in SHAPE]
        self._intensity = [p for p in wanted if p in INTENSITY]

    def of(self, rows: pd.DataFrame) -> Values:
        """Values of objects that lie near each other, or of a large one, by column."""
        boxes = rows[["y0", "x0", "y1", "x1"]].to_numpy(np.int64)
        numbers = rows["label"].to_numpy(np.int64)
        if not len(rows):
            return self._together(np.zeros((1, 1), np.uint32), numbers, Box(0, 0, 1, 1), ())
        box = Box(*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist())
        plane = tuple(int(p) for p in str(rows["plane"].iloc[0]).split(",") if p)
        if len(rows) == 1 and (box[2] - box[0]) * (box[3] - box[1]) > EXACT_PX:
            return self._large(int(numbers[0]), box, plane)
        return self._together(self._labels.read(box, plane=plane), numbers, box, plane)

    def _together(
        self, region: NDArray[np.uint32], numbers: NDArray[np.int64], box: Box, plane: tuple[int, ...]
    ) -> Values:
        """Values of all objects `numbers` of a region, through scikit-image."""
        own = np.searchsorted(numbers, region) if len(numbers) else np.zeros(region.shape, np.int64)
        own = np.minimum(own, max(0, len(numbers) - 1))
        small = np.where(numbers[own] == region, own + 1, 0).astype(np.int32) if len(numbers) else own.astype(np.int32)
        there = np.flatnonzero(np.bincount(small.ravel(), minlength=len(numbers) + 1)[1:])
        found: Values = {"label": numbers[there]}
        for name, values in _table(small, None, self._shape).items():
            found.update(_placed(name, values, box))
        for some in _groups(self._channels):
            if self._intensity:
                pixels = self._pixels(box, plane, some) if len(numbers) else np.zeros((1, 1, len(some)), np.float32)
                for name, values in _table(small, pixels, self._intensity).items():
                    stem, _, channel = name.rpartition("-")
                    found[self._named(stem, some[int(channel)])] = values
        return found

    def _pixels(self, box: Box, plane: tuple[int, ...], channels: list[int]) -> NDArray[Any]:
        """(h, w, channels) of the image's own values."""
        if self._image is None:
            raise ImageError("no image to measure intensities in")
        pixels = self._image.with_plane(plane or self._image.plane, channels).read(0, *box)
        return pixels.view(np.uint8) if pixels.dtype.kind == "b" else pixels

    def _named(self, stem: str, channel: int) -> str:
        names = () if self._image is None else self._image.channel_names
        plain = names[channel] if channel < len(names) and len(set(names)) == len(names) else str(channel)
        return f"{stem}_{plain}"

    # ---- objects that are too large to hold -------------------------------------------------------------------

    def _large(self, label: int, box: Box, plane: tuple[int, ...]) -> Values:
        """Values of one object, its pixels read in pieces."""
        sums = np.zeros(6)  # n, y, x, yy, yx, xx from the middle of its box, where they are exact enough
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        tight: Box | None = None
        pieces = [_Sums() for _ in self._channels]
        for part in blocks(box, _PIECE_PX):
            mask = self._labels.read(part, plane=plane) == label
            rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if not len(rows):
                continue
            inner = Box(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1).shift(part.y0, part.x0)
            tight = inner if tight is None else tight.union(inner)
            sums += _moments(mask, part[0] - middle[0], part[1] - middle[1])
            for i, channel in enumerate(self._channels if self._intensity else []):
                pieces[i].add(self._pixels(part, plane, [channel])[..., 0][mask])
        if tight is None:
            return self._together(np.zeros((1, 1), np.uint32), np.zeros(0, np.int64), Box(0, 0, 1, 1), ())
        every: dict[str, float] = _from_moments(sums, middle) | _sketched(
            self._labels, label, tight, plane, self._shape
        )
        every |= dict(zip(("y0", "x0", "y1", "x1"), map(float, tight), strict=True))
        for i, channel in enumerate(self._channels):
            every |= {self._named(name, channel): value for name, value in pieces[i].values().items()}
        empty = self.of_nothing()
        return {
            name: np.array([label if name == "label" else every[name]], column.dtype) for name, column in empty.items()
        }

    def of_nothing(self) -> Values:
        """The columns, without a row."""
        return self._together(np.zeros((1, 1), np.uint32), np.zeros(0, np.int64), Box(0, 0, 1, 1), ())


class _Sums:
    """Mean, extremes and spread of values that come in pieces."""

    def __init__(self) -> None:
        self._count, self._mean, self._squares = 0, 0.0, 0.0
        self._low, self._high = math.inf, -math.inf

    def add(self, values: NDArray[Any]) -> None:
        """Add a piece (Chan's way, which loses no digits)."""
        own = values.astype(np.float64)
        mean, squares = float(own.mean()), float(((own - own.mean()) ** 2).sum())
        total = self._count + len(own)
        apart = mean - self._mean
        self._squares += squares + apart**2 * self._count * len(own) / total
        self._mean += apart * len(own) / total
        self._count = total
        self._low, self._high = min(self._low, float(own.min())), max(self._high, float(own.max()))

    def values(self) -> dict[str, float]:
        """By property."""
        spread = math.sqrt(self._squares / max(1, self._count))
        return dict(zip(INTENSITY, (self._mean, self._low, self._high, spread), strict=True))


def _moments(mask: NDArray[np.bool_], y: float, x: float) -> NDArray[np.float64]:
    """Sums of 1, y, x, yy, yx and xx over a mask whose first pixel lies at (y, x)."""
    ys, xs = y + np.arange(mask.shape[0]), x + np.arange(mask.shape[1])
    per_row, per_column = mask.sum(1, dtype=np.float64), mask.sum(0, dtype=np.float64)
    along = mask @ xs  # sum of x in each row
    return np.array([per_row.sum(), per_row @ ys, per_column @ xs, per_row @ ys**2, along @ ys, per_column @ xs**2])


def _from_moments(sums: NDArray[np.float64], middle: tuple[float, float]) -> dict[str, float]:
    """What scikit-image computes from moments, by column."""
    n, y, x, yy, yx, xx = sums.tolist()
    cy, cx = y / n, x / n
    a, b, c = xx / n - cx**2, -(yx / n - cy * cx), yy / n - cy**2  # the inertia tensor (a, b; b, c)
    root = math.sqrt(4 * b**2 + (a - c) ** 2) / 2
    large, little = (a + c) / 2 + root, max(0.0, (a + c) / 2 - root)
    turn = 0.5 * math.atan2(-2 * b, c - a) if a != c else (math.pi / 4 if b < 0 else -math.pi / 4)
    return {
        "area_px": n,
        "centroid_y_px": cy + middle[0],
        "centroid_x_px": cx + middle[1],
        "eccentricity": math.sqrt(1 - little / large) if large else 0.0,
        "orientation": turn,
        "equivalent_diameter_px": math.sqrt(4 * n / math.pi),
    }


def _sketched(labels: StoreView, label: int, box: Box, plane: tuple[int, ...], names: list[str]) -> dict[str, float]:
    """Perimeter and solidity of a large object from every `2 ** k`-th pixel."""
    if not {"perimeter", "solidity"} & set(names):
        return {}
    k = 0
    while (box[2] - box[0]) * (box[3] - box[1]) >> 2 * k > EXACT_PX >> 2 and k < len(labels.levels) - 1:
        k += 1
    step = 1 << k
    y0, x0, y1, x1 = (-(-v // step) for v in box)
    mask = labels.read((y0, x0, max(y1, y0 + 1), max(x1, x0 + 1)), k, plane) == label
    found = _table(mask.astype(np.int32), None, ["perimeter", "solidity"])
    perimeter, solidity = (float(found[name][0]) if len(found[name]) else math.nan for name in found)
    return {"perimeter_px": perimeter * step, "solidity": solidity}


def _table(small: NDArray[np.int32], pixels: NDArray[Any] | None, names: list[str]) -> Values:
    """`regionprops_table`, whose columns are there without an object, too."""
    from skimage.measure import regionprops_table  # noqa: PLC0415 - slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of objects too thin to have a hull
        found: Values = regionprops_table(small, pixels, properties=tuple(names)) if names else {}
    return found


def _placed(name: str, values: NDArray[Any], box: Box) -> Values:
    """A column of scikit-image's as one of ours, in the image's frame."""
    stem, _, axis = name.rpartition("-")
    if stem == "bbox":
        return {("y0", "x0", "y1", "x1")[int(axis)]: values + box[int(axis) % 2]}
    if stem == "centroid":
        return {f"centroid_{'yx'[int(axis)]}_px": values + box[int(axis)]}
    return {_COLUMNS.get(name, name): values}


def _cells(rows: pd.DataFrame) -> Iterator[NDArray[np.int64]]:
    """Positions of objects that are read together: those of a cell, or a single large one; along rows of cells."""
    plane = rows["plane"].astype("category").cat.codes.to_numpy(np.int64)
    boxes = rows[["y0", "x0", "y1", "x1"]].to_numpy(np.int64)
    large = (boxes[:, 2:] - boxes[:, :2] > _CELL_PX).any(1)
    own = np.where(large, rows["label"].to_numpy(np.int64), 0)
    keys = np.stack([plane, boxes[:, 0] // _CELL_PX, boxes[:, 1] // _CELL_PX, own], axis=1)
    order = np.lexsort(keys.T[::-1])
    keys = keys[order]
    begins = np.flatnonzero(np.append(True, (keys[1:] != keys[:-1]).any(1))[: len(keys)]).tolist()
    for start, stop in pairwise([*begins, len(keys)]):
        if stop > start:
            yield np.sort(order[start:stop])


def _groups(channels: list[int]) -> list[list[int]]:
    return [channels[i : i + _CHANNELS] for i in range(0, len(channels), _CHANNELS)]


def _joined(
    rows: pd.DataFrame, measured: pd.DataFrame, labels: StoreView, image: Image | None, wanted: list[str]
) -> pd.DataFrame:
    """Measured columns beside those of the table and their physical sizes, by label."""
    kept = ["label", *(["plane"] if len(labels.shape) > 2 else []), "category"]
    table = rows[kept].merge(measured, on="label", how="inner").sort_values("label", ignore_index=True)
    table = table.astype({name: np.int64 for name in _WHOLE if name in table})
    at = max(
        (list(table).index(c) for c in table if c in _COLUMNS.values() or str(c).startswith("centroid")), default=-1
    )
    for name, values in _physical(table, labels, image).items():
        at += 1
        table.insert(at, name, values)
    scores = rows[["label", "predicted_iou", "stability_score", "model"]].astype(
        {"predicted_iou": float, "stability_score": float}
    )
    return table.merge(scores, on="label", how="left")


def _physical(table: pd.DataFrame, labels: StoreView, image: Image | None) -> Values:
    """Sizes and places in what the pixels measure, if the image or the store says it."""
    there = {name: table[name].to_numpy(np.float64) for name in table if str(name).endswith("_px")}
    transform = labels.meta("transform") if image is None else image.transform
    crs = labels.meta("crs") if image is None else image.crs
    if crs and transform is not None:
        a, b, _, d, e, _ = (float(v) for v in transform)
        found = {"area_map": there["area_px"] * abs(a * e - b * d)} if "area_px" in there else {}
        if "centroid_y_px" in there:
            x, y = to_map(tuple(transform), there["centroid_x_px"] + 0.5, there["centroid_y_px"] + 0.5)
            found |= {"centroid_x_map": x, "centroid_y_map": y}
        return found
    (sy, sx), unit = (labels.scale, labels.meta("unit")) if image is None else (image.scale, image.unit)
    if unit is None and (sy, sx) == (1.0, 1.0):
        return {}
    short = "world" if unit is None else _UNITS.get(str(unit), str(unit))
    factors = {"centroid_y": sy, "centroid_x": sx, "equivalent_diameter": math.sqrt(sy * sx)}
    factors |= {"perimeter": sy} if math.isclose(sy, sx, rel_tol=1e-6) else {}
    found = {f"{n}_{short}": there[f"{n}_px"] * factor for n, factor in factors.items() if f"{n}_px" in there}
    if "area_px" in there:
        found = {f"area_{short if unit is None else f'{short}2'}": there["area_px"] * sy * sx} | found
    return found


def _checked_properties(properties: Sequence[str], with_image: bool) -> list[str]:
    listed = [properties] if isinstance(properties, str) else list(dict.fromkeys(properties))
    unknown = [p for p in listed if p not in PROPERTIES]
    if unknown or not listed:
        raise SettingsError(f"property {unknown[0] if unknown else ''!r}: choose from {', '.join(PROPERTIES)}")
    return [p for p in listed if with_image or p not in INTENSITY]


def _checked_channels(image: Image, channels: Sequence[int] | None) -> list[int]:
    listed = list(range(image.channel_count)) if channels is None else [int(c) for c in channels]
    if any(not 0 <= c < image.channel_count for c in listed):
        raise SettingsError(f"channels {listed}: the image has channels 0 to {image.channel_count - 1}")
    return listed


def _fitting(image: Image, labels: StoreView) -> Image:
    leading = len(labels.shape) - 2
    if tuple(image.shape) != tuple(labels.shape[-2:]):
        raise ImageError(f"{image.name}: shape {tuple(image.shape)} is not that of the labels, {labels.shape[-2:]}")
    if leading and len(image.plane) != leading:
        raise ImageError(f"{image.name}: axes {image.array_axes} do not fit labels of shape {labels.shape}")
    return completed(image)
