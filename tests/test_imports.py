"""What importing costs, and what it drags in."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("package", ["napari_sam", "src_models", "src_models.checkpoints.registry"])
def test_import_is_light(package):
    code = f"import sys, {package}; print([m for m in ('torch', 'napari', 'qtpy', 'zarr') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_engine_needs_no_gui():
    code = (
        "import sys; sys.modules['napari'] = sys.modules['qtpy'] = None\n"
        "from napari_sam import Predictor, open_image\n"
        "import napari_sam.evaluation.experiments.point_prompts, napari_sam.cli"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_dock_opens_without_matplotlib_and_torch():
    code = "import sys, napari_sam.widgets.dock; print([m for m in ('matplotlib', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_resolve():
    import napari_sam

    for name in napari_sam.__all__:
        assert getattr(napari_sam, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        napari_sam.nonsense  # noqa: B018


def test_label_stores_exports_and_measurements_need_no_torch(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "import napari_sam as ns\n"
        "from napari_sam.io.labels.measurement.measure import measure\n"
        f"with ns.LabelStore.create({str(tmp_path / 's.ome.zarr')!r}, shape=(40, 40)) as store:\n"
        "    store.paint(np.ones((4, 5), int), (1, 1))\n"
        "    for name in ('o.csv', 'o.geojson', 'o.tif', 'o.zip', 'o.json'):\n"
        f"        store.export({str(tmp_path)!r} + '/' + name)\n"
        "    assert measure(store).area_px.tolist() == [20]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
