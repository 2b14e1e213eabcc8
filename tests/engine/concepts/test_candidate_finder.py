"""Candidates of the sample image: what they are, and that their features tell nuclei from the background."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.concepts.candidate_finder import find_candidates
from napari_sam.engine.concepts.candidates import Candidates
from napari_sam.errors import ConceptError, PromptError

REGION = (0, 0, 256, 256)


@pytest.fixture(scope="module")
def candidates(default_predictor, nuclei):
    default_predictor.set_image(nuclei[0])
    return find_candidates(default_predictor, REGION, diameter_px=40)


def test_candidates_lie_in_the_region_with_scores_and_finite_features(candidates):
    n = len(candidates)
    assert n > 3
    assert candidates.features.shape == (n, candidates.layout.width)
    assert np.isfinite(candidates.features).all()
    assert (candidates.features != 0).any(1).all()
    for box, mask in zip(candidates.boxes, candidates.masks, strict=True):
        assert mask.shape == (box[2] - box[0], box[3] - box[1])
        assert mask.any()
    assert candidates.boxes.min() >= 0


def test_drawn_candidates_are_the_nuclei(candidates, nuclei):
    objects, kept = candidates.draw(REGION, candidates.predicted_iou)
    truth = nuclei[1][:256, :256] > 0
    assert (truth == (objects.labels > 0)).mean() > 0.9
    assert objects.labels.max() == len(kept) <= len(candidates)


def test_the_size_of_a_candidate_is_that_of_its_mask(candidates):
    diameter = 2 ** candidates.features[:, candidates.layout.slices["size"].start]
    expected = [2 * np.sqrt(mask.sum() / np.pi) for mask in candidates.masks]
    np.testing.assert_allclose(diameter, expected, rtol=0.1)


def test_subsets_and_concatenation_keep_objects_and_features_together(candidates):
    first, rest = candidates.subset([0]), candidates.subset(np.arange(len(candidates)) > 0)
    again = Candidates.concatenate([first, rest])
    np.testing.assert_array_equal(again.features, candidates.features)
    np.testing.assert_array_equal(again.boxes, candidates.boxes)
    assert len(Candidates.empty(candidates.layout)) == 0


def test_candidates_of_two_models_are_not_mixed(candidates):
    from dataclasses import replace

    other = replace(candidates, layout=replace(candidates.layout, weights="other"))
    with pytest.raises(ConceptError, match="other"):
        Candidates.concatenate([candidates, other])


def test_a_region_outside_the_image_is_refused(default_predictor, nuclei):
    default_predictor.set_image(nuclei[0])
    with pytest.raises(PromptError, match="outside"):
        find_candidates(default_predictor, (9000, 0, 9100, 100))


def test_a_coarser_factor_gives_the_same_boxes_in_level_0_pixels(default_predictor, nuclei):
    from napari_sam.engine.concepts.candidate_finder import CandidateFinder
    from napari_sam.engine.geometry import Box

    default_predictor.set_image(nuclei[0])
    region, areas = Box(0, 0, 256, 256), []
    for factor in (1, 2):
        finder = CandidateFinder(default_predictor, side=256 // factor)
        computed = finder.compute(region, factor, finder.read(region, factor))
        found = finder.candidates(region, factor, computed)
        areas.append(sum(mask.sum() for mask in found.masks) * factor**2)
        assert found.boxes[:, 2:].max() <= 256 + factor
    assert areas[1] == pytest.approx(areas[0], rel=0.2)
