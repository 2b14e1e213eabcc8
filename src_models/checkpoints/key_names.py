"""Names of weights in the checkpoints of other programs, converted to those of the official SAM."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_PREFIXES = ("module.", "_orig_mod.", "sam.", "model.")
_ANCHOR = re.compile(r"(?:^|.*?\.)((?:image_encoder|vision_encoder|prompt_encoder|mask_decoder)\..*)")
_HUGGING_FACE = "vision_encoder."
_HUGGING_FACE_2 = "vision_encoder.backbone."
_STACKED = "sam_prompt_encoder.point_embeddings.weight"  # Hugging Face's, in place of one weight for each label

_Names = tuple[tuple[re.Pattern[str], str], ...]


def _table(*pairs: tuple[str, str]) -> _Names:
    """Compile pairs of Hugging Face's name and the official one, in the order of application."""
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


def _mlp(name: str) -> tuple[tuple[str, str], ...]:
    """Return the names of an MLP of three layers, whose first and last have names of their own."""
    return (
        (rf"\.({name})\.layers\.0\.", r".\1.layers.1."),
        (rf"\.({name})\.proj_in\.", r".\1.layers.0."),
        (rf"\.({name})\.proj_out\.", r".\1.layers.2."),
    )


_MASKS_AND_PROMPTS = (
    (r"\.patch_embed\.projection\.", ".patch_embed.proj."),
    (r"\.mask_embed\.conv1\.", ".mask_downscaling.0."),
    (r"\.mask_embed\.layer_norm1\.", ".mask_downscaling.1."),
    (r"\.mask_embed\.conv2\.", ".mask_downscaling.3."),
    (r"\.mask_embed\.layer_norm2\.", ".mask_downscaling.4."),
    (r"\.mask_embed\.conv3\.", ".mask_downscaling.6."),
    (r"\.point_embed\.", ".point_embeddings."),
    (r"\.shared_embedding\.positional_embedding$", ".pe_layer.positional_encoding_gaussian_matrix"),
    (r"\.upscale_conv1\.", ".output_upscaling.0."),
    (r"\.upscale_layer_norm\.", ".output_upscaling.1."),
    (r"\.upscale_conv2\.", ".output_upscaling.3."),
    *_mlp(r"iou_prediction_head|output_hypernetworks_mlps\.\d+|pred_obj_score_head"),
)
_OFFICIAL = _table(
    (r"^vision_encoder\.layers\.", "image_encoder.blocks."),
    (r"^vision_encoder\.", "image_encoder."),
    (r"\.neck\.conv1\.", ".neck.0."),
    (r"\.neck\.layer_norm1\.", ".neck.1."),
    (r"\.neck\.conv2\.", ".neck.2."),
    (r"\.neck\.layer_norm2\.", ".neck.3."),
    *_MASKS_AND_PROMPTS,
    (r"\.layer_norm", ".norm"),
)
_OFFICIAL_2 = _table(
    (r"^vision_encoder\.backbone\.", "image_encoder.trunk."),
    (r"^vision_encoder\.neck\.convs\.(\d+)\.", r"image_encoder.neck.convs.\1.conv."),
    (r"^(prompt_encoder|mask_decoder)\.", r"sam_\1."),
    *_MASKS_AND_PROMPTS,
    (r"\.mlp\.proj_in\.", ".mlp.layers.0."),
    (r"\.mlp\.proj_out\.", ".mlp.layers.1."),
    (r"\.mask_downsampler\.layers\.0\.", ".mask_downsampler.encoder.0."),
    (r"\.mask_downsampler\.layers\.1\.", ".mask_downsampler.encoder.3."),
    (r"\.mask_downsampler\.layers\.2\.", ".mask_downsampler.encoder.6."),
    (r"\.mask_downsampler\.layers\.3\.", ".mask_downsampler.encoder.9."),
    (r"\.encoder\.0\.layer_norm\.", ".encoder.1."),
    (r"\.encoder\.3\.layer_norm\.", ".encoder.4."),
    (r"\.encoder\.6\.layer_norm\.", ".encoder.7."),
    (r"\.encoder\.9\.layer_norm\.", ".encoder.10."),
    (r"\.encoder\.(\d+)\.conv\.", r".encoder.\1."),
    (r"\.mask_downsampler\.final_conv\.", ".mask_downsampler.encoder.12."),
    (r"\.feature_projection\.", ".pix_feat_proj."),
    (r"\.memory_fuser\.", ".fuser."),
    (r"\.depthwise_conv\.", ".dwconv."),
    (r"\.pointwise_conv", ".pwconv"),
    (r"\.scale$", ".gamma"),
    (r"^memory_encoder\.projection\.", "memory_encoder.out_proj."),
    (r"\.o_proj\.", ".out_proj."),
    (r"\.layer_norm", ".norm"),
    (r"^object_pointer_proj\.layers\.0\.", "obj_ptr_proj.layers.1."),
    (r"^object_pointer_proj\.proj_in\.", "obj_ptr_proj.layers.0."),
    (r"^object_pointer_proj\.proj_out\.", "obj_ptr_proj.layers.2."),
    (r"^temporal_positional_encoding_projection_layer\.", "obj_ptr_tpos_proj."),
    (r"^occlusion_spatial_embedding_parameter$", "no_obj_embed_spatial"),
    (r"^memory_temporal_positional_encoding$", "maskmem_tpos_enc"),
    (r"^no_memory_embedding$", "no_mem_embed"),
    (r"^no_memory_positional_encoding$", "no_mem_pos_enc"),
    (r"^no_object_pointer$", "no_obj_ptr"),
)
_COPY = "shared_image_embedding.positional_embedding"  # of the prompt encoder's


