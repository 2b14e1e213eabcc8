"""A script made of the journal makes the same objects again."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from skimage.io import imsave

from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.engine.windows import Hints
from napari_sam.errors import LabelsError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.reading.replay import to_script
from napari_sam.predictor import Predictor


@pytest.fixture
def picture(tmp_path):
    """Bright discs on a dark ground, larger than one window."""
    y, x = np.mgrid[:700, :900]
    image = np.random.default_rng(0).integers(0, 30, (700, 900)).astype(np.uint8)
    for cy, cx, r in ((120, 150, 40), (300, 300, 60), (520, 620, 90), (150, 700, 30)):
        image[(y - cy) ** 2 + (x - cx) ** 2 < r * r] += 150
    imsave(tmp_path / "discs.png", image, check_contrast=False)
    return tmp_path / "discs.png"


def test_running_the_script_gives_the_same_pixels_and_table(picture, tmp_path):
    predictor = Predictor(device="cpu")
    predictor.set_image(picture)
    with LabelStore.create(tmp_path / "a.ome.zarr", like=predictor.image) as labels:
        first = predictor.predict(points=[(120, 150)])
        labels.commit(first, category="disc")
        labels.commit(predictor.predict(box=(235, 235, 365, 365), multimask=False))
        labels.commit(predictor.predict(points=[(520, 620)], hints=Hints(diameter_px=180)), candidate=1)
        lasso = MaskPrompt(np.ones((40, 40), bool), (130, 680, 170, 720))
        labels.commit(predictor.predict(mask=lasso, box=(118, 668, 182, 732)), overlap="replace")
        labels.undo()
        again = predictor.predict(points=[(120, 150), (125, 160)], point_labels=[1, 1], mask=first)
        labels.commit(again, label=1)
        labels.paint(np.full((9, 9), 77), (600, 20))
        labels.merge([2, 77])
        labels.set_category(3, "large")
        script = to_script(labels)
        pixels, table = labels.array[...], labels.table().drop(columns="created")
    (tmp_path / "replay.py").write_text(script)
    out = tmp_path / "b.ome.zarr"
    command = [sys.executable, str(tmp_path / "replay.py"), str(picture), str(out)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    with LabelStore.open(out) as replayed:
        same = replayed.array[...]
        assert ((same == pixels) | (same == 0) | (pixels == 0)).all()
        assert (same != pixels).sum() <= 0.002 * (pixels > 0).sum()  # logits are kept in half precision
        columns = ["label", "category", "model"]
        assert replayed.table()[columns].equals(table[columns])


def test_the_script_names_image_and_changes(tmp_path):
    with LabelStore.create(tmp_path / "a", shape=(20, 30)) as labels:
        labels.paint(np.ones((2, 2), int), (3, 4))
        labels.erase(1)
        script = to_script(labels)
        assert labels.export(tmp_path / "again.py").read_text() == script.replace("replay.py", "again.py")
        with pytest.raises(LabelsError, match="all objects"):
            labels.export(tmp_path / "some.py", labels=[1])
    assert "2 changes" in script
    assert "labels.erase(1)" in script
    compile(script, "replay.py", "exec")
