"""Features of objects whose box ends between the cells of a map."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.concepts.object_features import MaskInWindow, _pooled
from napari_sam.engine.geometry import Box


@pytest.mark.parametrize("last", range(1, 21))
@pytest.mark.parametrize("first", [0, 7])
def test_cells_that_are_no_whole_number_of_pixels_wide_are_pooled(first, last):
    """Cells of 2.5 pixels: the last one may hold no whole pixel of the object."""
    if last <= first:
        return
    image = np.full((8, 8, 2), 3, np.float32)
    found = MaskInWindow(Box(first, first, last, last), np.ones((last - first,) * 2, bool))
    inside, around = _pooled(image, found, 2.5, 1)
    np.testing.assert_allclose(inside, 3, rtol=1e-4)
    assert np.isfinite(around).all()
