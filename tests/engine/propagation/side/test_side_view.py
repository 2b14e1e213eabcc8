"""Pixels of objects seen from the side."""

from __future__ import annotations

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.interactive.window_predictor import WindowPredictor
from napari_sam.engine.normalisation import Normalisation
from napari_sam.engine.propagation.plane_mask import PackedMask, PlaneMask
from napari_sam.engine.propagation.plane_views import PlaneViews
from napari_sam.engine.propagation.side.side_view import SideView, side_views
from napari_sam.errors import ImageError
from tests.engine.propagation.perfect_stack import BlobStack, perfect_engine


class Plane:
    """An array as an image of the engine."""

    contrast_limits, channels, dtype = None, 1, np.dtype(np.uint8)

    def __init__(self, pixels, identity):
        self.pixels, self.identity = pixels, identity
        self.shape, self.levels = pixels.shape, [pixels.shape]

    def read(self, level, y0, x0, y1, x1, step=1):
        return self.pixels[y0:y1:step, x0:x1:step, None]


class Planes(BlobStack):
    """Planes of an array."""

    def __init__(self, array, spacing=1.0, damaged=()):
        super().__init__([None] * len(array), array.shape[1:], damaged, spacing=spacing)
        self.array = array

    def plane(self, index):
        if index in self.damaged:
            raise ImageError(f"plane {index} is damaged")
        return Plane(self.array[index], f"plane {index}")


def views_of(array, **options):
    engine = perfect_engine(BlobStack([None]))
    assert isinstance(engine, WindowPredictor)
    return PlaneViews(Planes(array, **options), engine, Normalisation())


def slanted(step=4):
    """A bright square of 10 x 20 px that moves along x by `step` px a plane, and its masks."""
    array, records = np.full((6, 60, 90), 10, np.uint8), {}
    for z in range(6):
        box = Box(20, 30 + step * z, 30, 50 + step * z)
        array[z][box.slices] = 200
        records[z] = PackedMask.of(PlaneMask(z, np.ones(box.shape, bool), box, 0.9))
    return array, records


def test_the_path_of_an_object_is_made_straight():
    array, records = slanted()
    along_x, along_y = side_views(views_of(array), records, range(6), 2)
    for view, width in ((along_x, 20), (along_y, 10)):
        assert (view.inside == view.inside[0]).all()
        assert abs(int(view.inside[0].sum()) - width) <= 1
        assert ((view.pixels[..., 0] > 100) == view.inside).mean() > 0.95


def test_beyond_the_known_planes_the_path_continues_straight():
    array, records = slanted(step=0)
    known = {plane: records[plane] for plane in (1, 2, 3)}
    view, _ = side_views(views_of(array), known, range(6), 2)
    assert view.inside.any(1).tolist() == [False, True, True, True, False, False]
    assert (view.pixels[..., 0] == view.pixels[0, :, 0]).all()


def test_a_damaged_plane_looks_like_the_one_before():
    array, records = slanted(step=0)
    view, _ = side_views(views_of(array, damaged=(3,)), records, range(6), 2)
    assert (view.pixels[3] == view.pixels[2]).all()


def test_planes_far_apart_get_several_rows():
    array, records = slanted()
    view, _ = side_views(views_of(array, spacing=5.0), records, range(6), 2)
    assert view.rows_per_plane == 5
    assert view.shape[0] == 30
    assert view.by_plane(view.pixels[..., 0] > 100).shape == view.inside.shape
    assert view.place(2)[0] == 12.0  # the middle of rows 10 to 14


def test_an_object_at_the_border_of_the_image_has_views_of_full_width():
    array, records = np.full((3, 40, 40), 10, np.uint8), {}
    for z in range(3):
        array[z, :8, :8] = 200
        records[z] = PackedMask.of(PlaneMask(z, np.ones((8, 8), bool), Box(0, 0, 8, 8), 0.9))
    for view in side_views(views_of(array), records, range(3), 1):
        assert view.pixels.shape == (3, view.inside.shape[1], 3)
        assert view.inside.sum(1).tolist() == [8, 8, 8]


def test_the_prompt_lies_in_the_longest_part_of_the_object():
    inside = np.array([[1, 0, 0, 1, 1, 1, 0]], bool)
    assert SideView(np.zeros((1, 7, 3), np.uint8), inside, 1).place(0) == (0.0, 4.0)
    assert SideView(np.zeros((1, 7, 3), np.uint8), inside & False, 1).place(0) == (0.0, 3.0)
