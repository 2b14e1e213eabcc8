"""Tables: centroids in pixels and in physical or map units."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from napari_sam.errors import LabelsError
from tests.io.exports.drawings import UTM, on_map


def test_csv_has_centroids_in_pixels_and_in_physical_units(store, blobs, tmp_path):
    table = pd.read_csv(store.export(tmp_path / "t.csv")).set_index("label")
    assert table.index.tolist() == list(range(1, blobs.max() + 1))
    middle = np.array(ndimage.center_of_mass(blobs > 0, blobs, table.index))
    np.testing.assert_allclose(table[["centroid_y_px", "centroid_x_px"]], middle)
    np.testing.assert_allclose(table[["centroid_y_world", "centroid_x_world"]], middle * (0.25, 0.5))
    np.testing.assert_array_equal(table.area_px, np.bincount(blobs.ravel())[1:])
    np.testing.assert_allclose(table.area_world, table.area_px / 8)
    assert table.category[1] == "cell"


def test_csv_of_an_image_on_the_map_has_map_coordinates(tmp_path):
    with on_map(tmp_path, "EPSG:32632", UTM) as labels:
        row = pd.read_csv(labels.export(tmp_path / "t.csv")).iloc[0]
    assert row.area_m2 == 0.75
    # pixels (10, 20), (10, 21), (11, 20): middle at column 20 1/3 + 1/2, half a metre each
    assert row.centroid_x_map == pytest.approx(500_000 + (20 + 1 / 3 + 0.5) / 2)
    assert row.centroid_y_map == pytest.approx(5_200_000 - (10 + 1 / 3 + 0.5) / 2)


def test_parquet_is_the_same_table(store, tmp_path):
    pytest.importorskip("pyarrow")
    table = pd.read_parquet(store.export(tmp_path / "t.parquet"))
    other = pd.read_csv(store.export(tmp_path / "t.csv"))
    assert table.columns.tolist() == other.columns.tolist()
    np.testing.assert_array_equal(table.centroid_y_px, other.centroid_y_px)


def test_without_pyarrow_parquet_names_what_to_install(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(LabelsError, match="pip install pyarrow"):
        small.export(tmp_path / "t.parquet")
