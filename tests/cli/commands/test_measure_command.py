"""The command ``measure``."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from napari_sam import samples
from napari_sam.cli import main
from napari_sam.io.labels.label_store import LabelStore

NUCLEI = str(samples.NUCLEI)


def test_measure_writes_a_table_and_names_wrong_arguments(tmp_path, capsys):
    out = tmp_path / "t.csv"
    with LabelStore.create(tmp_path / "l", shape=(512, 640)) as store:
        store.paint(np.ones((10, 20), int), (5, 6))
    arguments = ["measure", str(tmp_path / "l"), NUCLEI, "--out", str(out)]
    assert main([*arguments, "--properties", "area,intensity_max", "--channels", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 1
    assert pd.read_csv(out)[["label", "area_px"]].to_numpy().tolist() == [[1, 200]]
    assert out.read_text().splitlines()[1].startswith("1,,200,")
    assert main([*arguments, "--properties", "colour"]) == 2
    assert "choose from area, bbox" in capsys.readouterr().err
    assert main(["measure", str(tmp_path / "none"), "--out", str(out)]) == 2
    assert "there is no label store here; see 'napari-sam everything'" in capsys.readouterr().err
