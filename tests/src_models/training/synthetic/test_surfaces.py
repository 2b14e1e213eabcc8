"""Light and colours of drawn things."""

from __future__ import annotations

import numpy as np
import pytest

from src_models.training.synthetic.surfaces import relief


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_a_thing_of_a_single_line_at_the_edge_of_a_crop_is_lit(shape):
    shade = relief(np.ones(shape, np.float32), 1.0, 0.5, 0.3)
    assert shade.shape == shape
    np.testing.assert_allclose(shade, 1)  # even along the line


def test_the_rim_is_brighter_on_the_side_of_the_light():
    depth = np.minimum(np.arange(1, 10), np.arange(9, 0, -1)).astype(np.float32)[None].repeat(9, 0)
    shade = relief(depth, 5.0, 0.0, 0.3)
    assert (shade[:, 1] > 1).all()
    assert (shade[:, -2] < 1).all()
