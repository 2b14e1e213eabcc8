"""Training runs: they learn, resume after an interruption, and refuse invalid settings without losing a checkpoint."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tifffile
import torch

from src_models.checkpoints.checkpoint_files import load_sam, save_sam
from src_models.model_errors import TrainingError
from src_models.networks.sam import build_sam
from src_models.training.config import FolderConfig, TrainConfig
from src_models.training.loop.schedule import parameter_groups
from src_models.training.starting_network import starting_network
from src_models.training.synthetic.sample import synthetic_sample
from src_models.training.trainer import Trainer


def _pair_folder(folder, rng, n=2):
    folder.mkdir(exist_ok=True)
    for i in range(n):
        image, labels = synthetic_sample(96, rng)
        tifffile.imwrite(folder / f"s{i}.image.tif", image)
        tifffile.imwrite(folder / f"s{i}.labels.tif", labels.astype(np.uint16))
    return folder


@pytest.fixture
def tiny(tmp_path, rng):
    _pair_folder(tmp_path / "d", rng)
    return TrainConfig(
        steps=3,
        batch=1,
        objects=2,
        crop_px=64,
        start="",
        save_every=2,
        warmup_steps=1,
        bf16=False,
        picture_every=3,
        folders=(FolderConfig("d"),),
    )


def _stop_at(step):
    """Return a function that cancels a run before its step of this number (from 0)."""
    asked = iter(range(step + 1))
    return lambda: next(asked) == step


def _final(folder):
    return torch.load(folder / "state.pt", weights_only=True)


@pytest.mark.parametrize("recipe", ["quick", "paper"])
def test_an_interrupted_run_resumes_to_the_same_result(tmp_path, tiny, recipe):
    """Also with stochastic crops, hypotheses and accumulated batches."""
    config = dataclasses.replace(tiny, recipe=recipe, steps=3 if recipe == "quick" else 2, hypotheses=0.5)
    if recipe == "quick":
        config = dataclasses.replace(config, accumulate=2, augment=0.5)
    Trainer(config, tmp_path, tmp_path / "whole").run()
    Trainer(config, tmp_path, tmp_path / "cut").run(cancelled=_stop_at(1))
    assert _final(tmp_path / "cut")["step"] == 1
    Trainer(config, tmp_path, tmp_path / "cut").run()
    whole, cut = _final(tmp_path / "whole"), _final(tmp_path / "cut")
    assert whole["step"] == cut["step"] == config.steps
    for part in ("net", "average"):
        for name, value in whole[part].items():
            assert torch.equal(value, cut[part][name]), name


def test_a_run_with_all_levers_resumes_to_the_same_result(tmp_path, tiny):
    """Crops of varied sides, balanced sets, one of them partly labelled, pastes, wide styles, and harder clicks."""
    folders = (FolderConfig("d"), FolderConfig("d", complete=False))
    config = dataclasses.replace(
        tiny,
        folders=folders,
        steps=2,
        accumulate=2,
        crop_min_px=32,
        sampling="balanced",
        paste=1.0,
        jitter_share=0.5,
        synthetic_wide=0.5,
        border_clicks=0.3,
        focal=0.5,
        focal_kind="normalised",
        picture_every=0,
    )
    Trainer(config, tmp_path, tmp_path / "whole").run()
    Trainer(config, tmp_path, tmp_path / "cut").run(cancelled=_stop_at(1))
    Trainer(config, tmp_path, tmp_path / "cut").run()
    whole, cut = _final(tmp_path / "whole"), _final(tmp_path / "cut")
    assert all(torch.equal(value, cut["net"][name]) for name, value in whole["net"].items())


def test_a_run_of_an_earlier_version_resumes(tmp_path, tiny):
    """Its state does not name the settings that were added later, also those of its folders."""
    config = dataclasses.replace(tiny, steps=1, picture_every=0)
    Trainer(config, tmp_path, tmp_path / "run").run()
    state = _final(tmp_path / "run")
    for name in ("paste", "jitter_share", "synthetic_wide", "sampling", "crop_min_px", "focal_kind", "border_clicks"):
        del state["config"][name]
    del state["config"]["folders"][0]["complete"]
    torch.save(state, tmp_path / "run" / "state.pt")
    assert Trainer(config, tmp_path, tmp_path / "run").resume() == 1
    other = dataclasses.replace(config, paste=0.5)
    with pytest.raises(TrainingError, match="paste"):
        Trainer(other, tmp_path, tmp_path / "run").resume()


def test_the_sides_of_crops_are_multiples_of_32_in_their_range(tmp_path, tiny):
    trainer = Trainer(dataclasses.replace(tiny, crop_min_px=32, crop_px=96), tmp_path, tmp_path / "run")
    assert {trainer._side(index) for index in range(40)} == {32, 64, 96}
    for side in (40, 128):
        with pytest.raises(TrainingError, match=f"crop_min_px is {side}") as caught:
            Trainer(dataclasses.replace(tiny, crop_min_px=side), tmp_path, tmp_path / "run")
        assert caught.value.remedy == "give a multiple of 32 up to crop_px, 64"


def test_balanced_sets_share_every_step(tmp_path, tiny):
    folders = (FolderConfig("d"), FolderConfig("d"), FolderConfig("d"))
    config = dataclasses.replace(tiny, folders=folders, batch=2, accumulate=2, sampling="balanced")
    trainer = Trainer(config, tmp_path, tmp_path / "run")
    for step in range(5):
        passes = [trainer._sources(2 * step + part) for part in range(2)]
        assert sorted([*passes[0], *passes[1]]) == [0, 1, 2, 3]  # the last one is synthetic


def test_a_batch_without_a_complete_crop_trains_only_the_masks(tmp_path, tiny):
    config = dataclasses.replace(tiny, folders=(FolderConfig("d", complete=False),), synthetic_weight=0)
    trainer = Trainer(config, tmp_path, tmp_path / "run")
    crops = [trainer.sampler.draw(np.random.default_rng(0))]
    values = trainer.backward_pass.run(crops, np.random.default_rng(0)).values
    assert np.isnan(values["dense"])
    assert np.isfinite(values["loss"])
    assert all(p.grad is None for p in trainer.net.dense_decoder.parameters())


def test_a_run_leaves_a_table_a_model_and_pictures(tmp_path, tiny):
    seen = []
    config = dataclasses.replace(tiny, steps=20, validate_every=10, validation=(FolderConfig("d"),), objects=1)
    Trainer(config, tmp_path, tmp_path / "run").run(lambda step, steps, values: seen.append((step, steps)))
    run = tmp_path / "run"
    assert seen == [(i + 1, 20) for i in range(20)]
    assert (run / "log.csv").read_text().splitlines()[0].startswith("step,loss,iou_1click")
    assert len((run / "validation.csv").read_text().splitlines()) == 3
    assert {p.name for p in (run / "pictures").iterdir()} == {f"{i:06d}.png" for i in (3, 6, 9, 12, 15, 18)}
    for name in ("model.safetensors", "best.safetensors"):
        assert load_sam(run / name).dense_decoder is not None


def test_a_run_learns_one_crop(tmp_path, tiny):
    """The loss falls, so the gradients of all rounds reach the encoder."""
    config = dataclasses.replace(tiny, learning_rate=1e-3, warmup_steps=5, steps=100)
    trainer = Trainer(config, tmp_path, tmp_path / "run")
    crops = [trainer.sampler.draw(np.random.default_rng(0))]
    losses = []
    for _ in range(12):
        trainer.step = 5  # the same prompts each time
        losses.append(trainer.train_step(iter([crops]))["loss"])
    assert np.mean(losses[-3:]) < 0.8 * losses[0]


@pytest.mark.parametrize("recipe", ["quick", "paper"])
def test_the_encoders_gradient_is_that_of_all_losses_at_once(tmp_path, tiny, recipe, monkeypatch):
    """The embedding is detached and differentiated once, with the result of a single backward pass."""
    config = dataclasses.replace(tiny, recipe=recipe, dense_weight=0.7)
    trainer = Trainer(config, tmp_path, tmp_path / "run")
    crops = [trainer.sampler.draw(np.random.default_rng(0))]
    weight = trainer.net.image_encoder.neck[0].weight

    trainer.backward_pass.run(crops, np.random.default_rng(4))
    cut = weight.grad.clone()
    trainer.optimizer.zero_grad(set_to_none=True)

    losses = []
    monkeypatch.setattr(trainer.backward_pass, "_backward", losses.append)
    monkeypatch.setattr(trainer.backward_pass, "_detached", lambda embedding: embedding)
    trainer.backward_pass.run(crops, np.random.default_rng(4))
    assert len(losses) == (2 if recipe == "quick" else 12)
    sum(losses).backward()
    torch.testing.assert_close(cut, weight.grad, rtol=1e-3, atol=1e-6)
    assert float(cut.abs().max()) > 0


def test_accumulated_batches_have_the_gradient_of_their_mean(tmp_path, tiny):
    config = dataclasses.replace(tiny, dense_weight=1.0)
    trainer = Trainer(config, tmp_path, tmp_path / "a")
    crops = [trainer.sampler.draw(np.random.default_rng(i)) for i in range(2)]
    wanted = {}
    for part, crop in enumerate(crops):
        trainer.optimizer.zero_grad(set_to_none=True)
        trainer.backward_pass.run([crop], np.random.default_rng([config.seed, 1, 0, part]))
        for name, parameter in trainer.net.named_parameters():
            if parameter.grad is not None:
                wanted[name] = wanted.get(name, 0) + parameter.grad / 2
    trainer.backward_pass.config = dataclasses.replace(config, accumulate=2)
    trainer.optimizer.zero_grad(set_to_none=True)
    for part, crop in enumerate(crops):
        trainer.backward_pass.run([crop], np.random.default_rng([config.seed, 1, 0, part]))
    for name, parameter in trainer.net.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, wanted[name])


_PARTS = ("image_encoder", "prompt_encoder", "mask_decoder", "dense_decoder")


@pytest.mark.parametrize("frozen", [*((p,) for p in _PARTS), *(tuple(q for q in _PARTS if q != p) for p in _PARTS)])
def test_frozen_parameters_stay_unchanged(tmp_path, tiny, frozen):
    config = dataclasses.replace(tiny, freeze=frozen, steps=1, weight_decay=0.1)
    trainer = Trainer(config, tmp_path, tmp_path / "run")
    before = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    trainer.run()
    after = trainer.net.state_dict()
    moved = {k.split(".")[0] for k, v in after.items() if not torch.equal(v, before[k])}
    assert moved == set(_PARTS) - set(frozen)


def test_freezing_unknown_parts_or_everything_is_refused(tmp_path, tiny):
    config = tiny
    with pytest.raises(TrainingError, match="image_encodr"):
        Trainer(dataclasses.replace(config, freeze=("image_encodr",)), tmp_path, tmp_path / "x")
    with pytest.raises(TrainingError, match="leaves nothing to train"):
        Trainer(dataclasses.replace(config, freeze=_PARTS), tmp_path, tmp_path / "x")


def test_layer_decay_by_hand():
    net = build_sam("vit_t")
    config = TrainConfig(kind="vit_t", start="", learning_rate=1.0, layer_decay=0.5, weight_decay=0.1)
    groups = parameter_groups(net, config)
    rates = {id(p): g["peak"] for g in groups for p in g["params"]}
    decays = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    by_name = {name: (rates[id(p)], decays[id(p)]) for name, p in net.named_parameters()}
    assert by_name["mask_decoder.iou_token.weight"] == (1.0, 0.1)
    assert by_name["image_encoder.neck.0.weight"] == (1.0, 0.1)
    assert by_name["image_encoder.layers.3.blocks.0.attn.qkv.weight"] == (0.5, 0.1)
    assert by_name["image_encoder.layers.3.blocks.0.attn.qkv.bias"] == (0.5, 0.0)
    assert by_name["image_encoder.layers.0.blocks.0.conv1.c.weight"] == (0.5**4, 0.1)
    assert by_name["image_encoder.patch_embed.seq.0.c.weight"] == (0.5**5, 0.1)


def test_stochastic_depth_rises_linearly_and_needs_a_vit():
    net = starting_network(TrainConfig(kind="vit_b", start="", drop_path=0.4, dense_weight=0))
    rates = [block.drop_path.rate for block in net.image_encoder.blocks]
    assert rates == pytest.approx([0.4 * i / 11 for i in range(12)])
    with pytest.raises(TrainingError, match="no stochastic depth"):
        starting_network(TrainConfig(kind="default", start="", drop_path=0.4))


def test_tiny_vit_trains_by_the_papers_recipe(tmp_path, tiny):
    """One step for SAM's own architectures: other stride, no click map, no dense decoder."""
    config = dataclasses.replace(
        tiny,
        kind="vit_t",
        recipe="paper",
        crops="jitter",
        schedule="steps",
        crop_px=128,
        focal=1.0,
        pixel_weight=20.0,
        iou_all=False,
        dense_weight=0.0,
        layer_decay=0.8,
        steps=1,
    )
    trainer = Trainer(config, tmp_path, tmp_path / "run")
    trainer.run()
    assert float(trainer.net.image_encoder.patch_embed.seq[0].c.weight.grad.abs().max()) > 0
    assert load_sam(tmp_path / "run" / "model.safetensors").kind == "vit_t"


