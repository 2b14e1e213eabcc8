"""The command ``everything``."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_sam import samples
from napari_sam.cli import main
from napari_sam.engine.tiling.find_tiles import TileFailure
from napari_sam.errors import CancelledError, NothingSegmentedError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs import segment_everything as everything
from napari_sam.jobs.image_run import UNFINISHED
from src_models.run_record import RunRecord

NUCLEI = str(samples.NUCLEI)
BOXES = "y0,x0,y1,x1,category\n95,158,147,208,cell\n270,240,328,300,cell\n"


@pytest.fixture
def calls(monkeypatch):
    """Replace `segment_everything` by a stub that draws one square, and record its calls."""
    recorded = []

    def stub(image, predictor, output, method, **choice):
        recorded.append({"image": image, "output": output, "method": method, **choice})
        choice["progress"](1, 1)
        if not isinstance(output, LabelStore):
            output = LabelStore.create(output, like=image, stack=False)
        output.paint(np.ones((4, 5), int), (1, 1))
        failed = [TileFailure((0, 0, 8, 8), "chunk 3 is damaged")] if choice["category"] == "broken" else []
        return everything.EverythingReport("dense", 1, 1, 1, failed, [1], {"find": 0.123}, output)

    monkeypatch.setattr(everything, "segment_everything", stub)
    return recorded


def everything_of(tmp_path, *more):
    return main(["everything", NUCLEI, str(tmp_path / "o.ome.zarr"), "--device", "cpu", *more])


def test_options_reach_the_function_and_the_result_is_printed(tmp_path, calls, capsys):
    options = ["--region", "0,0,64,64", "--level", "1", "--points-per-side", "8", "--pred-iou", "0.7"]
    assert everything_of(tmp_path, *options, "--workers", "2", "--category", "cell", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["method"], result["objects"], result["failed"]) == ("dense", 1, [])
    call = calls[0]
    assert (call["region"], call["level"], call["workers"], call["resume"]) == ((0, 0, 64, 64), 1, 2, None)
    assert (call["grid"].points_per_side, call["grid"].pred_iou_thresh) == (8, 0.7)
    assert calls[0]["category"] == "cell"


def test_an_existing_store_changes_only_with_an_option_for_it(tmp_path, calls, capsys):
    assert everything_of(tmp_path) == 0
    assert everything_of(tmp_path) == 2
    assert "exists already; add objects to it with --add, or replace it with --overwrite" in capsys.readouterr().err
    for flag in ("--add", "--discard", "--overwrite"):
        assert everything_of(tmp_path, flag) == 0
    assert [call["resume"] for call in calls] == [None, None, False, None]
    with LabelStore.open(tmp_path / "o.ome.zarr", "r") as store:
        assert len(store) == 1  # of the last run alone
    assert [path.name for path in tmp_path.iterdir()] == ["o.ome.zarr"]


def test_failed_tiles_are_listed_and_the_command_fails(tmp_path, calls, capsys):
    assert everything_of(tmp_path, "--category", "broken", "--json") == 1
    streams = capsys.readouterr()
    assert json.loads(streams.out)["failed"] == [{"box": [0, 0, 8, 8], "reason": "chunk 3 is damaged"}]
    assert "1 tiles failed" in streams.err
    assert "tile (0, 0, 8, 8): chunk 3 is damaged" in streams.err


def test_ctrl_c_stops_and_tells_how_to_continue(tmp_path, monkeypatch, capsys):
    def stub(*_, cancelled, **__):
        signal.raise_signal(signal.SIGINT)
        assert cancelled()
        raise CancelledError("stopped")

    monkeypatch.setattr(everything, "segment_everything", stub)
    assert everything_of(tmp_path) == 130
    assert f"continue in {tmp_path}/o.ome.zarr with the same command and --resume" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_writes_the_pending_progress(tmp_path, monkeypatch, capsys):
    def stub(*_, progress, **__):
        progress(3, 10)
        signal.raise_signal(signal.SIGINT)
        progress(4, 10)
        raise CancelledError("stopped")

    monkeypatch.setattr(everything, "segment_everything", stub)
    assert everything_of(tmp_path) == 130
    lines = capsys.readouterr().err.splitlines()
    assert "--resume" in lines[-3]
    assert lines[-2].startswith("step 4/10, 40 %")
    assert lines[-1] == "napari-sam: interrupted"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "prompted"], "give its --prompts FILE"),
        (["--method", "grid", "--prompts", "b.csv"], "leave out --prompts or --method"),
        (["--prompts", "none.csv"], "no such file"),
        (["--prompts", "b.csv", "--level", "1"], "--level is 1, which prompted mode does not use"),
        (["--method", "dense", "--stability", "0.9"], "--stability is 0.9, a setting of grid mode; use --method grid"),
        (["--level", "-1"], "--level is -1"),
        (["--workers", "0"], "--workers is 0"),
        (["--diameter", "0"], "--diameter is 0.0; give a number above 0"),
        (["--diameter", "-5"], "--diameter is -5.0; give a number above 0"),
        (["--diameter", "inf"], "--diameter is inf; give a number above 0"),
        (["--diameter", "1e12"], "--diameter is 1000000000000.0; give a number"),
        (["--level", "99"], "--level is 99; give a whole number"),
        (["--points-per-side", "0"], "--points-per-side is 0; give a whole number from 1"),
        (["--pred-iou", "7"], "--pred-iou is 7.0; give a number from 0 to 1"),
        (["--plane", "0"], "has one plane only"),
        (["--measure", "t.xls"], "use .csv or .parquet"),
        (["--measure", "t.csv", "--prompts", "./t.csv"], "--measure t.csv is the file of the prompts"),
        (["--region", "900,0,999,9", "--method", "dense"], "(900, 0, 999, 9)"),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing_behind(tmp_path, capsys, options, words):
    assert everything_of(tmp_path, *options) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert not (tmp_path / "o.ome.zarr").exists()


@pytest.mark.parametrize("options", [["--level", "99"], ["--region", "900,0,999,9"], ["--pred-iou", "7"]])
def test_a_refused_command_does_not_replace_the_store(tmp_path, capsys, options):
    with LabelStore.create(tmp_path / "o.ome.zarr", shape=(512, 640)) as store:
        store.paint(np.ones((4, 5), int), (1, 1))
    assert everything_of(tmp_path, "--overwrite", *options) == 2
    with LabelStore.open(tmp_path / "o.ome.zarr", "r") as store:
        assert len(store) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["o.ome.zarr"]


def test_refused_prompts_leave_nothing_behind(tmp_path, capsys):
    (tmp_path / "b.csv").write_text(BOXES)
    assert everything_of(tmp_path, "--prompts", str(tmp_path / "b.csv"), "--pred-iou", "7") == 2
    assert "--pred-iou is 7.0" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["b.csv"]


def test_a_damaged_image_takes_no_objects_away(tmp_path, monkeypatch, capsys):
    (tmp_path / "b.csv").write_text(BOXES)
    image, out = tmp_path / "i.tif", tmp_path / "o.ome.zarr"
    tifffile.imwrite(image, samples.nuclei(), tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(image) as tiff, image.open("r+b") as file:
        for offset, size in zip(tiff.pages[0].dataoffsets, tiff.pages[0].databytecounts, strict=True):
            file.seek(offset)
            file.write(b"\xff" * size)
    with LabelStore.create(out, shape=(512, 640)) as store:
        store.paint(np.ones((4, 5), int), (1, 1))

    def all_tiles_fail(image, predictor, output, method, **choice):
        LabelStore.create(output, like=image, stack=False).close()
        choice["progress"](1, 1)
        raise NothingSegmentedError("not one of 1 tiles could be segmented")

    monkeypatch.setattr(everything, "segment_everything", all_tiles_fail)
    for options in (["--prompts", str(tmp_path / "b.csv")], []):
        assert main(["everything", str(image), str(out), "--device", "cpu", "--overwrite", *options]) == 2
        assert "could be segmented" in capsys.readouterr().err
        with LabelStore.open(out, "r") as store:
            assert len(store) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.csv", "i.tif", "o.ome.zarr"]


@pytest.mark.parametrize("flag", [None, "--add", "--resume", "--discard", "--overwrite"])
def test_other_files_and_folders_are_refused_as_output(tmp_path, capsys, flag):
    (tmp_path / "notes").write_text("mine")
    (tmp_path / "image.ome.zarr").mkdir()
    words = {
        "notes": "is a file, not a label store; give OUT a new name",
        "image.ome.zarr": "is not a label store; choose another path",
        "none/o.ome.zarr": f"the folder {tmp_path / 'none'} does not exist; create it first",
        "o.TIF": "napari-sam export OUT o.TIF",
        "o.geojson": "napari-sam export OUT o.geojson",
    }
    for name, said in words.items():
        assert main(["everything", "no image", str(tmp_path / name), *([flag] if flag else [])]) == 2
        assert said in capsys.readouterr().err
    assert (tmp_path / "notes").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"notes", "image.ome.zarr"}


def test_nothing_to_resume_is_a_success(tmp_path, calls, capsys):
    assert everything_of(tmp_path, "--resume") == 0  # nothing there: it starts
    capsys.readouterr()
    table = tmp_path / "t.csv"
    assert everything_of(tmp_path, "--resume", "--measure", str(table), "--json") == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out)["objects"] == 1
    assert f"nothing to resume in {tmp_path / 'o.ome.zarr'}: it has 1 objects" in streams.err
    assert len(calls) == 1
    assert table.read_text().splitlines()[1].startswith("1,,20,")


def test_a_stopped_run_is_reported_with_its_progress(tmp_path, calls, capsys):
    LabelStore.create(tmp_path / "o.ome.zarr", shape=(512, 640)).close()
    folder = tmp_path / "o.ome.zarr" / UNFINISHED
    folder.mkdir()
    RunRecord.begin(folder / "run.json", {}, unit="tiles", total=9)
    for name in ("f1-0-0", "f1-0-1"):
        (folder / f"{name}.npz").write_bytes(b"")
    assert everything_of(tmp_path, "--add") == 2
    err = capsys.readouterr().err
    assert "2 of 9 tiles are done; continue it with --resume, or drop it with --discard" in err
    assert everything_of(tmp_path, "--resume") == 0
    assert calls[0]["resume"] is True
    (tmp_path / "b.csv").write_text(BOXES)
    assert everything_of(tmp_path, "--resume", "--prompts", str(tmp_path / "b.csv")) == 2
    assert "is of the other kind; leave out --prompts with --resume" in capsys.readouterr().err


def test_objects_at_the_border_of_a_region_may_be_followed(tmp_path, calls):
    assert everything_of(tmp_path, "--region", "0,0,64,64", "--border", "whole") == 0
    assert everything_of(tmp_path, "--region", "0,0,64,64", "--add") == 0
    assert [call["border"] for call in calls] == ["whole", "cut"]


def test_no_coarser_skips_large_objects(tmp_path, calls):
    assert everything_of(tmp_path, "--no-coarser") == 0
    assert everything_of(tmp_path, "--add") == 0
    assert [call["coarser"] for call in calls] == [False, True]


def test_a_region_selects_the_prompts_with_their_middle_inside(tmp_path, capsys):
    (tmp_path / "b.csv").write_text(BOXES)
    prompts = ["--prompts", str(tmp_path / "b.csv"), "--workers", "2", "--json"]
    assert everything_of(tmp_path, *prompts, "--region", "0,0,9,9") == 2
    assert "--region 0,0,9,9: no prompt has its middle there" in capsys.readouterr().err
    assert everything_of(tmp_path, *prompts, "--region", "0,0,122,184") == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out)["prompts"] == 1
    assert "1 of 2 prompts lie outside --region and are left out" in streams.err
    assert "--workers has no effect with --prompts" in streams.err


def test_boxes_of_a_file_become_objects_and_a_table(tmp_path, capsys):
    (tmp_path / "b.csv").write_text(BOXES + "5,5,5,9,bad\n")
    prompts = ["--prompts", str(tmp_path / "b.csv")]
    assert everything_of(tmp_path, *prompts) == 2
    assert "line 4: box (5, 5, 5, 9) is empty" in capsys.readouterr().err
    table = tmp_path / "t.csv"
    assert everything_of(tmp_path, *prompts, "--skip-bad", "--measure", str(table), "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["method"], result["objects"], result["skipped"]) == ("prompted", 2, 1)
    measured = pd.read_csv(table)
    assert measured.category.tolist() == ["cell", "cell"]
    assert (measured.area_px > 500).all()


def test_everything_finds_the_nuclei(tmp_path, capsys, nuclei):
    region = ["--region", "64,128,320,384", "--method", "dense"]
    assert everything_of(tmp_path, *region, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    with LabelStore.open(tmp_path / "o.ome.zarr", "r") as store:
        labels, truth = store.array[64:320, 128:384], nuclei[1][64:320, 128:384]
        assert len(store) == result["objects"] > 2
    assert ((labels > 0) & (truth > 0)).sum() / ((labels > 0) | (truth > 0)).sum() > 0.6


def test_many_images_are_segmented_into_a_folder_and_one_table(tmp_path, calls, capsys):
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / name, samples.nuclei())
    (tmp_path / "c.tif").write_text("no image")
    table = tmp_path / "all.csv"
    command = ["everything", str(tmp_path / "*.tif"), "--out-dir", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*command, "--measure", str(table), "--json"]) == 1
    streams = capsys.readouterr()
    result = json.loads(streams.out)
    assert (result["inputs"], result["objects"], result["failed"]) == (3, 2, [str(tmp_path / "c.tif")])
    made = {"a.ome.zarr", "b.ome.zarr", "everything_summary.csv", ".batch"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == made
    measured = pd.read_csv(table)
    assert measured.image.tolist() == [str(tmp_path / "a.tif"), str(tmp_path / "b.tif")]
    assert measured.area_px.tolist() == [20, 20]
    (tmp_path / "c.tif").unlink()
    assert main([*command, "--resume"]) == 0
    assert len(calls) == 2  # both were finished


@pytest.fixture
def batch(tmp_path, calls):
    """A command over two images and one that is none."""
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / name, samples.nuclei())
    (tmp_path / "c.tif").write_text("no image")
    return ["everything", str(tmp_path / "*.tif"), "--out-dir", str(tmp_path / "out"), "--device", "cpu"]


def results_of(capsys, command, status):
    assert main([*command, "--json"]) == status
    streams = capsys.readouterr()
    result = json.loads(streams.out)
    states = {Path(one["image"]).name: one["state"] for one in result["results"]}
    return states, streams.err


def test_the_same_command_again_does_what_is_left(tmp_path, batch, calls, capsys):
    assert results_of(capsys, batch, 1)[0] == {"a.tif": "done", "b.tif": "done", "c.tif": "failed"}
    table = pd.read_csv(tmp_path / "out" / "everything_summary.csv")
    assert table["state"].tolist() == ["done", "done", "failed"]
    assert table["objects"].tolist()[:2] == [1, 1]
    assert "c.tif" in table["error"][2]
    tifffile.imwrite(tmp_path / "c.tif", samples.nuclei())
    tifffile.imwrite(tmp_path / "d.tif", samples.nuclei())
    assert results_of(capsys, [*batch, "--retry-failed"], 0)[0] == {"c.tif": "done"}
    states, err = results_of(capsys, batch, 0)
    assert states == {"a.tif": "skipped", "b.tif": "skipped", "c.tif": "skipped", "d.tif": "done"}
    assert "3 of 4 are done already, with the same settings" in err
    assert len(calls) == 4


def test_a_misspelled_model_is_refused_once_and_makes_nothing(tmp_path, batch, calls, capsys):
    assert main([*batch, "--model", "vitt"]) == 2
    err = capsys.readouterr().err
    assert err.count("unknown model 'vitt' (did you mean vit_t") == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_a_killed_command_continues_with_the_image_it_was_at(tmp_path, batch, calls, monkeypatch, capsys):
    whole = everything.segment_everything

    def killed(image, predictor, output, method, **choice):
        if len(calls) == 1:
            LabelStore.create(output, like=image, stack=False).close()
            raise KeyboardInterrupt
        return whole(image, predictor, output, method, **choice)

    monkeypatch.setattr(everything, "segment_everything", killed)
    assert main(batch) == 130
    assert pd.read_csv(tmp_path / "out" / "everything_summary.csv")["state"].tolist() == ["done", "begun"]
    monkeypatch.setattr(everything, "segment_everything", whole)
    capsys.readouterr()
    assert results_of(capsys, batch, 1)[0] == {"a.tif": "skipped", "b.tif": "done", "c.tif": "failed"}
    assert len(calls) == 2


def test_other_settings_are_named_before_anything_is_done(tmp_path, batch, calls, capsys):
    main(batch)
    capsys.readouterr()
    assert main([*batch, "--diameter", "20"]) == 2
    err = capsys.readouterr().err
    assert "a.ome.zarr was made by an earlier batch with diameter_px None, but diameter_px is 20.0" in err
    assert "--overwrite" in err
    states, _ = results_of(capsys, [*batch, "--diameter", "20", "--overwrite"], 1)
    assert states == {"a.tif": "done", "b.tif": "done", "c.tif": "failed"}
    assert results_of(capsys, [*batch, "--diameter", "20"], 1)[0]["a.tif"] == "skipped"
    assert len(calls) == 4


def test_the_table_of_measurements_also_has_images_that_were_done_before(tmp_path, batch, capsys):
    main(batch)
    assert main([*batch, "--measure", str(tmp_path / "all.csv")]) == 1
    assert len(pd.read_csv(tmp_path / "all.csv")) == 2


def test_prompts_of_one_image_are_refused_for_many(tmp_path, capsys):
    (tmp_path / "b.csv").write_text(BOXES)
    command = ["everything", NUCLEI, "--out-dir", str(tmp_path / "out"), "--prompts", str(tmp_path / "b.csv")]
    assert main(command) == 2
    assert "belong to one image; leave --out-dir out" in capsys.readouterr().err


@pytest.mark.parametrize("outs", [[], ["a.ome.zarr", "b.ome.zarr"]])
def test_one_image_has_one_output(tmp_path, capsys, outs):
    assert main(["everything", NUCLEI, *outs]) == 2
    assert "--out-dir DIR" in capsys.readouterr().err


def test_a_stack_is_refused_until_a_plane_is_chosen(tmp_path, calls, capsys):
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, np.zeros((3, 64, 64), np.uint8), metadata={"axes": "ZYX"}, ome=True)
    assert main(["everything", str(stack), str(tmp_path / "o.ome.zarr")]) == 2
    err = capsys.readouterr().err
    assert "a stack of 3 along z; the labels would be of a single plane; choose it with --plane 0" in err
    assert not (tmp_path / "o.ome.zarr").exists()
    assert main(["everything", str(stack), str(tmp_path / "o.ome.zarr"), "--plane", "2"]) == 0
    assert calls[0]["image"].plane == (2,)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--text", "qwertz"], "'qwertz' is not in the vocabulary"),
        (["--text", ""], "text is ''"),
        (["--detector", "owl"], "detector owl; give --text, too"),
        (["--text", "cells", "--prompts", "b.csv"], "leave --text or --prompts out"),
        (["--text", "cells", "--volume"], "leave --text or --volume out"),
        (["--text", "zebra", "--detector", "no/such"], "hf download no/such"),
    ],
)
def test_words_that_cannot_be_answered_are_one_line(tmp_path, capsys, arguments, words):
    assert main(["everything", str(NUCLEI), str(tmp_path / "out.ome.zarr"), *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.ome.zarr").exists()
