"""Objects pasted from one labelled image into another."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from src_models.training.data.augment import PADDING
from src_models.training.data.copy_paste import paste_objects


def _scene(*boxes, side=96, colour=200):
    image, labels = np.full((side, side, 3), 40, np.uint8), np.zeros((side, side), np.int32)
    for label, (y0, x0, y1, x1) in enumerate(boxes, 1):
        image[y0:y1, x0:x1], labels[y0:y1, x0:x1] = colour, label
    return image, labels


def test_pasted_objects_look_like_their_source_and_get_new_labels(rng):
    image, labels = _scene((10, 10, 30, 30))
    donor = _scene((20, 20, 34, 34), colour=120)
    before = image.copy()
    pasted, out = paste_objects(image, labels, donor, rng)
    np.testing.assert_array_equal(image, before)
    assert out.max() > 1
    assert set(np.unique(out)) == set(range(out.max() + 1))
    for label in range(2, out.max() + 1):
        inside = ndimage.binary_erosion(out == label, iterations=3)
        assert pasted[inside].size == 0 or abs(float(np.median(pasted[inside])) - 120) < 40
    np.testing.assert_array_equal(
        pasted[ndimage.distance_transform_edt(out < 2) > 8], before[ndimage.distance_transform_edt(out < 2) > 8]
    )


def test_many_pasted_objects_touch_another_one():
    touching = total = 0
    for seed in range(30):
        image, labels = _scene((40, 40, 60, 60), side=160)
        _, out = paste_objects(image, labels, _scene((30, 30, 44, 44)), np.random.default_rng(seed))
        for label in range(2, out.max() + 1):
            near = ndimage.binary_dilation(out == label, iterations=4)
            touching += bool(((out > 0) & (out != label) & near).any())
            total += 1
    assert total > 60
    assert touching > 0.4 * total


def test_objects_that_were_there_stay_visible():
    for seed in range(30):
        image, labels = _scene((5, 5, 20, 20), (40, 40, 60, 60), (70, 10, 90, 30))
        _, out = paste_objects(image, labels, (image, labels), np.random.default_rng(seed))
        counts = np.bincount(out.ravel())
        assert (counts[1:4] > 0).all()


@pytest.mark.parametrize("box", [(0, 20, 20, 40), (20, 20, 24, 24), (10, 10, 80, 80)])
def test_objects_that_are_cut_tiny_or_huge_are_not_pasted(rng, box):
    image, labels = _scene((40, 40, 60, 60))
    pasted, out = paste_objects(image, labels, _scene(box), rng)
    assert out.max() == 1
    np.testing.assert_array_equal(pasted, image)


def test_hardly_anything_is_pasted_into_the_padding():
    inside = total = 0
    for seed in range(20):
        image, labels = _scene((10, 10, 30, 30))
        image[:, 48:] = PADDING
        _, out = paste_objects(image, labels, (image, labels), np.random.default_rng(seed))
        inside += np.count_nonzero(out[:, 48:])
        total += np.count_nonzero(out > 1)
    assert total > 5000
    assert inside < 0.2 * total
