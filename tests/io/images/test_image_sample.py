"""Samples of an image, for choosing its contrast."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from napari_sam import open_image
from napari_sam.engine.normalisation import choose_normalisation
from tests.io.images.counted_array import HUGE, Counted


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("chunks", [(512, 512), (1, 100_000), (1024, 1024)])
def test_choosing_the_contrast_of_a_huge_image_reads_a_few_megapixels(chunks):
    array = Counted(HUGE, chunks)
    chosen = choose_normalisation(open_image(array))
    assert array.decoded <= 1.1 * (1 << 23)
    assert chosen.low[0] < 60
    assert chosen.high[0] > 330


@pytest.mark.parametrize("fmt", [2, 3])
def test_the_contrast_of_an_almost_empty_image_comes_from_what_is_stored(tmp_path, fmt):
    from napari_sam.engine.normalisation import choose_normalisation

    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(50_000, 50_000), chunks=(512, 512), dtype="uint16", fill_value=0, zarr_format=fmt
    )
    array[20_480:21_504, 30_208:31_232] = np.random.default_rng(0).integers(500, 1500, (1024, 1024)).astype("uint16")
    chosen = choose_normalisation(open_image(tmp_path / "a.zarr"))
    assert chosen.low[0] < 600
    assert 1400 < chosen.high[0] < 1500
