"""Pre-training runs: they learn, resume, and refuse what does not fit."""

from __future__ import annotations

import csv
import dataclasses
import math

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from src_models.checkpoints.checkpoint_files import load_sam
from src_models.model_errors import CheckpointError, DeviceError, TrainingError, UnknownModelError
from src_models.networks.sam import build_sam
from src_models.training.config import TrainConfig
from src_models.training.pretraining.pretrainer import Pretrainer, pretrain
from src_models.training.starting_network import starting_network
from tests.src_models.training.pretraining.small_networks import pretrain_config, waves


@pytest.mark.parametrize(("kind", "steps", "rate"), [("small", 100, 1e-2), ("default", 15, 2e-3)])
def test_the_loss_falls_on_one_image(kind, steps, rate, small, folder, rng):
    config = pretrain_config(kind, steps=1000, batch=4, learning_rate=rate, warmup_steps=5)
    trainer = Pretrainer(config, folder, folder / "run")
    crops = torch.from_numpy(waves(rng, 64)).permute(2, 0, 1).expand(4, -1, -1, -1)
    losses = []
    for _ in range(steps):
        losses.append(trainer.train_step(crops)["loss"])
        trainer.step += 1
    assert losses[0] > 0.9
    assert np.mean(losses[-5:]) < 0.6


def test_a_vit_trains_all_but_its_neck_and_relative_positions(small, folder):
    trainer = Pretrainer(pretrain_config("small"), folder, folder / "run")
    before = {name: value.clone() for name, value in trainer.net.state_dict().items()}
    trainer.train_step(trainer._draw(0, 0, 2))
    same = {name for name, value in trainer.net.state_dict().items() if torch.equal(value, before[name])}
    encoder = {name for name in before if name.startswith("image_encoder.")}
    assert {name for name in encoder if ".neck." in name or ".rel_pos_" in name} == same & encoder
    assert set(before) - encoder <= same


def test_the_rate_warms_up_and_falls_to_zero(small, folder):
    trainer = Pretrainer(pretrain_config("small", steps=12, warmup_steps=2, learning_rate=1.0), folder, folder / "run")
    rates = []
    for trainer.step in range(13):
        rates.append(trainer._set_rate())
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[7] == pytest.approx(0.5)
    assert rates[12] == 0


def test_tables_and_vectors_have_no_weight_decay(small, folder):
    decayed, plain = Pretrainer(pretrain_config("small"), folder, folder / "run").optimizer.param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.05, 0.0)
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in plain["params"]} == {1, 4}


