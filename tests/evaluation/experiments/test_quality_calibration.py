"""Fitting a mask judge to labelled images, and the views of an image that it is fitted to."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch

from napari_sam.evaluation.experiments.quality_calibration import calibrate, views
from src_models.checkpoints.checkpoint_files import load_sam
from src_models.training.config import FolderConfig
from src_models.training.synthetic.sample import STYLES, WIDE_STYLES


@pytest.fixture
def pair(nuclei):
    image, labels = nuclei
    return np.repeat(image[..., None], 3, axis=2), labels.astype(np.int32)


def test_a_calibrated_model_is_the_old_one_and_a_judge(tmp_path, nuclei):
    image, labels = nuclei
    tifffile.imwrite(tmp_path / "one.image.tif", image)
    tifffile.imwrite(tmp_path / "one.labels.tif", labels.astype(np.uint16))
    out = tmp_path / "new.safetensors"
    folders = [FolderConfig(".", 1.0)]
    count = calibrate("default", tmp_path, folders, out, per_image=9, views=1, device="cpu")
    old, new = load_sam("default").state_dict(), load_sam(out).state_dict()
    assert count == 54  # nine objects, each asked six times
    assert all(torch.equal(new[key], value) for key, value in old.items() if not key.startswith("mask_judge."))
    assert any(key.startswith("mask_judge.") for key in new)


def test_a_judge_is_fitted_to_synthetic_images_of_every_style_too(tmp_path, nuclei):
    image, labels = nuclei
    tifffile.imwrite(tmp_path / "one.image.tif", image)
    tifffile.imwrite(tmp_path / "one.labels.tif", labels.astype(np.uint16))
    told, settings = {}, {"per_image": 1, "views": 1, "synthetic": 1, "device": "cpu"}
    folders, out = [FolderConfig(".", 1.0)], tmp_path / "new.safetensors"
    count = calibrate("default", tmp_path, folders, out, progress=told.__setitem__, **settings)
    assert set(told) == {".", *(f"synthetic {style}" for style in (*STYLES, *WIDE_STYLES))}
    assert count == sum(told.values())
    assert sum(number > 0 for number in told.values()) > 8  # a style may draw no object that is large enough


def test_the_first_view_is_the_image_itself(pair):
    image, labels = pair
    (seen, same), *others = views(image, labels, 1, np.random.default_rng(0))
    assert (seen is image, same is labels, others) == (True, True, [])


def test_the_other_views_are_crops_with_their_labels(pair):
    image, labels = pair
    marked = image.copy()
    marked[labels > 0] = 255
    marked[labels == 0] = 0
    seen = list(views(marked, labels, 6, np.random.default_rng(1)))[1:]
    assert len(seen) == 5
    for view, cut in seen:
        assert view.shape[:2] == cut.shape
        assert max(cut.shape) <= max(labels.shape)
    plain = [(view, cut) for view, cut in seen if set(np.unique(view)) <= {0, 255}]
    assert plain
    assert all(((view[..., 0] == 255) == (cut > 0)).all() for view, cut in plain)


def test_an_image_without_objects_has_only_itself(pair):
    image, labels = pair
    assert len(list(views(image, np.zeros_like(labels), 4, np.random.default_rng(0)))) == 1
