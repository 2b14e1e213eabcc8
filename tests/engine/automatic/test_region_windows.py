"""Windows over a region, aligned with its label pixels."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam.engine.automatic.region_windows import cover_region, even_starts, label_shape
from napari_sam.errors import PromptError


def test_windows_go_row_by_row():
    windows = cover_region((0, 0, 4, 6), (9, 9), 64, lambda low, high, size: [(low, high), (high, size)])
    assert [w.bbox for w in windows] == [(0, 0, 4, 6), (0, 6, 4, 9), (4, 0, 9, 6), (4, 6, 9, 9)]


@pytest.mark.parametrize("region", [(0, 0, 0, 5), (-1, 0, 5, 5), (0, 0, 5, 10)])
def test_a_region_that_is_empty_or_reaches_outside_is_refused(region):
    with pytest.raises(PromptError, match="not inside the image") as error:
        cover_region(region, (9, 9), 64, lambda *_: [])
    assert error.value.parameter == "region"


@given(st.integers(0, 999), st.integers(0, 5000), st.integers(2, 40), st.sampled_from([1, 2, 4, 8]))
def test_starts_are_spread_evenly_from_the_first_to_the_last(first, last, count, factor):
    starts = even_starts(first, last, count, factor)
    assert (starts[0], starts[-1], len(starts)) == (first, first + last * factor, count)
    gaps = [b - a for a, b in pairwise(starts)]
    assert max(gaps) - min(gaps) <= factor
    assert all((s - first) % factor == 0 for s in starts)


def test_label_pixels_cover_the_region():
    assert label_shape((3, 3, 12, 20), 4) == (3, 5)
