"""Prompts of a stack: those on the image's plane are used, in every format that names planes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from napari_sam.errors import PromptError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.read_prompts import read_prompts
from tests.io.prompts.prompt_sources import keywords, written

SHAPE = (3, 60, 80)
CORNERS = ((10, 10), (30, 20), (5, 40))


@pytest.fixture
def stack():
    """A stack opened at its second plane."""
    return open_image(np.zeros(SHAPE, np.uint8), axes="zyx").with_plane((1,), (0,))


@pytest.fixture
def store(tmp_path):
    """One object on each plane."""
    with LabelStore.create(tmp_path / "l", shape=SHAPE) as made:
        for z, corner in enumerate(CORNERS):
            made.paint(np.full((12, 15), z + 1, np.uint32), corner, plane=(z,))
        yield made


@pytest.mark.parametrize("suffix", [".geojson", ".json", ".csv"])
def test_exports_of_a_stack_give_the_prompts_of_one_plane(tmp_path, store, stack, suffix):
    store.export(tmp_path / f"o{suffix}")
    assert keywords(read_prompts(tmp_path / f"o{suffix}", stack)) == [{"box": [30, 20, 42, 35]}]


def test_labels_of_a_stack_are_read_on_the_plane_of_the_image(store, stack):
    pixels = np.stack([store.read((0, 0, *SHAPE[1:]), plane=(z,)) for z in range(3)])
    for source in (store, pixels):
        table = read_prompts(source, stack, masks=True)
        assert keywords(table) == [{"box": [30, 20, 42, 35]}]
        assert table.keywords(0)["mask"].mask.all()


def test_the_plane_of_qupath_is_compared_by_axis(tmp_path, stack):
    def feature(z):
        plane = {"c": -1, "z": z, "t": 0}
        return {"type": "Feature", "geometry": {"type": "Point", "coordinates": [5.5, 7.5], "plane": plane}}

    content = {"type": "FeatureCollection", "features": [feature(0), feature(1)]}
    path = written(tmp_path / "a.geojson", json.dumps(content))
    table = read_prompts(path, stack)
    assert keywords(table) == [{"points": [[7, 5]], "point_labels": [1]}]
    assert table.skipped == {"other planes": 1}
    with pytest.raises(PromptError, match="lie on 2 planes"):
        read_prompts(path, np.zeros(SHAPE[1:], np.uint8))


def test_a_plane_without_prompts_is_refused_with_those_that_have_some(stack):
    frame = pd.DataFrame({"y": [1], "x": [2], "plane": [2]})
    with pytest.raises(PromptError, match="no prompt lies on plane 1; they lie on 2"):
        read_prompts(frame, stack)


def test_rows_without_a_plane_belong_to_every_plane(stack):
    frame = pd.DataFrame({"y": [1, 3], "x": [2, 4], "plane": ["", "1"]})
    assert len(read_prompts(frame, stack)) == 2


@pytest.mark.parametrize("plane", ["1,0", "-1", "half"])
def test_a_plane_that_the_image_does_not_have_is_refused(stack, plane):
    with pytest.raises(PromptError, match="plane"):
        read_prompts(pd.DataFrame({"y": [1], "x": [2], "plane": [plane]}), stack)


@pytest.mark.parametrize("columns", [{"z": [0, 1, 2]}, {"Slice": [1, 2, 3]}, {"Ch": [1] * 3, "Slice": [1, 2, 3]}])
def test_columns_of_an_axis_name_the_plane(stack, columns):
    table = read_prompts(pd.DataFrame({"y": [1, 2, 3], "x": [4, 5, 6], **columns}), stack)
    assert keywords(table) == [{"points": [[2, 5]], "point_labels": [1]}]


def test_columns_that_are_no_numbers_name_no_plane(stack):
    frame = pd.DataFrame({"y": [1, 2], "x": [4, 5], "slice": ["a.tif", "b.tif"]})
    assert len(read_prompts(frame, stack)) == 2


def test_the_z_of_qupath_is_the_plane_of_a_stack_without_names_of_axes(tmp_path):
    stack = open_image(np.zeros(SHAPE, np.uint8), axes="iyx").with_plane((2,), (0,))
    plane = {"c": -1, "z": 2, "t": 0}
    content = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [5.5, 7.5], "plane": plane}}
    assert len(read_prompts(written(tmp_path / "a.geojson", json.dumps(content)), stack)) == 1
