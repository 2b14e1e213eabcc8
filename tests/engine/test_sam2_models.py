"""SAM 2 as a model of the engine: clicks, tiles and grid mode, as with the other networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import torch
from torch.nn import functional as F

from napari_sam import Predictor
from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.engine.automatic.mask_generator import MaskGenerator
from napari_sam.errors import PromptError
from napari_sam.io.labels.journal.prediction_records import earlier_prediction, prompt_record
from tests.src_models.small_sam2 import small_sam2_network

if TYPE_CHECKING:
    from src_models.networks.sam2.network import Sam2


@pytest.fixture(scope="module")
def net() -> Sam2:
    """A network of 128 x 128 pixels with random weights."""
    return small_sam2_network()


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (400, 500, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictor(net, image):
    predictor = Predictor(net, device="cpu", precision="float32")
    predictor.set_image(image)
    return predictor


def test_a_click_and_a_box_are_answered(predictor):
    click = predictor.predict(points=[(200, 250)])
    box = predictor.predict(box=(150, 200, 250, 300))
    assert click.masks.ndim == box.masks.ndim == 3
    assert predictor.img_size == 128


def test_an_earlier_prediction_is_a_mask_prompt(predictor):
    first = predictor.predict(points=[(200, 250)])
    second = predictor.predict(points=[(200, 250), (210, 260)], mask=first)
    assert np.isfinite(second.predicted_iou).all()


def test_the_embedding_of_a_window_is_cached_whole(predictor):
    window = predictor.window_for(points=[(200, 250)])
    embedding = predictor.embed(window)
    assert embedding.shape == (1, 1024, 8, 8)
    assert predictor.is_embedded(window)
    assert torch.equal(predictor.embed(window), embedding)


def test_the_embedding_survives_on_disk(net, image, tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", image)
    embeddings = []
    for found in (False, True):
        predictor = Predictor(net, device="cpu", precision="float32", cache=tmp_path / "embeddings")
        predictor.set_image(tmp_path / "image.tif")
        window = predictor.window_for(points=[(200, 250)])
        assert predictor.is_embedded(window) == found
        embeddings.append(predictor.embed(window))
        predictor.cache.flush()
    torch.testing.assert_close(*embeddings, atol=1e-2, rtol=1e-2)  # rounded on disk


def test_grid_mode_finds_masks(net, image):
    settings = GridSettings(points_per_side=4, pred_iou_thresh=0.0, stability_score_thresh=0.0)
    masks = MaskGenerator(Predictor(net, device="cpu", precision="float32"), settings).generate(image)
    assert masks
    assert all(mask.mask.any() for mask in masks)


def test_dense_mode_names_the_models_that_have_it(predictor):
    with pytest.raises(PromptError, match="has no dense decoder; use 'default'"):
        predictor.instances()


def test_an_image_is_stretched_to_the_square_as_the_official_predictor_does(net):
    wide = np.random.default_rng(2).integers(0, 256, (60, 110, 3), dtype=np.uint8)
    predictor = Predictor(net, device="cpu", precision="float32")
    predictor.set_image(wide)
    found = predictor.predict(points=[(20, 70)])
    pixels = torch.from_numpy(wide).permute(2, 0, 1)[None].float()
    stretched = F.interpolate(pixels, (128, 128), mode="bilinear", antialias=True, align_corners=False)
    with torch.inference_mode():
        coords, labels = torch.tensor([[[70 * 128 / 110, 20 * 128 / 60], [0, 0]]]), torch.tensor([[1, -1]])
        want = net.decode(net.embed(net.preprocess(stretched)), coords, labels)
    np.testing.assert_allclose(found.low_res_logits, want.logits[0], atol=1e-3)
    enlarged = F.interpolate(want.logits, (60, 110), mode="bilinear", align_corners=False)[0, found.best] > 0
    y0, x0, y1, x1 = found.bbox
    np.testing.assert_array_equal(found.mask, enlarged[y0:y1, x0:x1])
    assert int(found.mask.sum()) == int(enlarged.sum())


def test_an_earlier_mask_keeps_its_frame_in_the_journal(net):
    wide = np.random.default_rng(2).integers(0, 256, (60, 110, 3), dtype=np.uint8)
    predictor = Predictor(net, device="cpu", precision="float32")
    predictor.set_image(wide)
    first = predictor.predict(points=[(20, 70)], multimask=False)
    record = prompt_record(predictor.predict(points=[(20, 70)], mask=first).prompt)
    again = earlier_prediction(record["logits"], record["earlier"])
    assert again.window.network_shape == (128, 128)
    assert again.bbox == first.bbox
