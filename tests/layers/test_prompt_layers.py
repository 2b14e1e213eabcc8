"""From drawn layers to prompts, without a window: scale, translate, affine, planes, shapes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.layers.placement import current_plane
from napari_sam.layers.prompt_layers import BACKGROUND, FOREGROUND, PromptLayers, masks_of, shape_prompt
from tests.layers.conftest import prediction
from tests.layers.test_placement import TRANSFORMS


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_click_reaches_the_engine_in_data_pixels(viewer, transform):
    image = viewer.add_image(np.zeros((40, 50)), **transform)
    layers = PromptLayers.create(viewer, image)
    world = image.data_to_world((12, 34))
    layers.points.add(layers.points.world_to_data(world))
    (ask,) = layers.prompts((), False)
    np.testing.assert_allclose(ask["points"], [(12, 34)], atol=1e-4)
    assert ask["point_labels"].tolist() == [1]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_preview_lies_on_the_object(viewer, transform):
    image = viewer.add_image(np.zeros((40, 50)), **transform)
    layers = PromptLayers.create(viewer, image)
    layers.show([(np.ones((4, 6), bool), (10, 20, 14, 26))], ())
    np.testing.assert_allclose(layers.preview.data_to_world((0, 0)), image.data_to_world((10, 20)), atol=1e-6)
    np.testing.assert_allclose(layers.preview.data_to_world((3, 5)), image.data_to_world((13, 25)), atol=1e-6)


def test_foreground_and_background_points_are_told_apart(viewer):
    layers = PromptLayers.create(viewer, viewer.add_image(np.zeros((40, 50))))
    layers.points.add((1, 1))
    layers.set_kind(BACKGROUND)
    layers.points.add((2, 2))
    layers.set_kind(FOREGROUND)
    layers.points.add((3, 3))
    (ask,) = layers.prompts((), False)
    assert ask["point_labels"].tolist() == [1, 0, 1]
    assert [str(s) for s in layers.points.symbol] == ["disc", "x", "disc"]
    colours = layers.points.face_color
    assert not np.allclose(colours[0], colours[1])
    np.testing.assert_allclose(colours[0], colours[2])


def test_background_alone_is_no_prompt_yet(viewer):
    layers = PromptLayers.create(viewer, viewer.add_image(np.zeros((40, 50))))
    layers.set_kind(BACKGROUND)
    layers.points.add((2, 2))
    assert layers.prompts((), False) == []


def test_prompts_belong_to_their_plane(viewer):
    image = viewer.add_image(np.zeros((5, 3, 40, 50)))
    layers = PromptLayers.create(viewer, image)
    layers.points.add((2, 1, 10, 20))
    viewer.dims.set_point((0, 1), (2, 1))
    assert current_plane(viewer, image) == (2, 1)
    assert len(layers.prompts((2, 1), False)) == 1
    assert layers.prompts((2, 0), False) == []


def test_boxes_are_one_object_or_many(viewer):
    layers = PromptLayers.create(viewer, viewer.add_image(np.zeros((40, 50))))
    for y in (2, 20):
        layers.shapes.add_rectangles([[y, 3], [y + 8, 12]])
    layers.points.add((5, 6))
    layers.points.add((38, 45))
    many = layers.prompts((), True)
    assert [a["box"] for a in many] == [(2.5, 3.5, 10.5, 12.5), (20.5, 3.5, 28.5, 12.5)]
    np.testing.assert_allclose(many[0]["points"], [(5, 6)])
    assert "points" not in many[1]
    (one,) = layers.prompts((), False)
    assert one["box"] == (20.5, 3.5, 28.5, 12.5)
    assert len(one["points"]) == 2


def test_areas_are_their_box_and_a_mask():
    triangle = np.array([(2.0, 2.0), (2.0, 10.0), (10.0, 2.0)])
    ask = shape_prompt(triangle, "polygon", (40, 50))
    assert ask["box"] == (2.5, 2.5, 10.5, 10.5)
    assert isinstance(ask["mask"], MaskPrompt)
    assert 0.35 < ask["mask"].mask.mean() < 0.65
    circle = shape_prompt(np.array([(0, 0), (0, 20), (20, 20), (20, 0)]) - 0.5, "ellipse", (40, 50))
    assert circle["mask"].mask.mean() == pytest.approx(np.pi / 4, abs=0.03)


@pytest.mark.parametrize(
    ("yx", "kind"),
    [
        ([(1, 1), (9, 9)], "line"),
        ([(1, 1), (1, 1.2), (1.2, 1.2), (1.2, 1)], "rectangle"),
        ([(-9, -9), (-9, -2), (-2, -2), (-2, -9)], "rectangle"),
    ],
)
def test_shapes_without_area_in_the_image_are_no_prompt(yx, kind):
    assert shape_prompt(np.array(yx, dtype=float), kind, (40, 50)) is None


def test_clearing_removes_everything(viewer):
    layers = PromptLayers.create(viewer, viewer.add_image(np.zeros((40, 50))))
    layers.points.add([(1, 1), (2, 2)])
    layers.shapes.add_rectangles([[2, 3], [8, 12]])
    layers.show([(np.ones((4, 6), bool), (10, 20, 14, 26))], ())
    layers.clear()
    assert layers.prompts((), False) == layers.prompts((), True) == []
    assert not layers.preview.data.any()


def test_masks_are_the_best_or_the_chosen_candidates():
    mask = np.zeros((4, 4), bool)
    mask[0] = True
    (best, box), (flipped, _) = masks_of([prediction(mask, (5, 6))]) + masks_of([prediction(mask, (5, 6))], 1)
    assert box == (5, 6, 9, 10)
    assert best[0].all()
    assert flipped[3].all()


def test_an_outline_shows_the_border_of_a_mask_only(viewer):
    layers = PromptLayers.create(viewer, viewer.add_image(np.zeros((40, 50))))
    layers.show([(np.ones((4, 6), bool), (10, 20, 14, 26))], (), outline=True)
    assert layers.preview.contour == 1
    layers.show([(np.ones((4, 6), bool), (10, 20, 14, 26))], ())
    assert layers.preview.contour == 0


def test_background_points_alone_are_noticed(viewer):
    layers = PromptLayers.create(viewer, viewer.add_image(np.zeros((40, 50))))
    assert not layers.has_only_background
    layers.set_kind(BACKGROUND)
    layers.points.add((2, 2))
    assert layers.has_only_background
    layers.set_kind(FOREGROUND)
    layers.points.add((3, 3))
    assert not layers.has_only_background
