"""Images that are refused before any pixel is read."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import ImageError
from napari_sam.io.images.check_image import check_image
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.images.open_image import open_image


def image(*shapes, dtypes=("uint8",), axes="yx"):
    arrays = [np.broadcast_to(np.zeros((), dtypes[i % len(dtypes)]), shape) for i, shape in enumerate(shapes)]
    return Image(arrays, axes, "image", (0,))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (image((9, 9), dtypes=["complex64"]), "dtype complex64 is not a picture; take its absolute value"),
        (image((9, 9), dtypes=["U5"]), "is not a picture; convert it to numbers"),
        (image((0, 9)), "has no pixels"),
        (image((9, 9), (5, 5), dtypes=["uint8", "uint16"]), "level 1 is uint16"),
        (image((9, 9, 3), (5, 5, 2), axes="yxc"), "level 1 has 2 channels, level 0 3"),
        (image((9, 9), (10, 10)), "is larger than level 0"),
        (image((99, 99), (50, 20)), "has another aspect"),
    ],
)
def test_an_invalid_image_is_named_with_the_remedy(made, message):
    with pytest.raises(ImageError, match=message) as raised:
        check_image(made)
    assert raised.value.remedy


def test_levels_may_be_rounded_either_way():
    check_image(image((99, 99), (50, 49), (25, 24)))


@pytest.mark.parametrize(
    ("plane", "channels", "words"),
    [
        ((3,), (0,), r"planes 3 \(z\); give an index for each axis"),
        ((-1,), (0,), "plane -1: "),
        ((), (0,), r"plane \(\): .*planes 3 \(z\)"),
        ((0, 0), (0,), "plane 0,0: "),
        ((1,), (2,), "has channels 0 to 1"),
        ((1,), (), r"channels is \(\)"),
    ],
)
def test_planes_and_channels_that_do_not_exist_are_refused(plane, channels, words):
    image = open_image(np.zeros((3, 2, 8, 9)), axes="zcyx")
    assert image.with_plane((2,), (1,)).plane == (2,)
    with pytest.raises(ImageError, match=words):
        image.with_plane(plane, channels)
