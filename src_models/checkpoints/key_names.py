"""Names of weights in the checkpoints of other programs, converted to those of the official SAM."""

from __future__ import annotations

import re

_PREFIXES = ("module.", "_orig_mod.", "sam.", "model.")
_ANCHOR = re.compile(r"(?:^|.*?\.)((?:image_encoder|vision_encoder|prompt_encoder|mask_decoder)\..*)")
_HUGGING_FACE = "vision_encoder."
# In the order of application: Hugging Face's name, the official one.
_OFFICIAL = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^vision_encoder\.layers\.", "image_encoder.blocks."),
        (r"^vision_encoder\.", "image_encoder."),
        (r"\.patch_embed\.projection\.", ".patch_embed.proj."),
        (r"\.neck\.conv1\.", ".neck.0."),
        (r"\.neck\.layer_norm1\.", ".neck.1."),
        (r"\.neck\.conv2\.", ".neck.2."),
        (r"\.neck\.layer_norm2\.", ".neck.3."),
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
        (r"\.(iou_prediction_head|output_hypernetworks_mlps\.\d+)\.layers\.0\.", r".\1.layers.1."),
        (r"\.(iou_prediction_head|output_hypernetworks_mlps\.\d+)\.proj_in\.", r".\1.layers.0."),
        (r"\.(iou_prediction_head|output_hypernetworks_mlps\.\d+)\.proj_out\.", r".\1.layers.2."),
        (r"\.layer_norm", ".norm"),
    )
)
_COPY = "shared_image_embedding.positional_embedding"  # of the prompt encoder's


def official_names(keys: list[str]) -> dict[str, str]:
    """Return the official name of every weight that has one, by its name in a checkpoint.

    Parameters
    ----------
    keys : list of str
        Names in a checkpoint: official ones; under prefixes such as ``module.``, ``net.`` or ``sam_model.``; or those
        of Hugging Face's ``SamModel``.

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
    twin = _COPY.replace("shared_image_embedding", "prompt_encoder.shared_embedding")
    has_twin = twin in bare.values()
    names = {}
    for key, name in bare.items():
        if name.endswith(_COPY):
            if has_twin:
                continue
            name = twin
        for pattern, replacement in _OFFICIAL:
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