def official_names(keys: list[str]) -> dict[str, str]:
    """Return the official name of every weight that has one, by its name in a checkpoint.

    Parameters
    ----------
    keys : list of str
        Names in a checkpoint: official ones; under prefixes such as ``module.``, ``net.`` or ``sam_model.``; or those
        of Hugging Face's ``SamModel`` or ``Sam2VideoModel``.

    Examples
    --------
    >>> official_names(["net.mask_decoder.iou_token.weight"])
    {'net.mask_decoder.iou_token.weight': 'mask_decoder.iou_token.weight'}
    >>> official_names(["vision_encoder.layers.3.layer_norm1.bias"])
    {'vision_encoder.layers.3.layer_norm1.bias': 'image_encoder.blocks.3.norm1.bias'}
    """
    bare = {key: _without_prefix(key) for key in keys}
    if not any(name.startswith(_HUGGING_FACE) for name in bare.values()):
        return bare
    table = _OFFICIAL_2 if any(name.startswith(_HUGGING_FACE_2) for name in bare.values()) else _OFFICIAL
    twin = _COPY.replace("shared_image_embedding", "prompt_encoder.shared_embedding")
    has_twin = twin in bare.values()
    names = {}
    for key, name in bare.items():
        if name.endswith(_COPY):
            if has_twin:
                continue
            name = twin
        for pattern, replacement in table:
            name = pattern.sub(replacement, name)
        names[key] = name
    return names


def _without_prefix(key: str) -> str:
    """Return a key from its part of the network on, or without known prefixes."""
    match = _ANCHOR.fullmatch(key)
    if match is not None:
        return match[1]
    while prefix := next((p for p in _PREFIXES if key.startswith(p)), None):
        key = key[len(prefix) :]
    return key


def unstacked(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Split the weight in which Hugging Face's SAM 2 stacks the embeddings of the four point labels."""
    stacked = state.pop(_STACKED, None)
    if stacked is not None:
        state |= {_STACKED.replace(".weight", f".{i}.weight"): row for i, row in enumerate(stacked.split(1))}
    return state
