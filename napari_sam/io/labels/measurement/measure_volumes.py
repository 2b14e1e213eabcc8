"""Measure objects that extend through z: volume, surface, shape and intensity, in voxels and in physical units."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.pixel_validity import invalid_pixels
from napari_sam.errors import CancelledError, LabelsError
from napari_sam.io.geo.units import conversion, unit_suffix
from napari_sam.io.labels.journal.row_values import parse_plane
from napari_sam.io.labels.journal.rows import TableRow
from napari_sam.io.labels.label_layout import LabelLayout
from napari_sam.io.labels.measurement.measure import checked_channels, measure, open_fitting
from napari_sam.io.labels.measurement.object_measurer import channel_column, renumber
from napari_sam.io.labels.measurement.volume_sums import IntensitySums, VolumeSums

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.journal.rows import Plane
    from napari_sam.io.labels.measurement.volume_sums import Columns, Spacing
    from napari_sam.io.labels.reading.store_view import StoreView

_TILE_PX = 1024
_BOX = ("z0", "y0", "x0", "z1", "y1", "x1")


@dataclass(frozen=True)
class VoxelSize:
    """Distances of voxels.

    Attributes
    ----------
    spacing : (float, float, float)
        Along z, y and x.
    unit : str or None
        Their unit, such as "micrometer"; None for voxels.
    note : str
        Why there is no unit; empty with one.
    """

    spacing: Spacing
    unit: str | None
    note: str = ""

    @property
    def suffix(self) -> str:
        """End of the names of columns."""
        return "px" if self.unit is None else unit_suffix(self.unit)


def voxel_size(layout: LabelLayout, z_step: float | None = None) -> VoxelSize:
    """Return the distances of voxels of a store.

    Parameters
    ----------
    layout : LabelLayout
        Axes and placements of the labels.
    z_step : float, optional
        Distance of planes, in the unit of x (in pixels if it has none), where the image does not give it.

    Raises
    ------
    LabelsError
        If there is no axis z, or `z_step` is not a positive number.
    """
    if "z" not in layout.axes:
        raise LabelsError(
            f"the labels have the axes {layout.axes}, and volumes need z",
            remedy="measure areas instead, or give the stack's {axes}, such as zyx, when the labels are made",
        )
    z, y, x = (layout.placements[layout.axes.index(axis)] for axis in "zyx")
    if z_step is not None and not 0 < z_step < np.inf:
        raise LabelsError(f"z_step is {z_step}", parameter="z_step", remedy="give a positive number")
    if x.unit is None:
        step = z.scale if z_step is None else z_step
        return VoxelSize((step / x.scale, y.scale / x.scale, 1.0), None, "the image has no pixel size with a unit")
    along_z = conversion(z.unit, x.unit)
    if z_step is None and along_z is None:
        return VoxelSize((1.0, 1.0, 1.0), None, "the image does not give the distance of its planes")
    step = z_step if z_step is not None else z.scale * (along_z or 1.0)
    return VoxelSize((step, y.scale * (conversion(y.unit, x.unit) or 1.0), x.scale), x.unit)


def measure_store(labels: StoreView, image: Any = None, *, volumes: bool = False, **choice: Any) -> pd.DataFrame:
    """Measure the objects of a store through z, with `measure_volumes`, or on each plane, with `measure`."""
    return measure_volumes(labels, image, **choice) if volumes else measure(labels, image, **choice)


def measure_volumes(
    labels: StoreView,
    image: Any = None,
    channels: Sequence[int] | None = None,
    *,
    z_step: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> pd.DataFrame:
    """Measure the objects of a stack in three dimensions, with memory that depends on neither its size nor its planes.

    Parameters
    ----------
    labels : LabelStore
        The objects; their axes include z. With other leading axes, such as t, each frame of an object has a row.
    image : optional
        As in `measure`: the image for the intensities.
    channels : sequence of int, optional
        Channels of the file; all by default.
    z_step : float, optional
        Distance of planes, in the unit of x, where the image does not give it.
    progress, cancelled : callable, optional
        As in `measure`; parts of the stack are counted.

    Returns
    -------
    DataFrame
        One row for each object: ``label``, further leading axes such as ``t``, ``category``, ``parent``; ``n_planes``,
        ``voxels``, ``z0 y0 x0 z1 y1 x1`` (half-open) and ``centroid_z_px`` …, in voxels; ``volume_um3``,
        ``surface_um2``, ``centroid_z_um`` …, ``equivalent_diameter_um``, ``axis_major_um``, ``axis_middle_um``,
        ``axis_minor_um`` (of the ellipsoid with the same second moments) and ``sphericity`` (surface of a ball of the
        same volume relative to the object's), in the image's unit or, where it is unknown, in voxels (``volume_px3``);
        intensities, scores and model as in `measure`.

    Raises
    ------
    LabelsError
        If the labels have no axis z.
    ImageError, SettingsError, StoreError, CancelledError
        As in `measure`.

    Notes
    -----
    Surfaces follow the Crofton formula (`napari_sam.io.surface_area`); the border of the image counts as surface. They
    are NaN where one side of a voxel is more than 100 times another.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    layout = LabelLayout.from_meta(labels.meta)
    size = voxel_size(layout, z_step)
    opened = None if image is None else open_fitting(image, labels)
    chosen = [] if opened is None else checked_channels(opened, channels)
    table = pd.DataFrame(labels.journal.objects.table_of_planes(), columns=list(TableRow._fields))
    planes = np.array([parse_plane(str(plane)) for plane in table["plane"]], np.int64).reshape(
        -1, len(layout.shape) - 2
    )
    along_z = layout.axes.index("z")
    others = np.delete(planes, along_z, axis=1)
    frames, which = np.unique(others, axis=0, return_inverse=True)
    work = _Progress(progress, cancelled)
    parts = []
    for k, frame in enumerate(frames):
        rows = np.flatnonzero(which.ravel() == k)
        frame_table = table.iloc[rows]
        stack = _Stack(labels, opened, chosen, tuple(int(i) for i in frame), along_z)
        measured = pd.DataFrame(stack.measure(frame_table, planes[rows, along_z], size, work))
        for axis, index in zip(layout.axes[:-2].replace("z", ""), frame, strict=True):
            measured.insert(1, axis, int(index))
        parts.append(measured)
    if not parts:
        parts = [pd.DataFrame(_Stack(labels, opened, chosen, (), along_z).measure(table, planes[:, 0], size, work))]
    joined = pd.concat(parts, ignore_index=True).astype({"parent": "Int64"})
    return joined.sort_values("label", kind="stable", ignore_index=True)


class _Progress:
    """Count parts, and stop when asked to."""

    def __init__(self, progress: Callable[[int, int], None] | None, cancelled: Callable[[], bool] | None) -> None:
        self._progress, self._cancelled = progress, cancelled
        self._done = self._total = 0

    def begin(self, parts: int) -> None:
        self._total += parts

    def step(self) -> None:
        if self._cancelled is not None and self._cancelled():
            raise CancelledError(f"measuring was stopped after {self._done} of {self._total} parts of the stack")
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


class _Stack:
    """The planes along z at one index along the other leading axes."""

    def __init__(self, labels: StoreView, image: Image | None, channels: list[int], frame: Plane, along_z: int) -> None:
        self._labels, self._image, self._channels = labels, image, channels
        self._frame, self._along_z = frame, along_z
        self._plane_shape = (labels.shape[-2], labels.shape[-1])

    def measure(self, table: pd.DataFrame, z: NDArray[np.int64], size: VoxelSize, work: _Progress) -> Columns:
        """Return the columns of the objects of a table that has a row for each object and plane."""
        ids = np.unique(table["label"].to_numpy(np.int64))
        boxes = table[["y0", "x0", "y1", "x1"]].to_numpy(np.int64)
        index = np.searchsorted(ids, table["label"].to_numpy(np.int64))
        counts = np.maximum(np.bincount(index, minlength=len(ids)), 1)
        middles = (z, (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2)
        centres = np.stack([np.bincount(index, middle, len(ids)) / counts for middle in middles], axis=1)
        sums = VolumeSums(centres)
        intensities = [IntensitySums(len(ids)) for _ in self._channels]
        tiles = _occupied(boxes, z, self._labels.shape)
        work.begin(len(tiles))
        for (row, col), planes in sorted(tiles.items()):
            self._add_tile(Box(row, col, row + _TILE_PX, col + _TILE_PX), planes, ids, (sums, intensities))
            work.step()
        return {"label": ids} | self._columns(table, sums, intensities, size)

    def _add_tile(
        self,
        tile: Box,
        planes: set[int],
        ids: NDArray[np.int64],
        sums: tuple[VolumeSums, list[IntensitySums]],
    ) -> None:
        """Add a column of the stack, from plane to plane; each plane that has objects is read once."""
        core = self._with_border(tile)
        nothing = np.zeros((core.height + 2, core.width + 2), np.int32)
        following, last = nothing, -2
        for z in sorted({z + step for z in planes for step in (-1, 0)}):
            current = following if last == z - 1 else nothing  # objects of z are in `following`, or there are none
            following, last = self._read(core, z + 1, ids) if z + 1 in planes else nothing, z
            part = sums[0].add(current, following, (z, core.y0, core.x0))
            if part.any():
                self._add_intensities(core, z, part, sums[1])

    def _with_border(self, tile: Box) -> Box:
        """Return a tile clipped to the image; at the image's border it includes the first voxels outside."""
        height, width = self._plane_shape
        y0, x0 = tile.y0 - (tile.y0 == 0), tile.x0 - (tile.x0 == 0)
        y1, x1 = (end if end < size else size + 1 for end, size in ((tile.y1, height), (tile.x1, width)))
        return Box(y0, x0, y1, x1)

    def _read(self, core: Box, z: int, ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the objects of a part of a plane, numbered from 1, with a margin of one voxel."""
        padded = np.zeros((core.height + 2, core.width + 2), np.int32)
        box = Box(core.y0 - 1, core.x0 - 1, core.y1 + 1, core.x1 + 1).clip(self._plane_shape)
        region = renumber(self._labels.read(box, plane=self._plane(z)), ids)
        padded[box.shift(1 - core.y0, 1 - core.x0).slices] = region
        return padded

    def _plane(self, z: int) -> Plane:
        return (*self._frame[: self._along_z], z, *self._frame[self._along_z :])

    def _add_intensities(self, core: Box, z: int, part: NDArray[np.int32], sums: list[IntensitySums]) -> None:
        if self._image is None or not sums:
            return
        box = core.clip(self._plane_shape)
        inside = part[box.slices_in(core)]
        where = inside > 0
        for channel, statistic in zip(self._channels, sums, strict=True):
            pixels = self._image.with_plane(self._plane(z), [channel]).read(0, *box)[..., 0]
            values = (pixels.view(np.uint8) if pixels.dtype.kind == "b" else pixels)[where]
            valid = ~invalid_pixels(values, self._image.nodata)
            statistic.add(inside[where][valid] - 1, values[valid])

    def _columns(
        self, table: pd.DataFrame, sums: VolumeSums, intensities: list[IntensitySums], size: VoxelSize
    ) -> Columns:
        grouped = table.groupby("label", sort=True)
        first = grouped.first()
        columns: Columns = {"category": first["category"].to_numpy(), "parent": first["parent"].to_numpy(object)}
        columns["n_planes"] = grouped.size().to_numpy()
        columns |= {"voxels": sums.voxels, **dict(zip(_BOX, sums.boxes().T, strict=True))}
        centroids = sums.centroids()
        columns |= {f"centroid_{axis}_px": centroids[:, k] for k, axis in enumerate("zyx")}
        if size.unit is not None:
            columns |= {f"centroid_{a}_{size.suffix}": centroids[:, k] * size.spacing[k] for k, a in enumerate("zyx")}
        powers = {"volume": "3", "surface": "2", "sphericity": None}
        for name, values in sums.shapes(size.spacing).items():
            power = powers.get(name, "")
            columns[name if power is None else f"{name}_{size.suffix}{power}"] = values
        for channel, statistic in zip(self._channels, intensities, strict=True):
            for name, values in statistic.columns().items():
                columns[channel_column(name, channel, self._image)] = values
        columns["predicted_iou"] = grouped["predicted_iou"].min().to_numpy(float)
        columns["stability_score"] = first["stability_score"].to_numpy(float)
        return columns | {"model": first["model"].to_numpy()}


def _occupied(
    boxes: NDArray[np.int64], z: NDArray[np.int64], shape: tuple[int, ...]
) -> dict[tuple[int, int], set[int]]:
    """Return the tiles that hold objects or touch them, by their first pixel, with the planes of these objects.

    A pair of neighbours is counted at its first voxel, which may lie one voxel outside the object.
    """
    tiles: dict[tuple[int, int], set[int]] = {}
    last_row, last_col = ((n - 1) // _TILE_PX for n in shape[-2:])
    for (y0, x0, y1, x1), plane in zip(boxes.tolist(), z.tolist(), strict=True):
        rows = range(max(y0 - 1, 0) // _TILE_PX, min(y1 // _TILE_PX, last_row) + 1)
        cols = range(max(x0 - 1, 0) // _TILE_PX, min(x1 // _TILE_PX, last_col) + 1)
        for row, col in product(rows, cols):
            tiles.setdefault((row * _TILE_PX, col * _TILE_PX), set()).add(plane)
    return tiles
