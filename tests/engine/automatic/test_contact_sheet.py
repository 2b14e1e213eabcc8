"""Sheets: samples of any size lie in their cells, and their maps come back."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.automatic.contact_sheet import Sample, Sheet
from napari_sam.engine.geometry import Box


@pytest.mark.parametrize("pitch", [1, 2])
def test_the_maps_of_a_sample_are_those_of_its_cell(pitch):
    shapes = [(32, 32), (10, 30), (32, 6)]
    samples = [Sample(Box(0, 0, *shape), np.full((*shape, 3), 50 + i, np.uint8)) for i, shape in enumerate(shapes)]
    sheet = Sheet(samples, 64)
    maps = np.repeat(sheet.pixels[::pitch, ::pitch, 0][None], 3, 0).astype(np.float32)
    for i, (part, (height, width)) in enumerate(zip(sheet.split(maps), shapes, strict=True)):
        assert part.shape == (3, height // pitch, width // pitch)
        assert (part == 50 + i).all()


def test_what_no_sample_covers_is_the_mean_colour():
    sheet = Sheet([Sample(Box(0, 0, 4, 4), np.zeros((4, 4, 3), np.uint8))], 16)
    assert sheet.pixels[4:, :].reshape(-1, 3).std(0).tolist() == [0, 0, 0]
    assert sheet.pixels[-1, -1].tolist() == [124, 116, 104]
