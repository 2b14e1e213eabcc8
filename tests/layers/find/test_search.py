"""Examples and verdicts rank candidates, and can be taken back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam.concept import Concept
from napari_sam.engine.concepts.feature_layout import FeatureLayout
from napari_sam.engine.geometry import Box
from napari_sam.errors import ConceptError
from napari_sam.layers.find.search import Choices, Found, Search, rank
from tests.layers.find.conftest import PITCH, PLACE, SIDE, example, learn, two_kinds


def test_one_example_finds_its_kind(search, found):
    _, kinds = found
    np.testing.assert_array_equal(search.results(), kinds)
    assert search.concept.examples == (1, 0)


def test_rejected_candidates_are_no_results_and_teach(search, found):
    made, kinds = found
    search.threshold = 0.0
    wrong = np.flatnonzero(~kinds)[:3].tolist()
    search.decide(wrong, accepted=False)
    assert not search.results()[wrong].any()
    learn(search, made)
    assert search.concept.examples == (1, 3)
    assert search.ranking.scores[kinds].min() > search.ranking.scores[~kinds].max()


def test_accepted_candidates_stay_results_at_any_threshold(search):
    search.threshold = 1.0
    search.decide([2, 5], accepted=True)
    assert np.flatnonzero(search.results()).tolist() == [2, 5]


def test_choices_can_be_taken_back_and_repeated(search):
    search.decide([1], accepted=True)
    search.decide([2, 3], accepted=False)
    assert search.choices.counts == (2, 2)
    assert search.undo()
    assert search.choices.counts == (2, 0)
    assert search.redo()
    assert search.verdicts()[[1, 2, 3]].tolist() == [1, -1, -1]
    for _ in range(3):
        assert search.undo()
    assert not search.undo()
    assert not search.has_examples


def test_verdicts_become_examples_when_the_results_are_dropped(search, found):
    made, kinds = found
    search.decide([int(np.flatnonzero(~kinds)[0])], accepted=False)
    search.drop_results()
    assert search.choices.counts == (1, 1)
    assert search.ranking is None
    learn(search, Found(made.candidates, made.region, ("another image", ())))
    assert search.concept.examples == (1, 1)
    np.testing.assert_array_equal(search.results(), kinds)


def test_an_example_that_no_candidate_shows_is_a_result_of_its_own(search, found):
    made, _ = found
    missing = replace(example(made.candidates, 1), box=Box(10, 10, 10 + SIDE, 10 + SIDE))
    search.add_examples([missing])
    learn(search, made)
    assert len(search.ranking.candidates) == len(made.candidates) + 1
    assert search.ranking.extras == (missing,)
    index = search.candidate_at(12, 12)
    assert search.results()[index]
    search.decide([index], accepted=False)
    assert not search.results()[index]
    assert search.choices.counts == (1, 1)


def test_the_candidate_under_the_mouse_is_the_best_there(search):
    assert search.candidate_at(3, 3) == 0
    assert search.candidate_at(3, PITCH + 3) == 1
    assert search.candidate_at(15, 15) is None
    hidden = search.candidate_at(3, 5 * PITCH + 3)
    assert hidden == 5
    assert not search.results()[hidden]


def test_the_lasso_takes_the_results_inside(search):
    corners = np.array([(-1.0, -1.0), (-1.0, 119.0), (30.0, 119.0), (30.0, -1.0)])
    assert search.results_inside(corners) == [0, 1, 2, 6, 7, 8]
    assert search.results_inside(corners[:2]) == []
    search.decide(search.results_inside(corners), accepted=False)
    assert search.results_inside(corners) == [0, 1, 2, 6, 7, 8]


def test_a_click_on_an_example_turns_it_or_removes_it(search):
    (first,) = search.choices.examples
    assert search.example_at(PLACE, 3, 3) is first
    assert search.example_at(("another", ()), 3, 3) is None
    search.turn(first, accepted=False)
    assert search.choices.counts == (0, 1)
    search.turn(search.choices.examples[0], accepted=False)
    assert search.choices.examples == ()


def test_marks_are_added_to_a_loaded_concept(search, found):
    made, kinds = found
    loaded = search.concept
    fresh = Search()
    fresh.load(loaded)
    assert fresh.has_examples
    learn(fresh, made)
    np.testing.assert_array_equal(fresh.results(), kinds)
    fresh.decide([1], accepted=True)
    learn(fresh, made)
    assert fresh.concept.examples == (2, 0)
    assert loaded.examples == (1, 0)


def test_features_that_another_thread_measured_are_taken_over(found):
    made, _ = found
    fresh = Search()
    measured = example(made.candidates, 0)
    fresh.add_examples([replace(measured, features=None, layout=None)])
    fresh.turn(fresh.choices.examples[0], accepted=False)
    with pytest.raises(ConceptError, match="measured"):
        rank(made, fresh.choices, None, "kind")
    fresh.measured([measured])
    assert fresh.choices.examples[0].features is not None
    assert not fresh.choices.examples[0].accepted
    fresh.undo()
    assert fresh.choices.examples[0].features is not None


def test_counter_examples_alone_and_concepts_of_another_model_are_refused(found):
    made, _ = found
    with pytest.raises(ConceptError, match="no accepted example"):
        rank(made, Choices((example(made.candidates, 0, accepted=False),)), None, "kind")
    other = Concept(FeatureLayout.of_network("b" * 64, "vit_b", 16), "other")
    with pytest.raises(ConceptError, match="vit_b"):
        rank(made, Choices(), other, "kind")


def test_overlaps_and_outlines_are_computed_once(search, found):
    made, _ = found
    before = search.ranking
    search.decide([1], accepted=True)
    learn(search, made)
    assert search.ranking.overlaps is before.overlaps
    assert search.ranking.pixels is before.pixels


def test_nothing_found_is_no_error(rng):
    candidates, _ = two_kinds(rng)
    searched = Search()
    searched.add_examples([example(candidates, 0, place=("elsewhere", ()))])
    learn(searched, Found(candidates.subset([]), Box(0, 0, 10, 10), PLACE))
    assert searched.results().tolist() == []
    assert searched.candidate_at(1, 1) is None
