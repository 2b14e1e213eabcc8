"""Many inputs of one command."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
import tifffile

from napari_sam.cli.many_inputs import run_each
from napari_sam.errors import CancelledError, ImageError, SettingsError, StoreError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs.input_pairs import InputPair, pair_inputs


@pytest.fixture
def images(tmp_path):
    """A folder with two images, a label store, a hidden file and a text."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "table.npy").write_bytes(b"no picture")
    for name in ("b.tif", "a.ome.tif", ".hidden.tif"):
        tifffile.imwrite(folder / name, np.zeros((8, 8), np.uint8))
    (folder / "notes.txt").write_text("mine")
    LabelStore.create(folder / "b.ome.zarr", shape=(8, 8)).close()
    return folder


def names(pairs):
    return [(pair.source.rsplit("/", 1)[-1], pair.out.name) for pair in pairs]


def test_a_folder_stands_for_the_images_in_it(images, tmp_path):
    pairs = pair_inputs([str(images)], tmp_path / "new" / "out", ".ome.zarr")
    assert names(pairs) == [("a.ome.tif", "a.ome.zarr"), ("b.tif", "b.ome.zarr")]
    assert (tmp_path / "new" / "out").is_dir()


def test_a_folder_stands_for_its_label_stores_where_a_command_reads_those(images, tmp_path):
    assert names(pair_inputs([str(images)], tmp_path, ".csv", stores=True)) == [("b.ome.zarr", "b.csv")]


def test_patterns_files_and_urls_are_inputs(images, tmp_path):
    pairs = pair_inputs([str(images / "?.tif"), "https://x.org/c.zarr?version=3", "missing.png"], tmp_path, ".csv")
    assert names(pairs) == [("b.tif", "b.csv"), ("c.zarr?version=3", "c.csv"), ("missing.png", "missing.csv")]


def test_an_input_that_is_named_twice_is_read_once(images, tmp_path):
    assert len(pair_inputs([str(images / "b.tif"), str(images / "*.tif")], tmp_path, ".csv")) == 2


def test_inputs_of_one_name_are_refused(images, tmp_path):
    (images / "sub").mkdir()
    tifffile.imwrite(images / "sub" / "B.tif", np.zeros((8, 8), np.uint8))
    with pytest.raises(SettingsError, match=r"b\.tif and .*B\.tif would both be written to") as raised:
        pair_inputs([str(images / "**" / "*.tif")], tmp_path, ".csv")
    assert raised.value.parameter == "out_dir"


@pytest.mark.parametrize("pattern", ["*.png", "empty"])
def test_patterns_and_folders_without_an_image_are_errors(images, tmp_path, pattern):
    (images / "empty").mkdir()
    with pytest.raises(ImageError, match=r"no file has such a name|the folder holds no image"):
        pair_inputs([str(images / pattern)], tmp_path, ".csv")


def test_a_folder_that_cannot_be_made_is_an_error(images):
    with pytest.raises(StoreError, match="cannot be made"):
        pair_inputs([str(images)], images / "b.tif", ".csv")


def run_on(paths, run, **more):
    args = argparse.Namespace(json=False, words={}, out_dir="out", **more)
    return args, run_each(args, [InputPair(path, path) for path in paths], run)


def test_an_input_that_fails_does_not_stop_the_others(capsys):
    def run(args, pair):
        if pair.source == "b":
            raise ImageError("b is damaged", remedy="copy it again")
        args.status = 1 if pair.source == "c" else 0  # some of its tiles failed
        return {"objects": 2}

    args, result = run_on("abcd", run)
    assert result == {"output": "out", "inputs": 4, "objects": 6, "failed": ["b", "c"]}
    assert args.status == 1
    err = capsys.readouterr().err
    assert "napari-sam: b (2 of 4)\nnapari-sam: b is damaged; copy it again\nnapari-sam: c (3 of 4)" in err


def test_cancelling_stops_all():
    calls = []

    def run(args, pair):
        calls.append(pair.source)
        raise CancelledError

    with pytest.raises(CancelledError):
        run_on("ab", run)
    assert calls == ["a"]


def test_success_is_exit_status_zero_and_json_lists_every_result():
    args = argparse.Namespace(json=True, words={}, out_dir="out")
    result = run_each(args, [InputPair("a", "a")], lambda args, pair: {"count": 3})
    assert args.status == 0
    assert result == {"output": "out", "inputs": 1, "objects": 3, "failed": [], "results": [{"count": 3}]}
