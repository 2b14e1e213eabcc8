"""Dense mode of whole images: windows, scores, magnification, and the same objects however they are asked for."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_sam.engine.automatic.dense_finder import DenseFinder, default_settings, dense_windows
from napari_sam.engine.automatic.magnification import estimate_diameter, estimate_scale
from napari_sam.errors import CancelledError, PromptError, SettingsError
from napari_sam.evaluation.metrics.label_matching import match_labels
from src_models.networks.mask_decoder import DecodedMasks
from src_models.watershed import scored_objects, seeded_watershed
from src_models.watershed_settings import WatershedSettings
from tests.engine.tiny import TinyRunner, tiny_predictor

PLAIN = WatershedSettings(centre=0.5, sigma_px=0.0)


@pytest.fixture
def squares():
    """Two bright squares, on a predictor whose dense decoder takes brightness for foreground; windows are 64 wide."""
    image = np.zeros((96, 200), np.uint8)
    image[16:48, 16:48], image[40:72, 140:172] = 250, 250
    predictor = tiny_predictor(runner=BrightnessRunner())
    predictor.set_image(image)
    return predictor


class BrightnessRunner(TinyRunner):
    """Takes brightness for foreground."""

    def __init__(self, kind="tiny"):
        super().__init__()
        self.kind = kind

    def dense(self, embedding):
        grey = embedding[0, :1].float() * 7 / 255
        return torch.cat([grey, 1 - grey, 1 - grey])


def _found(finder, region, factor=1):
    return finder.finish(region, factor, finder.compute(region, factor, finder.read(region, factor)))


def _maps(foreground, centre, boundary):
    return np.array([[foreground], [centre], [boundary]], np.float32)


def test_scores_follow_from_the_maps():
    # Inside 0.8 and 0.6, beside it 0.4: soft IoU = 1.4 / (2 + 1.8 - 1.4) = 0.5833; the distances fall to 0.1 and 0.
    found = scored_objects(_maps([0.8, 0.6, 0.4, 0.1], [0.0, 0.3, 1, 1], [0.1, 0.6, 1, 1]), PLAIN)
    assert found.labels.tolist() == [[1, 1, 0, 0]]
    assert found.predicted_iou[0] == pytest.approx(0.32 + 0.75 * 0.58333 - 0.87 * 0.1, abs=1e-4)
    assert found.stability_score[0] == pytest.approx(1 / 3)  # 0.8 exceeds 0.75; 0.8, 0.6 and 0.4 exceed 0.25


def test_an_object_without_depth_is_doubted_and_can_be_dropped():
    maps = _maps([1, 1, 0, 1, 1], [0, 0.2, 1, 0.4, 0.5], [0, 0.4, 1, 0.45, 0.6])
    both = scored_objects(maps, PLAIN)
    assert both.labels.tolist() == [[1, 1, 0, 2, 2]]
    assert both.predicted_iou[0] == 1
    assert both.predicted_iou[1] == pytest.approx(1.07 - 0.87 * 0.45 - 0.99 * 0.4, abs=1e-5)
    sure = scored_objects(maps, WatershedSettings(centre=0.5, sigma_px=0.0, min_predicted_iou=0.5))
    assert sure.labels.tolist() == [[1, 1, 0, 0, 0]]
    assert sure.predicted_iou.tolist() == [1]


def test_scored_objects_are_those_of_the_watershed():
    smooth = ndimage.gaussian_filter(np.random.default_rng(3).random((90, 110)), 5)
    foreground = (smooth - smooth.min()) / np.ptp(smooth)
    maps = np.stack([foreground, 1 - foreground, 1 - foreground]).astype(np.float32)
    settings = WatershedSettings(min_area_px=40)
    plain, scored = seeded_watershed(maps, settings), scored_objects(maps, settings)
    assert plain.max() == scored.labels.max() == len(scored.predicted_iou) > 3
    assert (plain == scored.labels).mean() > 0.99


def test_maps_without_an_object_have_no_scores():
    found = scored_objects(np.ones((3, 8, 9), np.float32), PLAIN)
    assert not found.labels.any()
    assert found.predicted_iou.shape == found.stability_score.shape == (0,)


@pytest.mark.parametrize("bad", [-0.1, 1.5])
def test_a_predicted_iou_that_cannot_be_is_refused(bad):
    with pytest.raises(SettingsError, match="min_predicted_iou"):
        WatershedSettings(min_predicted_iou=bad)


@pytest.mark.parametrize("factor", [1, 4])
@pytest.mark.parametrize("shape", [(1000, 1300), (70, 1500), (90, 80)])
@pytest.mark.parametrize("region", [(0, 0, 70, 80), (5, 7, 61, 79), (3, 0, 70, 33)])
def test_windows_cover_the_region_on_its_label_pixels(shape, region, factor):
    if shape[0] > 900:
        region = (region[0] + 301, region[1] + 103, region[2] * 12, region[3] * 15)
    seen = np.zeros(shape, bool)
    for window in dense_windows(region, 64 * factor, factor, shape, 512):
        y0, x0, y1, x1 = window.bbox
        assert (y0 - region[0]) % factor == (x0 - region[1]) % factor == 0
        assert 0 <= y0 < y1 <= shape[0]
        assert 0 <= x0 < x1 <= shape[1]
        assert max(window.shape) <= 64 * factor
        seen[y0:y1, x0:x1] = True
    assert seen[region[0] : region[2], region[1] : region[3]].all()


def test_neighbouring_windows_overlap_by_an_eighth_or_more():
    of = [w.bbox[1] for w in dense_windows((0, 0, 256, 960), 256, 1, (256, 4096), 512)]
    assert of == [0, 176, 352, 528, 704]  # four windows would reach 256 + 3 * 224 = 928
    assert len(dense_windows((0, 0, 256, 928), 256, 1, (256, 4096), 512)) == 4


def test_regions_outside_the_image_are_refused(squares):
    with pytest.raises(PromptError, match="inside the image"):
        DenseFinder(squares, PLAIN).read((0, 0, 97, 10), 1)


def test_a_region_has_the_same_objects_as_the_whole_image(squares):
    finder = DenseFinder(squares, PLAIN)
    whole = _found(finder, (0, 0, 96, 200))
    assert whole.labels.shape == (96, 200)
    assert whole.labels.max() == len(whole.predicted_iou) == len(whole.stability_score) == 2
    part = _found(finder, (30, 120, 96, 200)).labels
    assert part.max() == 1
    assert match_labels(whole.labels[30:, 120:], part).mean_accuracy() == 1


def test_labels_of_a_factor_are_that_much_smaller(squares):
    found = _found(DenseFinder(squares, PLAIN, side=32), (1, 0, 96, 199), factor=2)
    assert found.labels.shape == (48, 100)
    assert found.labels.dtype == np.int32
    assert found.labels.max() == 2
    assert found.labels[15, 15] != found.labels[28, 78] != 0


def test_an_image_smaller_than_a_window_is_shown_smaller(squares):
    finder = DenseFinder(squares, PLAIN, side=400)
    (one,) = finder.read((0, 0, 96, 200), 1)
    assert one.pixels.shape == (15, 32, 3)  # 64 pixels show 400
    assert one.key is None  # no prompt sees it so
    assert _found(finder, (0, 0, 96, 200)).labels.shape == (96, 200)


def test_cached_embeddings_are_used_and_new_ones_kept_on_request(squares):
    region = (0, 0, 64, 64)
    _found(DenseFinder(squares, PLAIN), region)
    _found(DenseFinder(squares, PLAIN), region)
    assert squares.runner.encoded == 2
    kept = DenseFinder(squares, PLAIN, keep=True)
    first, again = _found(kept, region), _found(kept, region)
    assert squares.runner.encoded == 3
    np.testing.assert_array_equal(first.labels, again.labels)


def test_cancelling_stops_between_windows(squares):
    finder = DenseFinder(squares, PLAIN)
    region = (0, 0, 96, 200)
    read = finder.read(region, 1)
    answers = iter([False, False, True, True])
    with pytest.raises(CancelledError):
        finder.compute(region, 1, read, lambda: next(answers))
    assert 0 < squares.runner.encoded < len(read)


def test_settings_are_json_and_tell_all_that_matters(squares):
    one, other = DenseFinder(squares, PLAIN), DenseFinder(squares, PLAIN, side=32)
    assert json.loads(json.dumps(one.settings())) == one.settings()
    assert one.settings() != other.settings()
    assert one.settings() != DenseFinder(squares, WatershedSettings()).settings()
    assert one.settings() != DenseFinder(squares, PLAIN, branches="both").settings()


def test_unknown_branches_are_refused(squares):
    with pytest.raises(SettingsError, match="branches is 'mask'"):
        DenseFinder(squares, PLAIN, branches="mask")


class BothBranchesRunner(BrightnessRunner):
    """Decodes a prompt to a square of 12 x 12 pixels of the network's input around its point."""

    def dense(self, embedding):
        grey = embedding[0, :1].float() * 7 / 255
        distance = torch.where(grey > 0.3, 0.2, 1.0)
        return torch.cat([grey, distance, distance])

    def decode_crops(self, embedding, prompts):
        cells = torch.arange(4 * prompts.side) + 0.5
        logits = torch.full((len(prompts.coords), 3, len(cells), len(cells)), -5.0)
        for k, (origin, coords) in enumerate(zip(prompts.origins, prompts.coords, strict=True)):
            x, y = coords[0] + 0.5
            rows, cols = (cells + 4 * origin[0] - y).abs() < 6, (cells + 4 * origin[1] - x).abs() < 6
            logits[k, :, rows[:, None] & cols[None]] = 5.0
        return DecodedMasks(logits, torch.full((len(logits), 3), 0.9))


