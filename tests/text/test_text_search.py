"""Objects that a phrase describes: by a concept, by a detector's boxes, or of any kind."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.concept import Concept
from napari_sam.engine.geometry import Box
from napari_sam.errors import CancelledError, ConceptError, PromptError
from napari_sam.predictor import Predictor
from napari_sam.samples import nuclei, nuclei_labels
from napari_sam.text.detectors.load_detector import load_detector
from napari_sam.text.text_detector import Detections
from napari_sam.text.text_search import TextSearch
from napari_sam.text.vocabulary import Vocabulary, Word

CROP = np.s_[64:256, 352:544]  # nine nuclei, some at the border


@pytest.fixture(scope="module")
def predictor():
    predictor = Predictor(device="cpu")
    predictor.set_image(np.asarray(nuclei())[CROP])
    return predictor


@pytest.fixture(scope="module")
def truth():
    return np.asarray(nuclei_labels())[CROP]


@pytest.fixture(scope="module")
def nucleus(truth):
    labels = [int(n) for n in np.unique(truth) if n and (truth == n).sum() > 100]
    return Concept.from_examples(np.asarray(nuclei())[CROP], truth, positive=labels[:2], name="nucleus")


class BoxDetector:
    """Knows the boxes of a picture of 192 x 192 pixels, whatever the phrase."""

    name, side, threshold = "boxes", 192, 0.4

    def __init__(self, boxes, scores):
        self.found, self.phrases = Detections.of(boxes, scores), []

    def detect(self, rgb, text):
        self.phrases.append(text)
        return self.found


def boxes_of(truth, count=3):
    from scipy import ndimage

    boxes = [(r.start, c.start, r.stop, c.stop) for r, c in filter(None, ndimage.find_objects(truth))]
    return sorted(boxes, key=lambda box: -Box(*box).area)[:count]


def iou(objects, i, truth, box):
    label = np.bincount(truth[Box(*box).slices].ravel())[1:].argmax() + 1
    mask = np.zeros(truth.shape, bool)
    mask[Box(*objects.boxes[i].tolist()).slices] = objects.masks[i]
    return (mask & (truth == label)).sum() / (mask | (truth == label)).sum()


def test_a_word_of_the_vocabulary_finds_objects_by_its_concept(predictor, nucleus):
    vocabulary = Vocabulary()
    vocabulary.add("nucleus", nucleus, ["cell nucleus"])
    found = TextSearch(vocabulary).find("all nuclei", predictor)
    assert len(found) > 3
    assert (np.diff(found.scores) <= 0).all()
    np.testing.assert_allclose(found.scores, nucleus.score(found.candidates.features), rtol=1e-5)
    assert found.plan.name == "nucleus"
    assert found.plan.source == "the concept 'nucleus'"
    assert 0 < len(found.fitting) <= len(found)


def test_conditions_leave_objects_out(predictor, nucleus):
    vocabulary = Vocabulary()
    vocabulary.add("nucleus", nucleus)
    everything = TextSearch(vocabulary).find("nuclei", predictor)
    border = TextSearch(vocabulary).find("nuclei touching the border", predictor)
    inside = TextSearch(vocabulary).find("nuclei not touching the border", predictor)
    large = TextSearch(vocabulary).find("nuclei with area over 150 px", predictor)
    assert len(border) + len(inside) == len(everything)
    assert 0 < len(border) < len(everything)
    assert all(mask.sum() > 150 for mask in large.masks)
    assert len(large) == sum(mask.sum() > 150 for mask in everything.masks)


def test_other_words_are_left_to_the_detector_and_its_boxes_become_masks(predictor, truth):
    boxes = boxes_of(truth)
    detector = BoxDetector([*boxes, (0, 0, 0.4, 0.4)], [0.5, 0.9, 0.3, 0.8])
    found = TextSearch(Vocabulary(), detector).find("bright blobs", predictor)
    assert detector.phrases == ["bright blobs"]
    np.testing.assert_allclose(found.scores, [0.9, 0.5, 0.3])
    assert len(found.fitting) == 2
    for i, box in enumerate([boxes[1], boxes[0], boxes[2]]):
        assert iou(found, i, truth, box) > 0.6
    assert found.candidates is None


def test_masks_are_ranked_by_pictures_of_the_objects(predictor, truth):
    class Ranker:
        def rank(self, crops, text):
            self.sizes = [crop.shape for crop in crops]
            return np.array([0.2, 0.9], np.float32)

    ranker = Ranker()
    search = TextSearch(Vocabulary(), BoxDetector(boxes_of(truth, 2), [0.8, 0.7]), ranker)
    found = search.find("blobs", predictor)
    np.testing.assert_allclose(found.scores, [0.9, 0.2])
    assert all(max(shape[:2]) <= 224 and shape[2] == 3 for shape in ranker.sizes)


def test_a_phrase_without_a_name_asks_for_objects_of_any_kind(predictor):
    found = TextSearch(Vocabulary()).find("objects touching the border", predictor)
    assert found.plan.source == "everything"
    assert len(found.fitting) == len(found) > 0


def test_a_tiny_random_model_runs_through_to_masks(predictor, model_folders):
    load_detector.cache_clear()
    search = TextSearch(Vocabulary(), str(model_folders("grounding-dino")), str(model_folders("clip")))
    found = search.find("zebra", predictor, region=(40, 40, 152, 152))
    assert len(found) > 0
    assert ((found.boxes >= 0) & (found.boxes <= 192)).all()
    assert all(mask.any() for mask in found.masks)


def test_an_unknown_word_without_a_detector_names_what_can_be_done():
    search = TextSearch(Vocabulary([Word("nucleus"), Word("axon")]))
    with pytest.raises(
        PromptError, match=r"'nuclues' is not in the vocabulary \(axon, nucleus\); did you mean 'nucleus'\?"
    ):
        search.plan("nuclues")
    with pytest.raises(PromptError, match=r"learn a concept from an example, or give a model .*OWLv2.* as detector"):
        search.plan("zebra")


def test_a_concept_of_another_model_is_refused_and_both_are_named(predictor, nucleus):
    from dataclasses import replace

    other = Concept(replace(nucleus.layout, weights="f" * 64, model="vit_b"), "nucleus")
    other.add(nucleus.features, nucleus.accepted)
    vocabulary = Vocabulary()
    vocabulary.add("nucleus", other)
    with pytest.raises(ConceptError, match=r"'vit_b'.*'default'"):
        TextSearch(vocabulary).find("nucleus", predictor)


def test_a_concept_file_that_is_missing_or_damaged_is_named(tmp_path):
    search = TextSearch(
        Vocabulary([Word("nucleus", tmp_path / "gone.concept"), Word("cell", tmp_path / "bad.concept")])
    )
    (tmp_path / "bad.concept").write_bytes(b"no concept")
    for word in ("nucleus", "cell"):
        with pytest.raises(ConceptError, match=r"(gone|bad)\.concept"):
            search.plan(word)


def test_a_search_can_be_cancelled(predictor, truth):
    search = TextSearch(Vocabulary(), BoxDetector(boxes_of(truth), [0.5, 0.5, 0.5]))
    with pytest.raises(CancelledError):
        search.find("blobs", predictor, cancelled=lambda: True)


def test_a_size_that_cannot_be_compared_fails_before_anything_is_computed(predictor, truth):
    detector = BoxDetector(boxes_of(truth), [0.5, 0.5, 0.5])
    with pytest.raises(PromptError, match="no pixel size; give the size in px"):
        TextSearch(Vocabulary(), detector).find("blobs larger than 5 µm", predictor)
    assert detector.phrases == []
