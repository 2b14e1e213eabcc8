"""The commands ``everything`` and ``measure``, and what all commands share."""

from __future__ import annotations

import io
import json
import signal

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_sam import samples
from napari_sam.cli import arguments as cli_common
from napari_sam.cli import main
from napari_sam.cli.arguments import ProgressLine
from napari_sam.engine.tiling.find_tiles import TileFailure
from napari_sam.errors import CancelledError, SettingsError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.tile_files import TileFiles
from napari_sam.jobs import segment_image as everything
from napari_sam.jobs.tile_run import UNFINISHED

NUCLEI = str(samples.NUCLEI)
BOXES = "y0,x0,y1,x1,category\n95,158,147,208,cell\n270,240,328,300,cell\n"


@pytest.fixture
def asked(monkeypatch):
    """What `segment_everything` was asked, in its place; it draws one square."""
    calls = []

    def stub(image, predictor, output, method, **choice):
        calls.append({"image": image, "output": output, "method": method, **choice})
        choice["progress"](1, 1)
        if not isinstance(output, LabelStore):
            output = LabelStore.create(output, like=image)
        output.paint(np.ones((4, 5), int), (1, 1))
        failed = [TileFailure((0, 0, 8, 8), "chunk 3 is damaged")] if choice["category"] == "broken" else []
        return everything.EverythingReport("dense", 1, 1, 1, failed, [1], {"find": 0.123}, output)

    monkeypatch.setattr(everything, "segment_everything", stub)
    return calls


def everything_of(tmp_path, *more):
    return main(["everything", NUCLEI, str(tmp_path / "o.ome.zarr"), "--device", "cpu", *more])


def test_options_reach_the_function_and_the_result_is_printed(tmp_path, asked, capsys):
    options = ["--region", "0,0,64,64", "--level", "1", "--points-per-side", "8", "--pred-iou", "0.7"]
    assert everything_of(tmp_path, *options, "--workers", "2", "--category", "cell", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["method"], result["objects"], result["failed"]) == ("dense", 1, [])
    call = asked[0]
    assert (call["region"], call["level"], call["workers"], call["resume"]) == ((0, 0, 64, 64), 1, 2, None)
    assert (call["grid"].points_per_side, call["grid"].pred_iou_thresh) == (8, 0.7)
    assert asked[0]["category"] == "cell"


def test_what_is_there_is_only_touched_when_told_to(tmp_path, asked, capsys):
    assert everything_of(tmp_path) == 0
    assert everything_of(tmp_path) == 2
    assert "is there already: --add adds objects to it, --overwrite replaces it" in capsys.readouterr().err
    for flag in ("--add", "--discard", "--overwrite"):
        assert everything_of(tmp_path, flag) == 0
    assert [call["resume"] for call in asked] == [None, None, False, None]
    with LabelStore.open(tmp_path / "o.ome.zarr", "r") as store:
        assert len(store) == 1  # of the last run alone
    assert [path.name for path in tmp_path.iterdir()] == ["o.ome.zarr"]


def test_failed_tiles_are_listed_and_the_command_fails(tmp_path, asked, capsys):
    assert everything_of(tmp_path, "--category", "broken", "--json") == 1
    streams = capsys.readouterr()
    assert json.loads(streams.out)["failed"] == [{"box": [0, 0, 8, 8], "reason": "chunk 3 is damaged"}]
    assert "1 tiles could not be done" in streams.err
    assert "tile (0, 0, 8, 8): chunk 3 is damaged" in streams.err


