"""A small vision transformer and a folder of images for tests of pre-training."""

from __future__ import annotations

import numpy as np
import torch

from src_models.networks.image_encoder import ImageEncoderViT, ViTConfig
from src_models.networks.mask_decoder import MaskDecoder
from src_models.networks.prompt_encoder import PromptEncoder
from src_models.networks.sam import Sam
from src_models.training.pretraining.pretrain_config import PretrainConfig

SMALL = ViTConfig(width=32, depth=2, heads=2, global_blocks=(1,), window=3, img_size=128)


def small_sam() -> Sam:
    return Sam(ImageEncoderViT(SMALL), PromptEncoder(SMALL.img_size, SMALL.patch), MaskDecoder(), "small")


def waves(rng, side=96):
    """Draw smooth waves, which can be predicted from their surroundings."""
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(2 * np.pi * (rng.uniform(1, 3) * y + rng.uniform(1, 3) * x)) for _ in range(3)]
    return (127 + 100 * np.stack(waves, -1)).astype(np.uint8)


def pretrain_config(kind, **changes):
    tiny = {"decoder_width": 32, "decoder_depth": 1, "decoder_heads": 2} if kind == "small" else {}
    common = {"images": ("pictures",), "steps": 4, "batch": 2, "crop_px": 64, "warmup_steps": 1, "bf16": False}
    return PretrainConfig(kind=kind, **(common | tiny | {"picture_every": 0} | changes))


def random_images(rng, count=2, side=64):
    return torch.from_numpy(rng.normal(size=(count, 3, side, side))).float()
