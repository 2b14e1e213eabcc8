"""The layout of a transcoded image follows from the source and the codec alone."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import ImageError
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.images.transcode_plan import make_plan


def image(axes, shape, dtype="uint8"):
    array = np.broadcast_to(np.zeros((), dtype), shape)
    plane = (0,) * sum(a not in "yxcs" for a in axes)
    return Image([array], axes, "image", (0,), plane)


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ("yx", (60, 50), ("yx", (), ())),
        ("yxs", (60, 50, 3), ("cyx", (), ())),
        ("zcyx", (4, 2, 60, 50), ("czyx", (0,), (4,))),
        ("ztyx", (4, 5, 60, 50), ("tzyx", (1, 0), (5, 4))),
        ("qyx", (7, 60, 50), ("tyx", (0,), (7,))),  # an axis without a name in NGFF takes a free one
        ("qzyx", (1, 4, 60, 50), ("zyx", (1,), (4,))),
    ],
)
def test_axes_are_put_in_the_order_of_ngff(axes, shape, expected):
    plan = make_plan(image(axes, shape), "zstd")
    assert (plan.axes, plan.order, plan.leading) == expected


def test_more_axes_than_ngff_has_are_refused():
    with pytest.raises(ImageError, match=r"OME-Zarr supports t, c, z, y and x; save one plane"):
        make_plan(image("qrtyx", (2, 2, 2, 60, 50)), "zstd")


def test_levels_end_at_512_pixels_and_shards_fit_the_memory_limit():
    plan = make_plan(image("yxc", (9000, 3001, 4), "float32"), "lz4")
    assert plan.levels == [(9000, 3001), (4500, 1501), (2250, 751), (1125, 376), (563, 188), (282, 94)]
    assert plan.shard == (2048, 2048)
    assert plan.size_px == 4 * sum(h * w for h, w in plan.levels)


def test_blocks_cover_every_plane_of_a_level_once():
    plan = make_plan(image("zyx", (2, 5000, 4100)), "zstd")
    covered = np.zeros((2, 5000, 4100), np.uint8)
    for plane, box in plan.blocks(0):
        covered[(*plane, *box.slices)] += 1
    assert covered.min() == covered.max() == 1
