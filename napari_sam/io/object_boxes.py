"""Boxes of the objects in a label image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray


def boxes_of(labels: NDArray[np.integer]) -> list[tuple[int, int, Box]]:
    """Return label, number of pixels and box of every object in a label image.

    >>> boxes_of(np.array([[0, 5, 5], [0, 0, 5]]))
    [(5, 3, (0, 1, 2, 3))]
    """
    width = labels.shape[1]
    starts = np.ones(labels.shape, bool)  # of runs within a row, which are far fewer than pixels
    np.not_equal(labels[:, 1:], labels[:, :-1], out=starts[:, 1:])
    offsets = np.flatnonzero(starts)
    lengths = np.diff(np.append(offsets, labels.size))
    values = labels.ravel()[offsets]
    kept = values != 0
    values, (y, x), lengths = values[kept], np.divmod(offsets[kept], width), lengths[kept]
    if not len(values):
        return []
    order = np.argsort(values, kind="stable")
    values, y, x, lengths = values[order], y[order], x[order], lengths[order]
    first = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    counts = np.add.reduceat(lengths, first)
    low = (np.minimum.reduceat(y, first), np.minimum.reduceat(x, first))
    high = (np.maximum.reduceat(y, first) + 1, np.maximum.reduceat(x + lengths, first))
    table = np.stack([values[first].astype(np.int64), counts, *low, *high], axis=1).tolist()
    return [(label, count, Box(*box)) for label, count, *box in table]
