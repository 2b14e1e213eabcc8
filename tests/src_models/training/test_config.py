"""Training settings and the files they are read from."""

from __future__ import annotations

from pathlib import Path

import pytest

from src_models.model_errors import TrainingError
from src_models.settings import setting_infos
from src_models.training.config import FolderConfig, TrainConfig
from src_models.training.config_files import find_config, recipe_names
from src_models.training.pretraining.pretrain_config import PretrainConfig
from src_models.watershed_settings import WatershedSettings


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
        ("random_clicks = 0.7\nborder_clicks = 0.4", r"random_clicks \+ border_clicks is 1\.1; give shares"),
        ("sampling = 'even'", "sampling is 'even'; choose one of random, balanced"),
        ("freeze = [1]", "give a list of texts"),
        ("steps = ", "cannot be read as TOML"),
    ],
)
def test_invalid_settings_are_named(tmp_path, line, message):
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


def test_an_integer_is_accepted_for_a_float(tmp_path):
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
        "coco_clean",
        "coco_clean_partial",
        "facades",
        "bottles",
        "pine_stems",
        "gravel_fh",
        "nanoshapes_tem",
        "coco128",
    }  # only what may be reused


def test_only_photographs_with_a_free_licence_are_taken_from_coco128():
    for name in (n for n in recipe_names() if n.startswith("default")):
        for folder in TrainConfig.from_toml(find_config(Path(name))).folders:
            if folder.path.startswith("coco128"):
                assert len(folder.include) == 24
                assert all(pattern.startswith("000000000") for pattern in folder.include)
