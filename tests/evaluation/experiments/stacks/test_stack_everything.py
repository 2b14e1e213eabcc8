"""All objects of volumes and movies, found without a network, against the truth."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

import napari_sam as ns
from napari_sam.engine.linking.link_settings import FrameLinking
from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.stacks.labelled_stacks import find_stack_samples
from napari_sam.evaluation.experiments.experiment import SampleResult
from napari_sam.evaluation.experiments.stacks.stack_everything import (
    TrackingEverythingExperiment,
    VolumeEverythingExperiment,
    tracks_of_store,
    volume_scores,
)
from napari_sam.evaluation.metrics.label_matching import label_scores
from tests.evaluation.experiments.stacks.stack_stubs import volume, write_stack
from tests.jobs.stacks.bright_stack import StackSegmenter, stack
from tests.jobs.stacks.test_segment_stack import LEFT, MOTHER, MOVIE, RIGHT, VOLUME


@pytest.fixture(scope="module")
def predictor():
    return ns.Predictor(device="cpu")


def labelled(planes, names):
    """Return labels in which every disc has the number that `names` gives it."""
    labels = np.zeros((len(planes), 160, 160), np.uint16)
    for k, discs in enumerate(planes):
        for disc in discs:
            labels[k][stack([[disc]])[0] > 0] = names(disc)
    return labels


def test_a_volume_found_whole_scores_one(tmp_path, predictor):
    write_stack(tmp_path, labelled(VOLUME, lambda disc: disc[0]))
    (sample,) = find_stack_samples(tmp_path, "dev", "volume", None, [])
    experiment = VolumeEverythingExperiment(segment=StackSegmenter())
    payload = experiment.measure(sample, predictor, 0)
    assert payload["linked"]["ap50"] == payload["linked"]["seg"] == 1
    records = list(experiment.records([SampleResult("toy", "a", payload)], "m"))
    quality = {r.protocol: r.value for r in records if r.metric == "PQ"}
    assert quality["linked"] == 1
    assert 0 < quality["stitched planes"] <= 1  # by the default model


def test_a_movie_with_a_division_scores_one(tmp_path, predictor):
    names = {MOTHER[:2]: 1, LEFT[:2]: 2, RIGHT[:2]: 3}
    folder = write_stack(tmp_path, labelled(MOVIE, lambda disc: names.get(disc[:2], 4)), axes="TYX")
    (folder / "a.tracks.txt").write_text("1 0 1 0\n2 2 3 1\n3 2 3 1\n4 0 3 0\n")
    (sample,) = find_stack_samples(tmp_path, "dev", "movie", None, [])
    experiment = TrackingEverythingExperiment(segment=StackSegmenter(FrameLinking, "t"))
    scores = experiment.measure(sample, predictor, 0)["linked"]
    assert scores == {"seg": 1, "det": 1, "tra": 1, "lnk": 1, "division_f1": 1}


def test_scores_plane_by_plane_are_those_of_the_whole_volume(tmp_path):
    write_stack(tmp_path, volume())
    (sample,) = find_stack_samples(tmp_path, "dev", "volume", None, [])
    predicted = np.roll(volume(), (1, 2), (0, 2))
    scores = volume_scores(sample.read_stack(), predicted.__getitem__)
    whole = label_scores(volume(), predicted)
    assert (scores["msa"], scores["pq"], scores["seg"]) == pytest.approx((whole.msa, whole.pq, whole.seg))


def test_tracks_of_a_store_have_its_parents(tmp_path):
    with ns.LabelStore.create(tmp_path / "m.zarr", shape=(4, 20, 20)) as store:
        mask = (np.ones((4, 4), bool), (2, 2, 6, 6))
        store.commit_planes({0: mask, 1: mask}, label=5)
        store.commit_planes({2: mask}, label=7, parent=5)
        assert [tuple(track)[:4] for track in tracks_of_store(store).tracks] == [(5, 0, 1, 0), (7, 2, 2, 5)]


def test_images_of_another_shape_are_refused(tmp_path, predictor):
    folder = write_stack(tmp_path, volume())
    tifffile.imwrite(folder / "a.image.tif", np.zeros((6, 40, 61), np.uint8), metadata={"axes": "ZYX"})
    (sample,) = find_stack_samples(tmp_path, "dev", "volume", None, [])
    with pytest.raises(EvaluationError, match="for an image of shape"):
        VolumeEverythingExperiment(segment=StackSegmenter()).measure(sample, predictor, 0)
