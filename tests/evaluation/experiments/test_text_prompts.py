"""Text prompts: the protocol on a model that accepts text, and errors of models that do not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from napari_sam.errors import EvaluationError, NothingFitsError
from napari_sam.evaluation.experiments.experiment import SampleResult
from napari_sam.evaluation.experiments.text_prompts import (
    LabelledPhrase,
    TextExperiment,
    check_phrases,
    find_text_samples,
)
from napari_sam.text.text_search import TextSearch
from napari_sam.text.vocabulary import Vocabulary, Word
from tests.evaluation.evaluation_stubs import Oracle, answer


@pytest.fixture
def labels():
    out = np.zeros((40, 60), np.int32)
    out[10:20, 20:30], out[25:35, 40:50] = 1, 2
    return out


def write(folder, *, phrases=None, categories=("cell", "field")):
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(folder / "a.png")
    squares = ([20, 10, 30, 10, 30, 20, 20, 20], [40, 25, 50, 25, 50, 35, 40, 35])
    rows = [
        {"id": i, "image_id": 1, "category_id": c, "segmentation": [s], **({"phrases": phrases[i]} if phrases else {})}
        for i, (c, s) in enumerate(zip((1, 2), squares, strict=True))
    ]
    names = [{"id": i, "name": n} for i, n in enumerate(categories, start=1)]
    images = [{"id": 1, "file_name": "a.png", "height": 40, "width": 60}]
    (folder / "text.json").write_text(json.dumps({"images": images, "annotations": rows, "categories": names}))
    return folder / "text.json"


class TextOracle(Oracle):
    """Finds the object of the first phrase at once, and that of the second only after a click."""

    def predict(self, points=None, point_labels=None, text=None, detector=None):
        if text == "nothing at all" and points is None:
            raise NothingFitsError("text: nothing fits")
        label = 1 if text == "a round cell" else 2
        mask = self.labels == label
        if label == 2 and points is None:
            mask = np.zeros_like(mask)
        return answer(mask[None], (0, 0, *mask.shape), mask.shape)


def test_a_phrase_is_a_prompt_alone_and_then_with_a_click(tmp_path, labels):
    samples, phrases = find_text_samples(write(tmp_path, phrases=[["a round cell"], ["the field below"]]))
    payload = TextExperiment(phrases).measure(samples[0], TextOracle(labels), 0)
    assert payload["text"] == [1.0, 0.0]
    assert payload["text + 1 point"] == [1.0, 1.0]
    estimates = {
        e.protocol: e.value for e in TextExperiment(phrases).summary([SampleResult("t", "a", payload)], "m", 0)
    }
    assert estimates == {"text": 0.5, "text + 1 point": 1.0}


def test_categories_of_single_objects_are_phrases_if_none_are_given(tmp_path):
    _, phrases = find_text_samples(write(tmp_path))
    assert phrases["a"] == [LabelledPhrase("cell", 1), LabelledPhrase("field", 2)]


def test_a_phrase_that_nothing_fits_counts_as_no_mask_and_gets_a_click(tmp_path, labels):
    samples, phrases = find_text_samples(write(tmp_path, phrases=[["nothing at all"], ["the field below"]]))
    payload = TextExperiment(phrases).measure(samples[0], TextOracle(labels), 0)
    assert payload["text"] == [0.0, 0.0]
    assert payload["text + 1 point"][1] == 1.0


def test_words_that_nothing_knows_are_refused_before_any_measurement(tmp_path):
    _, phrases = find_text_samples(write(tmp_path, phrases=[["a zebra"], ["a cell"]]))
    search = TextSearch(Vocabulary([Word("nucleus")]))
    with pytest.raises(EvaluationError, match=r"'zebra' is not in the vocabulary \(nucleus\).*or evaluate points"):
        check_phrases(phrases, search)


def test_the_models_are_part_of_what_is_recorded(tmp_path):
    assert TextExperiment({}).settings() == {"phrases": {}}
    assert TextExperiment({}, detector="owl").settings()["detector"] == "owl"


@pytest.mark.parametrize("phrases", [[[""], ["x"]], [[3], ["x"]]])
def test_phrases_that_are_not_text_are_refused(tmp_path, phrases):
    with pytest.raises(EvaluationError, match="is not text"):
        find_text_samples(write(tmp_path, phrases=phrases))


def test_data_without_phrases_are_refused(tmp_path):
    with pytest.raises(EvaluationError, match="has 'phrases'"):
        find_text_samples(write(tmp_path, categories=("", "")))
