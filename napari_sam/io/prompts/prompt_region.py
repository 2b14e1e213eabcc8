"""Prompts of one region of an image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.io.prompts.prompt_table import PromptTable


def prompts_within(table: PromptTable, region: tuple[int, int, int, int]) -> PromptTable:
    """Return the prompts whose centre lies in a region.

    Parameters
    ----------
    table : PromptTable
        The prompts.
    region : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels, half-open.

    Returns
    -------
    PromptTable
        The prompts in the same order; their objects may extend beyond the region.

    Examples
    --------
    >>> from napari_sam.io.read_prompts import read_prompts
    >>> table = read_prompts(np.array([[2, 3], [8, 9]]), np.zeros((10, 10), np.uint8))
    >>> prompts_within(table, (0, 0, 5, 5)).points.tolist()
    [[2.0, 3.0]]
    """
    y0, x0, y1, x1 = region
    y, x = prompt_centres(table).T
    kept = np.flatnonzero((y >= y0) & (y < y1) & (x >= x0) & (x < x1))
    counts = np.diff(table.first)
    points = np.isin(np.repeat(np.arange(len(table)), counts), kept)
    mask = table.mask
    return replace(
        table,
        boxes=table.boxes[kept],
        points=table.points[points],
        point_labels=table.point_labels[points],
        first=np.concatenate([[0], np.cumsum(counts[kept])]).astype(np.int64),
        category=[table.category[i] for i in kept.tolist()],
        score=table.score[kept],
        number=table.number[kept],
        mask=None if mask is None else lambda i: mask(int(kept[i])),
    )


def prompt_centres(table: PromptTable) -> NDArray[np.float64]:
    """Return the centre (y, x) of each prompt's box, or of its points on the object if it has no box, (n, 2)."""
    centres = (table.boxes[:, :2] + table.boxes[:, 2:]) / 2
    owner = np.repeat(np.arange(len(table)), np.diff(table.first))
    weights = table.point_labels.astype(np.float64)
    count = np.bincount(owner, weights, minlength=len(table))
    without_box = np.isnan(centres[:, 0])
    for axis in range(2):
        total = np.bincount(owner, weights * table.points[:, axis], minlength=len(table))
        centres[without_box, axis] = total[without_box] / np.maximum(count[without_box], 1)
    return centres
