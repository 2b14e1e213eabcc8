"""Predictions and masks for the tests of label stores."""

from __future__ import annotations

import numpy as np

from napari_sam.engine.interactive.prediction import Prediction
from napari_sam.engine.interactive.prompts import Prompt
from napari_sam.engine.windows import Window


def predicted(mask, origin=(0, 0)):
    """Return a prediction of one mask, with all that a store reads of it."""
    mask = np.asarray(mask, bool)
    y, x = origin
    return Prediction(
        masks=mask[None],
        bbox=(y, x, y + mask.shape[0], x + mask.shape[1]),
        predicted_iou=np.array([0.9], np.float32),
        stability_score=np.array([0.8], np.float32),
        low_res_logits=np.zeros((1, 4, 4), np.float32),
        best=0,
        window=Window((0, 0, 64, 64), 64),
        levels=(64,),
        model="default",
        prompt=Prompt(points=np.array([[1.0, 2.0]]), point_labels=np.array([1])),
    )


def square(side=10):
    """Return a square mask."""
    return np.ones((side, side), bool)
