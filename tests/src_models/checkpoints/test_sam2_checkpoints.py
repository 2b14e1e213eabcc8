"""Files of SAM 2: the official ones, those of Hugging Face, and the wrong ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from src_models.checkpoints.checkpoint_files import _hollow, load_network, load_sam, load_sam2, save_official, save_sam
from src_models.checkpoints.key_names import official_names
from src_models.checkpoints.state_dicts import detect_kind
from src_models.model_errors import CheckpointError, UnknownModelError
from src_models.networks.build_network import build_network, network_kinds
from src_models.networks.sam import build_sam
from src_models.networks.sam2.config import SAM2_KINDS
from src_models.networks.sam2.network import Sam2, build_sam2

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

pytestmark = pytest.mark.usefixtures("one_thread")

_MLP = r"(iou_prediction_head|output_hypernetworks_mlps\.\d|pred_obj_score_head|obj_ptr_proj)\.layers\."
HUGGING_FACE = (  # official part, Hugging Face's, as its conversion script for SAM 2 replaces them in turn
    (r"mask_decoder\.output_upscaling\.0", "mask_decoder.upscale_conv1"),
    (r"mask_decoder\.output_upscaling\.1", "mask_decoder.upscale_layer_norm"),
    (r"mask_decoder\.output_upscaling\.3", "mask_decoder.upscale_conv2"),
    (r"mask_downscaling\.0", "mask_embed.conv1"),
    (r"mask_downscaling\.1", "mask_embed.layer_norm1"),
    (r"mask_downscaling\.3", "mask_embed.conv2"),
    (r"mask_downscaling\.4", "mask_embed.layer_norm2"),
    (r"mask_downscaling\.6", "mask_embed.conv3"),
    (_MLP + "0", r"\1.proj_in"),
    (
        r"(iou_prediction_head|output_hypernetworks_mlps\.\d|pred_obj_score_head|obj_ptr_proj)\.layers\.1",
        r"\1.layers.0",
    ),
    (
        r"(iou_prediction_head|output_hypernetworks_mlps\.\d|pred_obj_score_head|obj_ptr_proj)\.layers\.2",
        r"\1.proj_out",
    ),
    (r"mlp\.layers\.0", "mlp.proj_in"),
    (r"mlp\.layers\.1", "mlp.proj_out"),
    (r"dwconv", "depthwise_conv"),
    (r"pwconv", "pointwise_conv"),
    (r"fuser", "memory_fuser"),
    (r"point_embeddings", "point_embed"),
    (r"pe_layer\.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
    (r"obj_ptr_tpos_proj", "temporal_positional_encoding_projection_layer"),
    (r"no_obj_embed_spatial", "occlusion_spatial_embedding_parameter"),
    (r"sam_prompt_encoder", "prompt_encoder"),
    (r"sam_mask_decoder", "mask_decoder"),
    (r"maskmem_tpos_enc", "memory_temporal_positional_encoding"),
    (r"gamma", "scale"),
    (r"image_encoder\.neck\.convs\.(\d)\.conv", r"vision_encoder.neck.convs.\1"),
    (r"image_encoder", "vision_encoder.backbone"),
    (r"pix_feat_proj", "feature_projection"),
    (r"patch_embed\.proj", "patch_embed.projection"),
    (r"no_mem_embed", "no_memory_embedding"),
    (r"no_mem_pos_enc", "no_memory_positional_encoding"),
    (r"obj_ptr", "object_pointer"),
    (r"encoder\.12\.", "final_conv."),
    (r"mask_downsampler\.encoder\.(0|3|6|9)\.", lambda m: f"mask_downsampler.layers.{int(m[1]) // 3}.conv."),
    (r"mask_downsampler\.encoder\.(1|4|7|10)\.", lambda m: f"mask_downsampler.layers.{int(m[1]) // 3}.layer_norm."),
    (r"mask_downsampler\.encoder\.final", "mask_downsampler.final"),
    (r"\.norm", ".layer_norm"),
    (r"trunk\.", ""),
    (r"out_proj", "o_proj"),
    (r"memory_encoder\.o_proj", "memory_encoder.projection"),
)


def hugging_face_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename and stack weights as Hugging Face does."""
    out = {}
    for key, value in state.items():
        for pattern, replacement in HUGGING_FACE:
            key = re.sub(pattern, replacement, key)
        out[key] = value
    out["prompt_encoder.point_embed.weight"] = torch.cat(
        [out.pop(f"prompt_encoder.point_embed.{i}.weight") for i in range(4)]
    )
    out["shared_image_embedding.positional_embedding"] = out["prompt_encoder.shared_embedding.positional_embedding"]
    return out


@pytest.fixture(scope="module")
def tiny() -> Sam2:
    """The smallest network, with values that all differ."""
    net = build_sam2("sam2.1_tiny")
    generator = torch.Generator().manual_seed(1)
    net.load_state_dict({k: torch.rand(v.shape, generator=generator) for k, v in net.state_dict().items()})
    return net


