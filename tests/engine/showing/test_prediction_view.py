"""What a prediction shows of itself in a notebook and in a plot."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest

from napari_sam.engine.geometry import Box
from napari_sam.engine.interactive.prediction import LazyMasks, Prediction
from napari_sam.engine.interactive.prompts import parse_prompt
from napari_sam.engine.windows import Window
from napari_sam.errors import NapariSamError
from napari_sam.io.images.open_image import open_image
from tests.engine.showing.test_html import pictures_in

WINDOW = Window((0, 0, 128, 128), 128)
CYAN = [0, 229, 255]


class NeverRendered:
    """A field of logits that fails if it is rendered."""

    def sample(self, region):
        raise AssertionError("rendered")

    uniform = span = sample


def prediction(masks=None, bbox=(40, 20, 60, 50), logits=None, window=WINDOW):
    masks = np.ones((1, 20, 30), bool) if masks is None else masks
    score = np.array([0.75], np.float32)
    logits = np.zeros((1, 8, 8), np.float32) if logits is None else logits
    prompt = parse_prompt(window.shape, points=[(50, 30), (5, 5)], point_labels=[1, 0], box=(40, 20, 60, 50))
    return Prediction(masks, bbox, score, score, logits, 0, window, (128,), "tiny", prompt)


@pytest.fixture
def image():
    return open_image(np.full((128, 128), 240, np.uint8))


@pytest.fixture
def axes():
    from matplotlib import pyplot

    yield pyplot.subplots()[1]
    pyplot.close("all")


def test_the_mask_is_shown_with_the_image_around_it(image):
    p = prediction()
    p.show_on(image)
    html = p._repr_html_()
    assert "0.75" in html
    assert "tiny" in html
    (picture,) = pictures_in(html)
    assert picture[0, 0].tolist() == [240, 240, 240]
    # The region is the box with a margin of 8 pixels: 36 x 46 pixels, shown 256 / 46 times as large.
    outlined = np.argwhere((picture == CYAN).all(-1))
    scale = 256 / 46
    assert outlined.min(0).tolist() == pytest.approx([8 * scale, 8 * scale], abs=1)
    assert outlined.max(0).tolist() == pytest.approx([28 * scale, 38 * scale], abs=1.5)


def test_without_its_image_the_mask_is_shown_on_black(image):
    p = prediction()
    p.show_on(open_image(np.zeros((128, 128), np.uint8)))  # nobody keeps this image
    (picture,) = pictures_in(p._repr_html_())
    assert picture.shape == (171, 256, 3)
    assert (picture[:, :, 2] > 0).all()


def test_a_prediction_that_is_pickled_leaves_its_image_behind(image):
    p = prediction()
    p.show_on(image)
    copy = pickle.loads(pickle.dumps(p))
    assert copy.mask.sum() == 600
    assert pictures_in(copy._repr_html_())[0].shape == (171, 256, 3)


def test_a_large_mask_is_shown_without_being_rendered():
    logits = np.full((1, 64, 64), -5, np.float32)
    logits[0, 16:48, 16:48] = 5
    window = Window((0, 0, 8192, 8192), 512)
    masks = LazyMasks([NeverRendered()], Box(2048, 2048, 6144, 6144), 0)
    p = prediction(masks, (2048, 2048, 6144, 6144), logits, window)
    (picture,) = pictures_in(p._repr_html_())
    assert picture.shape == (256, 256, 3)
    assert (picture[4:-4, 4:-4, 2] > 0).all()


def test_the_plot_has_coordinates_of_the_image(image, axes):
    p = prediction()
    assert p.plot(axes, image=image) is axes
    assert axes.get_xlim() == (12 - 0.5, 58 - 0.5)
    assert axes.get_ylim() == (68 - 0.5, 32 - 0.5)
    assert "0.75" in axes.get_title()
    lines = [line.get_xydata().tolist() for line in axes.lines]
    assert [[30, 50]] in lines  # (x, y) of the foreground point
    assert [20, 40] in lines[-1]  # a corner of the box


def test_another_mask_can_be_plotted(image, axes):
    masks = np.zeros((2, 20, 30), bool)
    masks[1] = True
    p = prediction(masks)
    with pytest.raises(IndexError):
        p.plot(axes, index=1)  # it has one score


def test_a_plot_without_matplotlib_names_the_extra(image, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(NapariSamError, match=r"napari-sam-xl\[plot\]"):
        prediction().plot(image=image)


def test_predictions_of_a_predictor_know_its_image(default_predictor, nuclei):
    predictor = default_predictor.sharing()
    predictor.set_image(nuclei[0])
    p = predictor.predict(points=[(122, 182)])
    y0, x0, y1, x1 = p.bbox
    (picture,) = pictures_in(p._repr_html_())
    margin = max(8, round(0.2 * max(y1 - y0, x1 - x0)))
    assert max(picture.shape) == 256
    assert picture.shape[0] / picture.shape[1] == pytest.approx(
        (y1 - y0 + 2 * margin) / (x1 - x0 + 2 * margin), rel=0.02
    )
    assert (picture == CYAN).all(-1).any()
    assert not (picture == 0).all(-1).all()
