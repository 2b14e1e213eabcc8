"""Detection on large images: tiles, scales, duplicates and cut objects."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_sam.engine.geometry import Box
from napari_sam.engine.normalisation import Normalisation
from napari_sam.errors import CancelledError, SettingsError
from napari_sam.io.images.open_image import open_image
from napari_sam.text.text_detector import Detections
from napari_sam.text.tiled_detection import DetectionSettings, detect_in_region, scales_of, tiles_of


class SquareDetector:
    """Finds bright rectangles, as far as it sees them; larger parts have better scores."""

    name, side, threshold = "squares", 64, 0.5

    def __init__(self):
        self.shapes = []

    def detect(self, rgb, text):
        from scipy import ndimage

        self.shapes.append(rgb.shape)
        areas, _ = ndimage.label(rgb[..., 0] > 100)
        boxes = [[r.start, c.start, r.stop, c.stop] for r, c in ndimage.find_objects(areas)]
        return Detections.of(boxes, [0.5 + 0.001 * (r1 - r0) for r0, _, r1, _ in boxes])


class Looking:
    """An image with its normalisation, as an embedder has them."""

    def __init__(self, pixels):
        self.image, self.normalisation = open_image(pixels), Normalisation()


def search(pixels, detector=None, region=None, **settings):
    box = Box(*(region or (0, 0, *pixels.shape)))
    return detect_in_region(detector or SquareDetector(), "x", Looking(pixels), box, DetectionSettings(**settings))


def draw(shape, *boxes):
    pixels = np.zeros(shape, np.uint8)
    for y0, x0, y1, x1 in boxes:
        pixels[y0:y1, x0:x1] = 200
    return pixels


def test_tiles_cover_the_region_and_overlap():
    for length in (10, 64, 65, 100, 200, 333):
        tiles = tiles_of(Box(5, 7, 5 + length, 50), 64)
        rows = np.zeros(length, int)
        for tile in tiles:
            rows[tile.y0 - 5 : tile.y1 - 5] += 1
        assert (rows > 0).all()
        starts = [tile.y0 for tile in tiles]
        assert all(b - a <= 48 for a, b in itertools.pairwise(starts))


def test_scales_end_when_a_tile_holds_the_region():
    assert scales_of(Box(0, 0, 50, 60), 64, True) == [64]
    assert scales_of(Box(0, 0, 50, 129), 64, True) == [64, 128, 256]
    assert scales_of(Box(0, 0, 50, 129), 64, False) == [64]


def test_an_object_in_several_tiles_and_scales_is_found_once():
    squares = [(10, 10, 18, 18), (40, 40, 56, 56), (100, 60, 112, 76), (150, 180, 160, 195)]
    found = search(draw((170, 200), *squares))
    assert len(found) == 4
    for square in squares:
        assert max(Box(*square).iou(tuple(map(round, box))) for box in found.boxes.tolist()) > 0.85
    assert (np.diff(found.scores) <= 0).all()


def test_an_object_larger_than_a_tile_is_found_at_a_coarser_scale():
    large = (20, 20, 150, 160)
    found = search(draw((170, 200), large))
    assert len(found) == 1
    assert Box(*large).iou(tuple(map(round, found.boxes[0].tolist()))) > 0.9


def test_only_the_region_is_searched_and_coordinates_are_those_of_the_image():
    found = search(draw((300, 300), (10, 10, 20, 20), (210, 220, 222, 232)), region=(200, 200, 260, 270))
    np.testing.assert_allclose(found.boxes, [[210, 220, 222, 232]], atol=1.5)


def test_weak_detections_are_dropped():
    assert len(search(draw((64, 64), (10, 10, 20, 20), (30, 30, 60, 60)), least=0.52)) == 1


def test_a_large_image_is_seen_in_pictures_of_the_detectors_size():
    detector = SquareDetector()
    search(draw((170, 200), (10, 10, 20, 20)), detector)
    assert {max(shape[:2]) for shape in detector.shapes} == {64}


def test_a_search_can_be_cancelled_and_reports_progress():
    seen = []

    def progress(done, total):
        seen.append((done, total))

    with pytest.raises(CancelledError, match=r"stopped after 2 of \d+ tiles"):
        detect_in_region(
            *(SquareDetector(), "x", Looking(draw((170, 200))), Box(0, 0, 170, 200), DetectionSettings()),
            progress=progress,
            cancelled=lambda: len(seen) == 2,
        )
    assert [done for done, _ in seen] == [1, 2]


def test_a_side_that_is_too_small_is_refused():
    with pytest.raises(SettingsError, match="side is 5"):
        DetectionSettings(side=5)
