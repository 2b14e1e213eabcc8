"""Decoding on crops of an embedding: the whole as a crop, small objects, and crops that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src_models.model_errors import SettingsError
from src_models.networks.build_network import build_network
from src_models.networks.crop_decoder import CropPrompts
from src_models.networks.prompt_encoder import PAD_POINT, POSITIVE
from src_models.runtime import Runner

POINTS = np.array([[100.0, 200.0], [300.0, 260.0]], np.float32)


@pytest.fixture(scope="module")
def runner():
    torch.manual_seed(0)
    return Runner(build_network("default"), "cpu", "float32")


@pytest.fixture(scope="module")
def embedding():
    return torch.randn(1, 256, 64, 64, generator=torch.Generator().manual_seed(1))


def _prompts(origins, side, masks=None):
    coords = torch.stack([torch.from_numpy(POINTS), torch.zeros(2, 2)], 1)
    return CropPrompts(torch.tensor(origins), side, coords, torch.tensor([[POSITIVE, PAD_POINT]] * 2), masks)


def test_a_crop_of_the_whole_embedding_is_the_whole_window(runner, embedding):
    masks = torch.randn(2, 1, 256, 256, generator=torch.Generator().manual_seed(2))
    crops = runner.decode_crops(embedding, _prompts([(0, 0)] * 2, 64, masks))
    prompts = [(point[None], np.array([POSITIVE])) for point in POINTS]
    whole = runner.decode(embedding, prompts, [mask[0].numpy() for mask in masks])
    torch.testing.assert_close(crops.logits, whole.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(crops.predicted_iou, whole.predicted_iou, atol=1e-4, rtol=1e-4)


def test_every_prompt_has_its_own_crop(runner, embedding):
    both = runner.decode_crops(embedding, _prompts([(10, 2), (20, 25)], 24))
    same = runner.decode_crops(embedding, _prompts([(10, 2), (10, 2)], 24))
    assert both.logits.shape == (2, 3, 96, 96)
    torch.testing.assert_close(both.logits[0], same.logits[0], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(both.logits[1], same.logits[1], atol=1e-2)


def test_a_crop_of_an_object_has_the_mask_of_the_window(default_predictor, nuclei):
    image, labels = nuclei
    default_predictor.set_image(image[:512, :512])
    runner = default_predictor.runner
    embedding = runner.encode(
        [np.broadcast_to(image[:512, :512, None] if image.ndim == 2 else image[:512, :512], (512, 512, 3))]
    )
    y, x = _middle_of_an_object(labels[:512, :512])
    coords, wanted = np.array([[x, y]], np.float32), np.array([POSITIVE])
    whole = runner.decode(embedding, [(coords, wanted)])
    row, col = (int(np.clip(round(v / 8) - 12, 0, 40)) for v in (y, x))
    points = torch.tensor([[[x, y], [0.0, 0.0]]])
    crop = runner.decode_crops(
        embedding, CropPrompts(torch.tensor([(row, col)]), 24, points, torch.tensor([[POSITIVE, PAD_POINT]]))
    )
    best = int(whole.predicted_iou[0].argmax())
    part = whole.logits[0, best, 4 * row : 4 * row + 96, 4 * col : 4 * col + 96] > 0
    mask = crop.logits[0, best] > 0
    assert int((part & mask).sum()) > 0.85 * int((part | mask).sum()) > 0
    assert float(crop.predicted_iou[0, best]) == pytest.approx(float(whole.predicted_iou[0, best]), abs=0.1)


def _middle_of_an_object(labels):
    """Return the centre of the object that is nearest to the middle of the image."""
    centres = [np.argwhere(labels == label).mean(0) for label in np.unique(labels)[1:]]
    return min(centres, key=lambda c: float(np.abs(c - 256).sum())).tolist()


@pytest.mark.parametrize("origin", [(-1, 0), (0, 41), (50, 50)])
def test_crops_outside_the_embedding_are_refused(runner, embedding, origin):
    with pytest.raises(SettingsError, match="crop of 24 x 24"):
        runner.decode_crops(embedding, _prompts([(0, 0), origin], 24))
