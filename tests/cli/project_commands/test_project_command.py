"""The commands of projects."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_sam.cli import main
from napari_sam.project.project import Project


@pytest.fixture
def images(tmp_path, rng):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "ab":
        tifffile.imwrite(folder / f"{name}.tif", rng.integers(0, 255, (20, 30), dtype=np.uint8))
    return folder


@pytest.fixture
def project(tmp_path, images, capsys):
    assert main(["project", "create", str(tmp_path / "p"), str(images), "--group", "condition=wild type"]) == 0
    capsys.readouterr()
    return tmp_path / "p"


def _json(capsys, *arguments):
    assert main(["project", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_images_are_added_listed_and_set(project, images, capsys):
    assert _json(capsys, "add", project, images) == {"added": 0, "known": 2, "failed": 0}
    following = _json(capsys, "next", project)
    assert following["image"] == str(images / "a.tif")
    assert _json(capsys, "set", project, "a.tif", "--state", "done", "--user", "Ada")["state"] == "done"
    listed = _json(capsys, "list", project, "--state", "done")
    assert [(row["image"], row["by"], row["condition"]) for row in listed["images"]] == [("a.tif", "Ada", "wild type")]
    assert _json(capsys, "next", project)["image"] == str(images / "b.tif")
    assert _json(capsys, "set", project, "b.tif", "--state", "checked", "--group", "day=2")["day"] == "2"
    assert _json(capsys, "next", project) == {"image_id": None, "left": 0}


def test_the_most_useful_image_is_next(project, images, rng, capsys):
    tifffile.imwrite(images / "plain.tif", np.full((20, 30), 9, np.uint8))
    _json(capsys, "add", project, images / "plain.tif")
    _json(capsys, "set", project, "a.tif", "--state", "done")
    chosen = _json(capsys, "next", project, "--by", "usefulness")["image"]
    assert chosen in {str(images / "b.tif"), str(images / "plain.tif")}
    for name in ("b.tif", "plain.tif"):
        _json(capsys, "set", project, name, "--state", "in work")
    assert _json(capsys, "next", project, "--by", "usefulness")["state"] == "in work"  # none is unseen


def test_the_list_is_readable_and_a_table(project, tmp_path, capsys):
    assert main(["project", "list", str(project)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("p: 2 unseen, 0 in work")
    assert "0 objects  a.tif" in out
    assert _json(capsys, "list", project, "--out", tmp_path / "t.csv")["images"] == 2
    assert pd.read_csv(tmp_path / "t.csv")["condition"].tolist() == ["wild type"] * 2


def test_moved_images_are_found_and_missing_ones_named(project, images, tmp_path, capsys):
    (tmp_path / "new").mkdir()
    shutil.move(images / "a.tif", tmp_path / "new" / "a.tif")
    (images / "b.tif").unlink()
    assert main(["project", "relocate", str(project), str(tmp_path / "new"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"found": 1, "missing": [str(images / "b.tif")]}


def test_an_image_that_cannot_be_opened_is_named(project, tmp_path, capsys):
    (tmp_path / "bad.tif").write_bytes(b"II*\0nothing")
    assert main(["project", "add", str(project), str(tmp_path / "bad.tif")]) == 1
    assert "bad.tif was left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["list", "."], "is no project"),
        (["set", "PROJECT", "a.tif"], "give --state or --group"),
        (["set", "PROJECT", "a.tif", "--group", "day"], "--group is 'day'"),
        (["set", "PROJECT", "z.tif", "--state", "done"], "no images 'z.tif'"),
        (["create", "PROJECT"], "is a project already"),
    ],
)
def test_bad_input_is_named(project, tmp_path, monkeypatch, capsys, arguments, named):
    monkeypatch.chdir(tmp_path)
    assert main(["project", *(str(project) if word == "PROJECT" else word for word in arguments)]) == 2
    assert named in capsys.readouterr().err


def test_all_images_are_segmented_and_busy_or_finished_ones_passed_over(project, images, tmp_path, capsys):
    missing = images / "c.tif"
    tifffile.imwrite(missing, np.zeros((30, 40), np.uint8))
    assert main(["project", "add", str(project), str(missing)]) == 0
    missing.unlink()
    capsys.readouterr()
    with Project(project, "Bob").image("b.tif").hold():
        command = ["project", "everything", str(project), "--method", "dense", "--diameter", "20", "--device", "cpu"]
        assert main([*command, "--json"]) == 1
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["inputs"] == 3
    assert result["failed"] == [str(images / "b.tif"), str(missing)]
    assert "is open for Bob" in captured.err
    listed = {row["image"]: row["state"] for row in _json(capsys, "list", project)["images"]}
    assert listed == {"a.tif": "in work", "b.tif": "unseen", "c.tif": "in work"}
    assert main(["project", "everything", str(project), "--group", "day=3", "--device", "cpu"]) == 2
    assert "no image has a column 'day'" in capsys.readouterr().err