def test_a_region_across_windows_has_the_objects_of_both_branches():
    """Faint squares of 12 pixels have no seed; the mask decoder draws them wherever they lie."""
    image = np.zeros((96, 200), np.uint8)
    for y, x in ((20, 20), (60, 57), (30, 120)):  # the second lies where two windows overlap
        image[y : y + 12, x : x + 12] = 100
    image[60:72, 150:162] = 250
    predictor = tiny_predictor(runner=BothBranchesRunner())
    predictor.set_image(image)
    region = (0, 0, 96, 200)
    assert _found(DenseFinder(predictor, PLAIN, branches="dense"), region).labels.max() == 1
    found = _found(DenseFinder(predictor, PLAIN, branches="both"), region)
    assert found.labels.max() == len(found.predicted_iou) == len(found.stability_score) == 4
    areas = np.bincount(found.labels.ravel())[1:]
    assert areas.tolist() == pytest.approx([144] * 4, rel=0.35)


@pytest.mark.parametrize(
    ("kind", "model", "wanted"),
    [
        ("default", "runs/mine.safetensors", WatershedSettings(min_predicted_iou=0.4)),
        ("vit_b", "vit_b_lm", WatershedSettings(centre=0.4, min_area_px=100)),
        ("vit_b", "vit_b_em_organelles", WatershedSettings(centre=0.5, foreground_sigma_px=1.0, sigma_px=1.6)),
    ],
)
def test_every_model_has_settings_of_its_own(kind, model, wanted):
    predictor = tiny_predictor(runner=BrightnessRunner(kind), name=model)
    assert default_settings(predictor) == wanted
    assert DenseFinder(predictor).watershed == wanted


