"""The label image with the chosen objects only, read piece by piece and checked for missing pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import StoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.io.exports.export_source import ExportSource

_CELL_PX = 2048


class ExportPixels:
    """Pixels of the chosen objects.

    Parameters
    ----------
    source : ExportSource
        The labels.
    labels : tuple of int or None
        Ids of the objects; None for all.

    Raises
    ------
    LabelsError
        If one of the ids does not exist.
    """

    def __init__(self, source: ExportSource, labels: tuple[int, ...] | None = None) -> None:
        self._source = source
        self._count = 0
        self._revision = source.revision()
        self._chosen = None if labels is None else source.objects(labels).labels
        *leading, h, w = source.shape
        self._occupied = np.zeros((*leading, -(-h // _CELL_PX), -(-w // _CELL_PX)), bool)
        for obj in source.rows(labels):
            y0, x0, y1, x1 = obj.box
            rows, cols = (slice(a // _CELL_PX, -(-b // _CELL_PX)) for a, b in ((y0, y1), (x0, x1)))
            index: tuple[int | slice, ...] = (*obj.plane, rows, cols)
            self._occupied[index] = True

    @property
    def largest(self) -> int:
        """The largest id."""
        return self._source.largest_label() if self._chosen is None else int(self._chosen.max(initial=0))

    def read(self, level: int, plane: tuple[int, ...], box: tuple[int, int, int, int]) -> NDArray[np.uint32]:
        """Read a box of a plane, in the level's pixels; parts without any object are not read from disk."""
        y0, x0, y1, x1 = box
        rows, cols = (
            slice((a << level) // _CELL_PX, ((b - 1) << level) // _CELL_PX + 1) for a, b in ((y0, y1), (x0, x1))
        )
        if not self._occupied[plane][rows, cols].any():
            return np.zeros((y1 - y0, x1 - x0), np.uint32)
        labels = self._source.read(box, level, plane)
        if self._chosen is not None:
            labels = np.where(np.isin(labels, self._chosen), labels, np.uint32(0))
        if level == 0:
            self._count += int(np.count_nonzero(labels))
        return labels

    def check(self) -> None:
        """Compare the number of labelled pixels with the object table, once level 0 was read.

        Raises
        ------
        StoreError
            If pixels are missing although the store did not change: zarr reads a missing file as background.
        """
        if self._chosen is None:
            expected = self._source.labelled_px()
        else:
            expected = sum(obj.area_px for obj in self._source.rows(self._chosen.tolist()))
        if expected != self._count and self._source.revision() == self._revision:
            raise StoreError(
                f"{self._source.path}: {self._count} of {expected} labelled pixels are present; files are missing",
                remedy="restore them from the journal with LabelStore.repair(path)",
            )
