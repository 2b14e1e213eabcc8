"""The command ``export``."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam.cli import main
from napari_sam.io.labels.label_store import LabelStore


@pytest.fixture
def stores(tmp_path):
    """A folder with two label stores of one object each."""
    folder = tmp_path / "stores"
    folder.mkdir()
    for name in ("a", "b"):
        with LabelStore.create(folder / f"{name}.ome.zarr", shape=(64, 64)) as store:
            store.paint(np.ones((4, 5), int), (1, 1))
    return folder


def test_one_store_is_exported_in_the_format_of_the_extension(stores, tmp_path, capsys):
    out = tmp_path / "a.geojson"
    assert main(["export", str(stores / "a.ome.zarr"), str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"output": str(out), "count": 1, "bytes": out.stat().st_size}


def test_many_stores_are_exported_into_a_folder(stores, tmp_path, capsys):
    (stores / "c.ome.zarr").mkdir()  # no label store
    assert main(["export", str(stores), "--out-dir", str(tmp_path / "out"), "--format", "geojson-pixels"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.geojson", "b.geojson"]


def test_many_stores_need_a_format(stores, tmp_path, capsys):
    assert main(["export", str(stores), "--out-dir", str(tmp_path / "out")]) == 2
    assert "with --out-dir, give --format FORMAT" in capsys.readouterr().err


def test_a_store_has_one_output(stores, capsys):
    assert main(["export", str(stores / "a.ome.zarr")]) == 2
    assert "OUT is missing; give OUT, or --out-dir DIR" in capsys.readouterr().err


def test_a_condition_chooses_the_objects(stores, tmp_path, capsys):
    with LabelStore.open(stores / "a.ome.zarr") as store:
        store.paint(np.full((20, 20), 2), (30, 30))
        store.set_category(2, "it's")
    out = tmp_path / "a.csv"
    command = ["export", str(stores / "a.ome.zarr"), str(out), "--json"]
    assert main([*command, "--where", 'area_px > 50 and class == "it\'s"']) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 1
    assert out.read_text().splitlines()[1].startswith("2,it's")
    assert main([*command, "--where", "area > 50"]) == 2
    assert "did you mean area_px" in capsys.readouterr().err
