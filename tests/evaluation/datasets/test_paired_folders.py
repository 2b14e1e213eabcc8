"""Folders of image and label files."""

from __future__ import annotations

import tifffile
from PIL import Image

from napari_sam.evaluation.datasets.dataset_formats import find_samples
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
