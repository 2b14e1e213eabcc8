"""The notebooks run from top to bottom, and leave what they promise."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import tifffile
from nbclient import NotebookClient

from napari_sam.io.labels.label_store import LabelStore

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def run(name, folder):
    """Run a notebook in a folder; return it and the number of its pictures."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    pictures = [
        o for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "image/png" in o.get("data", {})
    ]
    return notebook, len(pictures)


@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM_TEST", "1")
    notebook, pictures = run("click_to_mask.ipynb", tmp_path)
    assert tifffile.imread(tmp_path / "nuclei_labels.tif").max() == 3
    assert pictures == 2
    shown = [o for c in notebook.cells[:5] for o in c.get("outputs", ()) if "text/html" in o.get("data", {})]
    assert [o["data"]["text/html"].count("<img") for o in shown] == [1, 1]  # the image and the prediction
    if os.environ.get("DISPLAY"):
        assert "SAM points" in notebook.cells[-1].outputs[-1]["text"]


@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_the_notebook_of_stacks_leaves_a_table_meshes_and_labels(tmp_path):
    _, pictures = run("stack_to_meshes.ipynb", tmp_path)
    assert pictures == 2
    labels, table = tifffile.imread(tmp_path / "nuclei.ome.tif"), pd.read_csv(tmp_path / "nuclei.csv")
    assert labels.shape == (6, 72, 96)
    assert sorted(np.unique(labels[labels > 0]).tolist()) == table["label"].tolist()
    volume_um3 = np.bincount(labels.ravel())[1:] * 0.3 * 0.3 * 1.5
    assert table["volume_um3"].tolist() == pytest.approx(volume_um3[volume_um3 > 0].tolist())
    assert (tmp_path / "nuclei.stl").stat().st_size > 84
    assert (tmp_path / "nuclei.ply").read_bytes().startswith(b"ply")


@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_the_notebook_of_concepts_finds_a_kind_and_leaves_a_table_of_classes(tmp_path):
    _, pictures = run("find_all_like_this.ipynb", tmp_path)
    assert pictures == 3
    assert (tmp_path / "nucleus.concept").stat().st_size <= 200_000
    with LabelStore.open(tmp_path / "nuclei.ome.zarr", "r") as nuclei:
        assert set(nuclei.table()["category"]) == {"nucleus"}
        assert len(nuclei) >= 10  # of 17
    table = pd.read_csv(tmp_path / "fields.csv")
    assert set(table["category"]) == {"wheat", "maize"}
    assert (table["category"] == "maize").sum() >= 3  # of 5
