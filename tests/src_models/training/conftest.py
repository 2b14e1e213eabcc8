"""Fixtures of training and pre-training."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from src_models.networks.sam import BUILDERS
from tests.src_models.training.pretraining.small_networks import small_sam, waves


@pytest.fixture
def small(monkeypatch):
    """A ViT that trains fast, registered as "small"."""
    monkeypatch.setitem(BUILDERS, "small", small_sam)
    torch.manual_seed(0)
    return small_sam()


@pytest.fixture
def folder(tmp_path, rng):
    """A folder with three images, a label image, a damaged file and a text file, on two levels."""
    (tmp_path / "pictures" / "deep").mkdir(parents=True)
    tifffile.imwrite(tmp_path / "pictures" / "a.image.tif", waves(rng))
    tifffile.imwrite(tmp_path / "pictures" / "a.labels.tif", np.ones((96, 96), np.uint16))
    Image.fromarray(waves(rng)).save(tmp_path / "pictures" / "b.png")
    Image.fromarray(waves(rng)).save(tmp_path / "pictures" / "deep" / "c.JPG")
    (tmp_path / "pictures" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    (tmp_path / "pictures" / "notes.txt").write_text("not an image")
    return tmp_path
