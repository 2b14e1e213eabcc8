"""SAM 2 as an image model: outputs of the official code, and our own promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from src_models.networks.point_decoder import PointDecoder
from src_models.networks.prompt_encoder import pad_prompts
from src_models.networks.sam2.mask_decoder import pack, stability
from src_models.networks.sam2.network import build_sam2
from src_models.runtime import Runner
from tests.src_models.networks.test_reference_networks import PROMPTS, _prompt

pytestmark = pytest.mark.usefixtures("one_thread")
FILES = {"tiny": "t", "small": "s", "base_plus": "bplus", "large": "l"}
SIZES = {
    "tiny": (471, 38_962_498),
    "small": (519, 46_060_354),
    "base_plus": (615, 80_850_178),
    "large": (903, 224_446_642),
}
SCALE = torch.tensor([1024 / 384, 1024 / 303])  # x, y: the official predictor stretches images to a square


def resized(net, image):
    """Prepare an image as the official image predictor does."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    return net.preprocess(F.interpolate(pixels, (1024, 1024), mode="bilinear", antialias=True))


@pytest.fixture(scope="module")
def tiny(shared, filled_sam2):
    """The tiny network with recorded weights, the recording, and its embedding."""
    recorded = np.load(shared / "reference" / "sam2.1_tiny.npz")
    net = filled_sam2("sam2.1_tiny", centre_masks=True)
    with torch.inference_mode():
        return net, recorded, net.embed(resized(net, recorded["image"]))


def test_embedding_matches_the_official_code(tiny):
    net, recorded, embedding = tiny
    image, detail = net.mask_decoder.split(embedding)
    np.testing.assert_allclose(image, recorded["image_embed"].astype(np.float32), atol=1e-2)
    half = detail.half.view(1, 64, 64, 2, 2, 64).permute(0, 5, 1, 3, 2, 4).reshape(1, 64, 128, 128)
    quarter = detail.quarter.view(1, 64, 64, 2, 2, 2, 2, 32).permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(1, 32, 256, 256)
    np.testing.assert_allclose(half[:, :, ::2, ::2], recorded["high_res_1"].astype(np.float32), atol=1e-2)
    np.testing.assert_allclose(quarter[:, :, ::4, ::4], recorded["high_res_0"].astype(np.float32), atol=1e-2)


@pytest.mark.parametrize(("mode", "multimask"), [("multi", True), ("single", False)])
def test_masks_match_the_official_code(tiny, mode, multimask):
    net, recorded, embedding = tiny
    coords, labels = pad_prompts([_prompt(name, SCALE) for name in PROMPTS], pad_boxes=True)
    with torch.inference_mode():
        decoded = net.decode(embedding, coords, labels, multimask=multimask)
    for i, name in enumerate(PROMPTS):
        assert_masks(decoded.logits[i], decoded.predicted_iou[i], recorded, f"{name}.{mode}")


@pytest.mark.parametrize(("mode", "multimask"), [("multi", True), ("single", False)])
def test_mask_prompts_match_the_official_code(tiny, mode, multimask):
    net, recorded, embedding = tiny
    mask = torch.from_numpy(recorded["mask_prompt.input"])[None].float()
    with torch.inference_mode():
        decoded = net.decode(embedding, *pad_prompts([_prompt("one_point", SCALE)]), mask, multimask)
    assert_masks(decoded.logits[0], decoded.predicted_iou[0], recorded, f"mask_prompt.{mode}")


@pytest.mark.parametrize("case", ["stable", "unstable"])
def test_an_unstable_single_mask_is_replaced_as_in_the_official_code(shared, filled_sam2, tiny, case):
    _, recorded, embedding = tiny
    net = filled_sam2("sam2.1_tiny", centre_masks=True, token_0=float(recorded[f"{case}.token_0"]))
    with torch.inference_mode():
        decoded = net.decode(embedding, *pad_prompts([_prompt("one_point", SCALE)]), multimask=False)
    assert_masks(decoded.logits[0], decoded.predicted_iou[0], recorded, f"{case}.single")


