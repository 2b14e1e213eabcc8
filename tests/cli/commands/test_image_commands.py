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


@pytest.fixture
def several(tmp_path, rng):
    """A TIFF of a small picture, and a stack of three larger ones."""
    with tifffile.TiffWriter(tmp_path / "m.tif") as writer:
        writer.write(rng.integers(0, 9, (20, 30), dtype=np.uint8))
        writer.write(rng.integers(0, 9, (3, 64, 80), dtype=np.uint8), photometric="minisblack")
    return str(tmp_path / "m.tif")


def test_info_names_what_was_chosen_and_the_options_that_choose_otherwise(several, capsys):
    assert main(["info", several, "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["shape"] == [64, 80]
    assert [note.rpartition(" ")[2] for note in described["chosen"]] == ["--series", "--plane"]
    assert main(["info", several, "--series", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shape"] == [20, 30]
    assert main(["info", several, "--series", "9"]) == 2
    assert "--series is 9; " in capsys.readouterr().err


def test_commands_report_what_they_chose_unless_the_user_did(several, tmp_path, capsys):
    assert main(["transcode", several, str(tmp_path / "m.ome.zarr")]) == 0
    assert "the file also has series 0 of 20 x 30 px: choose with --series" in capsys.readouterr().err
    command = ["segment", several, "--point", "30,30", "--output", str(tmp_path / "masks.tif")]
    assert main(command) == 0
    assert "uses plane 0 of 3 (q): choose with --plane" in capsys.readouterr().err
    assert main([*command, "--plane", "1", "--series", "1"]) == 0
    assert capsys.readouterr().err == ""


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
