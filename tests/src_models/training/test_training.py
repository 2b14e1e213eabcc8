"""The recipe piece by piece, with numbers worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from src_models.model_errors import TrainingError
from src_models.settings import setting_infos
from src_models.training.config import FolderConfig, TrainConfig
from src_models.training.config_files import find_config, recipe_names
from src_models.training.data.augment import augment, dihedral, rotate
from src_models.training.data.crops import CropSampler
from src_models.training.data.labelled_images import LabelledImage
from src_models.training.losses import dice_loss, focal_loss, mask_iou, prompt_loss
from src_models.training.pretraining.pretrain_config import PretrainConfig
from src_models.training.prompt_simulation import correction, deepest_point, noisy_box, random_point
from src_models.training.synthetic.sample import synthetic_sample
from src_models.watershed_settings import WatershedSettings


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


def test_the_paper_trains_one_mask_of_each_prompt():
    """Single point: the best of three only. More prompts: the single mask only. 20 focal + dice + squared error."""
    logits = torch.zeros(2, 4, 1, 2)
    logits[:, 0], logits[:, 2] = 1.0, 2.0  # of the three, number 2 fits a full mask best
    logits.requires_grad_()
    config = TrainConfig(recipe="paper", focal=1.0, pixel_weight=20.0, iou_all=False)
    predicted = torch.full((2, 4), 0.75)
    loss, _ = prompt_loss(logits, predicted, torch.ones(2, 1, 2), torch.tensor([False, True]), config)

    def by_hand(x):
        p = 1 / (1 + np.exp(-x))
        focal = 0.25 * (1 - p) ** 2 * -np.log(p)
        dice = 1 - (2 * 2 * p + 1) / (2 * p + 2 + 1)
        return 20 * focal + dice + (1 - 0.75) ** 2

    assert float(loss.detach()) == pytest.approx((by_hand(2.0) + by_hand(1.0)) / 2, rel=1e-5)
    loss.backward()
    trained = logits.grad.abs().sum((2, 3)) > 0
    assert trained.tolist() == [[False, False, True, False], [True, False, False, False]]


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


def test_an_unknown_configuration_key_is_refused(tmp_path):
    (tmp_path / "c.toml").write_text("lerning_rate = 1")
    with pytest.raises(TrainingError, match="lerning_rate"):
        TrainConfig.from_toml(tmp_path / "c.toml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("steps = 'many'", r"steps is 'many'; give a whole number from 1"),
        ("bf16 = 1", "bf16 is 1; give True or False"),
        ("steps = 0", "steps is 0; give a whole number from 1"),
        ("recipe = 'papers'", "recipe is 'papers'; choose one of quick, paper"),
        ("ema = 1.5", r"ema is 1\.5"),
        ("[[folders]]\nweight = 1", "'path' is missing"),
        ("[[folders]]\npath = 'a'\nweight = -1", "weight is -1; give a"),
        ("freeze = 'image_encoder'", "freeze is 'image_encoder'; give a list"),
        ("freeze = [1]", "give a list of texts"),
        ("steps = ", "cannot be read as TOML"),
    ],
)
def test_bad_configurations_are_named(tmp_path, line, message):
    (tmp_path / "c.toml").write_text(line)
    with pytest.raises(TrainingError, match=message):
        TrainConfig.from_toml(tmp_path / "c.toml")


def test_an_error_in_a_file_carries_the_setting_and_the_remedy(tmp_path):
    (tmp_path / "c.toml").write_text("steps = 0")
    with pytest.raises(TrainingError) as caught:
        TrainConfig.from_toml(tmp_path / "c.toml")
    assert (caught.value.parameter, caught.value.remedy) == ("steps", "give a whole number from 1")


@pytest.mark.parametrize("kind", [TrainConfig, PretrainConfig, FolderConfig, WatershedSettings])
def test_every_setting_is_documented(kind):
    assert all(info.help for info in setting_infos(kind).values())


def test_an_integer_may_stand_for_a_number(tmp_path):
    (tmp_path / "c.toml").write_text("pixel_weight = 20\nfreeze = ['image_encoder']")
    config = TrainConfig.from_toml(tmp_path / "c.toml")
    assert config.pixel_weight == 20
    assert config.freeze == ("image_encoder",)


@pytest.mark.parametrize("name", [n for n in recipe_names() if n != "pretrain"])
def test_the_recipes_are_valid(name):
    config = TrainConfig.from_toml(find_config(Path(name)))
    if name == "paper":
        assert (config.pixel_weight, config.dice_weight, config.focal) == (20, 1, 1)
        assert (config.batch * config.accumulate, config.weight_decay, config.beta2) == (128, 0.1, 0.999)
    assert {f.path.split("/")[0] for f in config.folders if name.startswith("default")} <= {
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
    pair = LabelledImage("p", np.repeat((labels > 0).astype(np.uint8)[..., None] * 200, 3, 2), labels)
    config = TrainConfig(crop_px=128, objects=3, synthetic_weight=0)
    sampler = CropSampler([(1.0, [pair])], config, 512)
    for _ in range(20):
        crop = sampler.draw(rng)
        assert crop.image.shape == (128, 128, 3)
        assert crop.masks.shape == (3, 128, 128)
        assert crop.masks.any((1, 2)).all()


def test_large_scale_jitter_spans_the_papers_range(rng):
    labels = np.zeros((100, 200), np.int32)
    labels[20:80, 50:150] = 1
    pair = LabelledImage("p", np.zeros((100, 200, 3), np.uint8), labels)
    sampler = CropSampler([(1.0, [pair])], TrainConfig(crops="jitter", synthetic_weight=0), 512)
    zooms = np.array([sampler._jitter(pair, rng)[0] for _ in range(300)]) * 200 / 512
    assert 0.1 <= zooms.min() < 0.2
    assert 1.9 < zooms.max() <= 2.0


def test_turning_by_any_angle_keeps_image_and_labels_together(rng):
    labels = np.zeros((92, 92), np.int32)
    labels[20:60, 30:80] = 3
    image = np.repeat((labels > 0).astype(np.uint8)[..., None] * 255, 3, 2)
    turned, turned_labels = rotate(image, labels, 64, rng)
    assert turned.shape == (64, 64, 3)
    assert np.mean((turned[..., 0] > 127) == (turned_labels == 3)) > 0.98
    assert set(np.unique(turned_labels)) <= {0, 3}
