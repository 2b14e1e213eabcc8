"""Names of weights in checkpoints of other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from src_models.checkpoints.checkpoint_files import _hollow, load_sam
from src_models.checkpoints.key_names import official_names
from src_models.checkpoints.state_dicts import read_state
from src_models.model_errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

HUGGING_FACE = (  # official part, Hugging Face's, as its own conversion script replaces them
    ("image_encoder", "vision_encoder"),
    ("iou_prediction_head.layers.0", "iou_prediction_head.proj_in"),
    ("iou_prediction_head.layers.1", "iou_prediction_head.layers.0"),
    ("iou_prediction_head.layers.2", "iou_prediction_head.proj_out"),
    ("output_upscaling.0", "upscale_conv1"),
    ("output_upscaling.1", "upscale_layer_norm"),
    ("output_upscaling.3", "upscale_conv2"),
    ("mask_downscaling.0", "mask_embed.conv1"),
    ("mask_downscaling.1", "mask_embed.layer_norm1"),
    ("mask_downscaling.3", "mask_embed.conv2"),
    ("mask_downscaling.4", "mask_embed.layer_norm2"),
    ("mask_downscaling.6", "mask_embed.conv3"),
    ("point_embeddings", "point_embed"),
    ("pe_layer.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
    ("neck.0", "neck.conv1"),
    ("neck.1", "neck.layer_norm1"),
    ("neck.2", "neck.conv2"),
    ("neck.3", "neck.layer_norm2"),
    ("patch_embed.proj", "patch_embed.projection"),
    (".norm", ".layer_norm"),
    ("blocks", "layers"),
)


def hugging_face_name(key: str) -> str:
    for official, other in HUGGING_FACE:
        if official.startswith("iou_prediction_head") and other in key:
            continue
        if official in key:
            key = key.replace(official, other)
            if official.startswith("iou_prediction_head"):
                break
    if "output_hypernetworks_mlps" in key:
        for official, other in (("layers.0", "proj_in"), ("layers.1", "layers.0"), ("layers.2", "proj_out")):
            if official in key:
                return key.replace(official, other)
    return key


@pytest.mark.parametrize("kind", ["vit_b", "vit_h"])
def test_every_weight_of_hugging_face_gets_its_official_name(kind: str) -> None:
    official = [key for key in _hollow(kind).state_dict() if not key.startswith("quality_head.")]
    renamed = official_names([*map(hugging_face_name, official), "shared_image_embedding.positional_embedding"])
    assert sorted(renamed.values()) == sorted(official)
    assert all(renamed[hugging_face_name(key)] == key for key in official)


@pytest.mark.parametrize("prefix", ["net.", "sam_model.", "module.model.", "predictor.sam.", "_orig_mod."])
def test_prefixes_of_wrapping_networks_are_removed(tmp_path: Path, prefix: str) -> None:
    keys = ("image_encoder.a", "mask_decoder.b", "prompt_encoder.c")
    state: dict[str, Tensor] = {prefix + key: torch.zeros(1) for key in keys}
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    assert sorted(read_state(tmp_path / "a.pth")) == sorted(keys)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    state = {k: torch.ones(v.shape, dtype=v.dtype) for k, v in _hollow("vit_t").state_dict().items()}
    state["mask_decoder.iou_token.weight"][0, 3] = value
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"not finite in 1 weights \(mask_decoder\.iou_token\.weight\)"):
        load_sam(tmp_path / "a.pth")
