"""Concepts on invented features: similarity, corrections, refusals, and what a file holds."""

from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pytest
from safetensors.numpy import save

from napari_sam.engine.concepts.concept_bytes import LIMIT_BYTES, concept_from_bytes, concept_to_bytes
from napari_sam.engine.concepts.concept_model import ConceptModel
from napari_sam.engine.concepts.feature_layout import FeatureLayout
from napari_sam.engine.concepts.similarity import SPREAD
from napari_sam.errors import ConceptError

LAYOUT = FeatureLayout.of_network("a" * 64, "default", 16)


def two_kinds(rng, count=60, spread=0.6):
    """Features of two kinds that lie apart in every group, half of each."""
    kinds = np.arange(count) % 2 == 0
    middle = rng.normal(0, 1, LAYOUT.width)
    features = rng.normal(0, spread, (count, LAYOUT.width)) + np.where(kinds[:, None], middle, -middle)
    for name, spread in SPREAD.items():
        features[:, LAYOUT.slices[name]] *= 2 * np.array(spread)
    features[:, LAYOUT.slices["quality"]] = 0.6
    return features.astype(np.float32), kinds


def concept_of(features, kinds, positive=1, negative=0):
    concept = ConceptModel(LAYOUT, "kind")
    concept.add_population(features)
    concept.add(features[kinds][:positive], True)
    if negative:
        concept.add(features[~kinds][:negative], False)
    concept.fit()
    return concept


@pytest.mark.parametrize(("positive", "negative"), [(1, 0), (3, 0), (2, 2), (10, 10)])
def test_objects_like_the_examples_rank_first_and_pass_the_threshold(rng, positive, negative):
    features, kinds = two_kinds(rng)
    concept = concept_of(features, kinds, positive, negative)
    scores = concept.score(features)
    assert scores[kinds].min() > scores[~kinds].max()
    assert concept.examples == (positive, negative)
    assert ((scores >= concept.threshold) == kinds).mean() > 0.95


def test_what_all_objects_around_have_in_common_does_not_count(rng):
    """Embeddings that are almost the same for both kinds, as in an image of one stain."""
    features = np.zeros((60, LAYOUT.width), np.float32)
    kinds = np.arange(60) % 2 == 0
    embedding, quality = LAYOUT.slices["embedding"], LAYOUT.slices["quality"]
    features[:, embedding] = 10 * rng.normal(0, 1, 16) + rng.normal(0, 0.1, (60, 16))
    features[:, embedding] += np.where(kinds[:, None], 0.5, -0.5) * rng.normal(0, 1, 16)
    features[:, quality] = 0.6
    seen, alone = concept_of(features, kinds), ConceptModel(LAYOUT)
    alone.add(features[:1], True)
    gaps = [float(s[kinds].mean() - s[~kinds].mean()) for s in (seen.score(features), alone.score(features))]
    assert gaps[0] > 0.1 > 0.01 > abs(gaps[1])


def test_a_rejected_object_scores_less_afterwards_and_an_accepted_one_more(rng):
    features, kinds = two_kinds(rng)
    concept = concept_of(features, kinds, positive=2)
    for kind in (False, True):
        of_kind = features[kinds == kind]
        corrected = of_kind[np.argsort(concept.score(of_kind))[0 if kind else -1]]
        before = concept.score(corrected)[0]
        concept.add(corrected, kind)
        concept.fit()
        after = concept.score(corrected)[0]
        assert after > before if kind else after < before


def test_a_concept_without_an_accepted_example_is_refused():
    concept = ConceptModel(LAYOUT)
    concept.add(np.ones(LAYOUT.width), False)
    with pytest.raises(ConceptError, match="no accepted example"):
        concept.score(np.ones((2, LAYOUT.width)))


def test_features_of_another_model_are_refused_naming_both():
    concept = ConceptModel(LAYOUT)
    other = FeatureLayout.of_network("b" * 64, "vit_b", 16)
    with pytest.raises(ConceptError, match=r"'default'.*'vit_b'"):
        concept.add(np.ones((1, other.width)), True, other)


