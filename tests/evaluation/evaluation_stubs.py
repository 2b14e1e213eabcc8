"""Predictors with known answers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from napari_sam.engine.interactive.prediction import Prediction
from napari_sam.engine.interactive.prompts import Prompt
from napari_sam.engine.windows import whole_window
from napari_sam.evaluation.datasets.ground_truth import truth_from_labels
from napari_sam.evaluation.datasets.labelled_samples import Sample


class Oracle:
    """Answers the first click with the left half of the object, further clicks and boxes with the whole object."""

    model, weights, device = "oracle", "none", "cpu"

    def __init__(self, labels, kind="default"):
        self.labels = labels
        self.runner = SimpleNamespace(kind=kind, dtype="float32")
        self.asked = []
        self.several = []

    @property
    def image(self):
        return self.labels  # only its shape is used

    def set_image(self, image):
        self.asked = []

    def predict_many(self, asks, multimask=True):
        self.several.append(multimask)
        return [self._answer(a) for a in asks]

    def _answer(self, ask):
        self.asked.append(ask)
        if ask.get("points"):
            y, x = (int(v) for v in ask["points"][0])
            whole = self.labels == self.labels[y, x]
            mask = whole.copy()
            if len(ask["points"]) == 1 and "box" not in ask:
                mask[:, 25:] = False
            masks, bbox = np.stack([mask, whole]), (0, 0, *whole.shape)
        else:
            y0, x0, y1, x1 = (round(v) for v in ask["box"])
            mask = np.ones((y1 - y0, x1 - x0), bool)
            masks, bbox = np.stack([mask, ~mask]), (y0, x0, y1, x1)
        return answer(masks, bbox, self.labels.shape)


def answer(masks, bbox, shape, scores=(0.8, 0.3)):
    """Return a prediction with these masks."""
    count = len(masks)
    return Prediction(
        masks,
        bbox,
        np.array(scores[:count], np.float32),
        np.ones(count),
        np.zeros((count, 4, 4)),
        0,
        whole_window(shape, 512),
        (50,),
        "oracle",
        Prompt(),
    )


def toy(labels, name="a", dataset="toy", **about):
    """Return a sample in memory."""
    image = np.repeat((labels[..., None] > 0) * np.uint8(200), 3, 2)
    return Sample(dataset, name, None, lambda: truth_from_labels(labels), lambda: image, f"{dataset}{name}", **about)