def test_a_dense_decoder_is_added_to_a_checkpoint_without_one(tmp_path):
    save_sam(build_sam("default", dense=False), tmp_path / "old.safetensors")
    assert load_sam(tmp_path / "old.safetensors").dense_decoder is None
    net = starting_network(TrainConfig(start=str(tmp_path / "old.safetensors")))
    assert net.dense_decoder is not None
    with pytest.raises(TrainingError, match="make the kinds equal"):
        starting_network(TrainConfig(kind="vit_b", start=str(tmp_path / "old.safetensors")))
    with pytest.raises(TrainingError, match="imagenet"):
        starting_network(TrainConfig(kind="vit_t", start="imagenet"))


def test_a_loss_that_is_not_finite_keeps_the_checkpoint(tmp_path, tiny):
    trainer = Trainer(tiny, tmp_path, tmp_path / "run")
    trainer.save()
    kept = (tmp_path / "run" / "model.safetensors").read_bytes()
    with torch.no_grad():
        trainer.net.mask_decoder.iou_token.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="lower learning_rate"):
        trainer.train_step(trainer._batches())
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == kept


def test_a_gradient_that_is_not_finite_changes_nothing(tmp_path, tiny):
    trainer = Trainer(tiny, tmp_path, tmp_path / "run")
    before = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    trainer.net.mask_decoder.iou_token.weight.register_hook(lambda grad: grad * float("inf"))
    with pytest.raises(TrainingError, match="the gradient is"):
        trainer.train_step(trainer._batches())
    assert all(torch.equal(v, before[k]) for k, v in trainer.net.state_dict().items())


