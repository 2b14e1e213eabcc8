"""Concepts from labels, their files, and errors."""

from __future__ import annotations

import numpy as np
import pytest

import napari_sam as ns
from napari_sam.engine.concepts.candidate_finder import find_candidates
from napari_sam.errors import ConceptError, LabelsError


@pytest.fixture(scope="module")
def concept(default_predictor, nuclei):
    image, labels = nuclei
    return ns.Concept.from_examples(image, labels, positive=[5], predictor=default_predictor, name="nucleus")


def test_one_nucleus_finds_the_others(concept, default_predictor, nuclei):
    image, labels = nuclei
    default_predictor.set_image(image)
    candidates = find_candidates(default_predictor, diameter_px=concept.diameter_px)
    scores = concept.score(candidates.features, candidates.layout)
    inside = [
        labels[box[0] : box[2], box[1] : box[3]][mask].astype(bool).mean() > 0.5
        for box, mask in zip(candidates.boxes, candidates.masks, strict=True)
    ]
    assert (scores[inside] >= concept.threshold).mean() > 0.8


def test_a_saved_concept_is_the_same(concept, tmp_path):
    path = tmp_path / "nucleus.concept"
    concept.save(path)
    again = ns.Concept.load(path)
    assert path.stat().st_size <= 200_000
    assert (again.name, again.examples, again.threshold) == ("nucleus", (1, 0), concept.threshold)
    np.testing.assert_allclose(again.score(concept.features), concept.score(concept.features), atol=0.01)


def test_a_concept_replaces_a_concept_and_no_other_file(concept, tmp_path):
    path = tmp_path / "image.tif"
    path.write_bytes(b"II*\0 pixels")
    with pytest.raises(ConceptError, match="exists and is no concept; choose another path"):
        concept.save(path)
    assert path.read_bytes() == b"II*\0 pixels"
    path.write_bytes(b"")
    concept.save(path)
    concept.save(path)
    assert ns.Concept.load(path).name == "nucleus"


def test_examples_of_a_label_store_are_those_of_its_image(concept, default_predictor, nuclei, tmp_path):
    image, labels = nuclei
    with ns.LabelStore.create(tmp_path / "labels", like=image) as store:
        store.paint(labels.astype(np.uint32), (0, 0))
        same = ns.Concept.from_examples(image, store, positive=[5], predictor=default_predictor)
    np.testing.assert_allclose(same.features, concept.features, atol=1e-4)


def test_corrections_of_another_image_are_added(default_predictor, nuclei):
    image, labels = nuclei
    corrected = ns.Concept.from_examples(image, labels, positive=[5], predictor=default_predictor)
    corrected.add_examples(image[:, ::-1], labels[:, ::-1], positive=[6], negative=[8], predictor=default_predictor)
    assert corrected.examples == (2, 1)
    scores = corrected.score(corrected.features)
    assert scores[:2].min() > scores[2]


def test_corrections_that_do_not_exist_are_refused(concept, default_predictor, nuclei):
    image, labels = nuclei
    for how, message in (({}, "are empty"), ({"positive": [5], "negative": [5]}, "both positive and negative")):
        with pytest.raises(ConceptError, match=message):
            concept.add_examples(image, labels, predictor=default_predictor, **how)
    with pytest.raises(LabelsError, match="999"):
        concept.add_examples(image, labels, negative=[999], predictor=default_predictor)
    assert concept.examples == (1, 0)


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({}, ConceptError, "positive is empty"),
        ({"positive": [5], "negative": [5]}, ConceptError, "both positive and negative"),
        ({"positive": [999]}, LabelsError, "999 does not exist"),
        ({"positive": [0]}, LabelsError, "0 does not exist"),
    ],
)
def test_examples_that_do_not_exist_are_refused(default_predictor, nuclei, how, error, message):
    image, labels = nuclei
    with pytest.raises(error, match=message):
        ns.Concept.from_examples(image, labels, predictor=default_predictor, **how)


def test_labels_of_another_image_are_refused(default_predictor, nuclei):
    image, labels = nuclei
    with pytest.raises(ConceptError, match="outside the image"):
        ns.Concept.from_examples(image, np.pad(labels, 99, constant_values=40), [40], predictor=default_predictor)


def test_a_file_that_is_missing_or_another_is_refused(tmp_path):
    (tmp_path / "a.concept").write_text("hello")
    for name in ("a.concept", "missing.concept"):
        with pytest.raises(ConceptError, match=name):
            ns.Concept.load(tmp_path / name)


def test_a_concept_shows_its_examples_in_a_notebook(concept):
    html = concept._repr_html_()
    accepted, rejected = concept.examples
    assert f"{accepted} accepted, {rejected} rejected" in html
    assert html.count("<circle") == accepted + rejected