def assert_masks(logits, predicted_iou, recorded, name):
    np.testing.assert_allclose(predicted_iou, recorded[f"{name}.iou"], atol=1e-4)
    want = recorded[f"{name}.low_res_logits"].astype(np.float32)
    np.testing.assert_allclose(logits.clamp(-32, 32), want, atol=1.5e-2)
    enlarged = F.interpolate(logits[None], (303, 384), mode="bilinear", align_corners=False)[0]
    area = (enlarged > 0).sum((1, 2)).numpy()
    np.testing.assert_allclose(area, recorded[f"{name}.mask_area"], atol=20, rtol=2e-3)


@pytest.mark.parametrize("size", FILES)
def test_keys_and_shapes_are_the_official_ones(shared, size):
    lines = (shared / "reference" / f"sam2_keys_{FILES[size]}.txt").read_text().splitlines()
    with torch.device("meta"):
        net = build_sam2(f"sam2.1_{size}")
    ours = {f"{key} {tuple(value.shape)}" for key, value in net.state_dict().items()}
    assert ours == {line.strip() for line in lines if line.strip() and not line.startswith("#")}
    assert (len(ours), sum(p.numel() for p in net.parameters())) == SIZES[size]


def test_the_first_version_lacks_three_weights():
    with torch.device("meta"):
        first, second = build_sam2("sam2_tiny"), build_sam2("sam2.1_tiny")
    missing = second.state_dict().keys() - first.state_dict().keys()
    assert missing == {"no_obj_embed_spatial", "obj_ptr_tpos_proj.weight", "obj_ptr_tpos_proj.bias"}


def test_packing_keeps_every_feature_in_its_cell():
    image, half, quarter = torch.zeros(1, 2, 3, 256), torch.zeros(1, 4, 6, 64), torch.zeros(1, 8, 12, 32)
    half[0, 2, 5, 7] = 1.0
    quarter[0, 7, 8, 31] = 2.0
    cells = pack(image, half, quarter).flatten(2)[0].T
    assert cells[5, 256:512].view(4, 64)[1, 7] == 1.0  # upper right quarter of the cell in row 1, column 2
    assert cells[5, 512:].view(2, 2, 2, 2, 32)[1, 0, 1, 0, 31] == 2.0
    assert cells.count_nonzero() == 2


def test_stability_compares_two_thresholds():
    logits = torch.tensor([[[0.01, 1.0], [0.2, -3.0]], [[-1.0, -1.0], [-1.0, -1.0]]])
    np.testing.assert_allclose(stability(logits), [2 / 3, 1.0], rtol=1e-6)


def test_many_points_decode_as_each_point_alone(small_sam2):
    runner = Runner(small_sam2, "cpu", "float32")
    embedding = runner.encode([np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)])
    points = np.array([[20.0, 30.0], [90.0, 100.0], [64.0, 5.0]], np.float32)
    decoder = PointDecoder(runner.net, runner.dtype, embedding)
    tokens = decoder.decode_tokens(torch.from_numpy(points))
    want = runner.decode(embedding, [(point[None], np.ones(1, np.int64)) for point in points])
    torch.testing.assert_close(tokens.predicted_iou[:, 1:], want.predicted_iou, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(decoder.masks(tokens, torch.arange(3)), want.logits, atol=1e-3, rtol=1e-3)


def test_prompts_with_a_box_get_a_pad_point_too(small_sam2):
    coords = torch.tensor([[[10.0, 10.0], [90.0, 80.0]]])
    labels = torch.tensor([[2, 3]])
    embedding = small_sam2.embed(torch.randn(1, 3, 128, 128))
    padded = pad_prompts([(coords[0], labels[0])], pad_boxes=True)
    runner = Runner(small_sam2, "cpu", "float32")
    decoded = runner.decode(embedding, [(coords[0].numpy(), labels[0].numpy())])
    torch.testing.assert_close(decoded.logits, small_sam2.decode(embedding, *padded).logits, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(decoded.logits, small_sam2.decode(embedding, coords, labels).logits, atol=1e-3)
