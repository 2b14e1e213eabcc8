"""What every writer receives: the labels, the file to write, which objects, and the progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.io.exports.export_settings import ExportSettings
from napari_sam.io.exports.outlines import Outlines, trace_outlines
from napari_sam.io.exports.polygons import simplify_polygons
from napari_sam.io.exports.regular_outlines import regularise_polygons
from napari_sam.io.geo.units import unit_suffix
from napari_sam.io.step_counter import StepCounter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from napari_sam.io.class_styles import ClassStyle
    from napari_sam.io.exports.export_source import ExportedObject, ExportSource, ObjectSequence
    from napari_sam.io.exports.polygons import Polygon
    from napari_sam.io.pixel_runs import PixelRuns

    Pairs = list[tuple[ExportedObject, PixelRuns]]
    Outlined = tuple[Pairs, Outlines]

_BATCH_RUNS, _BATCH_OBJECTS = 1 << 15, 500  # of objects whose outlines are traced at once


@dataclass(frozen=True)
class ExportJob:
    """One export.

    Attributes
    ----------
    source : ExportSource
        The labels.
    path : Path
        The path that the user gave; for messages and names within the file.
    partial : Path
        Temporary file or folder to write.
    settings : ExportSettings
        Format and objects.
    counter : StepCounter
        Progress.
    """

    source: ExportSource
    path: Path
    partial: Path
    settings: ExportSettings = field(default_factory=ExportSettings)
    counter: StepCounter = field(default_factory=lambda: StepCounter(None, None))

    @property
    def labels(self) -> tuple[int, ...] | None:
        """Ids of the objects; None for all."""
        return self.settings.labels

    @cached_property
    def classes(self) -> dict[str, ClassStyle]:
        """Classes of the store, by name."""
        return {style.name: style for style in self.source.classes()}

    def outlined(self, objects: Iterable[tuple[ExportedObject, PixelRuns]]) -> Iterator[Outlined]:
        """Return objects in batches with their outlines; the caller counts the steps.

        Outlines run along the pixels' edges, or as the settings change them.

        Raises
        ------
        CancelledError
            If the export was cancelled.
        """
        batch: Pairs = []
        runs = 0
        for pair in objects:
            self.counter.check()
            batch.append(pair)
            runs += len(pair[1].line)
            if runs >= _BATCH_RUNS or len(batch) >= _BATCH_OBJECTS:
                yield batch, self._outlines(batch)
                batch, runs = [], 0
        if batch:
            yield batch, self._outlines(batch)

    def _outlines(self, batch: Pairs) -> Outlines:
        outlines = trace_outlines([runs for _, runs in batch])
        if self.settings.regularise_px is None and self.settings.simplify_px is None:
            return outlines
        return Outlines.from_lists(map(self._changed, outlines.lists()))

    def _changed(self, polygons: list[Polygon]) -> list[Polygon]:
        settings = self.settings
        if settings.regularise_px is not None:
            return regularise_polygons(polygons, settings.regularise_px)
        return polygons if settings.simplify_px is None else simplify_polygons(polygons, settings.simplify_px)

    def step(self) -> None:
        """Count one finished step.

        Raises
        ------
        CancelledError
            If the export was cancelled.
        """
        self.counter.check()
        self.counter.step()

    def sequence(self, *, columns: bool = False) -> ObjectSequence:
        """Return the objects and set the number of steps to theirs."""
        objects = self.source.objects(self.labels, columns=columns)
        self.counter.begin(len(objects))
        return objects

    def objects(self, *, columns: bool = False) -> Iterator[tuple[ExportedObject, PixelRuns]]:
        """Iterate over the objects and their pixels; each object is one step."""
        for pair in self.sequence(columns=columns):
            yield pair
            self.step()

    def planes(self) -> list[tuple[int, ...]]:
        """Return the index of every plane along the leading axes, in order."""
        return [tuple(int(i) for i in p) for p in np.ndindex(self.source.shape[:-2])]

    def plane_index(self, obj: ExportedObject) -> dict[str, int]:
        """Return the plane of an object by axis, such as ``{"z": 2}``."""
        return dict(zip(self.source.axes[:-2], obj.plane, strict=True))

    @property
    def crs(self) -> str | None:
        """CRS of the image, if it has one and a transform."""
        return self.source.crs if self.source.crs and self.source.transform is not None else None

    @property
    def unit(self) -> str | None:
        """Unit of the pixel size: "um" and the like, "world" if unknown, None if there is no pixel size."""
        if self.crs is not None:
            return None
        unit = self.source.unit
        if unit is None:
            return None if self.source.scale == (1.0, 1.0) else "world"
        return unit_suffix(unit)
