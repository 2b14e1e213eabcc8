"""Regions like the examples of a concept that no candidate covers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam.engine.automatic.prompted_objects import EncodedWindow, RegionObject
from napari_sam.engine.concepts.candidate_finder import CandidateFinder
from napari_sam.engine.concepts.concept_model import ConceptModel
from napari_sam.engine.concepts.feature_layout import FeatureLayout
from napari_sam.engine.concepts.similar_regions import similar_regions, similarity_map
from napari_sam.engine.concepts.window_view import WindowView
from napari_sam.engine.geometry import Box

LAYOUT = FeatureLayout.of_network("a" * 64, "default", 4)
STRIDE, CELLS = 8, 16
KIND, OTHER = np.array([1, 0, 0, 0], np.float32), np.array([0, 1, 0, 0], np.float32)


@pytest.fixture
def concept():
    model = ConceptModel(LAYOUT)
    row = np.zeros(LAYOUT.width, np.float32)
    row[LAYOUT.slices["embedding"]] = KIND
    model.add(row, True)
    model.diameter_px = 16.0
    return model


@pytest.fixture
def view():
    """Two objects of the kind, 2 x 2 cells each, and one of another."""
    cells = np.full((CELLS, CELLS, 4), 0.1, np.float32) * np.array([0, 0, 1, 1], np.float32)
    for y, x, value in ((2, 2, KIND), (9, 10, KIND), (2, 10, OTHER)):
        cells[y : y + 2, x : x + 2] = value
    pixels = np.zeros((CELLS * STRIDE, CELLS * STRIDE, 3), np.uint8)
    return WindowView(cells, None, None, pixels, STRIDE, 1.0)


def window(scale=1):
    side = CELLS * STRIDE
    return EncodedWindow(Box(0, 0, side // scale, side // scale), (side, side), torch.zeros(1, 4, CELLS, CELLS))


def known(scale=1, predicted_iou=0.9):
    box = Box(16 // scale, 16 // scale, 32 // scale, 32 // scale)
    return RegionObject(box, np.ones(box.shape, bool), predicted_iou, 0.9)


def test_cells_of_the_kind_are_similar_and_others_are_not(view, concept):
    similarity = similarity_map(view.embedding, concept)
    assert similarity[9, 10] == pytest.approx(1)
    assert similarity[2, 10] == pytest.approx(0)


@pytest.mark.parametrize("scale", [1, 2])
def test_a_similar_region_without_candidate_is_proposed(view, concept, scale):
    [proposal] = similar_regions(view, window(scale), [known(scale)], concept, scale)
    assert proposal.box == (72 // scale, 80 // scale, 88 // scale, 96 // scale)
    assert proposal.mask.all()
    assert proposal.is_candidate


def test_nothing_is_proposed_where_every_object_is_known_or_none_is(view, concept):
    second = RegionObject(Box(70, 78, 90, 98), np.ones((20, 20), bool), 0.3, 0.9)
    assert similar_regions(view, window(), [known(), second], concept, 1) == []
    assert similar_regions(view, window(), [], concept, 1) == []


def test_regions_of_quite_another_size_are_not_proposed(view, concept):
    concept.diameter_px = 100.0
    assert similar_regions(view, window(), [known()], concept, 1) == []


def test_prompts_of_a_concept_add_candidates_and_keep_the_others(default_predictor, nuclei):
    import napari_sam as ns

    image, labels = nuclei
    concept = ns.Concept.from_examples(image, labels, positive=[5], predictor=default_predictor)
    default_predictor.set_image(image)
    region = Box(0, 0, 256, 256)
    finder = CandidateFinder(default_predictor, side=256, min_predicted_iou=0.0)
    computed = finder.compute(region, 1, finder.read(region, 1))
    usual = finder.candidates(region, 1, computed)
    finder.concept = concept
    more = finder.candidates(region, 1, computed)
    np.testing.assert_array_equal(more.boxes[: len(usual)], usual.boxes)
    assert len(more) >= len(usual)
    assert np.isfinite(more.features).all()
