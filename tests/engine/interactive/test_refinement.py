"""Outlines at a finer level: closer to the truth, within the coarse mask's resolution, without seams."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam.engine.interactive.logit_fields import LogitGrid, RefinedField
from napari_sam.engine.interactive.refinement import MAX_WINDOWS, CoarseOutline, plan_outline_windows, refine
from napari_sam.engine.interactive.rendering import render
from napari_sam.engine.windows import Window
from napari_sam.errors import CancelledError
from tests.engine.perfect import Blob, BlobImage, PerfectRunner, compare, perfect_predictor

SHAPE = (16_384, 16_384)
WINDOW = Window((8192, 8192, 10_240, 10_240), 512)  # 8 px a logit
BLOB = Blob(9216, 9216, 750, ((5, 0.1, 0.0),))


def _truth(window, blob=BLOB):
    middles = (np.arange(256) + 0.5) * 2
    depth = blob.depth(*(middles / window.scale[a] + window.bbox[a] - 0.5 for a in (0, 1)))
    return (depth * window.scale[0]).clip(-20, 20).astype(np.float32)


def _coarse(blob=BLOB):
    return LogitGrid(_truth(WINDOW, blob), WINDOW)


def _error(field, blob=BLOB):
    """Pixels wrong, and how far the worst lies from the true outline."""
    mask = render(field, WINDOW.bbox)
    ys, xs = (np.arange(WINDOW.bbox[a], WINDOW.bbox[a + 2]) for a in (0, 1))
    depth = blob.depth(ys, xs)
    wrong = mask != (depth > 0)
    return int(wrong.sum()), float(np.abs(depth[wrong]).max(initial=0))


@pytest.mark.parametrize("radius", [150, 350, 750, 950])
def test_few_windows_of_one_side_hold_the_whole_outline(radius):
    outline = CoarseOutline.of(_coarse(Blob(9216, 9216, radius)))
    windows = plan_outline_windows(outline, 512, SHAPE)
    assert 1 <= len(windows) <= MAX_WINDOWS
    assert len({w.shape for w in windows}) == 1
    for y, x in outline.points:
        assert any(w.bbox[0] < y < w.bbox[2] and w.bbox[1] < x < w.bbox[3] for w in windows)


def test_an_outline_that_needs_too_many_windows_at_every_level_stays_coarse():
    stripes = np.where(np.arange(256) % 8 < 4, 5, -5).astype(np.float32)
    outline = CoarseOutline.of(LogitGrid(np.repeat(stripes[None], 256, 0), WINDOW))
    assert plan_outline_windows(outline, 512, SHAPE, limit=3) == []


@pytest.mark.parametrize("value", [-5, 5])
def test_nothing_and_everything_have_no_outline(value):
    grid = LogitGrid(np.full((256, 256), value, np.float32), WINDOW)
    assert refine(grid, 512, SHAPE, None) is None


def test_a_wrong_coarse_outline_is_put_right():
    coarse = _coarse(Blob(9216, 9216, 756, ((5, 0.1, 0.0),)))  # wrong by 6 px
    field, side = refine(coarse, 512, SHAPE, lambda window, mask, hints: _truth(window)[None])
    before, after = _error(coarse), _error(field)
    assert side <= 2048 / 2
    assert after[0] < 0.05 * before[0]
    assert after[1] < 3 < 5 < before[1]


def test_windows_that_see_something_else_leave_the_coarse_mask_as_it_is():
    def ask(window, mask, hints):
        return np.stack([-_truth(window), np.full((256, 256), 9, np.float32), np.full((256, 256), -9, np.float32)])

    assert refine(_coarse(), 512, SHAPE, ask) is None


def test_an_outline_moves_by_no_more_than_two_coarse_logits():
    def ask(window, mask, hints):
        return (_truth(window) + 14 * window.scale[0])[None]  # 14 px too large

    field, _ = refine(_coarse(), 512, SHAPE, ask)
    _, worst = _error(field)
    assert 4 < worst <= 3 * 8  # two logits, and interpolation over one


def test_where_one_window_is_refused_its_neighbours_and_the_coarse_mask_meet_without_a_step():
    asked = []

    def ask(window, mask, hints):
        asked.append(window)
        return (_truth(window) if len(asked) % 2 else -_truth(window))[None]

    coarse = _coarse(Blob(9216, 9216, 755, ((5, 0.1, 0.0),)))
    field, _ = refine(coarse, 512, SHAPE, ask)
    assert len(field.details) == (len(asked) + 1) // 2
    logits = field.sample(WINDOW.bbox)
    steepest = max(float(torch.diff(logits, dim=axis).abs().max()) for axis in (0, 1))
    assert steepest < 1.0  # per pixel, of logits from -20 to 20: a seam would be a step of the whole difference


def test_pieces_of_a_field_are_those_of_the_whole():
    field, _ = refine(_coarse(), 512, SHAPE, lambda window, mask, hints: _truth(window)[None])
    whole = (field.sample(WINDOW.bbox) > 0).numpy()
    np.testing.assert_array_equal(render(field, WINDOW.bbox), whole)
    assert isinstance(field, RefinedField)


def test_a_finer_window_is_decoded_with_the_mask_and_a_point_on_either_side():
    def ask(window, mask, hints):
        np.testing.assert_allclose(np.sign(mask), np.sign(_truth(window)), atol=2)
        inside, outside = BLOB.depth(*hints.T).diagonal()
        assert outside < 0 < inside
        assert window.holds((*hints.min(0), *hints.max(0)))
        return _truth(window)[None]

    assert refine(_coarse(), 512, SHAPE, ask) is not None


class Clumsy(PerfectRunner):
    """Knows the truth only at full resolution; coarser it answers with a disc."""

    def decode(self, embedding, prompts, masks=None, multimask=True, network_shape=None):
        true, self.blob = self.blob, Blob(self.blob.y, self.blob.x, self.blob.radius)
        size = embedding[0, 0, 0, 4:6] - embedding[0, 0, 0, :2]
        if float(size[0] * 1000 + size[1]) <= 512:
            self.blob = true
        answer = super().decode(embedding, prompts, masks, multimask)
        self.blob = true
        return answer


def test_refining_brings_back_what_the_coarse_level_cannot_see():
    blob = Blob(8192, 8192, 400, ((24, 0.02, 0.3),))
    predictor = perfect_predictor(BlobImage(blob), Clumsy(blob))
    coarse = predictor.predict(points=[(8192, 8192)], refine=False)
    fine = predictor.predict(points=[(8192, 8192)])
    assert coarse.levels == fine.levels[:-1]
    assert fine.levels[-1] == 512
    assert 1 - compare(fine, blob)[0] < (1 - compare(coarse, blob)[0]) / 3


def test_a_box_is_refined_on_request():
    blob = Blob(8192, 8192, 700)
    predictor = perfect_predictor(BlobImage(blob))
    box = (7492, 7492, 8892, 8892)
    assert len(predictor.predict(box=box).levels) == 1
    assert len(predictor.predict(box=box, refine=True).levels) == 2


def test_refining_can_be_cancelled_between_windows():
    predictor = perfect_predictor(BlobImage(Blob(8192, 8192, 400)))
    with pytest.raises(CancelledError):
        predictor.predict(points=[(8192, 8192)], cancelled=lambda: len(predictor.runner.windows) > 5)
    assert len(predictor.runner.windows) == 6