def test_a_run_resumes_with_a_lower_learning_rate(tmp_path, tiny):
    Trainer(tiny, tmp_path, tmp_path / "run").save()
    for rate in (tiny.backbone_rate, 1e-4):
        trainer = Trainer(dataclasses.replace(tiny, learning_rate=rate), tmp_path, tmp_path / "run")
        trainer.resume()
        assert {g["peak"] for g in trainer.optimizer.param_groups} == {rate, tiny.backbone_rate}


def test_a_full_disk_keeps_the_checkpoint(tmp_path, tiny, monkeypatch):
    trainer = Trainer(tiny, tmp_path, tmp_path / "run")
    trainer.save()
    kept = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}

    def full(state, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("src_models.training.loop.run_folder.torch.save", full)
    trainer.step = 1
    with pytest.raises(TrainingError, match=r"No space left on device.*free some space"):
        trainer.save()
    assert (tmp_path / "run" / "state.pt").read_bytes() == kept["state.pt"]
    monkeypatch.setattr(
        "src_models.checkpoints.checkpoint_files.save_file", lambda state, path, header: full(state, path)
    )
    kept = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    with pytest.raises(TrainingError, match=r"No space left on device.*free some space"):
        trainer.save()
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == kept


@pytest.mark.parametrize(
    ("change", "message"),
    [({"objects": 1}, "with objects 2, but objects is 1"), ({"seed": 5}, "seed"), ({"folders": ()}, "folders")],
)
def test_resuming_with_another_configuration_is_refused(tmp_path, tiny, change, message):
    Trainer(tiny, tmp_path, tmp_path / "run").save()
    with pytest.raises(TrainingError, match=message):
        Trainer(dataclasses.replace(tiny, **change), tmp_path, tmp_path / "run").resume()


def test_resuming_with_other_data_is_refused(tmp_path, tiny):
    Trainer(tiny, tmp_path, tmp_path / "run").save()
    path = tmp_path / "d" / "s0.labels.tif"
    labels = tifffile.imread(path)
    labels[:40, :40] = 77
    tifffile.imwrite(path, labels)
    with pytest.raises(TrainingError, match="other data"):
        Trainer(tiny, tmp_path, tmp_path / "run").resume()


def test_a_damaged_state_is_named(tmp_path, tiny):
    (tmp_path / "run").mkdir()
    for damage in (b"no checkpoint", b""):
        (tmp_path / "run" / "state.pt").write_bytes(damage)
        with pytest.raises(TrainingError, match=r"state\.pt cannot be read.*move it away"):
            Trainer(tiny, tmp_path, tmp_path / "run").resume()
    with pytest.raises(TrainingError, match=r"state\.pt cannot be read.*move it away"):
        Trainer(tiny, tmp_path, tmp_path / "run").resume()


def test_settings_that_do_not_fit_are_refused_at_the_start(tmp_path, tiny):
    with pytest.raises(TrainingError, match="crop_px is 1024"):
        Trainer(dataclasses.replace(tiny, crop_px=1024), tmp_path, tmp_path / "run")
    with pytest.raises(TrainingError, match="there is no data"):
        Trainer(dataclasses.replace(tiny, folders=(), synthetic_weight=0), tmp_path, tmp_path / "run")
    with pytest.raises(TrainingError, match=r"\[\[validation\]\]"):
        Trainer(dataclasses.replace(tiny, validate_every=5), tmp_path, tmp_path / "run")
    with pytest.raises(TrainingError, match="relative to the data root"):
        Trainer(dataclasses.replace(tiny, folders=(FolderConfig("nowhere"),)), tmp_path, tmp_path / "run")


def test_images_without_objects_are_skipped_with_a_reason(tmp_path, tiny):
    tifffile.imwrite(tmp_path / "d" / "s1.labels.tif", np.zeros((96, 96), np.uint16))
    trainer = Trainer(tiny, tmp_path, tmp_path / "run")
    assert len(trainer.skipped) == 1
    assert trainer.skipped[0].startswith("d: s1")


def test_steps_after_the_last_checkpoint_are_repeated(tmp_path, tiny):
    """As after SIGKILL: only rows of the table remain of them."""
    config = dataclasses.replace(tiny, steps=3, save_every=1)
    trainer = Trainer(config, tmp_path, tmp_path / "cut")
    trainer.run(cancelled=_stop_at(2))
    trainer.train_step(trainer._batches())  # lost
    Trainer(config, tmp_path, tmp_path / "cut").run()
    Trainer(config, tmp_path, tmp_path / "whole").run()
    whole, cut = _final(tmp_path / "whole"), _final(tmp_path / "cut")
    assert all(torch.equal(v, cut["net"][k]) for k, v in whole["net"].items())


def test_stochastic_depth_is_the_same_after_resuming(tmp_path):
    """Its noise depends on the number of the step, not on the age of the process."""
    config = TrainConfig(kind="vit_b", start="", drop_path=0.4, dense_weight=0, steps=4)
    layer = starting_network(config).image_encoder.blocks[11].drop_path.train()
    draws = []
    for _ in range(2):
        torch.manual_seed(hash((config.seed, 3)) % 2**63)
        draws.append(layer(torch.ones(64, 1)))
    assert torch.equal(*draws)
    assert 0.2 < float((draws[0] == 0).float().mean()) < 0.6


def test_a_failure_while_drawing_reaches_the_caller(tmp_path, tiny, monkeypatch):
    trainer = Trainer(tiny, tmp_path, tmp_path / "run")

    def broken(*args):
        raise TrainingError("cannot draw")

    monkeypatch.setattr(trainer.sampler, "draw", broken)
    with pytest.raises(TrainingError, match="cannot draw"):
        trainer.run()
