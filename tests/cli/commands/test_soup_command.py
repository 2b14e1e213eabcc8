"""The command ``soup``."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import torch

from napari_sam.cli import main
from src_models.checkpoints.checkpoint_files import load_sam, save_sam
from src_models.networks.sam import build_sam


@pytest.fixture
def models(tmp_path):
    """Two checkpoints that differ in one weight."""
    for name, value in (("a", 1.0), ("b", 3.0)):
        torch.manual_seed(0)
        net = build_sam("default", dense=True)
        with torch.no_grad():
            net.mask_decoder.iou_prediction_head.layers[2].bias.fill_(value)
        save_sam(net, tmp_path / f"{name}.safetensors")
    return [str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors")]


def test_checkpoints_are_averaged(models, tmp_path, capsys):
    out = tmp_path / "soup.safetensors"
    assert main(["soup", *models, "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["averaged"] == models
    assert float(load_sam(out).mask_decoder.iou_prediction_head.layers[2].bias[0].detach()) == 2.0


def test_checkpoints_are_chosen_by_validation_data(models, tmp_path, capsys):
    (tmp_path / "val").mkdir()
    labels = np.zeros((80, 80), np.uint16)
    labels[20:60, 20:60] = 1
    tifffile.imwrite(tmp_path / "val" / "s.labels.tif", labels)
    tifffile.imwrite(tmp_path / "val" / "s.image.tif", (labels * 200).astype(np.uint8))
    config = tmp_path / "c.toml"
    arguments = ["soup", *models, "--out", str(tmp_path / "soup.safetensors"), "--choose", str(config)]
    config.write_text("crop_px = 64\nobjects = 1\nbf16 = false\n[[validation]]\npath = 'val'\n")
    assert main([*arguments, "--data", str(tmp_path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result["averaged"]) <= set(models)
    assert 0 <= result["iou_1click"] <= 1
    assert main(arguments) == 2
    assert "give --data FOLDER" in capsys.readouterr().err
    config.write_text("crop_px = 64")
    assert main([*arguments, "--data", str(tmp_path)]) == 2
    assert "add [[validation]]" in capsys.readouterr().err
