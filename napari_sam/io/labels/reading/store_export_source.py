"""Adapter from a label store to the exports."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from napari_sam.io.class_styles import ClassStyle
from napari_sam.io.exports.export_labels import export_labels
from napari_sam.io.labels.label_layout import LabelLayout
from napari_sam.io.labels.label_pyramid import LabelPyramid
from napari_sam.io.labels.reading.object_reader import ObjectReader
from napari_sam.io.labels.reading.replay import to_script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.io.exports.export_settings import ExportSettings
    from napari_sam.io.exports.export_source import ExportedObject, ObjectSequence, WritableLevel
    from napari_sam.io.geo.axis_placement import AxisPlacement
    from napari_sam.io.labels.reading.store_view import StoreView


def export_store(
    store: StoreView,
    path: str | Path,
    settings: ExportSettings,
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Path:
    """Export the objects of a store; `LabelStore.export` documents the arguments."""
    return export_labels(StoreExportSource(store), path, settings, progress=progress, cancelled=cancelled)


class StoreExportSource:
    """Implement `ExportSource` for a label store.

    Parameters
    ----------
    store : LabelStore
        The labels.
    """

    def __init__(self, store: StoreView) -> None:
        self._store = store

    @property
    def path(self) -> Path:
        """Folder of the store."""
        return self._store.path

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of level 0, (..., y, x)."""
        return self._store.shape

    @property
    def level_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of all scale levels, finest first."""
        return [level.shape for level in self._store.levels]

    @cached_property
    def axes(self) -> str:
        """Names of the axes."""
        return str(self._store.meta("axes"))

    @cached_property
    def layout(self) -> LabelLayout:
        """Shape of the labels, and where their pixels lie."""
        return LabelLayout.from_meta(self._store.meta)

    def placement(self, axis: str) -> AxisPlacement:
        """Return pixel size, position of the first pixel and unit along an axis."""
        return self.layout.placements[self.axes.index(axis)]

    @property
    def scale(self) -> tuple[float, float]:
        """Size of a pixel along y and x."""
        return self._store.scale

    @cached_property
    def unit(self) -> str | None:
        """Unit of `scale`."""
        unit = self._store.meta("unit")
        return None if unit is None else str(unit)

    @cached_property
    def crs(self) -> str | None:
        """Coordinate reference system of the image."""
        crs = self._store.meta("crs")
        return None if crs is None else str(crs)

    @cached_property
    def transform(self) -> tuple[float, ...] | None:
        """Affine from (column, row) to map coordinates."""
        transform = self._store.meta("transform")
        return None if transform is None else tuple(float(v) for v in transform)

    @cached_property
    def control_points(self) -> int:
        """Number of ground control points of the image that no affine fits."""
        return int(self._store.meta("control_points") or 0)

    @cached_property
    def image_uri(self) -> str | None:
        """Path or URL of the image."""
        uri = (self._store.meta("image") or {}).get("uri")
        return None if uri is None else str(uri)

    def read(self, box: tuple[int, int, int, int], level: int, plane: tuple[int, ...]) -> NDArray[np.uint32]:
        """Read a box of a plane of a scale level."""
        return self._store.read(box, level, plane)

    def objects(self, labels: Sequence[int] | None, *, columns: bool = False) -> ObjectSequence:
        """Return objects with their pixels."""
        return ObjectReader(self._store, labels, columns)

    def rows(self, labels: Sequence[int] | None) -> Iterator[ExportedObject]:
        """Iterate over objects without their pixels, by label."""
        return ObjectReader(self._store, labels).rows()

    def classes(self) -> list[ClassStyle]:
        """Return the classes, in their order."""
        return [ClassStyle(item.name, item.colour, item.parent, item.key) for item in self._store.journal.classes.all()]

    def categories(self) -> list[str | None]:
        """Return the categories in use."""
        return self._store.journal.objects.categories()

    def largest_label(self) -> int:
        """Return the largest id."""
        return self._store.journal.objects.largest_label()

    def labelled_px(self) -> int:
        """Return the number of pixels of all objects."""
        return self._store.journal.objects.labelled_px()

    def revision(self) -> int:
        """Return the number of the last change."""
        return self._store.journal.last_log_entry()

    def create_copy(self, folder: Path) -> list[WritableLevel]:
        """Create an empty label image of the same shape."""
        nested = folder / "made"  # one level deeper, or an image's "labels" group would list the unfinished copy
        LabelPyramid.create(nested, replace(self.layout, uri=None))
        for entry in nested.iterdir():
            entry.rename(folder / entry.name)
        nested.rmdir()
        return list(LabelPyramid(folder, writable=True).levels)

    def script(self, name: str) -> str:
        """Return the history as a Python script."""
        return to_script(self._store, name)
