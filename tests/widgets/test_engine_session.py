"""The session loads the model on first use, and predicts only the boxes that are new."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_sam.engine.windows import Hints
from napari_sam.widgets.engine_session import Answer, EngineSession

IMAGE = SimpleNamespace(identity="image", contrast_limits=None, shape=(40, 50))


class FakePredictor:
    """Answers prompts with their numbers."""

    def __init__(self):
        self.asked, self.images = [], []
        self.device = "cpu"
        self.runner = SimpleNamespace(dtype="torch.float32", kind="default")

    def set_source(self, image):
        self.images.append(image)

    def predict_many(self, prompts, hints, cancelled):
        self.asked.append(prompts)
        window = SimpleNamespace(shape=(512, 512), scale=(1.0, 1.0))
        return [SimpleNamespace(window=window, prompt=prompt) for prompt in prompts]

    def is_embedded(self, window):
        return True


@pytest.fixture
def predictors():
    return []


@pytest.fixture
def session(predictors, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path))

    def load(model, cache):
        predictors.append(FakePredictor())
        return predictors[-1]

    made = EngineSession(loader=load)
    yield made
    made.close()


def box(k):
    return {"box": (0.0, 0.0, 5.0, float(k))}


def predict(session, prompts, plane=()):
    return session.predict_job(IMAGE, plane, prompts, Hints())(lambda: False)


def test_the_model_is_loaded_once_and_only_when_needed(session, predictors):
    assert session.predictor is None
    for _ in range(2):
        assert isinstance(predict(session, [box(1)]), Answer)
    assert len(predictors) == 1
    assert session.predictor is predictors[0]


def test_another_model_is_loaded_on_next_use(session, predictors):
    predict(session, [box(1)])
    session.model = "vit_t"
    assert session.predictor is None
    predict(session, [box(1)])
    assert len(predictors) == 2


def test_boxes_that_were_answered_before_are_not_predicted_again(session, predictors):
    predict(session, [box(1), box(2)])
    answer = predict(session, [box(1), box(2), box(3)])
    assert predictors[0].asked[1] == [box(3)]
    assert [p.prompt for p in answer.predictions] == [box(1), box(2), box(3)]


def test_answers_of_another_plane_do_not_count(session, predictors):
    predict(session, [box(1), box(2)])
    predict(session, [box(1), box(2)], plane=(1,))
    assert len(predictors[0].asked[1]) == 2


def test_areas_are_always_predicted_again(session, predictors):
    area = {"box": (0.0, 0.0, 5.0, 5.0), "mask": np.ones((5, 5), bool)}
    for _ in range(2):
        predict(session, [box(1), area])
    assert predictors[0].asked[1] == [area]


def test_the_state_is_one_line(session):
    assert session.describe(None, None) == "default: not loaded yet"
    answer = predict(session, [box(1)])
    text = session.describe(answer, 12.3)
    assert text.startswith("default on cpu, float32 · window 512 px at 1x · answered in 12 ms · embedding ready")


def test_another_model_is_described_before_it_has_an_image(session, predictors, monkeypatch):
    def is_embedded(predictor, window):
        if not predictor.images:
            raise AssertionError("asked before the image was set")
        return True

    monkeypatch.setattr(FakePredictor, "is_embedded", is_embedded)
    predict(session, [box(1)])
    session.model = "vit_b"
    session.load("vit_b")  # as the everything thread does
    assert "embedding not yet" in session.describe(None, None)


def test_the_kind_of_a_checkpoint_is_that_of_its_network(session):
    assert session.kind == "default"
    session.model = "vit_b"
    assert session.kind == "vit_b"
    session.model = "/models/fine_tuned.safetensors"
    predict(session, [box(3)])
    assert session.kind == "default"  # so that grid mode begins with its thresholds
