"""What the page says: the next step, progress, and what a version gained."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_sam.project.training.model_versions import Gain, ModelVersion
from napari_sam.widgets.project.loss_curve import running_means
from napari_sam.widgets.project.project_text import (
    comparison_text,
    progress_text,
    project_step,
    version_text,
    version_tip,
)

VERSION = ModelVersion(2, "default", 1.0, "Ada", 3, 9, 1, 31, Gain(0.7, 0.8, 0.05, 0.15), Gain(3, 2, -2, -0.5), True)


def counts(unseen=0, in_work=0, done=0, checked=0):
    return {"unseen": unseen, "in work": in_work, "done": done, "checked": checked}


@pytest.mark.parametrize(
    ("has_project", "images", "has_image", "step"),
    [
        (False, counts(), False, "Open a project"),
        (True, counts(), False, "Add images"),
        (True, counts(unseen=2), False, "Double-click"),
        (True, counts(unseen=2), True, "Shift+PageDown"),
        (True, counts(done=2), False, "improve the model"),
    ],
)
def test_the_next_step_fits_the_project(has_project, images, has_image, step):
    assert step in project_step(has_project, images, has_image)


def test_progress_counts_checked_images_as_done():
    assert progress_text(counts(1, 1, 2)) == "2 of 4 done"
    assert progress_text(counts(1, 0, 2, 1)) == "3 of 4 done, 1 of them checked"


def test_a_comparison_has_intervals_only_where_there_are_several_images():
    assert "0.70 → 0.80, +0.10 (95 %: +0.05 to +0.15)" in comparison_text(VERSION)
    alone = replace(VERSION, iou_1click=Gain(0.7, 0.8, None, None), better=False)
    assert "IoU after one click: 0.70 → 0.80, +0.10\n" in comparison_text(alone)
    assert "is not better" in comparison_text(alone)
    assert "by Ada on 9 objects of 3 images" in version_tip(VERSION)


def test_the_version_in_use_is_marked():
    assert version_text(VERSION, 2) == "2: IoU 0.80 (in use)"
    assert version_text(None, 2) == "0: first model"
    assert version_text(replace(VERSION, better=False), 0) == "2: IoU 0.80, not better"


def test_a_running_mean_follows_a_constant_at_once():
    assert running_means([2.0, 2.0, 2.0]) == pytest.approx([2, 2, 2])
