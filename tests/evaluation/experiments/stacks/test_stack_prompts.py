"""Objects followed from one click: IoU, decay, corrections, J and F, with numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.geometry import Box
from napari_sam.evaluation.datasets.stacks.labelled_stacks import find_stack_samples
from napari_sam.evaluation.experiments.experiment import SampleResult
from napari_sam.evaluation.experiments.stacks.movie_prompts import MovieExperiment, follow_scores
from napari_sam.evaluation.experiments.stacks.plane_by_plane import PlaneMasks, object_at, stitch
from napari_sam.evaluation.experiments.stacks.volume_prompts import VolumeExperiment
from napari_sam.evaluation.metrics.stacks.plane_ious import count_planes, volume_iou
from tests.evaluation.experiments.stacks.stack_stubs import FollowOracle, masks_of, volume, write_stack


@pytest.fixture
def labels():
    return volume()


def only_sample(root, kind):
    (sample,) = find_stack_samples(root, "dev", kind, None, [])
    return sample


def values(experiment, sample, payload):
    records = experiment.records([SampleResult(sample.dataset, sample.name, payload)], "oracle")
    return {(r.object, r.protocol, r.metric): r.value for r in records}


def test_volumes_from_one_click(tmp_path, labels):
    write_stack(tmp_path, labels)
    sample, oracle = only_sample(tmp_path, "volume"), FollowOracle(labels)
    experiment = VolumeExperiment(clicks=3)
    found = values(experiment, sample, experiment.measure(sample, oracle, 0))
    assert oracle.axis == "z"
    assert found[3, "followed", "IoU"] == pytest.approx(4 / 5)
    assert found[8, "followed", "IoU"] == pytest.approx(2 / 3)
    assert found[3, "planes", "IoU@1"] == 1
    assert found[3, "planes", "IoU@2"] == 0.5  # planes 0 and 4, of which 4 is missed
    assert found[8, "planes", "missed"] == 1
    assert found[3, "planes", "beyond"] == 0
    assert found[3, "same click on every plane", "IoU"] == 1
    assert found[3, "stitched planes", "IoU"] == 1
    assert found[3, "clicks", "NoC85"] == 2
    assert found[8, "clicks", "IoU"] == 1
    assert sorted(oracle.corrections) == [(4, 1, 3), (4, 1, 8)]


def test_clicks_that_do_not_help_are_counted_to_the_end(tmp_path, labels):
    class Stubborn(FollowOracle):
        def repropagate(self, followed, plane, points, point_labels):
            return followed

    write_stack(tmp_path, labels)
    sample, experiment = only_sample(tmp_path, "volume"), VolumeExperiment(clicks=4)
    found = values(experiment, sample, experiment.measure(sample, Stubborn(labels), 0))
    assert found[3, "clicks", "NoC85"] == 4
    assert found[3, "clicks", "failed 85"] == 1


def test_models_without_dense_decoder_have_one_baseline(tmp_path, labels):
    write_stack(tmp_path, labels)
    sample, oracle, experiment = only_sample(tmp_path, "volume"), FollowOracle(labels), VolumeExperiment(clicks=1)
    oracle.can_dense = False
    protocols = {protocol for _, protocol, _ in values(experiment, sample, experiment.measure(sample, oracle, 0))}
    assert "stitched planes" not in protocols
    assert "same click on every plane" in protocols


def test_movies_from_one_click(tmp_path, labels):
    """The last of the frames after the click is missed: 3 of 4 frames for 3, 1 of 2 for 8."""
    write_stack(tmp_path, labels, axes="TYX")
    sample, oracle, experiment = only_sample(tmp_path, "movie"), FollowOracle(labels), MovieExperiment()
    found = values(experiment, sample, experiment.measure(sample, oracle, 0))
    assert oracle.axis == "t"
    assert found[3, "followed", "J"] == pytest.approx(3 / 4)
    assert found[8, "followed", "F"] == pytest.approx(1 / 2)
    assert found[3, "followed", "J&F"] == pytest.approx(3 / 4)
    assert found[3, "stitched frames", "J&F"] == 1


def test_following_beyond_the_end_counts_as_zero(tmp_path, labels):
    write_stack(tmp_path, labels, axes="TYX")
    truth = only_sample(tmp_path, "movie").read_stack()
    target = next(o for o in truth.objects if o.label == 3)
    whole = masks_of(labels, 3, range(5))
    beyond = PlaneMasks({**whole.masks, 5: whole.masks[4]})
    assert follow_scores(truth, target, whole).j == 1
    assert follow_scores(truth, target, beyond).j == pytest.approx(4 / 5)


def test_counts_of_planes_by_hand():
    truth = np.zeros((4, 2, 3), bool)
    truth[1:3] = True
    predicted = PlaneMasks(
        {2: (np.ones((2, 2), bool), Box(10, 21, 12, 23)), 3: (np.ones((1, 1), bool), Box(0, 0, 1, 1))}
    )
    counts = count_planes(truth, Box(10, 20, 12, 23), predicted)
    assert [(c.plane, c.common, c.true, c.predicted) for c in counts] == [(1, 0, 6, 0), (2, 4, 6, 4), (3, 0, 0, 1)]
    assert volume_iou(counts) == pytest.approx(4 / 13)
    assert [c.error_px for c in counts] == [6, 2, 1]


def test_stitching_joins_what_overlaps_by_a_quarter():
    planes = np.zeros((3, 1, 12), int)
    planes[0, 0, :8], planes[1, 0, 2:10], planes[2, 0, 9:12] = 4, 4, 9
    stitched = stitch(planes)
    assert stitched[0].max() == stitched[1].max() == 1
    assert stitched[2].max() == 2
    assert object_at(stitched, (0, 0, 5)).planes == (0, 1, 2)
    assert object_at(stitched, (0, 0, 11)).planes == ()
