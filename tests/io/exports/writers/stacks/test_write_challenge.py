"""Result folders of the Cell Tracking Challenge, read by py-ctcmetrics and tifffile."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from ctc_metrics.scripts.evaluate import evaluate_sequence
from ctc_metrics.scripts.validate import validate_sequence

from napari_sam.errors import LabelsError
from napari_sam.io.exports.writers.stacks import write_challenge
from napari_sam.io.tracks.track_table import make_tracks, read_track_file, track_lines
from tests.io.exports.writers.stacks.stacks import movie, stack_store


@pytest.fixture
def labels():
    return movie()


def test_the_folder_is_valid_and_scores_one_against_itself(tmp_path, labels):
    frames, parents = labels
    with stack_store(tmp_path / "m.zarr", frames, "tyx", (60.0, 0.5, 0.5), parents) as store:
        folder = store.export(tmp_path / "01_RES", format="ctc")
    assert validate_sequence(str(folder))["Valid"] == 1
    table = read_track_file(folder / "res_track.txt")
    truth = tmp_path / "01_GT"
    for part, prefix in (("TRA", "man_track"), ("SEG", "man_seg")):
        (truth / part).mkdir(parents=True)
        for t in range(len(frames)):
            mask = tifffile.imread(folder / f"mask{t:03d}.tif")
            assert np.array_equal(mask > 0, frames[t] > 0)
            tifffile.imwrite(truth / part / f"{prefix}{t:03d}.tif", mask)
    (truth / "TRA" / "man_track.txt").write_text(track_lines(table))
    scores = evaluate_sequence(str(folder), str(truth), ["SEG", "DET", "TRA", "BC"], threads=1)
    assert (scores["SEG"], scores["DET"], scores["TRA"], scores["tp_div(0)"]) == (1, 1, 1, 2)


def test_gaps_and_mothers_that_keep_their_id_become_several_tracks(tmp_path, labels):
    frames, parents = labels
    with stack_store(tmp_path / "m.zarr", frames, "tyx", (60.0, 0.5, 0.5), parents) as store:
        folder = store.export(tmp_path / "out.ctc")
    expected = make_tracks({1: [0, 1], 2: [2, 3, 4], 3: [2, 3, 4], 4: [0, 1, 3, 4], 5: range(5), 6: [3, 4]}, parents)
    assert (folder / "res_track.txt").read_text() == track_lines(expected)
    for t in range(5):
        assert np.array_equal(tifffile.imread(folder / f"mask{t:03d}.tif"), expected.relabel(frames[t], t))


def test_volumes_are_written_as_pages_and_strips_agree(tmp_path, labels, monkeypatch):
    monkeypatch.setattr(write_challenge, "_STRIP_PX", 300)
    volumes = np.stack([labels[0], np.roll(labels[0], 2, axis=-1)], axis=1)
    with stack_store(tmp_path / "m.zarr", volumes, "tzyx", (60.0, 2.0, 0.5, 0.5)) as store:
        folder = store.export(tmp_path / "out", format="ctc")
    for t in range(5):
        mask = tifffile.imread(folder / f"mask{t:03d}.tif")
        assert mask.shape == (2, 40, 60)
        assert np.array_equal(mask > 0, volumes[t] > 0)


def test_ids_beyond_16_bits_are_numbered_anew(tmp_path):
    frames = np.zeros((2, 8, 8), np.uint32)
    frames[0, :4], frames[1, 4:] = 70_000, 90_000
    with stack_store(tmp_path / "m.zarr", frames, "tyx", (1.0, 1.0, 1.0)) as store:
        folder = store.export(tmp_path / "out", format="ctc")
    assert (folder / "res_track.txt").read_text() == "1 0 0 0\n2 1 1 0\n"
    assert tifffile.imread(folder / "mask001.tif").max() == 2


def test_chosen_objects_only(tmp_path, labels):
    with stack_store(tmp_path / "m.zarr", labels[0], "tyx", (60.0, 0.5, 0.5), labels[1]) as store:
        folder = store.export(tmp_path / "out", format="ctc", labels=[2, 3])
    assert (folder / "res_track.txt").read_text() == "2 2 4 0\n3 2 4 0\n"
    assert set(np.unique(tifffile.imread(folder / "mask004.tif"))) == {0, 2, 3}


def test_volumes_without_time_are_refused_and_nothing_is_left(tmp_path, labels):
    with stack_store(tmp_path / "m.zarr", labels[0], "zyx", (1.0, 0.5, 0.5)) as store:
        with pytest.raises(LabelsError, match="tracks need the axes tyx or tzyx, and the labels have zyx"):
            store.export(tmp_path / "out", format="ctc")
    assert not (tmp_path / "out").exists()


def test_a_movie_without_objects_has_empty_frames(tmp_path):
    with stack_store(tmp_path / "m.zarr", np.zeros((3, 10, 12), np.uint32), "tyx", (1.0, 1.0, 1.0)) as store:
        folder = store.export(tmp_path / "out", format="ctc")
    assert (folder / "res_track.txt").read_text() == ""
    assert not tifffile.imread(folder / "mask002.tif").any()
