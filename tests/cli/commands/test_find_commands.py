"""The commands ``concept`` and ``find``."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam import samples
from napari_sam.cli import main
from napari_sam.io.labels.label_store import LabelStore

NUCLEI = str(samples.NUCLEI)


@pytest.fixture(scope="module")
def labels_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "nuclei.tif"
    tifffile.imwrite(path, samples.nuclei_labels().astype(np.uint16))
    return path


@pytest.fixture(scope="module")
def concept_file(labels_file, tmp_path_factory):
    path = tmp_path_factory.mktemp("concept") / "nucleus.concept"
    assert main(["concept", NUCLEI, str(labels_file), "--positive", "1,2", "--out", str(path), "--device", "cpu"]) == 0
    return path


@pytest.fixture
def small(tmp_path):
    """Two small images in a folder."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, (y, x) in enumerate(((60, 130), (200, 200))):
        Image.fromarray(samples.nuclei()[y : y + 160, x : x + 160]).save(folder / f"i{number}.png")
    return folder


def find(*arguments):
    return main(["find", *map(str, arguments), "--device", "cpu"])


def test_a_concept_is_learned_and_reported(labels_file, tmp_path, capsys):
    out = tmp_path / "n.concept"
    options = ["--positive", "1,2", "--negative", "3", "--name", "cell 🧫", "--device", "cpu", "--json"]
    assert main(["concept", NUCLEI, str(labels_file), *options, "--out", str(out)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["name"], result["positive"], result["negative"], result["model"]) == ("cell 🧫", 2, 1, "default")
    assert result["bytes"] == out.stat().st_size <= 200_000


def test_corrections_are_added_to_a_concept(concept_file, labels_file, tmp_path, capsys):
    command = ["concept", NUCLEI, str(labels_file), "--from", str(concept_file), "--negative", "3,4", "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path / "more.concept"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["name"], result["positive"], result["negative"]) == ("nucleus", 2, 2)


def test_a_label_store_gives_examples_as_well(tmp_path, capsys):
    with LabelStore.create(tmp_path / "l.ome.zarr", like=samples.NUCLEI) as store:
        store.paint(samples.nuclei_labels().astype(int), (0, 0))
    command = ["concept", NUCLEI, str(tmp_path / "l.ome.zarr"), "--positive", "1", "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path / "c.concept"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "c"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--positive"),
        (["--positive", "9999"], "9999"),
        (["--positive", "1", "--negative", "1"], "both positive and negative"),
    ],
)
def test_wrong_examples_are_one_line(labels_file, tmp_path, capsys, options, words):
    assert main(["concept", NUCLEI, str(labels_file), *options, "--out", str(tmp_path / "c"), "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "c").exists()


def test_labels_of_another_image_are_refused(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "l.tif", np.ones((9, 9), np.uint8))
    command = ["concept", NUCLEI, str(tmp_path / "l.tif"), "--positive", "1", "--out", str(tmp_path / "c")]
    assert main(command) == 2
    assert "labels of shape (9, 9)" in capsys.readouterr().err


def test_objects_are_found_in_one_image(concept_file, small, tmp_path, capsys):
    out = tmp_path / "o.ome.zarr"
    assert find(concept_file, small / "i0.png", "--out", out, "--class", "kern", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    with LabelStore.open(out, "r") as store:
        assert len(store) == result["objects"] > 0
        assert set(store.table()["category"]) == {"kern"}
    assert (result["concept"], result["failed"]) == ("nucleus", [])


def test_objects_are_found_in_a_folder_and_a_bad_image_does_not_stop_the_others(concept_file, small, tmp_path, capsys):
    (small / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    assert find(concept_file, small, "--out", out, "--candidates", tmp_path / "kept", "--json") == 1
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert (result["inputs"], [str(small / "broken.png")]) == (3, result["failed"])
    assert "broken.png" in captured.err
    assert sorted(path.name for path in out.iterdir()) == [".batch", "find_summary.csv", "i0.ome.zarr", "i1.ome.zarr"]
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["i0", "i1"]
    assert find(concept_file, small, "--out", out, "--json") == 1  # the same again
    assert json.loads(capsys.readouterr().out)["skipped"] == 2
    assert find(concept_file, small, "--out", out, "--threshold", "0.1") == 2
    assert "with threshold None, but threshold is 0.1" in capsys.readouterr().err


def test_an_existing_store_changes_only_with_an_option_for_it(concept_file, small, tmp_path, capsys):
    out = tmp_path / "o.ome.zarr"
    assert find(concept_file, small / "i0.png", "--out", out) == 0
    assert find(concept_file, small / "i0.png", "--out", out) == 2
    assert "--add" in capsys.readouterr().err
    assert find(concept_file, small / "i0.png", "--out", out, "--overwrite") == 0
    assert find(concept_file, small / "i0.png", "--out", out, "--resume") == 0
    assert "nothing to resume" in capsys.readouterr().err


def test_several_images_need_a_folder(concept_file, small, tmp_path, capsys):
    assert find(concept_file, small / "i0.png", small / "i1.png", "--out", tmp_path / "o.zarr") == 2
    assert "give a folder" in capsys.readouterr().err


def test_a_stack_needs_a_choice_and_is_searched_plane_by_plane(concept_file, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "s.tif", np.stack([samples.nuclei()[60:220, 130:290]] * 2), metadata={"axes": "ZYX"})
    out = tmp_path / "o.ome.zarr"
    assert find(concept_file, tmp_path / "s.tif", "--out", out) == 2
    assert "--volume" in capsys.readouterr().err
    assert find(concept_file, tmp_path / "s.tif", "--out", out, "--volume", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["planes"] == 2
    with LabelStore.open(out, "r") as store:
        assert set(store.table()["n_planes"]) == {2}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--threshold", "2"], "--threshold"),
        (["--workers", "0"], "--workers"),
        (["--planes", "0:1"], "--volume"),
        (["--model", "none.pth"], "none.pth"),
    ],
)
def test_wrong_options_are_one_line(concept_file, small, tmp_path, capsys, options, words):
    assert find(concept_file, small / "i0.png", "--out", tmp_path / "o.ome.zarr", *options) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "o.ome.zarr").exists()


def test_a_file_that_is_no_concept_is_refused(small, tmp_path, capsys):
    (tmp_path / "x.concept").write_text("hello")
    assert find(tmp_path / "x.concept", small / "i0.png", "--out", tmp_path / "o.ome.zarr") == 2
    assert "x.concept" in capsys.readouterr().err
