"""Objects cut into parts, along gaps or between points."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from napari_sam.io.labels.label_store import LabelStore
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


@pytest.fixture
def stack(tmp_path):
    """Planes that lie three pixels apart."""
    with LabelStore.create(tmp_path / "stack.ome.zarr", shape=(12, 30, 60), scale=(3, 1, 1)) as store:
        yield store


def test_pieces_are_separated_through_planes(stack):
    """Two columns that are joined on plane 3 only are one piece; without that plane they are two."""
    columns = np.zeros((10, 30), bool)
    columns[:, :8] = columns[:, 20:] = True
    masks = dict.fromkeys((1, 2, 4), (columns, (2, 3, 12, 33)))
    stack.commit_planes({**masks, 3: (np.ones((10, 30), bool), (2, 3, 12, 33))}, category="cell")
    with pytest.raises(LabelsError, match="object 1 is one piece"):
        stack.split(1)
    stack.erase(1, (3,))
    stack.paint(np.where(columns, 1, 0), (2, 3), plane=(3,))
    assert stack.split(1) == [1, 2]
    assert stack.planes(1)["area_px"].tolist() == [100] * 4
    assert stack.planes(2)["area_px"].tolist() == [80] * 4
    assert stack.object(2)["category"] == "cell"
    stack.undo()
    assert stack.planes(1)["area_px"].tolist() == [180] * 4


def test_points_cut_at_the_narrow_plane(stack):
    widths = [9, 9, 9, 3, 1, 3, 9, 9, 9]
    stack.commit_planes(
        {z: (square(n), (10 - n // 2, 10 - n // 2, 11 + n // 2, 11 + n // 2)) for z, n in enumerate(widths)}
    )
    stack.split(1, [(1, 10, 10), (7, 10, 10)])
    first, second = (set(stack.planes(label)["plane"]) for label in (1, 2))
    assert len(first | second) == 9
    assert len(first & second) <= 1
    assert {(0,), (1,), (2,)} in (first & {(0,), (1,), (2,)}, second & {(0,), (1,), (2,)})


def test_points_without_a_plane_do_not_split_through_planes(stack):
    stack.commit_planes({z: (square(9), (0, 0, 9, 9)) for z in range(3)})
    with pytest.raises(LabelsError, match="lies on 3 planes, and the points name none"):
        stack.split(1, [(2, 2), (2, 6)])
    assert stack.split(1, [(2, 2), (2, 6)], plane=(1,)) == [1, 2]
    assert stack.planes(2)["plane"].tolist() == [(1,)]


def test_an_object_through_time_and_depth_is_split_on_one_plane(tmp_path):
    with LabelStore.create(tmp_path / "movie.ome.zarr", shape=(2, 2, 20, 20)) as movie:
        movie.commit_planes({plane: (square(4), (0, 0, 4, 4)) for plane in [(0, 0), (0, 1), (1, 0)]})
        with pytest.raises(LabelsError, match="lies on planes along 2 axes"):
            movie.split(1)