def test_ctrl_c_stops_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def stub(*_, cancelled, **__):
        signal.raise_signal(signal.SIGINT)
        assert cancelled()
        raise CancelledError("stopped")

    monkeypatch.setattr(everything, "segment_everything", stub)
    assert everything_of(tmp_path) == 130
    assert "the same command with --resume goes on" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "prompted"], "needs --prompts FILE"),
        (["--method", "grid", "--prompts", "b.csv"], "--prompts with --method grid"),
        (["--prompts", "none.csv"], "no such file of prompts"),
        (["--prompts", "b.csv", "--level", "1"], "no use for a level"),
        (["--method", "dense", "--stability", "0.9"], "a setting of grid mode"),
        (["--level", "-1"], "--level -1"),
        (["--workers", "0"], "--workers 0"),
        (["--diameter", "0"], "--diameter 0: give a positive number"),
        (["--diameter", "-5"], "--diameter -5: give a positive number"),
        (["--diameter", "inf"], "--diameter inf: give a positive number"),
        (["--diameter", "1e12"], "--diameter 1000000000000.0: give a positive number"),
        (["--level", "99"], "--level 99: give a whole number"),
        (["--points-per-side", "0"], "--points-per-side 0: give a whole number"),
        (["--pred-iou", "7"], "--pred-iou 7.0: give a number from 0 to 1"),
        (["--plane", "0"], "has one plane only"),
        (["--measure", "t.xls"], "use .csv or .parquet"),
        (["--region", "900,0,999,9", "--method", "dense"], "(900, 0, 999, 9)"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_nothing_is_left(tmp_path, capsys, options, words):
    assert everything_of(tmp_path, *options) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert not (tmp_path / "o.ome.zarr").exists()


@pytest.mark.parametrize("options", [["--level", "99"], ["--region", "900,0,999,9"], ["--pred-iou", "7"]])
def test_a_refused_command_does_not_replace_what_is_there(tmp_path, capsys, options):
    with LabelStore.create(tmp_path / "o.ome.zarr", shape=(512, 640)) as store:
        store.paint(np.ones((4, 5), int), (1, 1))
    assert everything_of(tmp_path, "--overwrite", *options) == 2
    with LabelStore.open(tmp_path / "o.ome.zarr", "r") as store:
        assert len(store) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["o.ome.zarr"]


def test_refused_prompts_leave_nothing_behind(tmp_path, capsys):
    (tmp_path / "b.csv").write_text(BOXES)
    assert everything_of(tmp_path, "--prompts", str(tmp_path / "b.csv"), "--pred-iou", "7") == 2
    assert "--pred-iou 7.0: give a number from 0 to 1" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["b.csv"]


@pytest.mark.parametrize("flag", [None, "--add", "--resume", "--discard", "--overwrite"])
def test_what_is_no_label_store_is_refused_at_once(tmp_path, capsys, flag):
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


def test_nothing_to_resume_is_no_failure(tmp_path, asked, capsys):
    assert everything_of(tmp_path, "--resume") == 0  # nothing there: it starts
    capsys.readouterr()
    table = tmp_path / "t.csv"
    assert everything_of(tmp_path, "--resume", "--measure", str(table), "--json") == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out)["objects"] == 1
    assert f"nothing to resume in {tmp_path / 'o.ome.zarr'}: it has 1 objects" in streams.err
    assert len(asked) == 1
    assert table.read_text().splitlines()[1].startswith("1,,20,")


def test_a_run_that_was_stopped_is_told_with_how_far_it_came(tmp_path, asked, capsys):
    LabelStore.create(tmp_path / "o.ome.zarr", shape=(512, 640)).close()
    folder = tmp_path / "o.ome.zarr" / UNFINISHED
    folder.mkdir()
    files = TileFiles(folder)
    files.describe({"run": "a", "about": {}, "tiles": 9})
    for name in ("f1-0-0", "f1-0-1"):
        (folder / f"{name}.npz").write_bytes(b"")
    assert everything_of(tmp_path, "--add") == 2
    err = capsys.readouterr().err
    assert "2 of 9 tiles are done: --resume goes on with it, --discard forgets it" in err
    assert everything_of(tmp_path, "--resume") == 0
    assert asked[0]["resume"] is True
    (tmp_path / "b.csv").write_text(BOXES)
    assert everything_of(tmp_path, "--resume", "--prompts", str(tmp_path / "b.csv")) == 2
    assert "is another one: leave out --prompts with --resume" in capsys.readouterr().err


def test_large_objects_are_not_looked_for_if_so_asked(tmp_path, asked):
    assert everything_of(tmp_path, "--no-coarser") == 0
    assert everything_of(tmp_path, "--add") == 0
    assert [call["coarser"] for call in asked] == [False, True]


def test_a_region_takes_the_prompts_whose_middle_lies_inside(tmp_path, capsys):
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


