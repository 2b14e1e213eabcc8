"""The command ``segment``, and what all commands share: one-line errors, planes, negative coordinates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_sam import samples
from napari_sam.cli import main
from napari_sam.io.geo.geotiff import make_geo_tags
from napari_sam.io.images.open_image import open_image
from tests.text.tiny_models import make_grounding_dino

NUCLEI = str(samples.NUCLEI)


def test_segment_writes_labels_and_prints_json(tmp_path, capsys, nuclei):
    out = tmp_path / "l.tif"
    status = main(["segment", NUCLEI, "--point", "121,182", "--negative", "5,5", "--output", str(out), "--json"])
    assert status == 0
    result = json.loads(capsys.readouterr().out)
    labels, truth = tifffile.imread(out), nuclei[1] == nuclei[1][121, 182]
    assert result["objects"][0]["area_px"] == (labels == 1).sum()
    assert ((labels == 1) & truth).sum() / ((labels == 1) | truth).sum() > 0.7


def test_masks_that_are_not_written_are_pointed_out(tmp_path, capsys):
    point = ["--point", "100,100"]
    assert main(["segment", NUCLEI, *point]) == 0
    assert "give --output" in capsys.readouterr().err
    for more in (["--json"], ["--output", str(tmp_path / "m.tif")]):
        assert main(["segment", NUCLEI, *point, *more]) == 0
        assert "not written" not in capsys.readouterr().err


@pytest.mark.parametrize("way", ["same", "roundabout", "link"])
def test_masks_do_not_replace_the_image(tmp_path, monkeypatch, capsys, way):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    tifffile.imwrite("a.tif", np.zeros((64, 64), np.uint8))
    Path("link.tif").symlink_to("a.tif")
    before = Path("a.tif").read_bytes()
    output = {"same": "a.tif", "roundabout": "sub/../a.tif", "link": "link.tif"}[way]
    assert main(["segment", "a.tif", "--point", "3,3", "--output", output]) == 2
    assert "is the image itself" in capsys.readouterr().err
    assert Path("a.tif").read_bytes() == before


def test_masks_of_an_image_on_the_map_lie_there(tmp_path):
    tags = make_geo_tags("EPSG:32632", (2.0, 0.0, 5e5, 0.0, -3.0, 5e6), (64, 64))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64), np.uint8), extratags=tags)
    out = tmp_path / "m.tif"
    assert main(["segment", str(tmp_path / "a.tif"), "--box", "8,16,40,50", "--output", str(out)]) == 0
    assert open_image(out).position == open_image(tmp_path / "a.tif").position


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


def test_a_checkpoint_of_another_kind_is_refused(tmp_path, capsys):
    (tmp_path / "x.pth").write_bytes(b"<html>not weights</html>")
    assert main(["segment", NUCLEI, "--point", "1,1", "--model", str(tmp_path / "x.pth")]) == 2
    assert "x.pth" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--point", "--negative", "--box"])
def test_a_negative_coordinate_is_a_value_not_an_option(capsys, option):
    numbers = "-5,3,-1,9" if option == "--box" else "-5,3"
    assert main(["segment", NUCLEI, "--point", "9,9", option, numbers]) == 2
    assert "(-5, 3" in capsys.readouterr().err
    assert main(["segment", NUCLEI, "--point", "9,9", f"{option}={numbers}"]) == 2


def test_a_plane_of_a_stack_is_selected(tmp_path, capsys):
    stack = np.zeros((3, 64, 64), np.uint8)
    stack[2, 20:40, 20:40] = 200
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    arguments = ["segment", str(tmp_path / "s.tif"), "--box", "18,18,42,42", "--json"]
    assert main([*arguments, "--plane", "2"]) == 0
    area = json.loads(capsys.readouterr().out)["objects"][0]["area_px"]
    assert abs(area - 400) < 60
    assert main([*arguments, "--plane", "3"]) == 2
    assert "--plane 3" in capsys.readouterr().err
    assert main([*arguments, "--plane", "0,0"]) == 2
    assert "s.tif has planes 3 (z)" in capsys.readouterr().err


def test_words_need_something_that_knows_them(capsys):
    assert main(["segment", str(NUCLEI), "--text", "qwertz"]) == 2
    error = capsys.readouterr().err
    assert "text: 'qwertz' is not in the vocabulary" in error
    assert "as --detector" in error


def test_words_are_answered_by_a_detector(tmp_path, capsys):
    pytest.importorskip("transformers")
    detector = make_grounding_dino(tmp_path / "dino")
    arguments = ["--text", "zebra", "--detector", str(detector), "--box", "40,40,140,140", "--json"]
    assert main(["segment", str(NUCLEI), *arguments]) == 0
    assert len(json.loads(capsys.readouterr().out)["objects"]) == 1


@pytest.fixture
def stack(tmp_path, nuclei):
    plane = np.asarray(nuclei[0])
    path = tmp_path / "stack.tif"
    stacked = np.stack([np.zeros_like(plane), plane, plane // 2])
    tifffile.imwrite(path, stacked, photometric="minisblack", metadata={"axes": "ZYX"})
    return str(path)


@pytest.mark.parametrize("prompt", [("--point", "121,182"), ("--box", "95,158,147,208")])
def test_a_point_or_box_with_a_plane_segments_that_plane(stack, capsys, prompt):
    option, place = prompt
    assert main(["segment", stack, option, place, "--plane", "1", "--json"]) == 0
    by_option = json.loads(capsys.readouterr().out)["objects"]
    assert main(["segment", stack, option, f"1,{place}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["objects"] == by_option
    assert by_option[0]["area_px"] > 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--point", "1,121,182", "--point", "2,121,182"], "the planes 1, 2"),
        (["--point", "1,121,182", "--plane", "0"], "the planes 0, 1"),
        (["--point", "7,121,182"], "7"),
        (["--point", "0.5,121,182"], "not a whole number"),
        (["--point", "1,121,182", "--plane", "0,1"], "plane is 0,1"),
    ],
)
def test_planes_that_contradict_each_other_are_refused(stack, capsys, arguments, words):
    assert main(["segment", stack, *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_point_needs_two_or_three_numbers(capsys):
    with pytest.raises(SystemExit):
        main(["segment", NUCLEI, "--point", "1"])
    assert "is not 2 or 3 numbers" in capsys.readouterr().err


def test_a_plane_of_an_image_without_planes_is_refused(capsys):
    assert main(["segment", NUCLEI, "--point", "1,121,182"]) == 2
    assert "one plane only" in capsys.readouterr().err
