"""Folders of image and label files."""

from __future__ import annotations

import pytest
import tifffile
from PIL import Image

from napari_sam.evaluation.datasets.dataset_formats import find_samples
from src_models.model_errors import TrainingError
from tests.evaluation.datasets.dataset_files import BOXES, LABELS, boxes, save_rgb


def test_cellpose_folders_are_read(tmp_path):
    save_rgb(tmp_path / "000_img.png")
    Image.fromarray(LABELS).save(tmp_path / "000_masks.png")
    (sample,) = find_samples(tmp_path)
    assert (sample.name, boxes(sample)) == ("000", BOXES)
    assert find_samples(tmp_path, "cellpose")[0].identity == sample.identity


def test_stardist_folders_are_read(tmp_path):
    save_rgb(tmp_path / "images" / "x.png")
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "masks" / "x.tif", LABELS)
    (sample,) = find_samples(tmp_path)
    assert boxes(sample) == BOXES


def test_labels_in_a_jpeg_are_refused(tmp_path):
    save_rgb(tmp_path / "000_img.png")
    Image.fromarray(LABELS.astype("uint8")).save(tmp_path / "000_masks.jpg")
    (sample,) = find_samples(tmp_path)
    with pytest.raises(TrainingError, match="labels must be exact; save them as TIFF or PNG"):
        sample.truth()
