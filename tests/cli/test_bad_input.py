"""Bad input of the commands: one line that names the value in the command line's words, and what to do."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam.cli import main
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an image, a volume, prompts and a label store, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("a.tif", np.zeros((64, 80), np.uint8))
    tifffile.imwrite("z.tif", np.zeros((3, 64, 80), np.uint8), imagej=True, metadata={"axes": "ZYX"})
    (tmp_path / "p.csv").write_text("y,x\n5,5\n")
    with LabelStore.create("s.ome.zarr", like=open_image("a.tif")) as store:
        store.paint(np.ones((5, 6), np.uint32), (2, 3))
    return tmp_path


EVERYTHING = ("everything", "a.tif", "o.ome.zarr")
PROMPTED = (*EVERYTHING, "--prompts", "p.csv")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("segment", "a.tif", "--point", "1"), "argument --point: '1' is not 2 or 3 numbers"),
        (("segment",), "required: image; see 'napari-sam segment --help'"),
        ((*EVERYTHING, "--region", "a\nb"), "argument --region: "),
        ((*EVERYTHING, "--add", "--resume"), "--resume: not allowed with argument --add"),
        (("nonsense",), "see 'napari-sam --help'"),
        (("models", "fetch"), "see 'napari-sam models fetch --help'"),
        (("everything", "z.tif", "o.ome.zarr", "--volume", "--planes", "-1:2"), "'-1:2' is not a range of planes"),
    ],
)
def test_what_cannot_be_parsed_is_one_line(folder, capsys, arguments, words):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    written = capsys.readouterr().err
    assert stopped.value.code == 2
    assert words in written
    assert written.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*EVERYTHING, "--min-score", "2"), "--min-score is 2.0; give a number from 0 to 1"),
        ((*PROMPTED, "--min-score", ".9"), "--min-score is 0.9, which prompted mode does not use; give --pred-iou"),
        ((*PROMPTED, "--branches", "dense"), "--branches is dense, which prompted mode does not use; leave --branches"),
        ((*PROMPTED, "--border", "whole", "--region", "0,0,9,9"), "leave --border or --prompts out"),
        ((*EVERYTHING, "--border", "whole"), "give --region, too"),
        ((*EVERYTHING, "--prompt-masks"), "give --prompts FILE, too"),
        ((*EVERYTHING, "--image-id", "3"), "--image-id is 3, a setting of prompts"),
        ((*EVERYTHING, "--coordinates", "map"), "--coordinates is map, a setting of prompts"),
        ((*EVERYTHING, "--skip-bad"), "--skip-bad is True, a setting of prompts"),
        (("segment", "a.tif", "--point", "3,3", "--diameter", "0"), "--diameter is 0.0; give a positive number"),
        (("segment", "a.tif", "--point", "3,3", "--diameter", "nan"), "--diameter is nan; give a positive number"),
        (("segment", "a.tif", "--point", "3,3", "--diameter", "-4"), "--diameter is -4.0; give a positive number"),
        (("everything", "z.tif", "o.ome.zarr", "--volume", "--planes", "2:1"), "--planes is 2:1, and the stack has"),
        (("everything", "z.tif", "o.ome.zarr", "--volume", "--planes", "1:9"), "give A:B, B excluded, inside 0:3"),
        (
            ("everything", "z.tif", "o.ome.zarr", "--volume", "--plane", "1"),
            "--plane is 1, and all planes along z are segmented; leave --plane out, or choose planes with --planes A:B",
        ),
        (("everything", "z.tif", "o.ome.zarr", "--track"), "'napari-sam everything --volume'; or, if the file names"),
        (("track", "a.tif", "o.ome.zarr"), "segment one image with 'napari-sam everything'"),
        (("everything", "z.tif", "o.ome.zarr"), "choose it with --plane 0, counted from 0"),
        (("measure", "s.ome.zarr", "--out", "s.ome.zarr/o.csv"), "lies in the label store; choose a path outside"),
        (("export", "s.ome.zarr", "o.csv", "--objects", "9"), "'napari-sam export LABELS - --format csv' lists"),
    ],
)
def test_what_is_not_used_or_out_of_range_is_one_line_and_writes_nothing(folder, capsys, arguments, words):
    before = sorted(folder.iterdir())
    assert main(arguments) == 2
    written = capsys.readouterr().err
    assert words in written
    assert written.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_a_folder_that_cannot_keep_embeddings_is_one_error_and_no_warning(folder, capsys):
    assert main(["precompute", "a.tif", "--cache", "p.csv"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("napari-sam: embeddings cannot be kept in ")
    assert not any("Warning" in line for line in lines)
