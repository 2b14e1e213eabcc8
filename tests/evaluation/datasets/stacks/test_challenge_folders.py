"""Data sets of the Cell Tracking Challenge: images, markers, whole objects, and their table."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.stacks.challenge_folders import ChallengeFolder
from napari_sam.evaluation.datasets.stacks.labelled_stacks import find_stack_samples, open_stack_sample
from napari_sam.evaluation.experiments.stacks.movie_prompts import MovieExperiment
from napari_sam.evaluation.experiments.stacks.stack_everything import tracking_scores
from tests.evaluation.experiments.stacks.stack_stubs import FollowOracle, volume


def write_frames(folder, prefix, frames):
    folder.mkdir(parents=True, exist_ok=True)
    for t, frame in frames:
        tifffile.imwrite(folder / f"{prefix}{t:03d}.tif", frame)


@pytest.fixture
def data(tmp_path):
    """A movie whose truth has markers of 2 x 2 pixels, and whole objects in frame 3."""
    labels = volume()
    root = tmp_path / "Fluo"
    write_frames(root / "01", "t", enumerate((labels > 0).astype(np.uint8) * 200))
    markers = np.zeros_like(labels)
    markers[:5, 8:10, 10:12], markers[2:5, 25:27, 35:37] = 3, 8
    write_frames(root / "01_GT" / "TRA", "man_track", enumerate(markers))
    (root / "01_GT" / "TRA" / "man_track.txt").write_text("3 0 4 0\n8 2 4 0\n")
    write_frames(root / "01_GT" / "SEG", "man_seg", [(3, labels[3])])
    return root


@pytest.mark.parametrize("depth", [0, 1])
def test_movies_are_found_in_a_data_set_and_in_a_folder_of_them(data, depth):
    (sample,) = find_stack_samples(data if depth == 0 else data.parent, "dev", "movie", None, [])
    assert (sample.dataset, sample.name, sample.kind) == ("Fluo", "01", "movie")
    image, truth = open_stack_sample(sample)
    assert (image.plane_axes, truth.shape) == ({"t": 6}, (6, 40, 60))
    assert [(t.id, t.begin, t.end) for t in truth.tracks.tracks] == [(3, 0, 4), (8, 2, 4)]


def test_seg_counts_whole_objects_and_tra_the_markers(data):
    (sample,) = find_stack_samples(data, "dev", "movie", None, [])
    truth = sample.read_stack()
    labels = volume()
    labels[3, 20:36, 46:50] = 0  # a fifth of object 8 is missing
    scores = tracking_scores(truth, labels.__getitem__, truth.tracks, 1)
    assert scores["tra"] == scores["det"] == 1
    assert scores["seg"] == pytest.approx((1 + 0.8) / 2)


def test_markers_have_no_outline_for_j_and_f(data):
    (sample,) = find_stack_samples(data, "dev", "movie", None, [])
    assert MovieExperiment().measure(sample, FollowOracle(volume()), 0)["labels"] == []


def test_missing_frames_and_tables_are_named(data):
    (data / "01_GT" / "TRA" / "man_track002.tif").unlink()
    truth = ChallengeFolder(data / "01_GT" / "TRA")
    with pytest.raises(EvaluationError, match="frame 2 is missing"):
        truth.plane(2)
    (data / "01_GT" / "TRA" / "man_track.txt").unlink()
    with pytest.raises(EvaluationError, match=r"has no res_track\.txt"):
        _ = ChallengeFolder(data / "01_GT" / "TRA").tracks
