"""Training a part of the encoder: low-rank updates, the last blocks; also the encoders of SAM 2."""

from __future__ import annotations

import dataclasses

import pytest
import tifffile
import torch
from safetensors.torch import load_file

from src_models.checkpoints.adapters import read_adapter_base
from src_models.checkpoints.checkpoint_files import load_network, save_sam
from src_models.model_errors import TrainingError
from src_models.networks.sam import build_sam
from src_models.networks.sam2.config import SAM2_KINDS
from src_models.training.config import FolderConfig, TrainConfig
from src_models.training.starting_network import training_start
from src_models.training.synthetic.sample import synthetic_sample
from src_models.training.trainer import Trainer
from tests.src_models.small_sam2 import SMALL, small_sam2_network


@pytest.fixture
def tiny(tmp_path, rng):
    """A short run that adapts a TinyViT network in start.safetensors."""
    (tmp_path / "d").mkdir()
    image, labels = synthetic_sample(96, rng)
    tifffile.imwrite(tmp_path / "d" / "s.image.tif", image)
    tifffile.imwrite(tmp_path / "d" / "s.labels.tif", labels.astype("uint16"))
    torch.manual_seed(0)
    save_sam(build_sam("vit_t"), tmp_path / "start.safetensors")
    return TrainConfig(
        kind="vit_t",
        start=str(tmp_path / "start.safetensors"),
        steps=2,
        batch=1,
        objects=2,
        crop_px=64,
        save_every=2,
        warmup_steps=1,
        learning_rate=1e-2,
        ema=0.5,
        bf16=False,
        dense_weight=0,
        picture_every=0,
        lora_rank=2,
        folders=(FolderConfig("d"),),
    )


@pytest.fixture
def small_sam2(tmp_path, monkeypatch):
    """A checkpoint of a small SAM 2 network, whose size is that of "sam2.1_tiny" here."""
    monkeypatch.setitem(SAM2_KINDS, "sam2.1_tiny", SMALL)
    path = tmp_path / "sam2.safetensors"
    save_sam(small_sam2_network(), path)
    return path


def _changed(path, start):
    """Return the names of the weights that differ."""
    before, after = load_network(start).state_dict(), load_network(path).state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_a_low_rank_run_leaves_an_adapter_and_resumes_to_the_same_result(tmp_path, tiny):
    Trainer(tiny, tmp_path, tmp_path / "whole").run()
    asked = iter(range(9))
    Trainer(tiny, tmp_path, tmp_path / "cut").run(cancelled=lambda: next(asked) == 1)
    Trainer(tiny, tmp_path, tmp_path / "cut").run()
    model = tmp_path / "whole" / "model.safetensors"
    whole, cut = (load_file(folder / "model.safetensors") for folder in (model.parent, tmp_path / "cut"))
    assert whole.keys() == cut.keys()
    assert all(torch.equal(value, cut[name]) for name, value in whole.items())
    assert read_adapter_base(model).source == tiny.start
    changed = _changed(model, tiny.start)
    in_encoder = {name for name in changed if name.startswith("image_encoder.")}
    assert in_encoder
    assert all(name.endswith((".attn.qkv.weight", ".attn.proj.weight")) for name in in_encoder)
    assert any(name.startswith("mask_decoder.") for name in changed)
    assert not any("parametrizations" in name for name in changed)


def test_low_rank_updates_alone_make_a_tiny_file(tmp_path, tiny):
    config = dataclasses.replace(tiny, steps=1, freeze=("mask_decoder", "prompt_encoder"))
    Trainer(config, tmp_path, tmp_path / "run").run()
    assert (tmp_path / "run" / "model.safetensors").stat().st_size < 300_000
    assert {n.split(".")[0] for n in _changed(tmp_path / "run" / "model.safetensors", tiny.start)} == {"image_encoder"}


@pytest.mark.parametrize(("kind", "last"), [("vit_t", "layers.3"), ("default", "stages.6")])
def test_only_the_last_stage_is_trained(tmp_path, tiny, kind, last):
    torch.manual_seed(0)
    start = tmp_path / "start.safetensors"
    save_sam(build_sam(kind), start)
    config = dataclasses.replace(tiny, kind=kind, lora_rank=0, train_last_blocks=1, steps=1)
    Trainer(config, tmp_path, tmp_path / "run").run()
    changed = _changed(tmp_path / "run" / "model.safetensors", start)
    stages = {
        ".".join(name.split(".")[1:3])
        for name in changed
        if name.startswith(("image_encoder.layers", "image_encoder.stages"))
    }
    assert len(stages) == 1
    assert next(iter(stages)).startswith(last.removesuffix("."))
    assert not any(".patch_embed." in name or ".stem." in name for name in changed)


@pytest.mark.parametrize("rank", [0, 2])
def test_sam_2_is_trained_on_images(tmp_path, tiny, small_sam2, rank):
    config = dataclasses.replace(tiny, kind="sam2.1_tiny", start=str(small_sam2), lora_rank=rank, steps=1)
    Trainer(config, tmp_path, tmp_path / "run").run()
    changed = _changed(tmp_path / "run" / "model.safetensors", small_sam2)
    trunk = {name for name in changed if name.startswith("image_encoder.trunk.")}
    assert trunk
    assert all(".attn." in name for name in trunk) == (rank > 0)
    assert any(name.startswith("sam_mask_decoder.") for name in changed)
    assert not any(name.startswith(("memory_", "obj_ptr", "mask_downsample")) for name in changed)


def test_a_crop_of_sam_2_is_embedded_as_in_its_place():
    """Where attention has windows only, a crop on the grid of windows has the embedding of the whole image."""
    net = small_sam2_network(dataclasses.replace(SMALL, global_blocks=()))
    image = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    trunk = net.image_encoder.trunk
    whole = trunk(image)[0]
    crop = trunk(image[..., 64:, :64].contiguous(), (16, 0))[0]
    torch.testing.assert_close(crop[:, 8:, :8], whole[:, 24:, :8])


def test_sam_2_has_no_dense_decoder_to_train(tiny, small_sam2):
    with pytest.raises(TrainingError, match=r"dense_weight is 0\.5"):
        training_start(dataclasses.replace(tiny, kind="sam2.1_tiny", start=str(small_sam2), dense_weight=0.5))


def test_there_is_nothing_to_adapt_in_random_weights(tiny):
    with pytest.raises(TrainingError, match="nothing to adapt"):
        training_start(dataclasses.replace(tiny, start=""))
