"""Virtual levels: bounded when read, exact if affordable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_sam import open_image
from napari_sam.io.images.pooling import pool
from napari_sam.io.images.virtual_levels import exact_region, virtual_levels
from tests.io.images.counted_array import HUGE, Counted


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("chunks", [(512, 512), (256, 1024), (1, 100_000), (64, 100_000), (4096, 4096)])
def test_any_view_of_a_huge_image_reads_a_bounded_number_of_pixels(chunks):
    array = Counted(HUGE, chunks)
    image = open_image(array)
    image.exact_px = 1 << 24
    assert image.levels == [HUGE, *[(-(-100_000 // f),) * 2 for f in (4, 8, 16, 32, 64)]]
    for level in range(1, len(image.levels)):
        array.decoded = 0
        h, w = (min(n, 2048) for n in image.levels[level])
        assert image.read(level, 0, 0, h, w).shape == (h, w, 1)
        assert array.decoded <= 1.3 * (1 << 26)
    assert "napari-sam overview" in image.advice


@pytest.mark.parametrize("chunks", [(512, 512), (64, 100_000)])
def test_an_estimate_shows_the_position_of_structures(chunks):
    image = open_image(Counted(HUGE, chunks))
    sketch = image.read(5, 0, 0, *image.levels[5])[:, 700, 0].astype(int)
    wanted = np.arange(len(sketch)) * 64 // 256
    assert abs(sketch - wanted).max() <= (17 if chunks[0] == 512 else 200)  # half a cell of 16 chunks, in values
    assert np.corrcoef(sketch, wanted)[0, 1] > 0.95


def test_an_array_in_memory_is_pooled_from_evenly_spaced_pixels():
    ramp = np.repeat(np.arange(4096, dtype=np.uint16)[:, None], 4096, axis=1)
    image = open_image(ramp)
    assert image.levels == [(4096, 4096), (1024, 1024)]
    np.testing.assert_array_equal(image.read(1, 0, 0, 1024, 1024)[:, 5, 0], np.arange(1024) * 4 + 2)
    image.exact_px = 1 << 20
    assert abs(image.read(1, 0, 0, 1024, 1024)[:, 5, 0] - np.arange(1024) * 4.0 - 2).max() <= 2


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_part_of_a_virtual_level_equals_that_part_of_the_whole(rng, data):
    shape = (data.draw(st.integers(30, 300)), data.draw(st.integers(30, 300)), 3)
    array = rng.integers(0, 60_000, shape, dtype=np.uint16)
    factor = data.draw(st.sampled_from([4, 8, 16]))
    image = open_image(array)
    whole = pool(array, factor)
    h, w = whole.shape[:2]
    (y0, y1), (x0, x1) = (
        sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in (h, w)
    )
    np.testing.assert_array_equal(exact_region(image, factor, (y0, x0, y1, x1)), whole[y0:y1, x0:x1])


def test_a_pyramid_is_continued_only_if_its_last_level_is_large():
    tops = [Counted((8000, 8000), (512, 512)), Counted((4000, 4000), (512, 512))]
    assert open_image(tops).levels == [(8000, 8000), (4000, 4000), (1000, 1000)]
    assert virtual_levels(open_image([*tops, Counted((2000, 2000), (512, 512))])) == []
