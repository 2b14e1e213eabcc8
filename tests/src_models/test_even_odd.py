"""Polygons filled by the even-odd rule."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import polygon2mask

from src_models import even_odd
from src_models.even_odd import even_odd_mask


@pytest.mark.parametrize("crossings", [1, 7, 1 << 22])
def test_the_number_of_edges_held_at_once_does_not_matter(rng, monkeypatch, crossings):
    monkeypatch.setattr(even_odd, "_CROSSINGS", crossings)
    points = rng.uniform(-5, 45, (60, 2))
    expected = polygon2mask((40, 40), points[:, ::-1] - 0.5)
    assert (even_odd_mask(points, (40, 40)) == expected).all()


def test_edges_that_cross_no_row_fill_nothing():
    assert not even_odd_mask(np.array([[1.0, 0.6], [9.0, 0.7], [5.0, 0.9]]), (4, 10)).any()
