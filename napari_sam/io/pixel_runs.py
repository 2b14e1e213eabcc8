"""Pixels of objects as runs along one axis: the form in which exports and measurements receive them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class PixelRuns(NamedTuple):
    """Pixels of an object as runs along one axis, in order; adjacent runs are merged.

    Attributes
    ----------
    line : ndarray of int64
        (R,) row of each run, or its column if the runs go down the columns.
    start, stop : ndarray of int64
        (R,) first position of each run, and the position after its last.
    """

    line: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]

    @property
    def area_px(self) -> int:
        """Number of pixels."""
        return int((self.stop - self.start).sum())


def runs_by_label(
    labels: NDArray[np.uint32], origin: tuple[int, int]
) -> tuple[NDArray[np.int64], list[int], PixelRuns]:
    """Return the row runs of every object in a label image.

    Parameters
    ----------
    labels : ndarray of uint32
        (h, w), 0 is background.
    origin : (int, int)
        Offset to add to line and position.

    Returns
    -------
    ids : ndarray of int64
        (n,) the labels present, ascending.
    first : list of int
        (n + 1,) index of each object's first run.
    runs : PixelRuns
        Runs of all objects, object by object.

    Examples
    --------
    >>> ids, first, runs = runs_by_label(np.array([[0, 5, 5], [5, 0, 2]], np.uint32), (10, 20))
    >>> ids.tolist(), first, runs.line.tolist(), runs.start.tolist(), runs.stop.tolist()
    ([2, 5], [0, 1, 3], [11, 10, 11], [22, 21, 20], [23, 23, 21])
    """
    width = labels.shape[1]
    begins = np.ones(labels.shape, bool)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=begins[:, 1:])
    offsets = np.flatnonzero(begins)
    lengths = np.diff(np.append(offsets, labels.size))
    values = labels.reshape(-1)[offsets]
    kept = np.flatnonzero(values)
    kept = kept[np.argsort(values[kept], kind="stable")]
    values, offsets, lengths = values[kept], offsets[kept], lengths[kept]
    line, start = np.divmod(offsets, width)
    first = np.flatnonzero(np.append(True, values[1:] != values[:-1])) if len(values) else np.zeros(0, np.int64)
    start = start + origin[1]
    runs = PixelRuns(line + origin[0], start, start + lengths)
    return values[first].astype(np.int64), [*first.tolist(), len(values)], runs


def join_runs(parts: Sequence[PixelRuns]) -> PixelRuns:
    """Merge the runs of an object's pieces into one ordered sequence.

    >>> join_runs([PixelRuns(*np.array([[3], [4], [6]])), PixelRuns(*np.array([[3], [2], [4]]))])
    PixelRuns(line=array([3]), start=array([2]), stop=array([6]))
    """
    line, start, stop = (np.concatenate([getattr(p, name) for p in parts]) for name in PixelRuns._fields)
    order = np.lexsort((start, line))
    line, start, stop = line[order], start[order], stop[order]
    apart = (line[1:] != line[:-1]) | (start[1:] != stop[:-1])
    begins, ends = np.append(True, apart)[: len(line)], np.append(apart, True)[: len(line)]
    return PixelRuns(line[begins], start[begins], stop[ends])