def _norms(net):
    return [m for m in net.image_encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_a_fresh_encoder_is_saved_with_the_statistics_of_whole_crops(folder):
    trainer = Pretrainer(pretrain_config("default", batch=32), folder, folder / "run")
    trainer.train_step(trainer._draw(0, 0, 2))
    saved = trainer._network_for_use()
    crops = torch.cat([trainer._normalised(trainer._draw(2, i, 32)) for i in range(2)])
    with torch.no_grad():
        first = trainer.net.image_encoder.stem.c(crops)
    torch.testing.assert_close(_norms(saved)[0].running_mean, first.mean((0, 2, 3)), atol=1e-4, rtol=1e-3)
    assert not torch.allclose(_norms(trainer.net)[0].running_mean, _norms(saved)[0].running_mean, atol=1e-2)
    assert not saved.training


def test_a_trained_encoder_keeps_its_statistics(folder):
    result = pretrain(pretrain_config("default", steps=1), folder, folder / "first")
    again = pretrain_config("default", start=str(result.model))
    trainer = Pretrainer(again, folder, folder / "second")
    before = [norm.running_mean.clone() for norm in _norms(trainer.net)]
    trainer.train_step(trainer._draw(0, 0, 2))
    saved = trainer._network_for_use()
    assert all(torch.equal(norm.running_mean, mean) for norm, mean in zip(_norms(saved), before, strict=True))


def _assert_equal(run, other):
    """Same weights for use and same state, bit for bit."""
    states = [torch.load(folder / "state.pt", weights_only=True) for folder in (run, other)]
    models = [load_file(folder / "model.safetensors") for folder in (run, other)]
    for mine, theirs in (models, [s["net"] for s in states], [s["pretext"] for s in states]):
        assert mine.keys() == theirs.keys()
        for name, value in mine.items():
            assert torch.equal(value, theirs[name]), name


@pytest.mark.parametrize(("kind", "steps"), [("small", 6), ("default", 2)])
def test_an_interrupted_run_equals_an_uninterrupted_one(kind, steps, small, folder, monkeypatch):
    monkeypatch.setattr("src_models.training.pretraining.pretrainer._CALIBRATION_CROPS", 4)
    config, half, done = pretrain_config(kind, steps=steps), steps // 2, []
    pretrain(config, folder, folder / "whole")
    cut = pretrain(
        config,
        folder,
        folder / "cut",
        progress=lambda *now: done.append(now[:2]),
        cancelled=lambda: len(done) == half,
    )
    assert (cut.step, done) == (half, [(i + 1, steps) for i in range(half)])
    assert pretrain(config, folder, folder / "cut").step == steps
    _assert_equal(folder / "whole", folder / "cut")


def test_the_seed_alone_decides(small, folder):
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        torch.rand(1)
        pretrain(pretrain_config("small", steps=2, seed=seed), folder, folder / name)
    _assert_equal(folder / "one", folder / "two")
    with pytest.raises(AssertionError):
        _assert_equal(folder / "one", folder / "three")


def test_steps_after_the_last_checkpoint_are_repeated(small, folder):
    config = pretrain_config("small", steps=40, save_every=15, batch=1)
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, folder, folder / "run", progress=_stop_at(22))
    assert torch.load(folder / "run" / "state.pt", weights_only=True)["step"] == 15
    pretrain(config, folder, folder / "run")
    with (folder / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["20", "40"]
    assert set(rows[0]) == {"step", "loss", "learning_rate", "steps_per_s", "skipped"}


def _stop_at(last):
    def progress(step, steps, values):
        if step == last:
            raise KeyboardInterrupt

    return progress


def test_a_finished_run_is_not_changed(small, folder):
    config = pretrain_config("small", steps=1)
    pretrain(config, folder, folder / "run")
    result = pretrain(config, folder, folder / "run")
    assert (result.step, result.images) == (1, 4)
    assert math.isnan(result.loss)


def test_training_can_start_from_the_result(folder):
    config = pretrain_config("default", steps=1, seed=5)
    result = pretrain(config, folder, folder / "run")
    state = torch.load(folder / "run" / "state.pt", weights_only=True)["net"]
    net = starting_network(TrainConfig(kind="default", start=str(result.model), dense_weight=0.0))
    torch.manual_seed(5)
    fresh = build_sam("default", dense=False)
    for name, value in net.named_parameters():
        assert torch.equal(value, state[name])
        if not name.startswith("image_encoder."):
            assert torch.equal(value, fresh.get_parameter(name)), name
    assert not torch.equal(net.image_encoder.stem.c.weight, fresh.image_encoder.stem.c.weight)
    assert load_sam(result.model).kind == "default"


def test_pictures_show_original_visible_part_and_reconstruction(small, folder):
    config = pretrain_config("small", steps=3, picture_every=2, batch=2)
    pretrain(config, folder, folder / "run")
    names = sorted(path.name for path in (folder / "run" / "pictures").iterdir())
    assert names == ["0000002.png", "0000003.png"]
    sheet = np.asarray(Image.open(folder / "run" / "pictures" / names[1])).astype(int)
    assert sheet.shape == (2 * 64 + 4, 3 * 64 + 2 * 4, 3)
    original, visible, guess = (sheet[:64, left : left + 64] for left in (0, 68, 136))
    hidden = (visible == 128).all(-1)
    assert hidden.mean() == pytest.approx(0.75, abs=0.02)
    np.testing.assert_array_equal(guess[~hidden], original[~hidden])
    assert (guess[hidden] != original[hidden]).any()


def test_mixed_precision_and_tinyvit_make_a_step(folder):
    trainer = Pretrainer(pretrain_config("vit_t", bf16=True, augment=1.0), folder, folder / "run")
    assert 0.5 < trainer.train_step(trainer._draw(0, 0, 2))["loss"] < 3


def test_unknown_networks_devices_and_starts_are_refused(small, folder):
    out = folder / "run"
    with pytest.raises(UnknownModelError, match="vit_x"):
        pretrain(pretrain_config("vit_x"), folder, out)
    with pytest.raises(DeviceError, match="abacus"):
        pretrain(pretrain_config("small"), folder, out, device="abacus")
    with pytest.raises(TrainingError, match="imagenet"):
        pretrain(pretrain_config("small", start="imagenet"), folder, out)
    with pytest.raises(CheckpointError, match=r"nowhere\.pt"):
        pretrain(pretrain_config("small", start="nowhere.pt"), folder, out)
    with pytest.raises(TrainingError, match=r"b\.png.*another folder"):
        pretrain(pretrain_config("small"), folder, folder / "pictures" / "b.png")


def test_a_loss_that_is_not_finite_keeps_the_checkpoint(small, folder):
    trainer = Pretrainer(pretrain_config("small"), folder, folder / "run")
    trainer.save()
    kept = [(folder / "run" / name).read_bytes() for name in ("model.safetensors", "state.pt")]
    with torch.no_grad():
        trainer.pretext.head.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"step 0: the loss is nan.*learning_rate is 0\.0003.*lower learning_rate"):
        trainer.train_step(trainer._draw(0, 0, 2))
    assert kept == [(folder / "run" / name).read_bytes() for name in ("model.safetensors", "state.pt")]


def test_a_different_or_damaged_run_is_not_resumed(small, folder):
    config = pretrain_config("small", steps=1)
    pretrain(config, folder, folder / "run")
    with pytest.raises(TrainingError, match=r"with mask_ratio 0\.75, but mask_ratio is 0\.5"):
        pretrain(dataclasses.replace(config, mask_ratio=0.5), folder, folder / "run")
    slower = dataclasses.replace(config, steps=2, learning_rate=1e-5)
    assert pretrain(slower, folder, folder / "run").step == 2
    path = folder / "run" / "state.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="delete it"):
        pretrain(config, folder, folder / "run")


def test_no_half_written_files_are_left(small, folder):
    pretrain(pretrain_config("small", steps=2, save_every=1, picture_every=1), folder, folder / "run")
    names = {path.name for path in (folder / "run").rglob("*") if path.is_file()}
    assert names == {"model.safetensors", "state.pt", "log.csv", "0000001.png", "0000002.png"}


def test_unreadable_images_are_skipped_with_a_reason(small, folder):
    result = pretrain(pretrain_config("small", batch=8), folder, folder / "run")
    assert result.images == 4
    assert [path.name for path in result.skipped] == ["broken.png"]
    assert "cannot be read" in next(iter(result.skipped.values()))


def test_no_readable_image_is_an_error(small, folder):
    with pytest.raises(TrainingError, match=r"none of 1 images.*broken\.png"):
        pretrain(pretrain_config("small", images=("pictures/broken.png",)), folder, folder / "run")