def test_rejections_alone_do_not_hide_the_kind(rng):
    features, kinds = two_kinds(rng, count=80)
    concept = concept_of(features, kinds, positive=1, negative=9)
    scores = concept.score(features)
    assert (scores[kinds] >= concept.threshold).mean() > 0.9
    assert (scores[~kinds] < concept.threshold).mean() > 0.9


def test_objects_rejected_for_no_common_reason_take_little_from_the_kind():
    kept = []
    for seed in range(5):
        features, kinds = two_kinds(np.random.default_rng(seed), 120)
        own, concept = features[kinds], ConceptModel(LAYOUT)
        concept.add_population(features)
        concept.add(own[:5], True)
        concept.add(own[5:10], False)
        kept.append((concept.score(own[10:]) >= concept.threshold).mean())
    assert np.mean(kept) > 0.85  # 0.73 with a correction that is always strong


def test_ten_thousand_objects_are_scored_with_many_examples(rng):
    features, kinds = two_kinds(rng, count=10_000)
    concept = concept_of(features, kinds, positive=50, negative=50)
    scores = concept.score(features)
    assert scores.shape == (10_000,)
    assert ((scores >= concept.threshold) == kinds).mean() > 0.95


@pytest.mark.parametrize("features", [np.ones((2, 3)), np.full((1, LAYOUT.width), np.nan)])
def test_features_of_another_width_or_not_finite_are_refused(features):
    with pytest.raises(ConceptError, match="finite"):
        ConceptModel(LAYOUT).add(features, True)


def test_a_concept_read_from_its_bytes_scores_the_same(rng):
    features, kinds = two_kinds(rng)
    concept = concept_of(features.astype(np.float16).astype(np.float32), kinds, 3, 3)
    concept.name, concept.threshold, concept.diameter_px = 'a "name" / 🔬', 0.7, 12.5
    again = concept_from_bytes(concept_to_bytes(concept))
    np.testing.assert_allclose(again.score(features), concept.score(features), atol=1e-3)
    assert (again.name, again.threshold, again.diameter_px) == (concept.name, 0.7, 12.5)
    np.testing.assert_array_equal(again.centre, concept.centre)


@pytest.mark.parametrize("centre", [np.zeros(3, np.float32), np.full(16, np.nan, np.float32)])
def test_a_concept_with_a_damaged_centre_is_refused(rng, centre):
    concept = concept_of(*two_kinds(rng))
    concept.centre = centre
    with pytest.raises(ConceptError, match="damaged"):
        concept_from_bytes(concept_to_bytes(concept))


def test_a_file_stays_small_with_many_examples_of_both_kinds(rng):
    wide = FeatureLayout.of_network("a" * 64, "default", 256)
    concept = ConceptModel(wide)
    concept.add_population(rng.normal(size=(9, wide.width)))
    concept.add(rng.normal(size=(4000, wide.width)), np.arange(4000) < 10)
    data = concept_to_bytes(concept)
    assert len(data) <= LIMIT_BYTES
    accepted, rejected = concept_from_bytes(data).examples
    assert accepted == 10
    assert rejected > 50


@pytest.mark.parametrize("keep", [0, 7, 40, 300, -1])
def test_a_damaged_file_is_refused_with_its_name(rng, keep):
    features, kinds = two_kinds(rng)
    data = concept_to_bytes(concept_of(features, kinds))
    with pytest.raises(ConceptError, match=r"my\.concept"):
        concept_from_bytes(data[:keep], "my.concept")


def test_any_changed_byte_gives_a_concept_or_a_clear_error(rng):
    features, kinds = two_kinds(rng)
    data = bytearray(concept_to_bytes(concept_of(features, kinds)))
    for position in rng.integers(0, min(len(data), 1200), 300):
        damaged = data.copy()
        damaged[position] ^= int(rng.integers(1, 256))
        with suppress(ConceptError):
            assert concept_from_bytes(bytes(damaged)).layout.width == LAYOUT.width


def test_other_safetensors_and_huge_files_are_refused():
    other = save({"x": np.zeros(3, np.float32)}, {"concept": json.dumps({"format": "another"})})
    for data in (other, save({"x": np.zeros(3, np.float32)}), b"\0" * (5 * LIMIT_BYTES)):
        with pytest.raises(ConceptError):
            concept_from_bytes(data)
