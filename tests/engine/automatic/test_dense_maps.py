"""Dense maps to objects: the watershed, the windows that cover a region, and no seam between them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_sam import Predictor
from napari_sam.engine.automatic.dense_maps import (
    blend,
    check_region,
    cover,
    dense_side,
)
from napari_sam.engine.windows import grid_window
from napari_sam.errors import CancelledError, PromptError, SettingsError
from src_models.networks.sam import build_sam
from src_models.training.dense_targets import dense_target
from src_models.watershed import hypothesis, seeded_watershed
from src_models.watershed_settings import WatershedSettings


def _discs(shape, centres, radius):
    labels = np.zeros(shape, np.int32)
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    for i, (y, x) in enumerate(centres, start=1):
        labels[(yy - y) ** 2 + (xx - x) ** 2 <= radius**2] = i
    return labels


def test_perfect_maps_give_the_objects_back_even_where_they_touch():
    labels = _discs((80, 120), [(40, 30), (40, 59), (20, 95), (60, 95)], 15)
    found = seeded_watershed(dense_target(labels, 1), WatershedSettings())
    assert found.max() == 4
    for i in range(1, 5):
        own = labels == i
        other = found == np.bincount(found[own]).argmax()
        assert (own & other).sum() / (own | other).sum() > 0.97


def test_small_objects_are_dropped_and_numbers_have_no_gaps():
    labels = _discs((60, 60), [(15, 15)], 3)
    labels[30:50, 30:50] = 2
    found = seeded_watershed(dense_target(labels, 1), WatershedSettings(min_area_px=100, sigma_px=0.0))
    assert np.unique(found).tolist() == [0, 1]
    assert found[40, 40] == 1


def test_sizes_are_as_the_network_sees_them():
    maps = dense_target(_discs((60, 60), [(15, 15)], 5), 1)  # 81 pixels
    for scale, kept in ((1.0, True), (2.0, False)):  # on a map twice as fine as the network's input: 20 of its pixels
        found = seeded_watershed(maps, WatershedSettings(min_area_px=50, sigma_px=0.0), scale)
        assert found.any() == kept


def test_nothing_there_is_no_object():
    maps = np.ones((3, 20, 30), np.float32)
    maps[0] = 0
    assert not seeded_watershed(maps, WatershedSettings()).any()
    maps[0] = 1  # all foreground, but nothing deep enough for a seed
    assert not seeded_watershed(maps, WatershedSettings()).any()


@pytest.mark.parametrize("bad", [{"foreground": 1.0}, {"centre": 0}, {"sigma_px": -1}, {"min_area_px": -5}])
def test_settings_that_mean_nothing_are_refused(bad):
    with pytest.raises(SettingsError, match=next(iter(bad))):
        WatershedSettings(**bad)


@pytest.mark.parametrize("shape", [(2000, 1500), (513, 512), (300, 5000)])
@pytest.mark.parametrize("side", [256, 512])
def test_windows_cover_the_region_and_lie_on_the_grid_of_prompts(shape, side):
    region = (shape[0] // 3, 10, shape[0], shape[1] // 2)
    windows = cover(region, shape, side, 512)
    seen = np.zeros(shape, bool)
    for w in windows:
        y0, x0, y1, x1 = w.bbox
        seen[y0:y1, x0:x1] = True
        # A click in the middle finds the same embedding; at the image's far border, one beyond the middle.
        beyond = [side / 4 if end == size else 0 for end, size in zip((y1, x1), shape, strict=True)]
        assert w == grid_window(((y0 + y1) / 2 + beyond[0], (x0 + x1) / 2 + beyond[1]), side, shape, 512)
    y0, x0, y1, x1 = region
    assert seen[y0:y1, x0:x1].all()


def test_blended_windows_leave_no_seam():
    """Each window sees its own part of the truth with an error at its border; blending hides it."""
    shape = (900, 700)
    truth = np.stack([ndimage.gaussian_filter(np.random.default_rng(i).random(shape), 20) for i in range(3)])

    def maps_of(window):
        y0, x0, y1, x1 = window.bbox
        maps = truth[:, y0:y1, x0:x1].astype(np.float32)
        maps[:, :8] += 0.5
        maps[:, :, -8:] -= 0.5
        return maps

    region = (100, 50, 800, 700)
    windows = cover(region, shape, 256, 512)
    steps = []
    out = blend(windows, maps_of, region, lambda done, total: steps.append((done, total)))
    wanted = truth[:, 100:800, 50:700]
    inner = (slice(None), slice(30, -30), slice(30, -30))
    assert np.abs(out - wanted)[inner].max() < 0.06
    assert steps[-1] == (len(windows), len(windows))
    assert np.isfinite(out).all()


def test_regions_are_checked():
    assert check_region(None, (50, 60)) == (0, 0, 50, 60)
    assert check_region((-5, 10, 500, 20), (50, 60)) == (0, 10, 50, 20)
    with pytest.raises(PromptError, match="outside the image"):
        check_region((60, 0, 70, 10), (50, 60))
    with pytest.raises(PromptError, match="at once"):
        check_region(None, (100_000, 100_000))


def test_the_magnification_follows_the_objects():
    assert dense_side(None, 512, (300, 200)) == 300
    assert dense_side(None, 512, (3000, 2000)) == 512
    assert dense_side(480, 512, (30000, 20000)) == 2896  # 3072 would be natural
    assert dense_side(12, 512, (3000, 2000)) == 91  # 77 would be, and 64 is farther off


class _Perfect(torch.nn.Module):
    """A dense decoder that knows the answer: the brightness that the stub encoder passes on."""

    def forward(self, embedding):
        return torch.stack([embedding[:, 0], 1 - embedding[:, 0], 1 - embedding[:, 0]], dim=1)


def test_the_predictor_finds_what_its_decoder_sees():
    net = build_sam("default")
    net.image_encoder.forward = lambda x: torch.nn.functional.avg_pool2d(x[:, :1], 8).expand(-1, 256, -1, -1).sigmoid()
    net.dense_decoder = _Perfect()
    predictor = Predictor(net, device="cpu", precision="float32")
    image = np.zeros((600, 800), np.uint8)
    image[100:180, 200:280], image[400:500, 700:800] = 250, 250
    predictor.set_image(image)
    found = predictor.instances()
    assert found.shape == image.shape
    assert found.max() == 2
    assert ((found > 0) == (image > 0)).mean() > 0.98
    part = predictor.instances((50, 150, 250, 350))
    assert part.shape == (200, 200)
    assert part.max() == 1
    with pytest.raises(CancelledError):
        predictor.instances(diameter_px=20, cancelled=lambda: True)


def test_a_model_without_a_dense_decoder_is_named():
    predictor = Predictor(build_sam("default", dense=False), device="cpu")
    predictor.set_image(np.zeros((40, 40), np.uint8))
    with pytest.raises(PromptError, match="no dense decoder"):
        predictor.instances()


@pytest.fixture
def perfect():
    """A predictor whose dense decoder sees bright objects perfectly, on an image of two squares."""
    net = build_sam("default")
    net.image_encoder.forward = lambda x: torch.nn.functional.avg_pool2d(x[:, :1], 8).expand(-1, 256, -1, -1).sigmoid()
    net.dense_decoder = _Perfect()
    predictor = Predictor(net, device="cpu", precision="float32", hypotheses=True)
    image = np.zeros((256, 256), np.uint8)
    image[40:104, 40:104], image[160:224, 160:224] = 250, 250
    predictor.set_image(image)
    return predictor


def _shown(predictor, monkeypatch, **ask):
    """The mask prompt that the mask decoder gets for an ask."""
    seen = []
    decode = predictor.runner.decode

    def spy(embedding, prompts, masks=None, multimask=True, *rest):
        seen.append(masks)
        return decode(embedding, prompts, masks, multimask, *rest)

    monkeypatch.setattr(predictor.runner, "decode", spy)
    predictor.predict(**ask)
    monkeypatch.undo()
    return seen[0][0]


def test_a_click_shows_the_mask_decoder_the_object_under_it(perfect, monkeypatch):
    first = _shown(perfect, monkeypatch, points=[(70, 70)])
    # The image is seen twice as large, and low-res logits lie every second pixel of that: one per image pixel.
    inside = (np.arange(256) >= 40) & (np.arange(256) < 104)
    wanted = np.where(np.outer(inside, inside), 8.0, -8.0)
    np.testing.assert_array_equal(first, wanted)


def test_a_prompt_that_fits_no_object_has_no_rough_mask(perfect, monkeypatch):
    assert _shown(perfect, monkeypatch, points=[(130, 130)]) is None  # background
    assert _shown(perfect, monkeypatch, points=[(70, 70), (190, 190)]) is None  # two objects
    assert _shown(perfect, monkeypatch, points=[(70, 70), (80, 80)], point_labels=[1, 0]) is None
    assert _shown(perfect, monkeypatch, box=(30, 30, 240, 240)) is None  # much larger than any
    assert _shown(perfect, monkeypatch, box=(38, 38, 108, 108)) is not None
    assert _shown(perfect, monkeypatch, points=[(70, 70), (200, 200)], point_labels=[1, 0]) is not None


def test_an_earlier_prediction_goes_before_the_dense_decoders_guess(perfect, monkeypatch):
    earlier = perfect.predict(points=[(70, 70)])
    shown = _shown(perfect, monkeypatch, points=[(70, 70), (100, 100)], mask=earlier)
    np.testing.assert_array_equal(shown, earlier.low_res_logits[earlier.best])


def test_only_models_trained_for_it_guess():
    assert not Predictor(build_sam("default", dense=False), device="cpu").hypotheses
    assert not Predictor(build_sam("vit_t"), device="cpu").hypotheses


def test_boxes_and_points_that_disagree_have_no_hypothesis():
    labels = np.zeros((20, 40), np.int32)
    labels[2:18, 2:18], labels[2:18, 22:38] = 1, 2
    assert hypothesis(labels, [(10, 30)], [1], box=(1, 1, 19, 19)) is None
    assert hypothesis(labels, [(10, 10)], [1], box=(1, 1, 19, 19)).sum() == 256
    assert hypothesis(labels, [(500, 500)], [1]) is None  # clipped into the background
    assert hypothesis(np.zeros((4, 4), np.int32), [], [], box=(0, 0, 4, 4)) is None
