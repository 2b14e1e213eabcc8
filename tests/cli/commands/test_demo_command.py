"""The command ``demo``."""

from __future__ import annotations

import json

import numpy as np
import tifffile

from napari_sam.cli import main


def test_the_demo_writes_labels_table_and_screenshot(tmp_path, capsys):
    assert main(["demo", "--headless", "--out", str(tmp_path / "d"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert np.median(result["IoU with the hand-drawn nuclei"]) > 0.75
    assert tifffile.imread(tmp_path / "d" / "labels.tif").max() == 6
    for name in ("objects.csv", "screenshot.png"):
        assert (tmp_path / "d" / name).stat().st_size > 100
