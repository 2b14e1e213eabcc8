"""Runs of pixels: of every object of a label image, and joined from pieces."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam.io.pixel_runs import PixelRuns, join_runs, runs_by_label

images = hnp.arrays(np.uint32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3))


def drawn(runs, shape):
    mask = np.zeros(shape, bool)
    for line, start, stop in zip(*runs, strict=True):
        mask[line, start:stop] = True
    return mask


@settings(deadline=None)
@given(images)
def test_runs_of_a_label_image_hold_each_object_exactly(labels):
    ids, first, runs = runs_by_label(labels, (0, 0))
    assert ids.tolist() == np.unique(labels[labels > 0]).tolist()
    for i, label in enumerate(ids):
        part = PixelRuns(*(axis[first[i] : first[i + 1]] for axis in runs))
        np.testing.assert_array_equal(drawn(part, labels.shape), labels == label)
        assert part.area_px == np.count_nonzero(labels == label)


@settings(deadline=None)
@given(images, st.integers(1, 8))
def test_runs_joined_from_pieces_are_those_of_the_whole(labels, cut):
    mask = (labels > 0).astype(np.uint32)
    whole = runs_by_label(mask, (0, 0))[2]
    pieces = [runs_by_label(mask[:, :cut], (0, 0))[2], runs_by_label(mask[:, cut:], (0, cut))[2]]
    for joined, expected in zip(join_runs(pieces), whole, strict=True):
        np.testing.assert_array_equal(joined, expected)
