"""When an object is looked at again, in which window, and which result counts."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.interactive.prediction import PredictionContext
from napari_sam.engine.interactive.prompt_task import DecodedResult, new_task
from napari_sam.engine.interactive.prompts import parse_prompt
from napari_sam.engine.interactive.second_look import SecondLook
from napari_sam.engine.windows import Window

SHAPE = (4096, 4096)
WINDOW = Window((2048, 2048, 2560, 2560), 512)
LOOK = SecondLook(below=0.8, factor=1.6, gain=0.05)


def _task(**prompt):
    prompt = prompt or {"points": [(2300, 2300)]}
    return new_task(0, parse_prompt(SHAPE, **prompt), WINDOW, None, PredictionContext(), kind="default")


def _logits(y0, x0, y1, x1):
    """Two masks of 128 x 128 logits, 4 pixels each; the second is a rectangle."""
    logits = np.full((2, 128, 128), -5, np.float32)
    logits[1, y0:y1, x0:x1] = 5
    return logits


SMALL = _logits(60, 60, 68, 68)  # 32 pixels around (2304, 2304)


def _scores(best):
    return np.array([0.1, best], np.float32)


def test_the_second_window_is_laid_around_the_first_mask():
    task = LOOK.next_task(DecodedResult(_task(), SMALL, _scores(0.5)), SHAPE)
    assert task.window.holds((2288, 2288, 2320, 2320))
    assert 1.6 * 32 <= max(task.window.shape) < 4 * 32
    assert task.first_look.predicted_iou.max() == pytest.approx(0.5)
    assert task.levels == (512, max(task.window.shape))


def test_one_look_at_a_sure_mask_is_enough():
    assert LOOK.next_task(DecodedResult(_task(), SMALL, _scores(0.9)), SHAPE) is None


@pytest.mark.parametrize("logits", [_logits(5, 5, 120, 120), _logits(0, 0, 0, 0)], ids=["large", "empty"])
def test_a_mask_that_fills_its_window_is_looked_at_in_the_same_one(logits):
    task = LOOK.next_task(DecodedResult(_task(), logits, _scores(0.5)), SHAPE)
    assert task.window == WINDOW
    assert task.place != _task().place
    assert LOOK.better(DecodedResult(task, logits, _scores(0.48)), SHAPE).task is task
    assert LOOK.better(DecodedResult(task, logits, _scores(0.3)), SHAPE).task is not task


def test_an_earlier_prediction_is_not_looked_at_again():
    task = _task(points=[(2300, 2300)], mask=np.full((128, 128), -5, np.float32))
    assert LOOK.next_task(DecodedResult(task, SMALL, _scores(0.5)), SHAPE) is None


def test_there_is_no_third_look():
    second = LOOK.next_task(DecodedResult(_task(), SMALL, _scores(0.5)), SHAPE)
    assert LOOK.next_task(DecodedResult(second, _logits(60, 60, 64, 64), _scores(0.5)), SHAPE) is None


@pytest.mark.parametrize(("score", "is_second"), [(0.4, False), (0.52, False), (0.6, True)])
def test_the_second_result_must_be_clearly_better(score, is_second):
    second = LOOK.next_task(DecodedResult(_task(), SMALL, _scores(0.5)), SHAPE)
    chosen = LOOK.better(DecodedResult(second, _logits(40, 40, 80, 80), _scores(score)), SHAPE)
    assert (chosen.task is second) is is_second
    assert (chosen.task.window == WINDOW) is not is_second


def test_a_second_mask_that_is_cut_does_not_count():
    second = LOOK.next_task(DecodedResult(_task(), SMALL, _scores(0.5)), SHAPE)
    assert LOOK.better(DecodedResult(second, _logits(0, 40, 80, 80), _scores(0.95)), SHAPE).task.window == WINDOW


def test_a_box_is_looked_at_again_at_scores_that_satisfy_a_click():
    look = SecondLook(below=0.6, below_box=0.8)
    for prompt, again in (({"points": [(2300, 2300)]}, False), ({"box": (2288, 2288, 2320, 2320)}, True)):
        assert (look.next_task(DecodedResult(_task(**prompt), SMALL, _scores(0.7)), SHAPE) is not None) is again
