"""Pre-training settings."""

from __future__ import annotations

import pytest

from src_models.model_errors import TrainingError
from src_models.training.pretraining.pretrain_config import PretrainConfig


def test_a_configuration_is_read_from_toml(tmp_path):
    (tmp_path / "c.toml").write_text('kind = "vit_b"\nimages = ["a", "b/*.png"]\nbetas = [0.9, 0.99]\nsteps = 7')
    config = PretrainConfig.from_toml(tmp_path / "c.toml")
    assert config == PretrainConfig(kind="vit_b", images=("a", "b/*.png"), betas=(0.9, 0.99), steps=7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lerning_rate = 1", "lerning_rate"),
        ("steps = 'many'", "steps"),
        ("images = 'folder'", "list"),
        ("images = [1]", "images"),
        ("steps = 0", "steps is 0"),
        ("mask_ratio = 1.0", r"mask_ratio is 1\.0"),
        ("learning_rate = nan", "learning_rate is nan"),
        ("weight_decay = -1.0", "weight_decay"),
        ("betas = [0.9]", "betas"),
        ("betas = [0.9, 1.0]", "betas"),
        ("decoder_width = 30", "decoder_width is 30"),
        ("augment = 2.0", "augment"),
        ("steps = ", "TOML"),
    ],
)
def test_invalid_settings_are_refused_by_name(text, message, tmp_path):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(TrainingError, match=message):
        PretrainConfig.from_toml(tmp_path / "c.toml")