@pytest.fixture(scope="module")
def official_file(tiny: Sam2, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as it is published: a state dict under "model"."""
    path: Path = tmp_path_factory.mktemp("weights") / "sam2.1_hiera_tiny.pt"
    torch.save({"model": tiny.state_dict()}, path)
    return path


def assert_same(one: Sam2, other: Sam2) -> None:
    assert one.kind == other.kind
    mine, theirs = one.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_an_official_file_loads_unchanged(tiny: Sam2, official_file: Path) -> None:
    loaded = load_sam2(official_file)
    assert_same(loaded, tiny)
    assert loaded.prompt_encoder is loaded.sam_prompt_encoder
    assert not any(value.is_meta for value in loaded.state_dict().values())
    assert isinstance(load_network(official_file), Sam2)


def test_a_file_of_hugging_face_loads_by_its_names(tiny: Sam2, tmp_path: Path) -> None:
    state = hugging_face_state(tiny.state_dict())
    assert len(state) == 471 - 3 + 1  # four weights stacked, one stored twice
    save_file({k: v.clone() for k, v in state.items()}, tmp_path / "model.safetensors")
    assert_same(load_sam2(tmp_path / "model.safetensors"), tiny)


@pytest.mark.parametrize("kind", ["sam2.1_large", "sam2_base_plus"])
def test_every_name_of_hugging_face_has_an_official_one(kind: str) -> None:
    official = _hollow(kind).state_dict()
    names = set(official_names(list(hugging_face_state(dict(official)))).values())
    stacked = "sam_prompt_encoder.point_embeddings"
    assert {n for n in names if not n.startswith(stacked)} == {n for n in official if not n.startswith(stacked)}


@pytest.mark.parametrize("kind", SAM2_KINDS)
def test_size_and_version_are_detected(kind: str, tmp_path: Path) -> None:
    assert detect_kind(_hollow(kind).state_dict(), tmp_path) == kind


def test_a_saved_network_loads_again(tiny: Sam2, tmp_path: Path) -> None:
    save_sam(tiny, tmp_path / "net.safetensors")
    save_official(tiny, tmp_path / "net.pt")
    assert_same(load_sam2(tmp_path / "net.safetensors"), tiny)
    assert_same(load_sam2(tmp_path / "net.pt"), tiny)


def test_a_file_of_sam_2_is_refused_where_one_of_sam_is_needed(official_file: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is a SAM 2 checkpoint \(sam2\.1_tiny\).*load_sam2") as caught:
        load_sam(official_file)
    assert str(official_file) in str(caught.value)


def test_a_file_of_sam_is_refused_where_one_of_sam_2_is_needed(tmp_path: Path) -> None:
    save_official(build_sam("vit_t"), tmp_path / "mobile_sam.pt")
    with pytest.raises(CheckpointError, match=r"mobile_sam\.pt is a SAM checkpoint \(vit_t\).*'sam2\.1_tiny'"):
        load_sam2(tmp_path / "mobile_sam.pt")


def test_a_name_of_the_wrong_family_is_refused_before_it_is_downloaded() -> None:
    with pytest.raises(CheckpointError, match="model 'sam2_small' is a SAM 2 checkpoint"):
        load_sam("sam2_small")
    with pytest.raises(CheckpointError, match="model 'vit_h' is a SAM checkpoint"):
        load_sam2("vit_h")


def test_a_file_of_another_size_is_refused(tiny: Sam2, tmp_path: Path) -> None:
    state = {k: v for k, v in tiny.state_dict().items() if "trunk.blocks.11." not in k}
    torch.save(state, tmp_path / "cut.pt")
    with pytest.raises(CheckpointError, match="of width 96 with 11 blocks; give one of the published"):
        load_sam2(tmp_path / "cut.pt")


def test_a_file_without_its_memory_names_what_is_missing(tiny: Sam2, tmp_path: Path) -> None:
    state = {k: v for k, v in tiny.state_dict().items() if not k.startswith("memory_")}
    torch.save(state, tmp_path / "image_only.pt")
    with pytest.raises(CheckpointError, match=r"looks like sam2\.1_tiny but does not fit it: 146 keys are missing"):
        load_sam2(tmp_path / "image_only.pt")


def test_unknown_kinds_name_the_known_ones() -> None:
    with pytest.raises(UnknownModelError, match="choose one of default, vit_t"):
        build_network("sam3")
    with pytest.raises(UnknownModelError, match=r"sam2_large$"):
        build_sam2("vit_b")
    with pytest.raises(UnknownModelError, match="or use build_sam2"):
        build_sam("sam2.1_tiny")
    assert {"vit_b", "sam2.1_tiny"} <= set(network_kinds())
