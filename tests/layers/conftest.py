"""Viewers without a window, predictions and label stores."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam.engine.interactive.prediction import Prediction
from napari_sam.engine.interactive.prompts import Prompt
from napari_sam.engine.windows import whole_window
from napari_sam.io.labels.label_store import LabelStore


@pytest.fixture
def viewer():
    return ViewerModel()


def prediction(mask, origin=(0, 0), score=0.8):
    """Return a prediction with three masks, of which the second is flipped."""
    y, x = origin
    return Prediction(
        masks=np.stack([mask, mask[::-1], mask]),
        bbox=(y, x, y + mask.shape[0], x + mask.shape[1]),
        predicted_iou=np.array([score, 0.1, 0.2], np.float32),
        stability_score=np.ones(3, np.float32),
        low_res_logits=np.zeros((3, 4, 4), np.float32),
        best=0,
        window=whole_window((40, 50), 512),
        levels=(50,),
        model="test",
        prompt=Prompt(points=np.array([[1.0, 2.0]]), point_labels=np.array([1])),
    )


@pytest.fixture
def square():
    return np.ones((10, 10), bool)


@pytest.fixture
def store(tmp_path):
    """An empty label store of 40 x 50 pixels."""
    made = LabelStore.create(tmp_path / "labels.ome.zarr", shape=(40, 50))
    yield made
    made.close()
