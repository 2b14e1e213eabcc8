"""When a prompt is decoded again in a coarser window."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.interactive.prediction import PredictionContext
from napari_sam.engine.interactive.prompt_task import DecodedResult, new_task
from napari_sam.engine.interactive.prompts import parse_prompt
from napari_sam.engine.interactive.window_escalation import WindowEscalation
from napari_sam.engine.windows import Window, whole_window
from napari_sam.errors import PromptError

SHAPE = (8192, 8192)
WINDOW = Window((4096, 4096, 4608, 4608), 512)


def _task(window=WINDOW, kind="default", **context):
    prompt = parse_prompt(SHAPE, points=[(4300, 4300)])
    return new_task(0, prompt, window, None, PredictionContext(**context), kind=kind)


def _logits(*squares):
    """One mask of 64 x 64 logits with some rectangles (y0, x0, y1, x1) of foreground."""
    logits = np.full((1, 64, 64), -5, np.float32)
    for y0, x0, y1, x1 in squares:
        logits[0, y0:y1, x0:x1] = 5
    return logits


WHOLE, CUT = _logits((20, 20, 40, 40)), _logits((0, 20, 40, 40))
HIGH, LOW = np.array([0.9], np.float32), np.array([0.2], np.float32)


def test_a_confident_mask_inside_its_window_is_accepted():
    assert WindowEscalation(SHAPE, tidy=False).next_step(_task(), WHOLE, HIGH) is None


def test_a_mask_that_is_cut_goes_to_a_window_of_twice_the_side():
    task = WindowEscalation(SHAPE, tidy=False).next_step(_task(), CUT, HIGH)
    assert task.window.shape == (1024, 1024)
    assert task.levels == (512, 1024)


def test_a_speck_at_the_border_is_no_cut_for_a_tidy_predictor():
    logits = _logits((20, 20, 40, 40), (0, 0, 1, 1))
    assert WindowEscalation(SHAPE, tidy=True).next_step(_task(), logits, HIGH) is None
    assert WindowEscalation(SHAPE, tidy=False).next_step(_task(), logits, HIGH) is not None


def test_low_confidence_is_retried_much_coarser_and_remembered():
    task = WindowEscalation(SHAPE, tidy=False).next_step(_task(), WHOLE, LOW)
    assert task.window.shape == (2048, 2048)
    assert (task.retries, task.fallback.logits is WHOLE) == (2, True)


def test_when_retries_do_not_help_the_first_result_counts():
    escalation, step = WindowEscalation(SHAPE, tidy=False), _task()
    for _ in range(2):
        step = escalation.next_step(step, WHOLE, LOW)
    last = escalation.next_step(step, CUT, LOW)
    assert isinstance(last, DecodedResult)
    assert last.task.window == WINDOW


def test_other_models_are_not_retried():
    assert WindowEscalation(SHAPE, tidy=False).next_step(_task(kind="vit_b"), WHOLE, LOW) is None


def test_the_whole_image_is_the_last_window():
    task = _task(whole_window(SHAPE, 512))
    assert WindowEscalation(SHAPE, tidy=False).next_step(task, CUT, HIGH) is None


def test_an_object_too_large_for_a_mask_is_refused():
    shape = (60_000, 60_000)
    prompt = parse_prompt(shape, points=[(4300, 4300)])
    task = new_task(0, prompt, Window((0, 0, 40_000, 40_000), 512), None, PredictionContext(), kind="default")
    with pytest.raises(PromptError, match="16384 x 16384"):
        WindowEscalation(shape, tidy=False).next_step(task, _logits((0, 0, 64, 64)), HIGH)


@pytest.mark.parametrize(("refine", "finest"), [(None, 512), (True, 512), (False, None)])
def test_the_setting_decides_how_fine_the_refinement_is(refine, finest):
    assert _task(refine=refine).finest == finest


def test_a_known_diameter_leaves_no_retries():
    from napari_sam.engine.windows import Hints

    assert _task(hints=Hints(diameter_px=30)).retries == 0
