"""The command ``track``, and ``everything`` with ``--volume`` and ``--track``."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_sam import Predictor
from napari_sam.cli import main
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.propagation_folder import PropagationFolder
from napari_sam.jobs.stacks import segment_stack as stacks
from napari_sam.jobs.stacks.stack_report import PlaneFailure, StackReport
from napari_sam.jobs.stacks.stack_store import stack_store
from tests.jobs.stacks.bright_stack import stack

DISCS = [[(30, 30, 10), (62, 60, 13)], [(32, 32, 10), (62, 62, 13)], [(34, 34, 10), (62, 64, 13)]]


@pytest.fixture
def calls(monkeypatch):
    """Replace `segment_stack` by a stub that draws one square, and record its calls."""
    recorded = []

    def stub(request, predictor, output, options):
        recorded.append((request, options))
        options.progress(1, 1)
        store, _ = stack_store(output, request.stack)
        store.paint(np.ones((4, 5), int), (1, 1), plane=(0,) * (len(store.shape) - 2))
        failed = [PlaneFailure(1, "chunk 3 is damaged")] if request.settings.category == "broken" else []
        counts = {"objects": 1, "first_label": 1, "planes": 3, "found": 2, "gaps": 1, "divisions": 0, "side": 64}
        return StackReport("dense", request.stack.axis, failed=failed, seconds={"find": 0.1}, labels=store, **counts)

    monkeypatch.setattr(stacks, "segment_stack", stub)
    return recorded


@pytest.fixture
def write(tmp_path):
    def write_stack(axes="TYX", shape=None):
        path = tmp_path / f"{axes}.tif"
        tifffile.imwrite(path, stack(DISCS, 96), metadata={"axes": axes}, imagej=True)
        return str(path)

    return write_stack


def run(*words):
    return main([*map(str, words), "--device", "cpu"])


def test_options_of_a_volume_reach_the_job(tmp_path, write, calls, capsys):
    options = ("--volume", "--planes", "0:2", "--max-gap", "3", "--min-overlap", "0.3", "--diameter", "20", "--json")
    assert run("everything", write("ZYX"), tmp_path / "o.ome.zarr", *options) == 0
    request, run_options = calls[0]
    assert (request.stack.axis, list(request.planes), request.settings.diameter_px) == ("z", [0, 1], 20)
    assert (request.linking.max_gap, request.linking.min_overlap, run_options.resume) == (3, 0.3, None)
    result = json.loads(capsys.readouterr().out)
    assert (result["objects"], result["planes"], result["gaps"], result["failed"]) == (1, 3, 1, [])


def test_options_of_a_movie_reach_the_job(tmp_path, write, calls, capsys):
    options = ("--max-distance", "9", "--no-divisions", "--min-frames", "2")
    assert run("track", write(), tmp_path / "a.ome.zarr", *options) == 0
    assert run("everything", write(), tmp_path / "b.ome.zarr", "--track", *options) == 0
    for request, _ in calls:
        assert (request.stack.axis, request.planes) == ("t", None)
        linking = request.linking
        assert (linking.max_distance_px, linking.divisions, linking.min_frames) == (9, False, 2)
    assert "frames: 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--max-gap", "2"), "--max-gap is 2, a setting of linking; give --volume or --track"),
        (("--planes", "1:2"), "--planes is 1:2, a setting of linking; give --volume or --track"),
        (("--volume", "--min-frames", "2"), "--min-frames is 2, a setting of linking; give --track"),
        (("--track", "--min-overlap", "0.5"), "--min-overlap is 0.5, a setting of linking; give --volume"),
        (("--volume", "--min-overlap", "2"), "--min-overlap is 2.0; give a number above 0 and up to 1"),
        (("--volume", "--max-gap", "99"), "--max-gap is 99; give a whole number from 0 to 16"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, write, calls, capsys, options, message):
    assert run("everything", write("ZYX"), tmp_path / "o.ome.zarr", *options) == 2
    assert message in capsys.readouterr().err
    assert not calls


def test_a_movie_given_as_a_volume_is_refused_and_leaves_nothing(tmp_path, write, capsys):
    assert run("everything", write("TYX"), tmp_path / "o.ome.zarr", "--volume") == 2
    assert "3 planes lie along t, not along z" in capsys.readouterr().err
    assert not (tmp_path / "o.ome.zarr").exists()


def test_a_plane_that_failed_is_listed_and_the_status_is_1(tmp_path, write, calls, capsys):
    assert run("track", write(), tmp_path / "o.ome.zarr", "--category", "broken") == 1
    assert "1 frames failed" in (err := capsys.readouterr().err)
    assert "plane 1: chunk 3 is damaged" in err


def test_a_stack_without_mode_names_both_modes(tmp_path, write, capsys):
    assert run("everything", write("ZYX"), tmp_path / "o.ome.zarr") == 2
    assert "or segment the whole stack with --volume, or with --track if it is a movie" in capsys.readouterr().err


def test_an_existing_store_changes_only_with_an_option_for_it(tmp_path, write, calls, capsys):
    out = tmp_path / "o.ome.zarr"
    assert run("track", write(), out) == 0
    assert run("track", write(), out) == 2
    assert "exists already" in capsys.readouterr().err
    assert run("track", write(), out, "--resume") == 0
    assert "objects: 1" in capsys.readouterr().out
    assert [run("track", write(), out, flag) for flag in ("--add", "--discard", "--overwrite")] == [0, 0, 0]
    assert [options.resume for _, options in calls] == [None, None, False, None]


def test_many_movies_are_tracked_into_a_folder_and_failed_ones_again(tmp_path, write, calls, capsys):
    movies, out = tmp_path / "movies", tmp_path / "out"
    movies.mkdir()
    for name in ("a.tif", "b.tif"):
        shutil.copy(write(), movies / name)
    assert run("track", movies, "--out-dir", out, "--category", "broken") == 1  # a frame of each failed
    capsys.readouterr()
    assert run("track", movies, "--out-dir", out, "--category", "broken", "--retry-failed", "--json") == 1
    assert len(calls) == 4
    assert json.loads(capsys.readouterr().out)["failed"] == [str(movies / "a.tif"), str(movies / "b.tif")]
    assert pd.read_csv(out / "track_summary.csv")["failed_parts"].tolist() == [1, 1]
    assert run("track", movies, "--out-dir", out, "--point", "0,30,30") == 2
    assert "leave --out-dir out" in capsys.readouterr().err


def test_a_volume_is_segmented_linked_and_measured(tmp_path, write):
    out, table = tmp_path / "o.ome.zarr", tmp_path / "t.csv"
    assert run("everything", write("ZYX"), out, "--volume", "--diameter", "24", "--measure", table) == 0
    with LabelStore.open(out, "r") as labels:
        objects = labels.table()
        assert objects["n_planes"].max() == 3
    assert sorted(pd.read_csv(table)["label"]) == objects["label"].tolist()


def test_objects_at_points_and_boxes_are_followed(tmp_path, write, capsys):
    out = tmp_path / "o.ome.zarr"
    prompts = ("--point", "0,30,30", "--box", "1,47,47,77,77")
    assert run("track", write(), out, *prompts, "--json") == 0
    tracks = json.loads(capsys.readouterr().out)["tracks"]
    assert [track["planes"] for track in tracks] == [[0, 2], [0, 2]]
    with LabelStore.open(out, "r") as labels:
        assert labels.table()["n_planes"].tolist() == [3, 3]
        assert int(labels.array[2, 34, 34]) == tracks[0]["label"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--point", "9,30,30"), "planes 0 to 2"),
        (("--point", "0,30,300"), "300"),
        (("--point", "0,30,30", "--resume"), "resume is True, and no stopped run"),
        (("--point", "0,30,30", "--axis", "q"), "axis is 'q'"),
        (("--point", "0,30,30", "--max-gap", "3"), "--max-gap is 3, which following objects at points and boxes"),
        (("--point", "0,30,30", "--max-distance", "3"), "leave --max-distance out"),
        (("--point", "0,30,30", "--no-divisions"), "leave --no-divisions out"),
        (("--point", "0,30,30", "--method", "grid"), "leave --method out"),
        (("--point", "0,30,30", "--workers", "2"), "leave --workers out"),
        (("--axis", "z"), "--axis is 'z', a setting of objects at points and boxes; give --point or --box, too"),
        (("--carry", "memory"), "--carry is 'memory', a setting of objects at points and boxes"),
    ],
)
def test_prompts_that_cannot_be_followed_are_refused_and_leave_nothing(tmp_path, write, capsys, options, message):
    assert run("track", write(), tmp_path / "o.ome.zarr", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o.ome.zarr").exists()


def test_objects_that_were_being_followed_continue_with_resume(tmp_path, write, capsys):
    movie, out = write(), tmp_path / "o.ome.zarr"
    folder, point = tmp_path / ".o.ome.zarr.following", ("--point", "0,30,30")
    assert run("track", movie, tmp_path / "whole.ome.zarr", *point) == 0
    predictor = Predictor("default", device="cpu")
    predictor.set_image(movie)

    def end(mask):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predictor.propagate_many(
            [{"points": [[0, 30, 30]]}], axis="t", resume_folder=PropagationFolder(folder, 0.0), on_plane=end
        )
    assert run("track", movie, out, *point) == 2
    assert "continue with --resume, or drop them with --discard" in capsys.readouterr().err
    assert run("track", movie, out, *point, "--resume") == 0
    assert not folder.exists()
    with LabelStore.open(out, "r") as labels, LabelStore.open(tmp_path / "whole.ome.zarr", "r") as whole:
        assert (labels.array[...] == whole.array[...]).all()


def test_all_planes_are_used_without_a_note_on_one(tmp_path, write, calls, capsys):
    assert main(["track", write(), str(tmp_path / "o.ome.zarr")]) == 0
    assert "uses plane" not in capsys.readouterr().err
    tifffile.imwrite(tmp_path / "tz.ome.tif", np.zeros((3, 2, 32, 32), np.uint8), metadata={"axes": "TZYX"})
    assert main(["track", str(tmp_path / "tz.ome.tif"), str(tmp_path / "p.ome.zarr")]) == 0
    assert "uses plane 0 of 2 (z), and all 3 (t): choose with --plane" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--point", "0,30,30"]])
def test_a_movie_whose_file_calls_time_depth_is_tracked_with_other_axes(tmp_path, write, calls, capsys, options):
    volume, out = write("ZYX"), tmp_path / "o.ome.zarr"
    assert main(["track", volume, str(out), *options]) == 2
    assert "--axes tyx" in capsys.readouterr().err
    assert not out.exists()
    if not options:
        assert main(["track", volume, str(out), "--axes", "tyx"]) == 0
        assert calls[0][0].stack.axis == "t"
