"""The labels of one plane of a run, to which objects are added."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.linking.count_overlaps import ObjectExtents
from napari_sam.io.plane_files import BLOCK_PX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_sam.io.plane_files import Block, PlaneFiles

_LARGEST_COVERED = 0.3  # share of a mask that other objects may have


class PlaneCanvas:
    """Read and extend the labels of a plane.

    Parameters
    ----------
    files : PlaneFiles
        The planes.
    plane : int
        Index of the plane.
    shape : (int, int)
        Height and width of the plane.
    """

    def __init__(self, files: PlaneFiles, plane: int, shape: tuple[int, int]) -> None:
        self._files, self._shape = files, shape
        self.table = files.table(plane)
        self._stored = set(files.blocks(plane))
        self._changed: dict[Block, NDArray[np.uint32]] = {}
        self._scores: list[float] = []

    @property
    def added(self) -> int:
        """Number of objects that were added."""
        return len(self._scores)

    def mask(self, index: int) -> tuple[NDArray[np.bool_], Box]:
        """Return the mask (h, w) of an object of the table, and its box."""
        box = Box(*(int(v) for v in self.table.boxes[index]))
        out = np.zeros(box.shape, bool)
        for block in self._blocks_in(box):
            frame = self._frame(block).intersection(box)
            labels = self._block(block)[frame.slices_in(self._frame(block))]
            out[frame.slices_in(box)] = labels == self.table.labels[index]
        return out, box

    def add(self, mask: NDArray[np.bool_], box: Box, score: float) -> bool:
        """Add an object where the plane is free; False if most of it is not."""
        taken = 0
        blocks = list(self._blocks_in(box))
        for block in blocks:
            frame = self._frame(block).intersection(box)
            there = self._block(block)[frame.slices_in(self._frame(block))] > 0
            taken += int((there & mask[frame.slices_in(box)]).sum())
        if not mask.any() or taken > _LARGEST_COVERED * mask.sum():
            return False
        label = int(self.table.labels.max(initial=0)) + self.added + 1
        for block in blocks:
            frame = self._frame(block).intersection(box)
            labels = self._changed[block] = self._block(block).copy()
            part = labels[frame.slices_in(self._frame(block))]
            part[mask[frame.slices_in(box)] & (part == 0)] = label
        self._scores.append(score)
        return True

    def save(self) -> None:
        """Write the plane with the objects that were added."""
        if not self.added:
            return
        last = int(self.table.labels.max(initial=0))
        labels = np.concatenate([self.table.labels, np.arange(last + 1, last + 1 + self.added)])
        extents = ObjectExtents(labels)
        blocks = {block: self._block(block) for block in sorted(self._stored | set(self._changed))}
        for block, values in blocks.items():
            extents.add(values, self._frame(block)[:2])
        scores = np.concatenate([self.table.score, np.array(self._scores, np.float32)])
        self._files.write(extents.table(self.table.plane, scores), blocks.items())

    def _block(self, block: Block) -> NDArray[np.uint32]:
        if block in self._changed:
            return self._changed[block]
        if block in self._stored:
            return self._files.block(self.table.plane, block)
        return np.zeros(self._frame(block).shape, np.uint32)

    def _frame(self, block: Block) -> Box:
        y, x = block[0] * BLOCK_PX, block[1] * BLOCK_PX
        return Box(y, x, min(self._shape[0], y + BLOCK_PX), min(self._shape[1], x + BLOCK_PX))

    def _blocks_in(self, box: Box) -> Iterator[Block]:
        y0, x0, y1, x1 = box
        return itertools.product(range(y0 // BLOCK_PX, -(-y1 // BLOCK_PX)), range(x0 // BLOCK_PX, -(-x1 // BLOCK_PX)))
