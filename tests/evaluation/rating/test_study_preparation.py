"""Studies of models' and true masks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_sam.errors import CancelledError, EvaluationError
from napari_sam.evaluation.rating.rating_study import RatingStudy
from napari_sam.evaluation.rating.study_preparation import GROUND_TRUTH, prepare_study
from tests.evaluation.evaluation_stubs import toy
from tests.evaluation.rating.study_stubs import Stub, samples


def test_a_study_has_the_masks_of_every_source_of_the_same_objects(study):
    assert study.sources == [GROUND_TRUTH, "half"]
    things = {s: sorted(i.object_id for i in study.items if i.source == s) for s in study.sources}
    assert things[GROUND_TRUTH] == things["half"]
    assert len(things["half"]) == 5
    for item in study.items:
        rgb, mask = study.pixels(item)
        assert rgb.shape[:2] == mask.shape
        assert mask[item.point] or item.source == "half"
    reopened = RatingStudy.open(study.folder)
    assert reopened == study


def test_file_names_do_not_reveal_the_source(study):
    assert not any(s.replace(" ", "") in i.mask + i.picture for i in study.items for s in study.sources)


def test_labels_of_another_shape_make_no_study(tmp_path):
    (sample,) = samples(1)
    wrong = toy(np.pad(sample.truth().labels(), 5))
    mixed = dataclasses.replace(sample, read_truth=wrong.read_truth)
    with pytest.raises(EvaluationError, match="the same shape as the image"):
        prepare_study(tmp_path / "study", [mixed], [Stub()], 1)


def test_a_cancelled_study_is_not_made(tmp_path):

    with pytest.raises(CancelledError):
        prepare_study(tmp_path / "study", samples(), [Stub()], 5, cancelled=lambda: True)
    assert not (tmp_path / "study").exists()


def test_progress_counts_objects(tmp_path):
    calls = []
    prepare_study(tmp_path / "study", samples(), [], 3, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_a_study_needs_an_object(tmp_path):
    with pytest.raises(EvaluationError, match="objects is 0") as error:
        prepare_study(tmp_path / "study", samples(), [], 0)
    assert error.value.parameter == "objects"


def test_the_same_seed_chooses_the_same_objects(tmp_path):
    chosen = []
    for name in "ab":
        study = prepare_study(tmp_path / name, samples(), [], 3, seed=4)
        chosen.append([item.object_id for item in study.items])
    assert chosen[0] == chosen[1]
