"""Prompts from arrays and data frames, and sources that hold none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_sam.errors import PromptError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.read_prompts import read_prompts
from tests.io.prompts.prompt_sources import keywords


def test_points_of_one_object_belong_together(image):
    frame = pd.DataFrame({"y": [1, 50, 3], "x": [2, 60, 4], "label": [1, 1, 0], "object": ["a", "b", "a"]})
    assert keywords(read_prompts(frame, image)) == [
        {"points": [[1, 2], [3, 4]], "point_labels": [1, 0]},
        {"points": [[50, 60]], "point_labels": [1]},
    ]


def test_a_box_and_points_of_one_object_are_one_prompt(image):
    nan = np.nan
    rows = [[1, 2, 30, 40, nan, nan, 7], [nan, nan, nan, nan, 9, 9, 7], [nan, nan, nan, nan, 60, 70, 8]]
    table = read_prompts(pd.DataFrame(rows, columns=["y0", "x0", "y1", "x1", "y", "x", "object"]), image)
    assert keywords(table)[0] == {"points": [[9, 9]], "point_labels": [1], "box": [1, 2, 30, 40]}
    assert keywords(table)[1] == {"points": [[60, 70]], "point_labels": [1]}


def test_arrays_are_boxes_points_or_labels(image):
    assert keywords(read_prompts([[1, 2, 3, 4]], image)) == [{"box": [1, 2, 3, 4]}]
    assert keywords(read_prompts(np.array([[5.0, 6.0]]), image)) == [{"points": [[5, 6]], "point_labels": [1]}]


def test_sources_that_are_not_prompts_are_refused(image, tmp_path):
    with pytest.raises(PromptError, match=r"do not match the image of shape \(100, 200\)"):
        with LabelStore.create(tmp_path / "l", shape=(9, 9)) as store:
            read_prompts(store, image)
    with pytest.raises(PromptError, match=r"prompts of shape \(5, 3\)"):
        read_prompts(np.zeros((5, 3)), image)
    with pytest.raises(PromptError, match="cannot read prompts from int"):
        read_prompts(3, image)
    with pytest.raises(PromptError, match="has no masks"):
        read_prompts([[1, 2, 3, 4]], image, masks=True)