def test_a_blank_image_has_no_scale():
    predictor = tiny_predictor()
    predictor.set_image(np.zeros((300, 300), np.uint8))
    assert estimate_scale(predictor, settings=PLAIN) is None
    assert estimate_diameter(predictor) is None


def test_the_magnification_is_that_at_which_the_decoder_is_surest(squares, monkeypatch):
    """A decoder that is surest of objects some 20 pixels of the network's input wide."""

    def dense(embedding):
        maps = torch.ones(3, 16, 16)
        for rows in (slice(0, 8), slice(8, 16)):
            for cols in (slice(0, 8), slice(8, 16)):  # the cells of a sheet
                bright = embedding[0, 0, rows, cols].float() * 7 > 160
                width = max(1.0, float(bright.any(0).sum()) * 4)
                maps[0, rows, cols] = bright.float()
                maps[1:, rows, cols] = torch.where(bright, 0.3 * abs(np.log2(width / 20)), 1.0)
        return maps

    monkeypatch.setattr(squares.runner, "dense", dense)
    image = np.zeros((64, 64), np.uint8)
    image[12:52, 12:52] = 250  # 40 pixels: half as large is best
    squares.set_image(image)
    scale = estimate_scale(squares, settings=PLAIN)
    assert scale.side in (90, 91, 128)
    assert scale.diameter_px == pytest.approx(2 * 40 / np.sqrt(np.pi), rel=0.25)


def test_the_magnification_takes_two_windows_of_any_image(squares):
    image = np.zeros((900, 1300), np.uint8)
    image[700:720, 1000:1020] = 250
    squares.set_image(image)
    assert estimate_scale(squares, settings=PLAIN, samples=5) is not None
    assert squares.runner.encoded == 2


def test_the_place_with_most_contrast_is_the_sample(squares):
    image = np.zeros((600, 600), np.uint8)
    image[400:420, 150:170] = 250
    squares.set_image(image)
    scale = estimate_scale(squares, (200, 0, 600, 600), settings=PLAIN)
    assert 10 < scale.diameter_px < 40


def test_cancelling_stops_the_choice_of_the_magnification(squares):
    with pytest.raises(CancelledError):
        estimate_scale(squares, settings=PLAIN, cancelled=lambda: True)
    assert squares.runner.encoded == 0


def test_the_shipped_model_finds_the_sample_nuclei(default_predictor, nuclei):
    image, labels = nuclei
    default_predictor.set_image(image)
    found = _found(DenseFinder(default_predictor), (0, 0, *image.shape[:2]))
    m = match_labels(labels, found.labels)
    assert m.accuracy(0.5) > 0.7
    iou = np.zeros(len(found.predicted_iou))
    np.maximum.at(iou, m.cols, m.iou)
    right, wrong = found.predicted_iou[iou >= 0.5], found.predicted_iou[iou < 0.5]
    assert len(wrong) == 0 or right.mean() > wrong.mean()


def test_holes_are_filled_on_request_and_recorded_only_then(squares):
    image = np.zeros((64, 64), np.uint8)
    image[8:56, 8:56], image[28:36, 28:36] = 250, 0
    squares.set_image(image)
    plain, tidy = (DenseFinder(squares, PLAIN, branches="dense", min_region_px=least) for least in (0, 200))
    region = (0, 0, 64, 64)
    assert _found(plain, region).labels[31, 31] == 0
    assert _found(tidy, region).labels[31, 31] == 1
    assert "min_region_px" not in plain.settings()
    assert tidy.settings() == plain.settings() | {"min_region_px": 200}
