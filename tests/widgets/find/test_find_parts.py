"""Parts of the page "Find" without a window."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from napari_sam.concept import Concept
from napari_sam.engine.geometry import Box
from napari_sam.errors import ConceptError, PromptError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.layers.find.search import Choices, Found, rank
from napari_sam.text.text_query import parse_text
from napari_sam.text.text_search import TextObjects, TextPlan
from napari_sam.widgets.find.find_engine import diameter_of, save_results
from napari_sam.widgets.find.find_everywhere import learned, new_folder
from napari_sam.widgets.find.score_histogram import ScoreHistogram
from napari_sam.widgets.find.wanted import Wanted
from napari_sam.widgets.find.word_search import WordSearch
from tests.layers.find.conftest import PLACE, SIDE, example, two_kinds


@pytest.fixture
def ranking(rng):
    candidates, _ = two_kinds(rng)
    found = Found(candidates, Box(0, 0, 80, 120), PLACE)
    return rank(found, Choices((example(candidates, 0),)), None, "kind")


@pytest.fixture
def store(tmp_path):
    with LabelStore.create(tmp_path / "labels.ome.zarr", shape=(80, 120)) as made:
        yield made


def wanted(choices, loaded=None, **others):
    return Wanted(SimpleNamespace(shape=(80, 120)), PLACE, Box(0, 0, 80, 120), choices, loaded, "kind", **others)


def test_results_are_saved_as_one_change_with_class_score_and_origin(store, ranking):
    saved = save_results(store, ranking, [0, 1, 7], "keep", (), "a, 'b'")
    assert len(saved.labels) == 3
    table = store.table()
    assert set(table["category"]) == {"a, 'b'"}
    np.testing.assert_allclose(sorted(table["predicted_iou"]), sorted(ranking.scores[[0, 1, 7]]), rtol=1e-5)
    assert store.journal.changes.next_change(undo=True).record["source"]["concept"] == "kind"
    store.undo()
    assert len(store) == 0


def test_results_on_saved_objects_are_left_out_unless_they_replace_them(store, ranking):
    save_results(store, ranking, [0, 1], "keep", (), None)
    again = save_results(store, ranking, [0, 1, 2], "keep", (), None)
    assert (len(again.labels), again.known) == (1, 2)
    replaced = save_results(store, ranking, [0], "replace", (), None)
    assert (len(replaced.labels), replaced.known) == (1, 0)


def test_results_beyond_the_border_are_cut(store, ranking):
    candidates = replace(ranking.candidates, boxes=ranking.candidates.boxes + np.array([76, 0, 76, 0]))
    saved = save_results(store, replace(ranking, candidates=candidates), [0, 20], "keep", (), None)
    assert len(saved.labels) == 1
    assert store.table()["area_px"].tolist() == [4 * SIDE]


def test_the_examples_set_the_diameter_before_the_concept_does(rng):
    candidates, _ = two_kinds(rng)
    loaded = Concept(candidates.layout, "kind")
    loaded.diameter_px = 33.0
    assert diameter_of(wanted(Choices(), loaded)) == 33
    assert diameter_of(wanted(Choices())) is None
    assert diameter_of(wanted(Choices((example(candidates, 0),)), loaded)) == pytest.approx(9.03, abs=0.1)


def test_a_concept_for_a_whole_image_needs_an_example_on_it(rng):
    candidates, _ = two_kinds(rng)
    with pytest.raises(ConceptError, match="no example lies on this image"):
        learned(wanted(Choices((example(candidates, 0, place="elsewhere"),))), None)


def test_each_run_over_a_folder_has_a_folder_of_its_own(tmp_path):
    assert new_folder(tmp_path, "a/b: ü").name == "found a_b_ ü"
    (tmp_path / "found kind").mkdir()
    assert new_folder(tmp_path, "kind").name == "found kind 2"


class FakeText:
    """Answers with given objects."""

    objects = None

    def __init__(self, detector=None):
        self.detector = detector

    def find(self, words, predictor, region, *, progress, cancelled):
        return self.objects


@pytest.fixture
def text(monkeypatch):
    from napari_sam.text import text_search

    monkeypatch.setattr(text_search, "TextSearch", FakeText)
    return FakeText


def objects_of(candidates, plan, with_features):
    scores = np.linspace(1, 0, len(candidates), dtype=np.float32)
    iou = candidates.predicted_iou
    kept = candidates if with_features else None
    return TextObjects(plan, candidates.boxes, candidates.masks, scores, iou, 0.3, kept)


def test_words_of_the_vocabulary_bring_their_concept(text, rng, ranking):
    candidates, _ = two_kinds(rng)
    text.objects = objects_of(candidates, TextPlan(parse_text("nuclei"), "nucleus", ranking.concept), True)
    found = WordSearch().find(wanted(Choices(), words="nuclei"), None, None, None)
    assert found.concept is ranking.concept
    assert (found.name, found.threshold) == ("nucleus", 0.3)
    assert rank(found, Choices(), None, "kind").scores is found.scores


def test_objects_of_an_open_vocabulary_model_get_features(text, rng, monkeypatch):
    candidates, _ = two_kinds(rng)
    text.objects = objects_of(candidates, TextPlan(parse_text("zebra"), "zebra"), False)
    measured = []

    def measure(predictor, masks, cancelled):
        measured.extend(masks)
        return candidates.features, candidates.subset([])

    monkeypatch.setattr("napari_sam.engine.concepts.example_features.measure_examples", measure)
    found = WordSearch().find(wanted(Choices(), words="zebra", detector="model"), None, None, None)
    assert len(measured) == len(found.candidates) == len(candidates)
    chosen = Choices(verdicts={0: True, 5: False})
    assert rank(found, chosen, None, "zebra").concept.examples == (1, 1)
    text.objects = objects_of(candidates.subset([]), TextPlan(parse_text("zebra"), "zebra"), False)
    with pytest.raises(PromptError, match="nothing there"):
        WordSearch().find(wanted(Choices(), words="zebra"), None, None, None)


def test_the_histogram_keeps_its_threshold_in_range(qtbot):
    histogram = ScoreHistogram()
    qtbot.addWidget(histogram)
    histogram.show_scores(np.array([0.0, 0.5, 1.0]))
    histogram.show_threshold(0.25)
    with qtbot.waitSignal(histogram.threshold_changed) as moved:
        histogram._move(1.5)
    assert moved.args == [1.0]
    assert not histogram.grab().isNull()
