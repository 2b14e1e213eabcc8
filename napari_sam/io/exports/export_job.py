"""What every export is given: the store, where to write, which objects, and whom to tell of progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import CancelledError, StoreError
from napari_sam.io.labels.edits import box_of, plane_of
from napari_sam.io.labels.object_reader import ObjectReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.io.labels.journal import Journal, Row
    from napari_sam.io.labels.label_pyramid import Box
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.io.labels.object_reader import Runs

_SUFFIXES = {"micrometer": "um", "nanometer": "nm", "millimeter": "mm", "centimeter": "cm", "meter": "m"}

_CELL_PX = 2048


class Meter:
    """Counts steps, tells a callback, and stops when asked."""

    def __init__(self, report: Callable[[int, int], None] | None, cancelled: Callable[[], bool] | None) -> None:
        self._report, self._cancelled = report, cancelled
        self._done, self._total, self._told = 0, 0, -1

    def begin(self, total: int) -> None:
        """Say how many steps there are."""
        self._total = total

    def step(self) -> None:
        """One step more is done; the callback hears of every thousandth part.

        Raises
        ------
        CancelledError
            If asked to stop.
        """
        if self._cancelled is not None and self._cancelled():
            raise CancelledError(f"export stopped at {self._done} of {self._total}; nothing was written")
        self._done += 1
        told = 1000 * self._done // max(self._total, 1)
        if self._report is not None and told != self._told:
            self._told = told
            self._report(self._done, self._total)


@dataclass(frozen=True)
class Job:
    """One export.

    Attributes
    ----------
    store : LabelStore
        What is exported.
    journal : Journal
        Its own.
    path : Path
        What the user named; for messages and names within the file.
    partial : Path
        Where to write; it takes the place of `path` when all is done.
    labels : list of int or None
        Ids of the objects; None for all.
    meter : Meter
        To be told of each step.
    """

    store: LabelStore
    journal: Journal
    path: Path
    partial: Path
    labels: list[int] | None
    meter: Meter

    def reader(self, columns: bool = False) -> ObjectReader:
        """The objects, each a step."""
        reader = ObjectReader(self.store, self.journal, self.labels, columns)
        self.meter.begin(len(reader))
        return reader

    def objects(self, columns: bool = False) -> Iterator[tuple[Row, Runs]]:
        """Rows and runs, each a step."""
        for found in self.reader(columns):
            yield found
            self.meter.step()

    def planes(self) -> list[tuple[int, ...]]:
        """Index along the leading axes of every plane, in order."""
        return [tuple(int(i) for i in p) for p in np.ndindex(self.store.shape[:-2])]

    def pixels(self) -> Pixels:
        """The label image."""
        return Pixels(self)

    @property
    def crs(self) -> str | None:
        """CRS of the image, if it has one and its place."""
        crs = self.store.meta("crs")
        return str(crs) if crs and self.transform is not None else None

    @property
    def transform(self) -> tuple[float, ...] | None:
        """(a, b, c, d, e, f) from (column, row) to map coordinates."""
        found = self.store.meta("transform")
        return None if found is None else tuple(float(v) for v in found)

    @property
    def unit(self) -> str | None:
        """What the pixel size counts: "um" and the like, "world" if nobody said, None if there is no pixel size."""
        if self.crs is not None:
            return None
        unit = self.store.meta("unit")
        if unit is None:
            return None if self.store.scale == (1.0, 1.0) else "world"
        return _SUFFIXES.get(str(unit), str(unit))


class Pixels:
    """Reads the label image piece by piece, with the chosen objects only, and sees whether some of it is missing."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._count = 0
        self._before = self._changes()
        reader = ObjectReader(job.store, job.journal, job.labels)
        self._wanted = None if job.labels is None else reader.labels
        *leading, h, w = job.store.shape
        self._occupied = np.zeros((*leading, -(-h // _CELL_PX), -(-w // _CELL_PX)), bool)
        for row in reader.rows():
            y0, x0, y1, x1 = box_of(row)
            rows, cols = (slice(a // _CELL_PX, -(-b // _CELL_PX)) for a, b in ((y0, y1), (x0, x1)))
            at: tuple[int | slice, ...] = (*plane_of(row), rows, cols)
            self._occupied[at] = True

    @property
    def largest(self) -> int:
        """The largest id."""
        if self._wanted is not None:
            return int(self._wanted.max(initial=0))
        return int(self._job.journal.query("SELECT coalesce(max(label), 0) FROM objects")[0][0])

    def read(self, k: int, plane: tuple[int, ...], box: Box) -> NDArray[np.uint32]:
        """A box of a plane of level `k`, in that level's pixels; nothing is read where no object is."""
        y0, x0, y1, x1 = box
        h, w = y1 - y0, x1 - x0
        rows, cols = (slice((a << k) // _CELL_PX, ((b - 1) << k) // _CELL_PX + 1) for a, b in ((y0, y1), (x0, x1)))
        if not self._occupied[plane][rows, cols].any():
            return np.zeros((h, w), np.uint32)
        labels = self._job.store.read(box, k, plane)
        if self._wanted is not None:
            labels = np.where(np.isin(labels, self._wanted), labels, np.uint32(0))
        if k == 0:
            self._count += int(np.count_nonzero(labels))
        return labels

    def check(self) -> None:
        """See whether all pixels of the objects were there, once level 0 was read.

        Raises
        ------
        StoreError
            If not, although nobody changed them meanwhile: zarr takes a missing file for background.
        """
        if self._wanted is None:
            due = self._job.journal.query("SELECT coalesce(sum(area_px), 0) FROM objects")[0][0]
        else:
            due = sum(row["area_px"] for row in self._job.journal.objects(self._wanted.tolist()).values())
        if due != self._count and self._changes() == self._before:
            raise StoreError(
                f"{self._job.store.path}: {self._count} of {due} labelled pixels are there; files are missing: "
                "LabelStore.repair(path) draws them again from the journal"
            )

    def _changes(self) -> int:
        return int(self._job.journal.query("SELECT coalesce(max(seq), 0) FROM log")[0][0])
