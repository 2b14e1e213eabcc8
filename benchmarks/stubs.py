"""Answers without a network, for benchmarks of what comes after one."""

from __future__ import annotations

import numpy as np

from napari_sam.engine.interactive.prediction import Prediction
from napari_sam.engine.interactive.prompts import Prompt
from napari_sam.engine.windows import Window


def disc_prediction(origin: tuple[int, int], radius: int) -> Prediction:
    """A disc whose box begins at `origin`, as a predictor would give it."""
    y, x = np.mgrid[: 2 * radius, : 2 * radius] - radius + 0.5
    bbox = (origin[0], origin[1], origin[0] + 2 * radius, origin[1] + 2 * radius)
    centre = np.array([[origin[0] + radius, origin[1] + radius]], float)
    return Prediction(
        masks=(y**2 + x**2 < radius**2)[None],
        bbox=bbox,
        predicted_iou=np.array([0.9], np.float32),
        stability_score=np.array([0.9], np.float32),
        low_res_logits=np.zeros((1, 128, 128), np.float32),
        best=0,
        window=Window(bbox, 512),
        levels=(512,),
        model="none",
        prompt=Prompt(points=centre, point_labels=np.array([1])),
    )
