"""Data sets of a training run."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tifffile

from src_models.model_errors import TrainingError
from src_models.training.config import FolderConfig, TrainConfig
from src_models.training.data.training_data import TrainingData


@pytest.fixture
def config(tmp_path):
    (tmp_path / "d").mkdir()
    for name, label in (("a", 1), ("b", 0)):
        tifffile.imwrite(tmp_path / "d" / f"{name}.image.tif", np.full((8, 8), 7, np.uint8))
        tifffile.imwrite(tmp_path / "d" / f"{name}.labels.tif", np.full((8, 8), label, np.uint8))
    return TrainConfig(folders=(FolderConfig("d", weight=2.0),))


def test_images_come_with_the_weight_of_their_data_set(config, tmp_path):
    data = TrainingData.read(config, tmp_path)
    ((weight, images),) = data.folders
    assert (weight, [image.name for image in images]) == (2.0, ["a"])
    assert data.skipped == ("d: b: no objects",)
    assert data.validation == ()


def test_the_checksum_depends_on_every_pixel(config, tmp_path):
    first = TrainingData.read(config, tmp_path).checksum()
    assert TrainingData.read(config, tmp_path).checksum() == first
    image = np.full((8, 8), 7, np.uint8)
    image[3, 3] = 8
    tifffile.imwrite(tmp_path / "d" / "a.image.tif", image)
    assert TrainingData.read(config, tmp_path).checksum() != first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folders": (FolderConfig("nowhere"),)}, "give paths relative to the data root"),
        ({"folders": (), "synthetic_weight": 0.0}, "there is no data; name folders"),
        ({"validate_every": 5}, r"validate_every is 5, but there is no validation data"),
    ],
)
def test_missing_data_are_refused(config, tmp_path, change, message):
    with pytest.raises(TrainingError, match=message):
        TrainingData.read(dataclasses.replace(config, **change), tmp_path)
