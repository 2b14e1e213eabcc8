"""Polygons and run lengths of COCO files as masks and label images."""

from __future__ import annotations

import numpy as np
import pytest

from src_models.model_errors import TrainingError
from src_models.training.data.coco_files import decompress, object_mask, render
from tests.src_models.training.data.dataset_files import SHAPE


def _whole(segmentation, shape):
    """An object in its whole image."""
    mask, (y, x) = object_mask(segmentation, shape)
    full = np.zeros(shape, int)
    full[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    return full


class TestRunLengths:
    def test_runs_go_down_the_columns(self):
        want = [[0, 0, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]]
        assert _whole({"size": [3, 4], "counts": [1, 2, 4, 1, 4]}, (3, 4)).tolist() == want

    @pytest.mark.parametrize(
        ("counts", "want"),
        [
            ([0, 2, 4], [[1, 0, 0], [1, 0, 0]]),
            ([4, 2], [[0, 0, 1], [0, 0, 1]]),
            ([0, 6], [[1, 1, 1], [1, 1, 1]]),
            ([1, 4, 1], [[0, 1, 1], [1, 1, 0]]),
            ([1, 0, 2, 1, 2], [[0, 0, 0], [0, 1, 0]]),
            ([6], [[0, 0, 0], [0, 0, 0]]),
        ],
    )
    def test_runs_at_the_borders(self, counts, want):
        assert _whole({"size": [2, 3], "counts": counts}, (2, 3)).tolist() == want

    @pytest.mark.parametrize(
        ("text", "counts"),
        [
            ("5220003", [5, 2, 2, 2, 2, 2, 5]),  # from the fourth on, the difference to the run two before
            ("`j8l6`2cI_N11Vb0", [9040, 220, 80, 15, 31, 16, 32, 598]),  # by pycocotools 2.0.11
            ("o0", [31]),  # 31 = 31 + 0·32, and 16 must not become the sign
            ("", []),
        ],
    )
    def test_compressed_runs(self, text, counts):
        assert decompress(text) == counts

    def test_a_compressed_object(self):
        mask = _whole({"size": [4, 5], "counts": "5220003"}, (4, 5))
        want = np.zeros((4, 5), int)
        want[1:3, 1:4] = 1
        np.testing.assert_array_equal(mask, want)

    @pytest.mark.parametrize("text", ["5 2", "5é", "52\x7f", "P", "o" * 40])
    def test_broken_strings(self, text):
        with pytest.raises(TrainingError, match="no compressed run length"):
            decompress(text)

    @pytest.mark.parametrize(
        ("segmentation", "words"),
        [
            ({"size": [8, 6], "counts": [48]}, r"size \[8, 6\] do not fit the image's \[6, 8\]"),
            ({"counts": [48]}, "size None"),
            ({"size": [6, 8], "counts": [40, 7]}, "add up to 47, not to the 6 x 8 pixels"),
            ({"size": [6, 8], "counts": [50, -2]}, "are no run lengths"),
            ({"size": [6, 8], "counts": [47.5, 0.5]}, "are no run lengths"),
            ({"size": [6, 8]}, "counts None are no run lengths"),
            ([[1, 1, 2, 2, 3]], "is not a polygon"),
            ([[1, 1, 2, "b", 3, 3]], "is not a polygon"),
            ([[1, 1, 2, float("nan"), 3, 3]], "is not a polygon"),
            ([[1, 1, 2, 1e300, 3, 3]], "is not a polygon"),
            ([[[1, 1], [2, 2], [3, 3]]], "is not a polygon"),
            ([1, 1, 5, 1, 5, 5], "give lists"),
            ("all", "is not a polygon"),
        ],
    )
    def test_broken_segmentations(self, segmentation, words):
        with pytest.raises(TrainingError, match=f"annotation 5: .*{words}"):
            object_mask(segmentation, SHAPE, "annotation 5")


class TestPolygons:
    def test_a_pixel_belongs_to_the_polygon_that_holds_its_centre(self):
        triangle = [[0, 0, 4, 0, 0, 4]]
        assert _whole(triangle, (4, 4)).tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
        assert _whole([[0.6, 0, 2.4, 0, 2.4, 1, 0.6, 1]], (1, 4)).tolist() == [[0, 1, 0, 0]]

    def test_a_notch(self):
        want = [
            [1, 1, 1, 1, 1, 1, 1, 1],
            [1, 1, 1, 1, 1, 1, 1, 1],
            [1, 1, 1, 1, 1, 1, 1, 1],  # the notch is from 3.67 to 4.33 and holds no centre
            [1, 1, 1, 0, 0, 1, 1, 1],
            [1, 1, 0, 0, 0, 0, 1, 1],
            [1, 1, 0, 0, 0, 0, 1, 1],
            [1, 0, 0, 0, 0, 0, 0, 1],
            [0, 0, 0, 0, 0, 0, 0, 0],
        ]
        assert _whole([[0, 0, 8, 0, 8, 8, 4, 2, 0, 8]], (8, 8)).tolist() == want

    def test_polygons_of_one_object_are_joined(self):
        square = [0, 0, 2, 0, 2, 2, 0, 2]
        assert _whole([square, [1, 1, 3, 1, 3, 3, 1, 3]], (3, 3)).tolist() == [[1, 1, 0], [1, 1, 1], [0, 1, 1]]

    def test_what_lies_outside_is_cut_off(self):
        assert _whole([[-5, -5, 2, -5, 2, 1, -5, 1]], (2, 3)).tolist() == [[1, 1, 0], [0, 0, 0]]
        assert _whole([[50, 50, 60, 50, 60, 60]], (2, 3)).sum() == 0
        assert _whole([[-9, -9, 9, -9, 9, 9, -9, 9]], (2, 3)).all()

    @pytest.mark.parametrize("flat", [[], [[]], [[1, 1]], [[1, 1, 3, 3]], [[1, 1, 1, 1, 1, 1]]])
    def test_no_area_no_pixels(self, flat):
        assert _whole(flat, (4, 4)).sum() == 0

    def test_against_points_in_polygons(self, rng):
        from skimage.measure import points_in_poly

        yy, xx = np.mgrid[:30, :40] + 0.5
        for _ in range(30):
            polygon = rng.random((9, 2)) * [50, 40] - 5
            want = points_in_poly(np.c_[xx.ravel(), yy.ravel()], polygon).reshape(30, 40)
            np.testing.assert_array_equal(_whole([polygon.ravel().tolist()], (30, 40)), want)


def test_small_objects_lie_on_top_whatever_the_order():
    small, large = [[2, 2, 3, 2, 3, 3, 2, 3]], [[1, 1, 5, 1, 5, 5, 1, 5]]
    for order in ((small, large), (large, small)):
        labels, hidden = render([("a", order[0]), ("b", order[1])], (6, 6))
        assert hidden == 0
        assert labels[2, 2] == 1 + order.index(small)
        assert (labels == 1 + order.index(large)).sum() == 15
    labels, hidden = render([("a", large), ("b", large), ("c", [[9, 9, 9, 9, 9, 9]])], (6, 6))
    assert hidden == 2
    assert np.unique(labels).tolist() == [0, 2]
