"""The recipe piece by piece, with numbers worked by hand; and a run that is killed and goes on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tifffile
import torch

from src_models.errors import TrainingError
from src_models.training.augment import augment, dihedral
from src_models.training.config import FolderConfig, TrainConfig
from src_models.training.data import CropSampler, Pair, read_folder
from src_models.training.losses import dice_loss, focal_loss, mask_iou, prompt_loss
from src_models.training.prompts import correction, deepest_point, noisy_box, random_point
from src_models.training.synthetic import synthetic_sample
from src_models.training.trainer import Prompted, Trainer


def test_focal_loss_by_hand():
    logits, target = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    want = (0.25 * 0.25 * np.log(2) + 0.75 * 0.25 * np.log(2)) / 2
    assert float(focal_loss(logits, target)) == pytest.approx(want)


def test_dice_loss_by_hand():
    sure = torch.tensor([[30.0, 30.0, -30.0]])
    target = torch.tensor([[1.0, 0.0, 0.0]])
    assert float(dice_loss(sure, target)) == pytest.approx(1 - 3 / 4)


def test_only_the_best_of_three_masks_is_trained_fully():
    target = torch.zeros(1, 2, 2)
    target[0, 0] = 1
    good, bad = torch.where(target > 0, 9.0, -9.0), torch.where(target > 0, -9.0, 9.0)
    logits = torch.stack([bad, good, bad, bad], dim=1).requires_grad_()
    config = TrainConfig(iou_weight=0)
    loss, iou = prompt_loss(logits, torch.zeros(1, 4), target, torch.tensor([True]), config)
    loss.backward()
    assert iou.tolist() == [[0.0, 1.0, 0.0, 0.0]]
    size = logits.grad.abs().sum((0, 2, 3))
    assert size[0] > 10 * size[2]  # the single mask is trained, the other two barely
    only, _ = prompt_loss(logits.detach()[:, [1, 1, 1, 1]], torch.zeros(1, 4), target, torch.tensor([True]), config)
    assert float(only) < 0.01


def test_the_quality_loss_is_squared_error():
    logits = torch.full((1, 4, 2, 2), 9.0)
    config = TrainConfig(pixel_weight=0, dice_weight=0)
    loss, iou = prompt_loss(logits, torch.full((1, 4), 0.5), torch.ones(1, 2, 2), torch.tensor([False]), config)
    assert iou.tolist() == [[1.0] * 4]
    assert float(loss) == pytest.approx(0.25)


def test_empty_masks_agree():
    assert float(mask_iou(torch.tensor([[-1.0]]), torch.tensor([[0.0]]))) == 1.0


def test_the_first_click_is_deepest_even_at_the_border():
    region = np.zeros((9, 20), bool)
    region[:, :5] = True
    assert deepest_point(region) == (2, 2)  # three pixels from the top, the left border and the right side


def test_corrections_go_where_the_mask_is_wrong(rng):
    truth, mask = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    truth[5:15, 2:8] = True
    mask[5:15, 2:20] = True
    y, x, label = correction(mask, truth)
    assert label == 0
    assert (y, x) == (9, 12)  # five pixels from the nearest side
    for _ in range(20):
        y, x, label = correction(mask, truth, rng)
        assert label == 0
        assert mask[y, x] != truth[y, x]
    assert correction(truth, truth)[2] == 1


def test_box_noise_is_a_tenth_of_the_side_but_at_most_20_px(rng):
    region = np.zeros((2000, 200), bool)
    region[500:1500, 80:120] = True
    boxes = np.array([noisy_box(region, rng) for _ in range(400)])
    spread = (boxes - [500, 80, 1500, 120]).std(0)
    assert np.abs(boxes - [500, 80, 1500, 120]).max() <= 20
    assert spread[1] == pytest.approx(4, rel=0.2)
    assert 10 < spread[0] < 20


def test_random_points_lie_inside(rng):
    region = rng.random((30, 40)) > 0.9
    assert all(region[random_point(region, rng)] for _ in range(50))


def test_augmentation_and_synthesis_are_seeded():
    image, labels = synthetic_sample(96, np.random.default_rng(3))
    again, _ = synthetic_sample(96, np.random.default_rng(3))
    np.testing.assert_array_equal(image, again)
    assert image.shape == (96, 96, 3)
    assert labels.max() >= 1
    np.testing.assert_array_equal(augment(image, np.random.default_rng(1)), augment(image, np.random.default_rng(1)))


def test_turning_keeps_image_and_labels_together(rng):
    labels = rng.integers(0, 9, (8, 8)).astype(np.int32)
    image = np.repeat(labels[..., None].astype(np.uint8), 3, 2)
    for _ in range(10):
        turned, turned_labels = dihedral(image, labels, rng)
        np.testing.assert_array_equal(turned[..., 0], turned_labels)


def _pair_folder(folder, rng, n=2):
    folder.mkdir(exist_ok=True)
    for i in range(n):
        image, labels = synthetic_sample(128, rng)
        tifffile.imwrite(folder / f"s{i}.image.tif", image)
        tifffile.imwrite(folder / f"s{i}.labels.tif", labels.astype(np.uint16))
    return folder


def test_pairs_that_do_not_fit_are_refused_by_name(tmp_path, rng):
    folder = _pair_folder(tmp_path / "d", rng, 1)
    tifffile.imwrite(folder / "s0.labels.tif", np.ones((5, 5), np.uint8))
    with pytest.raises(TrainingError, match=r"\(5, 5\)"):
        read_folder(tmp_path, FolderConfig("d"))
    tifffile.imwrite(folder / "s0.labels.tif", np.ones((128, 128), np.float32))
    with pytest.raises(TrainingError, match="float32"):
        read_folder(tmp_path, FolderConfig("d"))
    tifffile.imwrite(folder / "s0.labels.tif", np.zeros((128, 128), np.uint8))
    with pytest.raises(TrainingError, match="no pair"):
        read_folder(tmp_path, FolderConfig("d"))


def test_an_unknown_configuration_key_is_refused(tmp_path):
    (tmp_path / "c.toml").write_text("lerning_rate = 1")
    with pytest.raises(TrainingError, match="lerning_rate"):
        TrainConfig.from_toml(tmp_path / "c.toml")


def test_the_shipped_configuration_is_valid():
    from pathlib import Path

    import src_models

    path = Path(src_models.__file__).parent / "training" / "default.toml"
    assert {f.path.split("/")[0] for f in TrainConfig.from_toml(path).folders} <= {
        "dsb2018",
        "emps",
        "axon_sem",
        "axon_tem_srf",
        "usiigaci_t98g",
        "agoro_fields",
        "buildings",
        "fair_buildings",
    }  # only what may be reused


def test_crops_hold_objects_at_every_scale(rng):
    labels = np.zeros((300, 400), np.int32)
    labels[100:130, 200:230] = 5
    pair = Pair("p", np.repeat((labels > 0).astype(np.uint8)[..., None] * 200, 3, 2), labels)
    config = TrainConfig(crop_px=128, objects=3, synthetic_weight=0)
    sampler = CropSampler([(1.0, [pair])], config, 512)
    for _ in range(20):
        crop = sampler.draw(rng)
        assert crop.image.shape == (128, 128, 3)
        assert crop.masks.shape == (3, 128, 128)
        assert crop.masks.any((1, 2)).all()


def test_later_rounds_give_clicks_and_logits(rng):
    labels = np.zeros((128, 128), np.int32)
    labels[30:90, 30:90] = 1
    config = TrainConfig(crop_px=128, objects=4, synthetic_weight=0)
    crop = CropSampler([(1.0, [Pair("p", np.zeros((128, 128, 3), np.uint8), labels)])], config, 128).draw(rng)
    batch = Prompted([crop], rng, 8, (0, 0))
    before = [len(p) for p in batch.points]
    batch.click_where_wrong(np.array([1, 3]), torch.full((2, 64, 64), -5.0))
    after = [len(p) for p in batch.points]
    assert np.subtract(after, before).tolist() == [0, 1, 0, 1]
    assert all(batch.truth[i][p[-1][0], p[-1][1]] == p[-1][2] for i, p in enumerate(batch.points) if i in (1, 3))
    coords, marks = batch.tokens()
    assert coords.shape[:2] == marks.shape


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
        folders=(FolderConfig("d"),),
    )


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, tiny):
    Trainer(tiny, tmp_path, tmp_path / "whole").run()
    Trainer(dataclasses.replace(tiny, steps=3), tmp_path, tmp_path / "cut")
    halted = Trainer(tiny, tmp_path, tmp_path / "cut")
    halted.net.eval()
    for crops in halted._batches():
        halted.train_step(crops)
        halted.step += 1
        if halted.step == 2:
            halted.save()
            break
    Trainer(tiny, tmp_path, tmp_path / "cut").run()
    weights = [torch.load(tmp_path / d / "state.pt", weights_only=True)["net"] for d in ("whole", "cut")]
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], atol=1e-5, rtol=1e-4)


def test_a_loss_that_is_not_finite_keeps_the_checkpoint(tmp_path, tiny):
    trainer = Trainer(tiny, tmp_path, tmp_path / "run")
    trainer.save()
    kept = (tmp_path / "run" / "model.safetensors").read_bytes()
    with torch.no_grad():
        trainer.net.mask_decoder.iou_token.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="lower learning_rate"):
        trainer.train_step(next(iter(trainer._batches())))
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == kept


def test_a_crop_larger_than_the_network_is_refused(tmp_path, tiny):
    with pytest.raises(TrainingError, match="crop_px 1024"):
        Trainer(dataclasses.replace(tiny, crop_px=1024), tmp_path, tmp_path / "run")
