"""One object by a phrase, and points that correct the choice."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.geometry import Box
from napari_sam.errors import NoImageError, PromptError
from napari_sam.predictor import Predictor
from napari_sam.samples import nuclei, nuclei_labels
from napari_sam.text.text_detector import Detections
from napari_sam.text.text_search import TextSearch
from napari_sam.text.vocabulary import Vocabulary

CROP = np.s_[64:256, 352:544]
TRUTH = np.asarray(nuclei_labels())[CROP]


class BoxDetector:
    name, side, threshold = "boxes", 192, 0.4

    def __init__(self, boxes):
        self.found = Detections.of(boxes, np.linspace(0.9, 0.5, len(boxes)))

    def detect(self, rgb, text):
        return self.found


@pytest.fixture(scope="module")
def predictor():
    predictor = Predictor(device="cpu")
    predictor.set_image(np.asarray(nuclei())[CROP])
    return predictor


@pytest.fixture(scope="module")
def objects():
    """Return label, box and a point inside of three large nuclei."""
    from scipy import ndimage

    found = []
    for label, slices in enumerate(ndimage.find_objects(TRUTH), start=1):
        if slices is not None:
            rows, cols = np.nonzero(TRUTH == label)
            middle = np.argmin((rows - rows.mean()) ** 2 + (cols - cols.mean()) ** 2)
            box = Box(slices[0].start, slices[1].start, slices[0].stop, slices[1].stop)
            found.append((label, box, (int(rows[middle]), int(cols[middle]))))
    return sorted(found, key=lambda one: -one[1].area)[:3]


@pytest.fixture
def search(objects):
    return TextSearch(Vocabulary(), BoxDetector([box for _, box, _ in objects[:2]]))


def iou(prediction, label):
    mask = np.zeros(TRUTH.shape, bool)
    mask[Box(*prediction.bbox).slices] = prediction.mask
    return (mask & (TRUTH == label)).sum() / (mask | (TRUTH == label)).sum()


def test_the_object_that_fits_best_is_segmented(predictor, search, objects):
    p = predictor.predict(text="blob", detector=search)
    assert iou(p, objects[0][0]) > 0.7
    assert p.masks.shape[0] == 3


def test_a_point_on_another_object_chooses_it(predictor, search, objects):
    p = predictor.predict(text="blob", points=[objects[1][2]], detector=search)
    assert iou(p, objects[1][0]) > 0.7


def test_a_background_point_on_the_best_object_chooses_the_next(predictor, search, objects):
    p = predictor.predict(text="blob", points=[objects[0][2]], point_labels=[0], detector=search)
    assert iou(p, objects[1][0]) > 0.7


def test_a_point_where_nothing_fits_is_a_prompt_by_itself(predictor, search, objects):
    p = predictor.predict(text="blob", points=[objects[2][2]], detector=search)
    assert iou(p, objects[2][0]) > 0.6


def test_a_box_is_the_part_of_the_image_that_is_searched(predictor, objects):
    class Region:
        name, side, threshold = "regions", 192, 0.4

        def detect(self, rgb, text):
            self.shape = rgb.shape
            return Detections.of([[0, 0, *rgb.shape[:2]]], [0.9])

    detector = Region()
    box = objects[1][1].grow(4).intersection((0, 0, *TRUTH.shape))
    p = predictor.predict(text="blob", box=box, detector=TextSearch(Vocabulary(), detector))
    assert detector.shape[0] / detector.shape[1] == pytest.approx(box.height / box.width, rel=0.05)
    assert iou(p, objects[1][0]) > 0.6


def test_nothing_that_fits_is_an_error(predictor):
    search = TextSearch(Vocabulary(), BoxDetector([]))
    with pytest.raises(PromptError, match="nothing fits 'zebra'; use other words, or a point or box"):
        predictor.predict(text="zebra", detector=search)
    with pytest.raises(PromptError, match="nothing fits 'zebra'"):
        predictor.predict(text="zebra", points=[(5, 5)], point_labels=[0], detector=search)


def test_bad_input_is_named(predictor, search):
    with pytest.raises(PromptError, match="text is ''"):
        predictor.predict(text="", detector=search)
    with pytest.raises(PromptError, match="give text or mask, not both"):
        predictor.predict(text="blob", mask=np.ones((192, 192), bool), detector=search)
    with pytest.raises(PromptError, match="box is"):
        predictor.predict(text="blob", box=(1, 2), detector=search)
    with pytest.raises(PromptError, match="'qwertz' is not in the vocabulary"):
        predictor.predict(text="qwertz")
    with pytest.raises(NoImageError):
        Predictor(device="cpu").predict(text="blob", detector=search)
