"""The concepts that come with the default model: they must be those of its weights and of today's features."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.concepts.candidate_finder import find_candidates
from napari_sam.engine.concepts.concept_bytes import LIMIT_BYTES
from napari_sam.predictor import Predictor
from napari_sam.samples import nuclei
from napari_sam.text.vocabulary import Vocabulary, shipped_words

REBUILD = "build the concepts anew: python -m benchmarks.vocabulary --data ../shared/data --write"


@pytest.fixture(scope="module")
def layout():
    """Return the layout of the features that the default model gives today."""
    predictor = Predictor(device="cpu")
    predictor.set_image(np.asarray(nuclei())[64:192, 352:480])
    return find_candidates(predictor, diameter_px=30).layout


def test_shipped_concepts_are_of_todays_weights_and_features(layout):
    for word in shipped_words():
        assert word.concept.layout == layout, f"{word.name}: {REBUILD}"


def test_every_shipped_word_has_a_small_file_and_says_what_it_was_learned_from():
    for word in shipped_words():
        assert word.path.stat().st_size <= LIMIT_BYTES
        assert "learned from training images of" in word.about
        accepted, rejected = word.concept.examples
        assert accepted > 0
        assert rejected > 0
        assert word.concept.diameter_px is None  # objects of any size


def test_names_and_synonyms_are_unambiguous():
    words = shipped_words()
    vocabulary = Vocabulary(words)
    for word in words:
        for name in (word.name, *word.synonyms):
            assert vocabulary.find(name).name == word.name
