"""Objects of any size at any place give the same mask: with a perfect network nothing is lost, with ours little."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam.engine.windows import LARGEST_MASK_PX, Hints
from napari_sam.errors import PromptError
from napari_sam.predictor import Predictor
from tests.engine.perfect import Blob, BlobImage, compare, perfect_predictor

WAVES = ((3, 0.15, 0.4), (7, 0.08, 1.1), (12, 0.03, 2.0))
CORNERS = [(0, 0), (128, 128), (128, 0), (64, 200), (37.3, 191.7)]  # where windows meet, and elsewhere in the grid


@pytest.fixture
def ask():
    """Draw a blob, click on it, and return the prediction, its IoU, its worst wrong pixel, and the predictor."""

    def asked(blob, shape=(16_384, 16_384), **prompt):
        predictor = perfect_predictor(BlobImage(blob, shape))
        predictor.image.read_px.clear()
        p = predictor.predict(**(prompt or {"points": [(blob.y, blob.x)]}))
        return p, *compare(p, blob, shape, rows=200), predictor

    return asked


@pytest.mark.parametrize("waves", [(), WAVES], ids=["disc", "irregular"])
@pytest.mark.parametrize("radius", [10, 20, 60, 200])
def test_every_place_of_the_grid_gives_the_true_mask(ask, radius, waves):
    found = [ask(Blob(8192 + dy, 8192 + dx, radius, waves))[1:3] for dy, dx in CORNERS]
    ious, worst = np.array(found).T
    assert ious.min() > (0.995 if radius > 20 else 0.99 if radius == 20 else 0.96)
    assert np.ptp(ious) < 0.03
    assert worst.max() < 1  # no wrong pixel is a pixel away from the true outline: no side is cut, no seam is seen


@pytest.mark.parametrize(
    ("radius", "waves", "at"),
    [
        (400, WAVES, (128, 0)),
        (900, WAVES, (128, 128)),
        (900, (), (64, 200)),
        (2000, WAVES, (0, 0)),
        (4000, (), (128, 128)),
    ],
)
def test_a_large_object_is_never_cut(ask, radius, waves, at):
    p, iou, worst, _ = ask(Blob(8192 + at[0], 8192 + at[1], radius, waves))
    assert iou > 0.999
    assert worst < 2
    assert list(p.levels[:-1]) == sorted(p.levels[:-1])
    assert p.levels[-1] < max(p.window.shape) == p.levels[-2]


@settings(max_examples=15)
@given(st.floats(15, 350), st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.8), st.floats(0, 6.3))
def test_any_click_on_any_disc_gives_its_true_mask(radius, fy, fx, off, angle):
    blob = Blob(fy * 16_383, fx * 16_383, radius)  # also half beyond the image's border
    click = np.array([blob.y, blob.x]) + radius * off * np.array([np.sin(angle), np.cos(angle)])
    predictor = perfect_predictor(BlobImage(blob))
    p = predictor.predict(points=[tuple(np.clip(click, 0, 16_383))])
    iou, worst = compare(p, blob)
    assert iou > 0.99
    assert worst < 1


@pytest.mark.parametrize(
    "prompt",
    [
        {"points": [(8192, 8192), (8192, 8500), (7000, 8192)], "point_labels": [1, 1, 0]},
        {"box": (7792, 7792, 8592, 8592)},
        {"points": [(8000, 8200)], "box": (7792, 7792, 8592, 8592)},
    ],
)
def test_any_mix_of_prompts_is_answered_from_one_window(ask, prompt):
    p, iou, _, _ = ask(Blob(8192, 8192, 400), **prompt)
    assert p.window.holds(p.prompt.extent)
    assert iou > 0.998


def test_an_earlier_prediction_is_refined_again_without_encoding(ask):
    blob = Blob(8192, 8192, 400, WAVES)
    first, _, _, predictor = ask(blob)
    encoded = predictor.runner.encoded
    second = predictor.predict(points=[(8192, 8192), (8200, 8000)], mask=first)
    assert predictor.runner.encoded == encoded
    assert second.levels == first.levels[-2:]
    assert compare(second, blob)[0] > 0.995


def test_a_click_outside_the_earlier_window_carries_the_earlier_mask_along(ask):
    blob = Blob(8192, 8192, 100)
    first, _, _, predictor = ask(blob)
    second = predictor.predict(points=[(9500, 8192)], point_labels=[0], mask=first)
    assert second.window != first.window
    assert compare(second, blob)[0] > 0.97


@pytest.mark.parametrize("radius", [5, 12, 60, 90])
def test_a_click_reads_one_window_of_a_huge_pyramid(ask, radius):
    blob, shape = Blob(70_003, 31_337, radius), (100_000, 100_000)
    p, _, _, predictor = ask(blob, shape)
    assert (p.levels, predictor.image.read_px) == ((512,), [512 * 512])
    predictor.predict(points=[(blob.y, blob.x)], hints=Hints(diameter_px=3 * radius))
    assert sum(predictor.image.read_px[1:]) <= 2 * 512 * 512


def test_an_object_as_large_as_the_image_takes_one_mask_of_memory(ask):
    blob = Blob(8191.5, 8191.5, 8190)
    tracemalloc.start()
    p, iou, worst, _ = ask(blob)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert iou > 0.999
    assert worst < 64  # a logit of the whole image
    assert p.mask.nbytes <= LARGEST_MASK_PX
    assert peak < 1.3 * LARGEST_MASK_PX
    assert "masks" not in vars(p)  # three would be computed only when asked for


@pytest.mark.parametrize("prompt", [{"points": [(20_000, 20_000)]}, {"box": (100, 100, 39_000, 39_000)}])
def test_a_larger_object_is_refused_with_the_limit(ask, prompt):
    with pytest.raises(PromptError, match="16384 x 16384"):
        ask(Blob(20_000, 20_000, 19_000), (40_000, 40_000), **prompt)


def test_points_of_a_long_object_may_be_far_apart(ask):
    shape = (2000, 60_000)
    p, _, _, _ = ask(Blob(1000, 30_000, 50_000), shape, points=[(1000, 100), (1000, 59_000)])
    assert p.bbox == (0, 0, 2000, 60_000)
    assert p.mask.all()


@pytest.fixture
def shipped(default_predictor):
    """The shipped model, with an image of its own."""
    return Predictor(default_predictor.embedder.model)


@pytest.mark.parametrize("radius", [30, 90])
def test_the_shipped_model_finds_an_object_wherever_it_lies(shipped, radius):
    ious = []
    for dy, dx in CORNERS[:4]:
        blob = Blob(8192 + dy, 8192 + dx, radius)
        shipped.set_source(BlobImage(blob, noise=6))
        ious.append(compare(shipped.predict(points=[(blob.y, blob.x)]), blob)[0])
    assert min(ious) > 0.94
    assert np.ptp(ious) < 0.03


def test_a_click_inside_an_even_area_larger_than_its_window_finds_it(shipped):
    blob = Blob(8192, 8192, 900, WAVES)
    shipped.set_source(BlobImage(blob, noise=6))
    p = shipped.predict(points=[(8192, 8192)], refine=False)
    assert p.levels[:2] == (512, 2048)
    assert compare(p, blob)[0] > 0.93
