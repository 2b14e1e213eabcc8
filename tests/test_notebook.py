"""The notebook runs from top to bottom, and leaves what it promises."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
import tifffile
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "click_to_mask.ipynb"


@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM_TEST", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert tifffile.imread(tmp_path / "nuclei_labels.tif").max() == 3
    pictures = [
        o for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "image/png" in o.get("data", {})
    ]
    assert len(pictures) == 2
    if os.environ.get("DISPLAY"):
        assert "SAM points" in notebook.cells[-1].outputs[-1]["text"]
