"""Predictions, with masks in memory or rendered when they are first used."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_sam.engine.geometry import Box
from napari_sam.engine.interactive.logit_fields import LogitGrid
from napari_sam.engine.interactive.prediction import (
    LazyMasks,
    Prediction,
    PredictionContext,
    PredictionSettings,
)
from napari_sam.engine.interactive.prediction_builder import build_prediction
from napari_sam.engine.interactive.prompt_task import new_task
from napari_sam.engine.interactive.prompts import Prompt, parse_prompt
from napari_sam.engine.windows import Hints, Window
from napari_sam.errors import SettingsError

WINDOW = Window((0, 0, 8192, 8192), 512)


def _prediction(masks, bbox=(0, 0, 4, 4)):
    scores = np.array([0.5, 0.9], np.float32)
    logits = np.zeros((2, 8, 8), np.float32)
    return Prediction(masks, bbox, scores, scores, logits, 1, WINDOW, (8192,), "tiny", Prompt())


class CountingField:
    """A field of foreground that counts how often it is rendered."""

    def __init__(self):
        self.rendered = 0

    def span(self):
        return Box(0, 0, 4, 4)

    def uniform(self, region):
        self.rendered += 1
        return True


def test_masks_in_memory_are_those_that_were_given():
    masks = np.eye(4, dtype=bool)[None].repeat(2, 0)
    p = _prediction(masks)
    assert p.masks is masks
    assert p.mask.sum() == 4
    assert p.full_mask((9, 9)).sum() == 4


def test_a_lazy_mask_is_rendered_once_and_alone():
    fields = [CountingField(), CountingField()]
    p = _prediction(LazyMasks(fields, Box(0, 0, 4, 4), 1))
    assert [f.rendered for f in fields] == [0, 0]
    assert p.mask.all()
    assert p.mask is p.mask_at(1)
    assert [f.rendered for f in fields] == [0, 1]
    assert p.masks.shape == (2, 4, 4)
    assert p.masks is p.masks


def test_a_prediction_cannot_be_changed_but_replaced():
    p = _prediction(np.ones((2, 4, 4), bool))
    with pytest.raises(dataclasses.FrozenInstanceError):
        p.masks = None
    other = dataclasses.replace(p, context=PredictionContext(image_shape=(5, 5)))
    assert other.context.image_shape == (5, 5)
    assert other.masks is p.masks


def test_large_masks_are_rendered_later():
    logits = np.full((1, 64, 64), -5, np.float32)
    logits[0, 8:56, 8:56] = 5
    task = new_task(
        0, parse_prompt((8192, 8192), points=[(4000, 4000)]), WINDOW, None, PredictionContext(), kind="tiny"
    )
    p = build_prediction(task, logits, np.array([0.9], np.float32), None, model="tiny", tidy=True)
    y0, x0, y1, x1 = p.bbox
    assert (y1 - y0) * (x1 - x0) > 1 << 24
    window = slice(1024 - y0, 7168 - y0), slice(1024 - x0, 7168 - x0)
    assert p.mask[window].mean() > 0.999
    assert p.mask.sum() == pytest.approx(6144**2, rel=0.02)


def test_the_outline_replaces_the_best_mask_and_its_level():
    logits = np.full((2, 64, 64), -5, np.float32)
    window = Window((0, 0, 512, 512), 512)
    task = new_task(0, parse_prompt((8192, 8192), points=[(9, 9)]), window, None, PredictionContext(), kind="tiny")
    refined = LogitGrid(np.full((64, 64), 5, np.float32), Window((0, 0, 64, 64), 64))
    p = build_prediction(task, logits, np.array([0.2, 0.9], np.float32), (refined, 64), model="tiny", tidy=False)
    assert (p.best, p.levels, p.bbox) == (1, (512, 64), (0, 0, 64, 64))
    assert p.mask.all()
    assert not p.mask_at(0).any()


@pytest.mark.parametrize("wrong", [{"multimask": "yes"}, {"hints": 30.0}, {"refine": 2.5}])
def test_settings_of_the_wrong_type_are_refused(wrong):
    with pytest.raises(SettingsError) as error:
        PredictionSettings(**wrong)
    assert error.value.parameter == next(iter(wrong))


def test_settings_have_the_defaults_of_predict():
    assert PredictionSettings() == PredictionSettings(multimask=True, hints=Hints(), refine=None)
