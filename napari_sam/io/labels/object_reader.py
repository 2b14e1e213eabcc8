"""The objects of a label store one after another, as runs of pixels: what exports and measurements are made from.

An object is never a dense mask here. Its runs take memory by its outline, so that one as large as the image is read
piece by piece like any other.
"""

from __future__ import annotations

import time
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import LabelsError, StoreError
from napari_sam.io.labels.edits import box_of, plane_of, union
from napari_sam.io.labels.label_pyramid import blocks
from napari_sam.io.pixel_runs import PixelRuns, join_runs, runs_by_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from napari_sam.io.labels.journal import Journal, Row
    from napari_sam.io.labels.label_pyramid import Box
    from napari_sam.io.labels.label_store import LabelStore

_CELL_PX = 1024  # objects that begin in one cell of this side are read together
_PIECE_PX = 2048  # larger objects are read in pieces
_PAGE = 5000  # rows of the table at once
_TRIES, _PAUSE_S = 10, 0.1


class ObjectReader:
    """The objects of a store with their pixels, read in an order that reads each chunk about once.

    Parameters
    ----------
    store : LabelStore
        May be written to meanwhile: each object is as it was at one moment, and one that is gone is left out.
    journal : Journal
        Its own.
    labels : sequence of int, optional
        Ids; all by default.
    columns : bool
        Give runs down the columns instead of along the rows.

    Raises
    ------
    LabelsError
        If one of the ids does not exist.
    """

    def __init__(
        self, store: LabelStore, journal: Journal, labels: Sequence[int] | None = None, columns: bool = False
    ) -> None:
        self._store, self._journal, self._columns = store, journal, columns
        self._labels, self._cells = self._places(labels)

    def __len__(self) -> int:
        """Number of objects."""
        return len(self._labels)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Ids, ascending."""
        return self._labels

    def rows(self) -> Iterator[Row]:
        """Rows of the table as they are, by label."""
        for start in range(0, len(self._labels), _PAGE):
            yield from self._journal.objects(self._labels[start : start + _PAGE].tolist()).values()

    def __iter__(self) -> Iterator[tuple[Row, PixelRuns]]:
        """Rows of the table, with the box tight around the pixels, and runs.

        Raises
        ------
        StoreError
            If pixels are missing or damaged.
        """
        order = np.argsort(self._cells, kind="stable")
        for start in range(0, len(order), _PAGE):
            page = order[start : start + _PAGE]
            rows = self._journal.objects(self._labels[page].tolist())
            cells = zip(self._labels[page].tolist(), self._cells[page].tolist(), strict=True)
            for _, members in groupby(cells, key=lambda pair: pair[1]):
                yield from self._cell([rows[label] for label, _ in members if label in rows])

    def _cell(self, rows: list[Row]) -> Iterator[tuple[Row, PixelRuns]]:
        small = [row for row in rows if _fits(row)]
        if small:
            box = box_of(small[0])
            for row in small[1:]:
                box = union(box, box_of(row))
            found, first, runs = self._runs(plane_of(small[0]), box)
            places = np.searchsorted(found, [row["label"] for row in small]).tolist()
            for row, i in zip(small, places, strict=True):
                known = i < len(found) and found[i] == row["label"]
                part = slice(first[i], first[i + 1]) if known else slice(0, 0)
                yield from self._checked(row, PixelRuns(runs.line[part], runs.start[part], runs.stop[part]))
        for row in rows:
            if not _fits(row):
                yield from self._checked(row, self._large(row))

    def _large(self, row: Row) -> PixelRuns:
        """An object's runs, piece by piece."""
        parts = []
        for piece in blocks(box_of(row), _PIECE_PX):
            found, first, runs = self._runs(plane_of(row), piece, row["label"])
            if len(found):
                parts.append(PixelRuns(*(axis[first[0] : first[1]] for axis in runs)))
        return join_runs(parts) if parts else PixelRuns(*np.zeros((3, 0), np.int64))

    def _runs(
        self, plane: tuple[int, ...], box: Box, only: int | None = None
    ) -> tuple[NDArray[np.int64], list[int], PixelRuns]:
        region = self._store.read(box, plane=plane)
        if only is not None:
            region = np.where(region == only, region, np.uint32(0))
            if not region.any():
                return np.zeros(0, np.int64), [0], PixelRuns(*np.zeros((3, 0), np.int64))
        if self._columns:
            return runs_by_label(np.ascontiguousarray(region.T), (box[1], box[0]))
        return runs_by_label(region, (box[0], box[1]))

    def _checked(self, row: Row, runs: PixelRuns) -> Iterator[tuple[Row, PixelRuns]]:
        """The object, if the table and the pixels agree; a change that is being made is waited for."""
        label = int(row["label"])
        for _ in range(_TRIES):
            if runs.area_px == row["area_px"]:
                yield {**row, **self._tight(runs)}, runs
                return
            time.sleep(_PAUSE_S)
            again = self._journal.objects([label])
            if not again:
                return
            row = again[label]
            runs = self._large(row)
        raise StoreError(
            f"{self._store.path}: object {label} has {runs.area_px} of its {row['area_px']} pixels; files are missing, "
            "or another program changes it all the time: close that, or LabelStore.repair(path) draws it again"
        )

    def _tight(self, runs: PixelRuns) -> dict[str, int]:
        lines, places = (runs.line[0], runs.line[-1] + 1), (runs.start.min(), runs.stop.max())
        (y0, y1), (x0, x1) = (places, lines) if self._columns else (lines, places)
        return {"y0": int(y0), "x0": int(x0), "y1": int(y1), "x1": int(x1)}

    def _places(self, labels: Sequence[int] | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids, and a number for the cell in which each begins."""
        h, w = (-(-n // _CELL_PX) for n in self._store.shape[-2:])
        planes: dict[str, int] = {}
        rows = [np.zeros((0, 2), np.int64)]
        for page in self._pages():
            number = np.array([planes.setdefault(plane, len(planes)) for _, plane, _, _ in page], np.int64)
            label, y, x = np.array([(label, y, x) for label, _, y, x in page], np.int64).T
            rows.append(np.stack([label, (number * h + y // _CELL_PX) * w + x // _CELL_PX], axis=1))
        table = np.concatenate(rows)
        if labels is None:
            return table[:, 0], table[:, 1]
        wanted = np.unique(np.array([_number(v) for v in labels], np.int64))
        missing = wanted[~np.isin(wanted, table[:, 0])]
        if len(missing):
            raise LabelsError(f"there is no object {missing[0]}; table() lists those there are")
        table = table[np.isin(table[:, 0], wanted)]
        return table[:, 0], table[:, 1]

    def _pages(self) -> Iterator[list[tuple[Any, ...]]]:
        sql = "SELECT label, plane, y0, x0 FROM objects WHERE label > ? ORDER BY label LIMIT ?"
        last = 0
        while page := self._journal.query(sql, (last, _PAGE)):
            yield page
            last = page[-1][0]


def _fits(row: Row) -> bool:
    return bool(row["y1"] - row["y0"] <= _CELL_PX and row["x1"] - row["x0"] <= _CELL_PX)


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise LabelsError(f"labels: {value!r} is not an id; give whole numbers")
    return int(value)
