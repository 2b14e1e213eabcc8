"""Scripts that version 0.1 exported still run."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_sam import samples
from napari_sam.moved_modules import MOVED_MODULES

SCRIPT = Path(__file__).parent / "io" / "labels" / "reading" / "script_version_0_1.txt"


@pytest.mark.parametrize("name", MOVED_MODULES)
def test_a_moved_module_is_importable_under_its_old_name(name):
    assert importlib.import_module(name).__getattr__("__doc__")


def test_an_unknown_name_of_a_moved_module_is_an_attribute_error():
    moved = importlib.import_module("napari_sam.io.runs")
    assert callable(moved.decode_mask)
    with pytest.raises(AttributeError, match="nonsense"):
        moved.nonsense  # noqa: B018


def test_a_script_exported_by_version_0_1_makes_its_objects_again(tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", np.ascontiguousarray(samples.nuclei()[::2, ::2][:256, :300]))
    (tmp_path / "again.py").write_text(SCRIPT.read_text())
    command = [sys.executable, "again.py", "image.tif", "out.ome.zarr"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    labels = {int(line.split()[1]) for line in done.stdout.splitlines()[1:]}
    assert {500, 501, 502} <= labels
    assert len(labels) > 25
