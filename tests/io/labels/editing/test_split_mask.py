"""Objects cut into parts, along gaps or between points."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from tests.io.labels.label_stubs import predicted, square


def test_split_gives_pieces_their_own_ids_largest_first(labels):
    two = np.zeros((10, 30), bool)
    two[:, :5] = two[:, 10:] = True
    labels.commit(predicted(two), category="cell")
    assert labels.split(1) == [1, 2]
    table = labels.table().set_index("label")
    assert table.area_px.tolist() == [200, 50]
    assert table.loc[2, "category"] == "cell"
    with pytest.raises(LabelsError, match="one piece"):
        labels.split(1)


def test_split_by_points_cuts_at_the_narrow_place(labels):
    dumbbell = np.zeros((21, 61), bool)
    dumbbell[:, :20] = dumbbell[:, 41:] = dumbbell[9:12] = True
    labels.commit(predicted(dumbbell))
    labels.split(1, [(10, 10), (10, 50)])
    assert labels.array[10, 5] != labels.array[10, 55]
    assert sorted(labels.table().area_px) == [450, 453]
    with pytest.raises(LabelsError, match="point 2 does not lie"):
        labels.split(1, [(10, 10), (500, 50)])


def test_two_points_on_one_pixel_do_not_split(labels):
    labels.commit(predicted(square()))
    with pytest.raises(LabelsError, match="one pixel"):
        labels.split(1, [(5, 5), (5, 5), (5, 9)])


def test_a_disc_is_halved_between_two_points(labels):
    y, x = np.mgrid[:91, :91] - 45
    labels.commit(predicted(y**2 + x**2 <= 45**2))
    labels.split(1, [(45, 33), (45, 57)])
    small, large = sorted(labels.table().area_px)
    assert small > 0.8 * large
