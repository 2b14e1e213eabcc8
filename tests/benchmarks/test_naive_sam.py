"""The yardstick of the benchmarks computes what our networks compute, so that times may be compared."""

import numpy as np
import pytest
import torch

from benchmarks.fixtures import fill_weights, mean_iou, synthetic_image
from benchmarks.naive_sam import NaiveSam, check_agreement
from benchmarks.timing import Timing, row
from napari_sam import Predictor
from src_models.networks.image_encoder import ImageEncoderViT, ViTConfig
from src_models.networks.mask_decoder import MaskDecoder
from src_models.networks.prompt_encoder import PromptEncoder
from src_models.networks.sam import Sam, build_sam
from src_models.runtime import Runner

SMALL = ViTConfig(width=64, depth=2, heads=2, global_blocks=(1,), img_size=256)


@pytest.fixture(scope="module")
def net():
    prompts = PromptEncoder(SMALL.img_size, SMALL.patch)
    net = Sam(ImageEncoderViT(SMALL), prompts, MaskDecoder(), "vit_b").eval()
    with torch.no_grad():
        fill_weights(net)
    return net


@pytest.fixture(scope="module")
def naive(net):
    naive = NaiveSam(SMALL)
    naive.load_state_dict(net.state_dict())
    return naive


def test_naive_has_the_official_keys():
    with torch.device("meta"):
        ours, naive = build_sam("vit_b").state_dict(), NaiveSam().state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in naive.items()}


@pytest.mark.parametrize("shape", [(256, 256), (256, 180)])
def test_naive_and_ours_agree(net, naive, shape):
    image = synthetic_image(256)[: shape[0], : shape[1]]
    assert check_agreement(naive, Runner(net, "cpu", "float32"), image).embedding < 1e-4


def test_disagreement_is_an_error(net):
    with pytest.raises(AssertionError, match="embedding of naive and ours differ"):
        check_agreement(NaiveSam(SMALL), Runner(net, "cpu", "float32"), synthetic_image(256))


def test_masks_of_the_whole_chain_agree(net, naive):
    image, points = synthetic_image(300), np.array([[40.0, 200.0], [150.0, 90.0]])
    predictor = Predictor(net, device="cpu", precision="float32")
    predictor.set_image(image)
    ours = [predictor.predict(points=[p]) for p in points]
    full = np.stack([[p.full_mask((300, 300), i) for i in range(3)] for p in ours])
    assert mean_iou(naive.masks(naive.encode(image), points, (300, 300)), full) > 0.97


def test_a_target_is_met_or_not():
    slow, fast = Timing((1.0, 1.0, 1.0)), Timing((0.1, 0.2, 0.3))
    assert row("x", "ours", fast, slow, max_ratio=0.2).met
    assert not row("x", "ours", fast, max_ms=100).met
