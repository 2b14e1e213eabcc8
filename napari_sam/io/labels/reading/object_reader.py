"""Read the objects of a label store one after another, as runs of pixels.

An object on several planes of a stack is read plane by plane, each as an entry of its own. Objects are never dense
masks here. Runs take memory in proportion to the outline, so that even an object as large as the image can be read
piece by piece.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.errors import LabelsError, StoreError
from napari_sam.io.labels.editing.label_values import checked_id
from napari_sam.io.labels.journal.row_values import parse_plane
from napari_sam.io.labels.label_pyramid import blocks
from napari_sam.io.pixel_runs import PixelRuns, join_runs, runs_by_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.io.labels.journal.rows import ObjectPlane, ObjectPosition, ObjectRow, Plane
    from napari_sam.io.labels.reading.store_view import StoreView

_CELL_PX = 1024  # objects that begin in one cell of this side are read together
_PIECE_PX = 2048  # larger objects are read in pieces
_PAGE = 5000  # rows of the table at once
_TRIES, _PAUSE_S = 10, 0.1


class ObjectReader:
    """Objects of a store with their pixels, in an order that reads each chunk about once.

    In a stack there is one entry for each plane of each object: rows with the plane, box, area and predicted IoU there.

    Parameters
    ----------
    store : LabelStore
        The store, which may be written to at the same time: each object is consistent in itself, and erased objects
        are left out.
    labels : sequence of int, optional
        Ids; all by default.
    columns : bool
        Return runs down the columns instead of along the rows.

    Raises
    ------
    LabelsError
        If one of the ids does not exist.
    """

    def __init__(self, store: StoreView, labels: Sequence[int] | None = None, columns: bool = False) -> None:
        self._store, self._objects, self._columns = store, store.journal.objects, columns
        self._planes: list[Plane] = []
        self._labels, self._plane_numbers, self._cells = self._labels_and_cells(labels)

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._labels)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Ids, ascending."""
        return np.unique(self._labels) if self._planes != [()] else self._labels

    def rows(self) -> Iterator[ObjectRow]:
        """Iterate over the rows of the table, by label and plane."""
        by_plane = np.lexsort([self._plane_ranks(), self._labels])
        for start in range(0, len(by_plane), _PAGE):
            rows = self._rows_of(by_plane[start : start + _PAGE])
            yield from (row for row in rows if row is not None)

    def __iter__(self) -> Iterator[tuple[ObjectRow, PixelRuns]]:
        """Iterate over rows of the table, with the box tight around the pixels, and runs.

        Raises
        ------
        StoreError
            If pixels are missing or damaged.
        """
        order = np.argsort(self._cells, kind="stable")
        for start in range(0, len(order), _PAGE):
            page = order[start : start + _PAGE]
            entries = zip(self._rows_of(page), self._cells[page].tolist(), strict=True)
            for _, members in groupby(entries, key=lambda pair: pair[1]):
                yield from self._read_cell([row for row, _ in members if row is not None])

    def _plane_ranks(self) -> NDArray[np.int64]:
        """Return the position of each entry's plane among all planes in order."""
        ranks = {plane: rank for rank, plane in enumerate(sorted(self._planes))}
        return np.array([ranks[plane] for plane in self._planes], np.int64)[self._plane_numbers]

    def _rows_of(self, entries: NDArray[np.int64]) -> list[ObjectRow | None]:
        """Return the rows of entries, each of one plane; None for what was erased meanwhile."""
        labels, planes = self._labels[entries].tolist(), self._plane_numbers[entries].tolist()
        rows = self._objects.rows(sorted(set(labels)))
        if self._planes == [()]:
            return [rows.get(label) for label in labels]
        by_plane: dict[int, list[int]] = {}
        for label, plane in zip(labels, planes, strict=True):
            by_plane.setdefault(plane, []).append(label)
        parts = {plane: self._objects.parts(members, self._planes[plane]) for plane, members in by_plane.items()}
        return [
            _row_on_plane(rows.get(label), parts[plane].get(label)) for label, plane in zip(labels, planes, strict=True)
        ]

    def _read_cell(self, rows: list[ObjectRow]) -> Iterator[tuple[ObjectRow, PixelRuns]]:
        small = [row for row in rows if _fits_cell(row)]
        if small:
            box = small[0].box
            for row in small[1:]:
                box = box.union(row.box)
            ids, first, runs = self._runs(small[0].plane, box)
            indices = np.searchsorted(ids, [row.label for row in small]).tolist()
            for row, i in zip(small, indices, strict=True):
                is_there = i < len(ids) and ids[i] == row.label
                part = slice(first[i], first[i + 1]) if is_there else slice(0, 0)
                yield from self._consistent(row, PixelRuns(runs.line[part], runs.start[part], runs.stop[part]))
        for row in rows:
            if not _fits_cell(row):
                yield from self._consistent(row, self._runs_in_pieces(row))

    def _runs_in_pieces(self, row: ObjectRow) -> PixelRuns:
        """Return the runs of one object, read piece by piece."""
        parts = []
        for piece in blocks(row.box, _PIECE_PX):
            ids, first, runs = self._runs(row.plane, piece, row.label)
            if len(ids):
                parts.append(PixelRuns(*(axis[first[0] : first[1]] for axis in runs)))
        return join_runs(parts) if parts else PixelRuns(*np.zeros((3, 0), np.int64))

    def _runs(self, plane: Plane, box: Box, only: int | None = None) -> tuple[NDArray[np.int64], list[int], PixelRuns]:
        region = self._store.read(box, plane=plane)
        if only is not None:
            region = np.where(region == only, region, np.uint32(0))
            if not region.any():
                return np.zeros(0, np.int64), [0], PixelRuns(*np.zeros((3, 0), np.int64))
        if self._columns:
            return runs_by_label(np.ascontiguousarray(region.T), (box.x0, box.y0))
        return runs_by_label(region, (box.y0, box.x0))

    def _consistent(self, row: ObjectRow, runs: PixelRuns) -> Iterator[tuple[ObjectRow, PixelRuns]]:
        """Yield the object as soon as table and pixels agree, after waiting for a change that is being drawn."""
        for _ in range(_TRIES):
            if runs.area_px == row.area_px:
                yield replace(row, box=self._tight_box(runs)), runs
                return
            time.sleep(_PAUSE_S)
            part = self._objects.parts([row.label], row.plane).get(row.label)
            current = _row_on_plane(self._objects.row(row.label), part)
            if current is None:
                return
            row = current
            runs = self._runs_in_pieces(row)
        raise StoreError(
            f"{self._store.path}: object {row.label} has {runs.area_px} of its {row.area_px} pixels; files are "
            "missing, or another program keeps changing it",
            remedy="close that program, or draw the pixels again with LabelStore.repair(path)",
        )

    def _tight_box(self, runs: PixelRuns) -> Box:
        lines = int(runs.line[0]), int(runs.line[-1]) + 1
        extent = int(runs.start.min()), int(runs.stop.max())
        (y0, y1), (x0, x1) = (extent, lines) if self._columns else (lines, extent)
        return Box(y0, x0, y1, x1)

    def _labels_and_cells(
        self, labels: Sequence[int] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the id and plane of each entry, and a number for the cell in which it begins."""
        h, w = (-(-n // _CELL_PX) for n in self._store.shape[-2:])
        planes: dict[str, int] = {}
        pages = [np.zeros((0, 3), np.int64)]
        for page in self._pages():
            plane = np.array([planes.setdefault(position.plane, len(planes)) for position in page], np.int64)
            label, y, x = np.array([(position.label, position.y0, position.x0) for position in page], np.int64).T
            pages.append(np.stack([label, plane, (plane * h + y // _CELL_PX) * w + x // _CELL_PX], axis=1))
        self._planes = [parse_plane(name) for name in planes] or [()]
        table = np.concatenate(pages)
        if labels is not None:
            chosen = np.unique(np.array([checked_id(value) for value in labels], np.int64))
            missing = chosen[~np.isin(chosen, table[:, 0])]
            if len(missing):
                raise LabelsError(
                    f"there is no object {missing[0]}", remedy="{LabelStore.table} lists the objects that exist"
                )
            table = table[np.isin(table[:, 0], chosen)]
        return table[:, 0], table[:, 1], table[:, 2]

    def _pages(self) -> Iterator[list[ObjectPosition]]:
        last: ObjectPosition | None = None
        while page := self._objects.positions(last, _PAGE):
            yield page
            last = page[-1]


def _row_on_plane(row: ObjectRow | None, part: ObjectPlane | None) -> ObjectRow | None:
    """Return the row of an object with what lies on one of its planes."""
    if row is None or part is None:
        return None
    return replace(row, plane=part.plane, area_px=part.area_px, box=part.box, predicted_iou=part.predicted_iou)


def _fits_cell(row: ObjectRow) -> bool:
    return row.box.height <= _CELL_PX and row.box.width <= _CELL_PX
