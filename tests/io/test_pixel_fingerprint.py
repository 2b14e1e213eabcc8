"""The same pixels have the same fingerprint, others another one."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from napari_sam.io.pixel_fingerprint import pixel_fingerprint


def test_every_pixel_of_a_small_array_counts(rng):
    pixels = rng.integers(0, 255, (300, 400), dtype=np.uint8)
    other = pixels.copy()
    other[299, 399] ^= 1
    assert pixel_fingerprint([pixels]) == pixel_fingerprint([np.asfortranarray(pixels)])
    assert pixel_fingerprint([pixels]) != pixel_fingerprint([other])


@pytest.mark.parametrize("change", [lambda a: a.T, lambda a: a.astype(np.uint16), lambda a: a.reshape(2, 150, 400)])
def test_shape_and_type_count(rng, change):
    pixels = rng.integers(0, 255, (300, 400), dtype=np.uint8)
    assert pixel_fingerprint([pixels]) != pixel_fingerprint([change(pixels)])


@pytest.mark.parametrize("shape", [(9000, 9000), (90, 1000, 1000)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_large_array_is_sampled(shape, order):
    pixels = np.zeros(shape, np.uint8, order)
    bright = pixels.copy(order="K")
    bright[..., 100:8000, 500] = 1
    assert pixel_fingerprint([pixels]) != pixel_fingerprint([bright])


def test_a_lazy_array_is_read_in_blocks(rng):
    pixels = rng.integers(0, 255, (3, 1000, 2000), dtype=np.uint8)
    lazy = zarr.array(pixels, chunks=(1, 100, 100))
    other = zarr.array(pixels ^ np.array([0, 0, 1], np.uint8)[:, None, None], chunks=(1, 100, 100))
    assert pixel_fingerprint([lazy]) == pixel_fingerprint([zarr.array(pixels, chunks=(3, 500, 500))])
    assert pixel_fingerprint([lazy]) != pixel_fingerprint([other])


def test_a_chunk_of_a_dask_array_is_computed_once(rng):
    import dask.array as da

    pixels, computed = rng.integers(0, 255, (5, 400, 500), dtype=np.uint8), []

    def load(block, block_info=None):
        computed.append(block_info[0]["chunk-location"])
        return block

    array = da.from_array(pixels, chunks=(1, 400, 500)).map_blocks(load, dtype=np.uint8, meta=pixels[:0])
    assert pixel_fingerprint([array]) == pixel_fingerprint([zarr.array(pixels)])
    assert sorted(computed) == [(0, 0, 0), (2, 0, 0), (4, 0, 0)]
