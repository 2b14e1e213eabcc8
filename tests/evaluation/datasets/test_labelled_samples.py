"""Samples, and how images and objects are selected."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.dataset_formats import find_samples
from napari_sam.evaluation.datasets.ground_truth import truth_from_labels
from napari_sam.evaluation.datasets.labelled_samples import (
    Sample,
    evenly_spaced,
    file_identity,
    read_rgb,
    samples_by_dataset,
    select_objects,
    select_samples,
)
from tests.evaluation.datasets.dataset_files import RGB


def test_labels_of_another_shape_are_refused(collection):
    sample = find_samples(collection)[0]
    with pytest.raises(EvaluationError, match=r"\(20, 30\) for an image of shape \(20, 31\)"):
        sample.truth((20, 31))


def test_samples_can_be_pickled(collection):
    for sample in find_samples(collection):
        assert pickle.loads(pickle.dumps(sample)).truth().shape == (20, 30)


def test_images_and_objects_are_evenly_spaced():
    samples = [Sample(d, str(i), None, lambda: None) for d in "ab" for i in range(9)]
    assert [(s.dataset, s.name) for s in select_samples(samples, 2)] == [("a", "0"), ("a", "8"), ("b", "0"), ("b", "8")]
    labels = np.zeros((20, 50), int)
    for i in range(5):
        labels[:8, 10 * i : 10 * i + 8] = i + 1
    labels[15, 0] = 6  # too small
    assert [o.label for o in select_objects(truth_from_labels(labels), 3)] == [1, 3, 5]


def test_random_numbers_depend_on_the_object_only():
    a, b = Sample("d", "a", None, lambda: None), Sample("d", "b", None, lambda: None)
    assert a.rng(0, "x", 3).random() == a.rng(0, "x", 3).random()
    others = [b.rng(0, "x", 3), a.rng(1, "x", 3), a.rng(0, "y", 3), a.rng(0, "x", 4)]
    assert a.rng(0, "x", 3).random() not in [r.random() for r in others]


def test_an_image_has_its_path_as_title_and_source(tmp_path):
    sample = Sample("d", "a", tmp_path / "a.png", lambda: None)
    assert sample.title == str(tmp_path / "a.png")
    assert sample.source() == tmp_path / "a.png"


def test_a_sample_without_an_image_names_its_data_set():
    sample = Sample("d", "a", None, lambda: None)
    assert sample.title == "d/a"
    with pytest.raises(EvaluationError, match="put the image beside the labels"):
        sample.source()


def test_the_identity_of_many_files_is_a_hash(tmp_path):
    paths = [tmp_path / str(i) for i in range(9)]
    for path in paths:
        path.touch()
    assert file_identity(paths[0], None).startswith("0:0:")
    assert len(file_identity(*paths)) == 64


def test_all_indices_are_returned_without_a_limit():
    assert evenly_spaced(3, None) == [0, 1, 2]
    assert evenly_spaced(0, 4) == []


def test_samples_are_grouped_in_their_order():
    samples = [Sample(d, n, None, lambda: None) for d, n in ("ba", "ab", "ac")]
    assert {k: [s.name for s in v] for k, v in samples_by_dataset(samples).items()} == {"b": ["a"], "a": ["b", "c"]}


def test_pixels_are_read_as_rgb():
    sample = Sample("d", "a", None, lambda: None, lambda: RGB)
    assert read_rgb(sample).shape == RGB.shape
