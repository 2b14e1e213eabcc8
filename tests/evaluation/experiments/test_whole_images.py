"""Label images of whole images, by models and other programs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tifffile

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.ground_truth import GroundTruth, TrueObject, truth_from_labels
from napari_sam.evaluation.datasets.labelled_samples import Sample
from napari_sam.evaluation.experiments.experiment import SampleResult
from napari_sam.evaluation.experiments.whole_images import (
    METRIC_NAMES,
    EverythingExperiment,
    ExternalLabelExperiment,
    parse_named_folders,
    remove_crowd_objects,
)
from tests.evaluation.evaluation_stubs import toy


@pytest.fixture
def sample():
    labels = np.zeros((20, 20), np.int32)
    labels[2:10, 2:10] = 1
    return Sample("toy", "a", None, lambda: truth_from_labels(labels))


@pytest.mark.parametrize("place", ["a.tif", "a_masks.tif", "toy/a.tif", "toy/a_cp_masks.tif"])
def test_label_files_are_found_by_name(tmp_path, sample, place):
    import tifffile

    (tmp_path / "toy").mkdir()
    tifffile.imwrite(tmp_path / place, sample.truth().labels().astype(np.uint16))
    found = ExternalLabelExperiment("cellpose", tmp_path).measure(sample, None, 0)
    assert found["scores"]["pq"] == 1
    assert (found["true"], found["found"]) == (1, 1)


def test_missing_labels_and_other_shapes_are_named(tmp_path, sample):
    import tifffile

    with pytest.raises(EvaluationError, match="no labels of toy/a"):
        ExternalLabelExperiment("cellpose", tmp_path).measure(sample, None, 0)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 5), np.uint16))
    with pytest.raises(EvaluationError, match=r"\(5, 5\)"):
        ExternalLabelExperiment("cellpose", tmp_path).measure(sample, None, 0)


def test_the_bare_name_is_tried_last_since_it_may_be_the_image(tmp_path, sample):
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", np.full((20, 20), 7, np.uint16))
    tifffile.imwrite(tmp_path / "a_cp_masks.tif", sample.truth().labels().astype(np.uint16))
    assert ExternalLabelExperiment("cellpose", tmp_path).measure(sample, None, 0)["scores"]["pq"] == 1


def test_masks_in_crowds_do_not_count():
    objects = (
        TrueObject(1, np.ones((8, 8), bool), (0, 0)),
        TrueObject(2, np.ones((20, 10), bool), (0, 10), crowd=True),
    )
    found = np.zeros((20, 20), np.int32)
    found[:8, :8], found[2:6, 12:16], found[10:14, 7:11] = 5, 6, 7  # the last has a quarter of itself in the crowd
    left = remove_crowd_objects(found, GroundTruth((20, 20), objects))
    assert set(np.unique(left)) == {0, 5, 7}


@pytest.mark.parametrize("given_as", ["cellpose", "=x", "cellpose="])
def test_programs_need_a_name_and_a_folder(given_as):
    with pytest.raises(EvaluationError, match="give NAME=FOLDER"):
        parse_named_folders([given_as])


def test_a_program_may_be_given_only_once():
    with pytest.raises(EvaluationError, match="given twice"):
        parse_named_folders(["a=x", "a=y"])


class DenseStub:
    """A model whose dense decoder returns given labels."""

    can_dense = True

    def __init__(self, labels):
        self._labels = labels

    def set_image(self, image):
        self.image = image

    def instances(self):
        return self._labels


def test_a_perfect_dense_decoder_scores_one():
    labels = np.zeros((20, 20), np.int32)
    labels[2:10, 2:10] = 1
    payload = EverythingExperiment().measure(toy(labels), DenseStub(labels), 0)
    assert payload["scores"]["msa"] == 1
    records = list(EverythingExperiment().records([SampleResult("toy", "a", payload)], "m"))
    assert {r.metric for r in records} == set(METRIC_NAMES.values())


def test_undefined_scores_become_nan_in_records():
    nothing = np.zeros((8, 8), np.int32)
    payload = EverythingExperiment().measure(toy(nothing), DenseStub(nothing), 0)
    assert payload["scores"]["pq"] is None
    records = EverythingExperiment().records([SampleResult("toy", "a", payload)], "m")
    assert math.isnan(next(r.value for r in records if r.metric == "PQ"))


def test_each_program_is_an_experiment_of_its_own(tmp_path):
    first, second = (ExternalLabelExperiment(name, tmp_path) for name in "ab")
    assert first.id != second.id
    assert first.settings() != second.settings()


def test_a_changed_label_file_changes_the_settings(tmp_path, sample):
    experiment = ExternalLabelExperiment("a", tmp_path)
    before = experiment.settings()
    tifffile.imwrite(tmp_path / "a.tif", sample.truth().labels())
    assert experiment.settings() != before
