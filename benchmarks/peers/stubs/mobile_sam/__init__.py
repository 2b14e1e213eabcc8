"""A stand-in for MobileSAM's package, which is on no index: segment-anything's classes around its TinyViT encoder.

MobileSAM's predictor, mask generator, prompt encoder and decoder are copies of segment-anything's. The encoder is
`src_models.networks.tiny_vit`, the same layers with the same keys in plain float32, its normalisations not folded.
"""

from __future__ import annotations

from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything import sam_model_registry as _official
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from src_models.networks.tiny_vit import TinyViT

__all__ = ["SamAutomaticMaskGenerator", "SamPredictor", "sam_model_registry"]


def _build_sam_vit_t(checkpoint: str | None = None) -> Sam:
    import torch

    net = Sam(
        image_encoder=TinyViT(),
        prompt_encoder=PromptEncoder(256, (64, 64), (1024, 1024), 16),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8),
            transformer_dim=256,
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    )
    if checkpoint is not None:
        net.load_state_dict(torch.load(checkpoint, weights_only=True))
    return net.eval()


sam_model_registry = {**_official, "vit_t": _build_sam_vit_t}
