"""The commands ``transcode``, ``overview`` and ``info``."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from napari_sam import open_image
from napari_sam.cli import main


@pytest.fixture
def strip(tmp_path, monkeypatch, rng):
    """A TIFF in one strip, and a cache of its own."""
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))
    picture = rng.integers(0, 9, (4200, 4100), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "s.tif", picture, rowsperstrip=4200, compression="zlib")
    return str(tmp_path / "s.tif")


def test_info_names_levels_chunks_and_advice(strip, capsys):
    assert main(["info", strip, "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["levels"] == [[4200, 4100], [1050, 1025]]
    assert (described["levels of the file"], described["chunk"]) == (1, [4200, 4100])
    assert f"napari-sam transcode {strip}" in described["advice"]


def test_transcode_writes_and_resumes(strip, tmp_path, capsys):
    out = str(tmp_path / "s.ome.zarr")
    assert main(["transcode", strip, out, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["levels"][0] == [4200, 4100]
    assert "100 %" in captured.err
    assert open_image(out).advice is None
    assert main(["transcode", strip, out]) == 2
    assert "an image exists there already; choose another name" in capsys.readouterr().err
    assert main(["transcode", strip, out, "--resume"]) == 0


def test_overview_is_built_once(strip, capsys):
    assert main(["overview", strip, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["overview"].endswith(".zarr")
    assert open_image(strip).has_overview


def test_a_missing_image_is_one_line(tmp_path, capsys):
    assert main(["transcode", "no/such.tif", str(tmp_path / "o.zarr")]) == 2
    assert capsys.readouterr().err == "napari-sam: no/such.tif: no such file or folder; check the path\n"
