"""Means of 2 x 2 pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam.io.images.pooling import halve, pool


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3)),
    st.sampled_from(["bool", "uint8", "int16", "uint32", "int64", "uint64", "float16", "float32", "float64"]),
)
def test_halving_is_the_rounded_mean_of_two_by_two(shape, dtype):
    rng = np.random.default_rng(shape[0])
    top = 1 if dtype == "bool" else 100 if dtype == "float16" else 120
    block = (rng.integers(0, top + 1, shape) - (60 if dtype == "int16" else 0)).astype(dtype)
    padded = np.pad(block.astype(float), ((0, shape[0] % 2), (0, shape[1] % 2), (0, 0)), mode="edge")
    mean = (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]) / 4
    wanted = np.floor(mean + 0.5) if np.dtype(dtype).kind in "biu" else mean
    np.testing.assert_allclose(halve(block).astype(float), wanted, rtol=1e-3)
    assert halve(block).dtype == block.dtype


def test_halving_the_largest_numbers_does_not_overflow():
    for dtype in (np.uint8, np.uint32, np.uint64, np.int64):
        top = np.full((2, 2, 1), np.iinfo(dtype).max, dtype)
        assert halve(top)[0, 0, 0] == np.iinfo(dtype).max
    assert halve(np.full((2, 2, 1), 3e38, np.float32))[0, 0, 0] == np.float32(3e38)


def test_not_a_number_is_left_out_of_a_mean():
    block = np.array([[1, np.nan, np.nan, np.nan], [3, np.nan, np.nan, np.nan]], np.float32)[..., None]
    assert halve(block)[0, 0, 0] == 2
    assert np.isnan(halve(block)[0, 1, 0])


@pytest.mark.parametrize(("dtype", "nodata"), [("float32", -9999.0), ("int16", -9999.0), ("uint8", 255.0)])
def test_nodata_is_left_out_of_a_mean(dtype, nodata):
    block = np.array([[1, nodata, nodata, nodata], [4, nodata, nodata, nodata]]).astype(dtype)[..., None]
    assert halve(block, nodata)[0, :, 0].tolist() == [2.5 if dtype == "float32" else 3, nodata]
    assert pool(np.repeat(block, 2, axis=0), 4, nodata)[0, 0, 0] == (2.5 if dtype == "float32" else 3)
