"""The command line: results, exit statuses, one-line errors."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from napari_sam import samples
from napari_sam.cli import main

NUCLEI = str(samples.NUCLEI)


def test_segment_writes_labels_and_prints_json(tmp_path, capsys, nuclei):
    out = tmp_path / "l.tif"
    status = main(["segment", NUCLEI, "--point", "121,182", "--negative", "5,5", "--output", str(out), "--json"])
    assert status == 0
    result = json.loads(capsys.readouterr().out)
    labels, truth = tifffile.imread(out), nuclei[1] == nuclei[1][121, 182]
    assert result["objects"][0]["area_px"] == (labels == 1).sum()
    assert ((labels == 1) & truth).sum() / ((labels == 1) | truth).sum() > 0.7


def test_several_boxes_are_several_objects(capsys):
    assert main(["segment", NUCLEI, "--box", "95,158,147,208", "--box", "270,240,328,300"]) == 0
    assert capsys.readouterr().out.count("object ") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["segment", NUCLEI], "no prompt"),
        (["segment", NUCLEI, "--point", "999,3"], "(999, 3) lies outside"),
        (["segment", "no/such.tif", "--point", "1,1"], "no/such.tif"),
        (["segment", NUCLEI, "--point", "1,1", "--model", "sam9"], "sam9"),
        (["segment", NUCLEI, "--point", "1,1", "--device", "abacus"], "abacus"),
        (["segment", NUCLEI, "--box", "5,5,5,9"], "is empty"),
        (
            ["segment", NUCLEI, "--point", "1,1", "--box", "1,1,5,9", "--box", "1,1,5,9"],
            "2 boxes with points",
        ),
        (["segment", NUCLEI, "--point", "9,9", "--output", "/no/where.tif"], "/no"),
        (["info", NUCLEI + "x"], "no such file"),
        (["models", "info", "sam9"], "sam9"),
    ],
)
def test_bad_input_is_one_line_and_status_2(capsys, arguments, words):
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert err.startswith("napari-sam: ")


@pytest.mark.parametrize("arguments", [["segment", NUCLEI, "--point", "1;2"], ["segment"], ["nonsense"]])
def test_bad_arguments_are_status_2(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_info_describes_an_image(capsys):
    assert main(["info", NUCLEI, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shape"] == [512, 640]


def test_models_are_listed_and_described(capsys):
    assert main(["models", "list"]) == 0
    listed = capsys.readouterr().out
    assert "default" in listed
    assert "vit_h" in listed
    assert main(["models", "info", "vit_b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size_bytes"] == 375_042_383


def test_a_checkpoint_of_another_kind_is_refused(tmp_path, capsys):
    (tmp_path / "x.pth").write_bytes(b"<html>not weights</html>")
    assert main(["segment", NUCLEI, "--point", "1,1", "--model", str(tmp_path / "x.pth")]) == 2
    assert "x.pth" in capsys.readouterr().err


def test_the_demo_leaves_labels_table_and_picture(tmp_path, capsys):
    assert main(["demo", "--headless", "--out", str(tmp_path / "d"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert np.median(result["IoU with the hand-drawn nuclei"]) > 0.75
    assert tifffile.imread(tmp_path / "d" / "labels.tif").max() == 6
    for name in ("objects.csv", "screenshot.png"):
        assert (tmp_path / "d" / name).stat().st_size > 100
