"""Stores are remembered for images, and a damaged index is like an empty one."""

from __future__ import annotations

import pytest

from napari_sam.io.labels.store_index import remember_store, remembered_store


@pytest.fixture(autouse=True)
def data(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_a_store_is_remembered_while_it_exists(tmp_path):
    (tmp_path / "a.ome.zarr").mkdir()
    remember_store("cells 1", tmp_path / "a.ome.zarr")
    assert remembered_store("cells 1") == tmp_path / "a.ome.zarr"
    assert remembered_store("other 1") is None
    (tmp_path / "a.ome.zarr").rmdir()
    assert remembered_store("cells 1") is None


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"cells 1": 3}', "[" * 100_000])
def test_a_damaged_index_is_replaced(data, content, tmp_path):
    data.mkdir()
    (data / "stores.json").write_text(content)
    assert remembered_store("cells 1") is None
    remember_store("cells 1", tmp_path)
    assert remembered_store("cells 1") == tmp_path
