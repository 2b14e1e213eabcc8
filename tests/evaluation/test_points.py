"""The point protocol, on predictions whose score is known."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam.engine.prediction import Prediction
from napari_sam.engine.prompts import Prompt
from napari_sam.engine.windows import whole_window
from napari_sam.errors import TrainingError
from napari_sam.evaluation.points import box_iou, score_folder, score_image


class Oracle:
    """Answers the first click with a square that is too small, later ones with the truth."""

    def __init__(self, labels):
        self.labels = labels

    @property
    def image(self):
        return self.labels  # of the image's shape, which is all that is asked

    def set_image(self, image):
        self.asked = []

    def predict_many(self, asks):
        return [self._answer(a) for a in asks]

    def _answer(self, ask):
        self.asked.append(ask)
        if "box" in ask:
            y0, x0, y1, x1 = ask["box"]
            mask = np.ones((y1 - y0, x1 - x0), bool)
            masks, bbox = np.stack([mask, ~mask]), (y0, x0, y1, x1)
        else:
            y, x = ask["points"][0]
            whole = self.labels == self.labels[y, x]
            mask = whole.copy()
            if len(ask["points"]) == 1:
                mask[:, 25:] = False
            masks, bbox = np.stack([mask, whole]), (0, 0, *whole.shape)
        return Prediction(
            masks,
            bbox,
            np.array([0.8, 0.3], np.float32),
            np.ones(2),
            np.zeros((2, 4, 4)),
            0,
            whole_window(self.labels.shape, 512),
            (50,),
            "oracle",
            Prompt(),
        )


@pytest.fixture
def labels():
    out = np.zeros((40, 60), np.int32)
    out[10:20, 20:30] = 3
    return out


def test_scores_are_those_worked_by_hand(labels):
    (score,) = score_image(Oracle(labels), labels.astype(np.uint8), labels, clicks=3)
    assert score.click == (0.5, 1.0, 1.0)
    assert score.oracle == 1.0
    assert score.box == 1.0
    assert score.confidence_error == pytest.approx(0.3)


def test_the_next_click_is_in_the_error_region(labels):
    oracle = Oracle(labels)
    score_image(oracle, labels.astype(np.uint8), labels, clicks=2)
    second = oracle.asked[1]
    y, x = second["points"][1]
    assert second["point_labels"] == [1, 1]
    assert 10 <= y < 20
    assert 25 <= x < 30
    assert second["mask"] is not None


def test_iou_of_boxes_that_do_not_meet_is_zero(labels):
    p = Oracle(labels)
    p.set_image(None)
    prediction = p._answer({"box": (0, 0, 5, 5)})
    assert box_iou(prediction, 0, np.ones((3, 3), bool), (30, 30)) == 0.0
    assert box_iou(prediction, 0, np.ones((5, 10), bool), (0, 0)) == 0.5


def test_a_folder_is_averaged(tmp_path, labels):
    tifffile.imwrite(tmp_path / "a.image.tif", labels.astype(np.uint8))
    tifffile.imwrite(tmp_path / "a.labels.tif", labels.astype(np.uint16))
    score = score_folder(Oracle(labels), tmp_path, "toy")
    assert (score.objects, score.click) == (1, (0.5, 1.0, 1.0))


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(TrainingError, match=str(tmp_path)):
        score_folder(Oracle(np.zeros((2, 2))), tmp_path, "none")


def test_the_shipped_model_meets_the_first_issues_targets_on_nuclei(shared, default_predictor):
    score = score_folder(
        default_predictor, shared / "data" / "dsb2018" / "dev", "dsb2018", 1, per_image=3, max_images=12
    )
    assert score.click[0] > 0.7
    assert score.box > 0.75
