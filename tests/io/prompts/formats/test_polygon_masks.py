"""Masks of polygons."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.io.prompts.formats import polygon_masks
from napari_sam.io.prompts.formats.polygon_masks import even_odd_rings, polygons_mask

SHAPE = (100, 200)


def drawn(polygons, shape):
    """Return the pixels of polygons, each drawn into a whole mask by scikit-image."""
    from skimage.draw import polygon2mask

    mask = np.zeros(shape, bool)
    for outer, *holes in polygons:
        part = polygon2mask(shape, np.array(outer)[:, ::-1] - 0.5)
        for hole in holes:
            part &= ~polygon2mask(shape, np.array(hole)[:, ::-1] - 0.5)
        mask |= part
    return mask


@pytest.fixture
def ring(rng):
    """A function from (x, y) and a radius to a random star around them, (R, 2) as (x, y)."""

    def make(x, y, radius):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 40))
        return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1).round(2).tolist()

    return make


def whole(prompt):
    mask = np.zeros(SHAPE, bool)
    y0, x0, y1, x1 = prompt.bbox
    mask[y0:y1, x0:x1] = prompt.mask
    return mask


@pytest.mark.parametrize("per_pixel", [0, 1 << 30])
def test_masks_equal_those_of_scikit_image_whichever_way_they_are_drawn(ring, monkeypatch, per_pixel):
    monkeypatch.setattr(polygon_masks, "_PER_PIXEL", per_pixel)
    polygons = [[ring(60, 40, 30), ring(55, 40, 8), ring(70, 45, 9), ring(190, 90, 5)], [ring(150, 60, 25)]]
    as_yx = [[np.array(r)[:, ::-1] for r in polygon] for polygon in polygons]
    np.testing.assert_array_equal(whole(polygons_mask(as_yx, SHAPE)), drawn(polygons, SHAPE))


def test_rings_that_overlap_cancel_each_other(ring):
    outer, inner = (np.array(ring(60, 40, radius))[:, ::-1] for radius in (30, 8))
    separate = whole(polygons_mask([[outer]], SHAPE)) ^ whole(polygons_mask([[inner]], SHAPE))
    np.testing.assert_array_equal(whole(even_odd_rings([outer, inner], SHAPE)), separate)


def test_polygons_are_cut_to_the_image_and_nothing_larger_than_a_mask_is_allocated():
    far = np.array([[50.0, 150], [1e12, 150], [1e12, 1e12], [50, 1e12]])
    assert polygons_mask([[far]], SHAPE).bbox == (50, 150, 100, 200)
    assert polygons_mask([[far]], (1 << 30, 1 << 30)) is None
    assert polygons_mask([[far + 200]], SHAPE) is None
