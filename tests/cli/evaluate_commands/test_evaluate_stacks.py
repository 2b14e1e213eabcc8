"""The commands ``evaluate volumes`` and ``evaluate tracking``."""

from __future__ import annotations

import json
import shutil

import numpy as np

from napari_sam.cli import main
from tests.evaluation.experiments.stacks.stack_stubs import write_stack

HERE = ["--workers", "0", "--device", "cpu"]


def small_stack(axes, root):
    labels = np.zeros((3, 48, 48), np.uint16)
    labels[:, 8:24, 8:24], labels[:, 28:42, 26:44] = 1, 2
    return write_stack(root, labels, axes=axes)


def test_volumes_have_tables_and_a_report(tmp_path, capsys):
    small_stack("ZYX", tmp_path / "data")
    arguments = ["evaluate", "volumes", str(tmp_path / "data"), "--per-image", "1", "--clicks", "1", *HERE]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    row = result["data sets"]["toy"]
    assert (row["objects"], row["images"]) == (1, 1)
    assert 0 <= row["same click"] <= 1
    assert row["IoU 3-D"] > 0.5
    assert set(result["tables"]) == {"volumes", "volumes everything"}
    assert "AP50" in result["tables"]["volumes everything"]["default"]["toy"]
    page = (tmp_path / "out" / "report.md").read_text()
    assert "Volumes from one click" in page
    assert "All objects of volumes" in page


def test_movies_have_a_table_and_other_programs_theirs(tmp_path, capsys):
    folder = small_stack("TYX", tmp_path / "data")
    (tmp_path / "others").mkdir()
    shutil.copy(folder / "a.labels.tif", tmp_path / "others" / "a.tif")
    arguments = ["evaluate", "tracking", str(tmp_path / "data"), "--per-image", "1", "--no-everything"]
    assert main([*arguments, "--labels", f"tracker={tmp_path / 'others'}", "--json", *HERE]) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    assert 0 < tables["tracking"]["default"]["toy"]["J&F"] <= 1
    assert set(tables["tracking everything"]) == {"tracker"}
    assert tables["tracking everything"]["tracker"]["toy"]["TRA"] == 1


def test_data_without_stacks_are_refused_with_the_remedy(tmp_path, capsys):
    small_stack("TYX", tmp_path)
    assert main(["evaluate", "volumes", str(tmp_path), *HERE]) == 2
    error = capsys.readouterr().err
    assert "no volume with labels" in error
    assert "NAME.image.tif and NAME.labels.tif" in error