def test_the_real_thing_finds_the_nuclei(tmp_path, capsys, nuclei):
    region = ["--region", "64,128,320,384", "--method", "dense"]
    assert everything_of(tmp_path, *region, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    with LabelStore.open(tmp_path / "o.ome.zarr", "r") as store:
        found, truth = store.array[64:320, 128:384], nuclei[1][64:320, 128:384]
        assert len(store) == result["objects"] > 2
    assert ((found > 0) & (truth > 0)).sum() / ((found > 0) | (truth > 0)).sum() > 0.6


def test_measuring_from_the_command_line(tmp_path, capsys):
    out = tmp_path / "t.csv"
    with LabelStore.create(tmp_path / "l", shape=(512, 640)) as store:
        store.paint(np.ones((10, 20), int), (5, 6))
    arguments = ["measure", str(tmp_path / "l"), NUCLEI, "--out", str(out)]
    assert main([*arguments, "--properties", "area,intensity_max", "--channels", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 1
    assert pd.read_csv(out)[["label", "area_px"]].to_numpy().tolist() == [[1, 200]]
    assert out.read_text().splitlines()[1].startswith("1,,200,")
    assert main([*arguments, "--properties", "colour"]) == 2
    assert "choose from area, bbox" in capsys.readouterr().err
    assert main(["measure", str(tmp_path / "none"), "--out", str(out)]) == 2
    assert "there is no label store here; see 'napari-sam everything'" in capsys.readouterr().err


# ---- what all commands share -----------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--point", "--negative", "--box"])
def test_a_negative_coordinate_is_a_value_and_no_option(capsys, option):
    numbers = "-5,3,-1,9" if option == "--box" else "-5,3"
    assert main(["segment", NUCLEI, "--point", "9,9", option, numbers]) == 2
    assert "(-5, 3" in capsys.readouterr().err
    assert main(["segment", NUCLEI, "--point", "9,9", f"{option}={numbers}"]) == 2


def test_a_plane_of_a_stack_is_chosen(tmp_path, capsys):
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
    assert "has axes of 3 planes" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    times = iter(range(0, 1000, 10))
    monkeypatch.setattr(cli_common.time, "monotonic", lambda: float(next(times)))


def test_progress_on_a_terminal_tells_rate_and_time_left(monkeypatch, clock):
    monkeypatch.setattr(cli_common.sys, "stderr", Terminal())
    line = ProgressLine("tile")
    line(0, 100)
    line(20, 100)
    assert cli_common.sys.stderr.getvalue().split("\r")[-1].strip() == "tile 20/100, 20 %, 2/s, 40 s left"
    cli_common.end_line()
    assert cli_common.sys.stderr.getvalue().endswith("\n")


def test_progress_in_a_file_is_its_last_line_only(monkeypatch, clock):
    monkeypatch.setattr(cli_common.sys, "stderr", io.StringIO())
    line = ProgressLine("tile")
    for done in range(0, 101, 25):
        line(done, 100)
    assert cli_common.sys.stderr.getvalue() == "tile 100/100, 100 %, 2.5/s in 40 s\n"


def test_ctrl_c_shows_the_last_progress_in_a_file_too(tmp_path, monkeypatch, capsys):
    def stub(*_, progress, **__):
        progress(3, 10)
        signal.raise_signal(signal.SIGINT)
        progress(4, 10)
        raise CancelledError("stopped")

    monkeypatch.setattr(everything, "segment_everything", stub)
    assert everything_of(tmp_path) == 130
    lines = capsys.readouterr().err.splitlines()
    assert "--resume goes on" in lines[-3]
    assert lines[-2].startswith("step 4/10, 40 %")
    assert lines[-1] == "napari-sam: interrupted"


@pytest.mark.parametrize(
    ("library", "command"),
    [
        ("go on with resume=True (--resume), or drop it with resume=False (--discard)", "--resume, or drop it with "),
        ("resume=False (--add) forgets it", "--discard forgets it"),
        ("diameter_px -5.0: give more", "--diameter -5.0: give more"),
        ("diameter_px.tif: cannot be read", "diameter_px.tif: cannot be read"),
        ('or leave such prompts out with errors="skip"', "out with --skip-bad"),
        ("exists already; use LabelStore.open, or overwrite=True", "use --add, or --overwrite"),
        ("no label store here; use LabelStore.create", "see 'napari-sam everything'"),
    ],
)
def test_remedies_are_told_in_the_words_of_the_command(tmp_path, monkeypatch, capsys, library, command):
    def stub(*_, **__):
        raise SettingsError(library)

    monkeypatch.setattr(everything, "segment_everything", stub)
    assert everything_of(tmp_path) == 2
    err = capsys.readouterr().err
    assert command in err
    assert "=True" not in err
    assert "=False" not in err
