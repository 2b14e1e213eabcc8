import numpy as np
import pytest

from napari_sam.engine.tiling.enlarge_labels import enlarge_labels


def test_enlarged_outlines_are_smooth_and_labels_stay_apart():
    yy, xx = np.indices((40, 40))
    small = np.where((yy - 20) ** 2 + (xx - 12) ** 2 <= 60, 3, 0) + np.where(
        (yy - 20) ** 2 + (xx - 29) ** 2 <= 60, 9, 0
    )
    large = enlarge_labels(small, 8)
    assert set(np.unique(large)) == {0, 3, 9}
    assert (large == 3).sum() / 64 == pytest.approx((small == 3).sum(), rel=0.03)
    steps = np.abs(np.diff((large == 3).any(1).astype(int))).sum()
    assert steps == 2
    edge = [np.flatnonzero(row == 3)[0] for row in large if (row == 3).any()]
    assert np.abs(np.diff(edge[8:-8])).max() < 8  # a nearest-neighbour copy steps by 8 or more


def test_a_ratio_of_one_changes_nothing():
    labels = np.array([[0, 3], [5, 0]])
    assert enlarge_labels(labels, 1) is labels


def test_an_image_without_objects_stays_empty():
    assert not enlarge_labels(np.zeros((3, 4), np.int64), 4).any()
    assert enlarge_labels(np.zeros((3, 4), np.int64), 4).shape == (12, 16)
