"""The notebooks run from top to bottom, and leave what they promise."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import tifffile
from jupyter_client import KernelManager
from nbclient import NotebookClient

from napari_sam.io.labels.label_store import LabelStore

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))

pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def kernel():
    """One process for all notebooks, which imports torch once."""
    manager = KernelManager()
    manager.start_kernel()
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.fixture
def run(kernel, tmp_path):
    """Run a notebook in an empty folder, with some of its text replaced; return it and the number of its pictures."""

    def run(name, instead=None):
        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        begin = (
            f"%reset -f\n__spec__ = None\nimport os\nos.chdir({str(tmp_path)!r})\nos.environ['NAPARI_SAM_TEST'] = '1'"
        )
        notebook.cells.insert(0, nbformat.v4.new_code_cell(begin))
        for cell in notebook.cells:
            for old, new in (instead or {}).items():
                cell.source = cell.source.replace(old, new)
        executor = NotebookClient(notebook, km=kernel, timeout=600, startup_timeout=600)
        try:
            executor.execute()
        finally:
            executor.kc.stop_channels()
        pictures = [
            o for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "image/png" in o.get("data", {})
        ]
        return notebook, len(pictures)

    return run


@pytest.mark.parametrize("name", NAMES)
def test_output_is_kept_and_has_no_error_and_no_path_of_the_machine(name):
    text = (NOTEBOOKS / name).read_text(encoding="utf-8")
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert len(text) < 1_000_000
    assert "/tmp/" not in text


def test_the_notebook_of_clicks(run, tmp_path):
    notebook, pictures = run("click_to_mask.ipynb")
    assert tifffile.imread(tmp_path / "nuclei_labels.tif").max() == 3
    assert pictures == 2
    shown = [o for c in notebook.cells[:6] for o in c.get("outputs", ()) if "text/html" in o.get("data", {})]
    assert [o["data"]["text/html"].count("<img") for o in shown] == [1, 1]  # the image and the prediction


def test_the_notebook_of_slides_leaves_a_table_in_micrometres_and_outlines(run, tmp_path):
    _, pictures = run("slide_to_table.ipynb")
    assert pictures == 2
    table, outlines = pd.read_csv(tmp_path / "nuclei.csv"), json.loads((tmp_path / "nuclei.geojson").read_text())
    assert len(table) >= 10
    assert table["area_um2"].tolist() == pytest.approx((table["area_px"] * 0.25).tolist())
    assert sorted(f["id"] for f in outlines["features"]) == table["label"].tolist()


def test_the_notebook_of_maps_leaves_fields_with_their_areas_on_the_map(run, tmp_path):
    pytest.importorskip("geopandas")
    _, pictures = run("geotiff_to_map.ipynb")
    assert pictures == 1
    with closing(sqlite3.connect(tmp_path / "fields.gpkg")) as db:
        areas = [area for (area,) in db.execute("SELECT area_m2 FROM objects")]
        extent = db.execute("SELECT min_x, min_y, max_x, max_y, srs_id FROM gpkg_contents").fetchone()
    assert len(areas) >= 7  # of 9
    assert 5000 < min(areas) < max(areas) < 20_000
    assert 500_000 <= extent[0] < extent[2] <= 500_420
    assert (5_399_670 <= extent[1] < extent[3] <= 5_400_000, extent[4]) == (True, 32632)


def test_the_notebook_of_fine_tuning_leaves_a_model_that_answers(run, tmp_path):
    short = {"steps = 40": "steps = 1", "crop_px=128": "crop_px=64"}
    short['pd.read_csv("runs/mine/log.csv")'] = "pd.DataFrame(columns=['step', 'loss', 'iou_1click'])"  # every 20 steps
    _, pictures = run("fine_tune.ipynb", short)
    assert pictures == 1
    assert (tmp_path / "runs" / "mine" / "model.safetensors").stat().st_size > 1_000_000
    assert len(list((tmp_path / "my_cells").glob("*.labels.tif"))) == 10


def test_the_notebook_of_evaluation_leaves_a_report_of_both_programs(run, tmp_path):
    _, pictures = run("evaluate_models.ipynb", {"[(0, 0), (0, 320), (256, 0), (256, 320)]": "[(0, 0)]"})
    assert pictures == 1
    summary = pd.read_csv(tmp_path / "report" / "summary.csv")
    assert set(summary.loc[summary["metric"] == "mSA", "method"]) == {"default", "otsu"}
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000


def test_the_notebook_of_stacks_leaves_a_table_meshes_and_labels(run, tmp_path):
    _, pictures = run("stack_to_meshes.ipynb")
    assert pictures == 2
    labels, table = tifffile.imread(tmp_path / "nuclei.ome.tif"), pd.read_csv(tmp_path / "nuclei.csv")
    assert labels.shape == (6, 72, 96)
    assert sorted(np.unique(labels[labels > 0]).tolist()) == table["label"].tolist()
    volume_um3 = np.bincount(labels.ravel())[1:] * 0.3 * 0.3 * 1.5
    assert table["volume_um3"].tolist() == pytest.approx(volume_um3[volume_um3 > 0].tolist())
    assert (tmp_path / "nuclei.stl").stat().st_size > 84
    assert (tmp_path / "nuclei.ply").read_bytes().startswith(b"ply")


def test_the_notebook_of_concepts_finds_a_kind_and_leaves_a_table_of_classes(run, tmp_path):
    _, pictures = run("find_all_like_this.ipynb")
    assert pictures == 3
    assert (tmp_path / "nucleus.concept").stat().st_size <= 200_000
    with LabelStore.open(tmp_path / "nuclei.ome.zarr", "r") as nuclei:
        assert set(nuclei.table()["category"]) == {"nucleus"}
        assert len(nuclei) >= 10  # of 17
    table = pd.read_csv(tmp_path / "fields.csv")
    assert set(table["category"]) == {"wheat", "maize"}
    assert 4 <= (table["category"] == "maize").sum() <= 6  # 5 are drawn


@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="needs a display")
def test_the_notebook_of_the_viewer_shares_objects_with_the_window(run, tmp_path):
    notebook, pictures = run("viewer_from_jupyter.ipynb")
    assert pictures == 1
    listed = next(c.outputs[0]["data"]["text/plain"] for c in notebook.cells if "viewer.layers]" in c.source)
    assert "SAM points" in listed
    with LabelStore.open(tmp_path / "nuclei.ome.zarr", "r") as labels:
        assert labels.table()["category"].tolist() == ["nucleus"] * 3
