"""The label image with the chosen objects only, from a source in memory."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_sam.engine.geometry import Box
from napari_sam.errors import StoreError
from napari_sam.io.exports.export_pixels import ExportPixels
from napari_sam.io.labels.journal.rows import ObjectRow


class ArraySource:
    """An `ExportSource` of an array with two squares, as far as pixels need it."""

    path = "array"

    def __init__(self, shape=(5000, 5000)):
        self.shape, self.reads, self.changes = shape, [], 0
        self.array = np.zeros(shape, np.uint32)
        self.array[10:20, 10:20], self.array[4990:5000, 4990:5000] = 1, 2
        self.boxes = {1: Box(10, 10, 20, 20), 2: Box(4990, 4990, 5000, 5000)}

    def read(self, box, level, plane):
        self.reads.append(box)
        y0, x0, y1, x1 = (v << level for v in box)
        return self.array[y0 : y1 : 1 << level, x0 : x1 : 1 << level].copy()

    def rows(self, labels):
        for label in self.boxes if labels is None else labels:
            yield ObjectRow(label, (), 100, self.boxes[label])

    def objects(self, labels):
        return SimpleNamespace(labels=np.array(sorted(labels)))

    def largest_label(self):
        return 2

    def labelled_px(self):
        return 200

    def revision(self):
        return self.changes


def read_all(pixels, side=2500):
    for y in (0, side):
        for x in (0, side):
            pixels.read(0, (), (y, x, y + side, x + side))


def test_parts_without_objects_are_not_read():
    source = ArraySource()
    pixels = ExportPixels(source)
    assert not pixels.read(0, (), (2048, 2048, 4096, 4096)).any()
    assert pixels.read(1, (), (0, 0, 50, 50)).sum() == 25
    assert source.reads == [(0, 0, 50, 50)]


def test_only_chosen_objects_remain():
    pixels = ExportPixels(ArraySource(), (2,))
    assert pixels.largest == 2
    assert not pixels.read(0, (), (0, 0, 100, 100)).any()
    assert pixels.read(0, (), (4900, 4900, 5000, 5000)).sum() == 200


def test_missing_pixels_are_an_error_unless_the_labels_changed():
    source = ArraySource()
    pixels = ExportPixels(source)
    source.array[10:20, 10:15] = 0
    read_all(pixels)
    with pytest.raises(StoreError, match=r"150 of 200 labelled pixels are present.*repair"):
        pixels.check()
    source.changes = 1
    pixels.check()


def test_complete_pixels_pass():
    pixels = ExportPixels(ArraySource(), (1,))
    read_all(pixels)
    pixels.check()
