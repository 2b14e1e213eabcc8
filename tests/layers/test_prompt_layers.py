"""From drawn layers to prompts, without a window: scale, translate, affine, planes, shapes."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_sam.engine.interactive.prediction import Prediction
from napari_sam.engine.interactive.prompts import MaskPrompt, Prompt
from napari_sam.engine.windows import whole_window
from napari_sam.errors import ImageError, LabelsError
from napari_sam.io.images.open_image import image_from_layer
from napari_sam.layers.labels_layer import LabelsLayerWriter
from napari_sam.layers.placement import current_plane
from napari_sam.layers.prompt_layers import BACKGROUND, FOREGROUND, PromptLayers, shape_prompt

PLACES = [
    {},
    {"scale": (0.5, 0.25), "translate": (100, -7)},
    {"scale": (2, 2), "rotate": 30, "translate": (5, 5)},
    {"affine": np.array([[0, 2.0, 3], [1.5, 0, 4], [0, 0, 1]])},
]


@pytest.fixture
def viewer():
    return ViewerModel()


def _prediction(mask, origin=(0, 0), label_score=0.8):
    y, x = origin
    return Prediction(
        masks=np.stack([mask, mask[::-1], mask]),
        bbox=(y, x, y + mask.shape[0], x + mask.shape[1]),
        predicted_iou=np.array([label_score, 0.1, 0.2], np.float32),
        stability_score=np.ones(3, np.float32),
        low_res_logits=np.zeros((3, 4, 4), np.float32),
        best=0,
        window=whole_window((40, 50), 512),
        levels=(50,),
        model="test",
        prompt=Prompt(points=np.array([[1.0, 2.0]]), point_labels=np.array([1])),
    )


@pytest.mark.parametrize("place", PLACES)
def test_a_click_reaches_the_engine_in_data_pixels(viewer, place):
    image = viewer.add_image(np.zeros((40, 50)), **place)
    layers = PromptLayers.create(viewer, image)
    world = image.data_to_world((12, 34))
    layers.points.add(layers.points.world_to_data(world))
    (ask,) = layers.prompts((), False)
    np.testing.assert_allclose(ask["points"], [(12, 34)], atol=1e-4)
    assert ask["point_labels"].tolist() == [1]


@pytest.mark.parametrize("place", PLACES)
def test_the_preview_lies_on_the_object(viewer, place):
    image = viewer.add_image(np.zeros((40, 50)), **place)
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


def test_another_axis_order_is_refused(viewer):
    image = viewer.add_image(np.zeros((5, 40, 50)))
    viewer.dims.order = (1, 0, 2)
    with pytest.raises(ImageError, match="y and x"):
        current_plane(viewer, image)


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


def test_a_layer_is_seen_as_it_is_shown(viewer, rng):
    data = rng.integers(0, 60_000, (3, 40, 50), dtype=np.uint16)
    image = image_from_layer(viewer.add_image(data, contrast_limits=(100, 5000), scale=(1, 2, 3)), (2,))
    assert image.contrast_limits == (100.0, 5000.0)
    assert image.scale == (2.0, 3.0)
    np.testing.assert_array_equal(image.read(0, 5, 5, 9, 9)[..., 0], data[2, 5:9, 5:9])


def test_rgb_and_multiscale_layers_are_read(viewer, rng):
    rgb = rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)
    image = image_from_layer(viewer.add_image([rgb, rgb[::2, ::2]], rgb=True, multiscale=True))
    assert image.levels == [(40, 50), (20, 25)]
    assert image.channels == 3


@pytest.fixture
def writer(viewer):
    created = LabelsLayerWriter.create(viewer.add_image(np.zeros((40, 50)), name="cells"))
    viewer.add_layer(created.layer)
    return created


def test_objects_get_the_next_id_and_overlap_as_chosen(writer):
    square = np.ones((10, 10), bool)
    assert writer.commit(_prediction(square, (0, 0)), ()) == 1
    assert writer.commit(_prediction(square, (5, 5)), (), "keep") == 2
    assert writer.commit(_prediction(square, (8, 8)), (), "replace") == 3
    data = writer.layer.data
    assert (data[9, 9], data[6, 6], data[12, 12], data[17, 17]) == (3, 1, 3, 3)
    assert writer.layer.features["index"].tolist() == [1, 2, 3]


def test_undo_and_redo_restore_every_pixel(writer):
    square = np.ones((10, 10), bool)
    states = [writer.layer.data.copy()]
    for origin in ((0, 0), (5, 5), (3, 3)):
        writer.commit(_prediction(square, origin), (), "replace")
        states.append(writer.layer.data.copy())
    for state in states[-2::-1]:
        assert writer.undo()
        np.testing.assert_array_equal(writer.layer.data, state)
    assert not writer.undo()
    assert writer.next_label == 1
    for state in states[1:]:
        assert writer.redo()
        np.testing.assert_array_equal(writer.layer.data, state)
    assert not writer.redo()
    assert writer.next_label == 4


def test_undo_leaves_what_was_painted_since(writer):
    writer.commit(_prediction(np.ones((10, 10), bool)), ())
    writer.layer.data[2:4, 2:4] = 77
    writer.undo()
    assert (writer.layer.data == 77).sum() == 4
    assert (writer.layer.data > 0).sum() == 4


def test_a_candidate_is_written_as_chosen(writer):
    mask = np.zeros((4, 4), bool)
    mask[0] = True
    writer.commit(_prediction(mask), (), candidate=1)
    assert writer.layer.data[3, :4].all()
    assert not writer.layer.data[0].any()


def test_an_object_wholly_under_others_is_refused_and_nothing_is_lost(writer):
    writer.commit(_prediction(np.ones((10, 10), bool)), ())
    with pytest.raises(LabelsError, match="wholly under"):
        writer.commit(_prediction(np.ones((5, 5), bool)), ())
    with pytest.raises(LabelsError, match="empty"):
        writer.commit(_prediction(np.zeros((5, 5), bool)), ())
    assert (writer.layer.data == 1).sum() == 100


def test_a_full_dtype_is_refused_with_the_remedy(viewer):
    image = viewer.add_image(np.zeros((40, 50)))
    data = np.zeros((40, 50), np.uint8)
    data[0, 0] = 255
    existing = LabelsLayerWriter(Labels(data), image)
    with pytest.raises(LabelsError, match=r"256 .*uint8.*uint32"):
        existing.commit(_prediction(np.ones((5, 5), bool), (9, 9)), ())


def test_labels_that_do_not_fit_are_refused(viewer):
    image = viewer.add_image(np.zeros((40, 50)))
    with pytest.raises(LabelsError, match=r"\(40, 51\)"):
        LabelsLayerWriter(Labels(np.zeros((40, 51), np.uint8)), image)
    with pytest.raises(LabelsError, match="multiscale"):
        LabelsLayerWriter(Labels([np.zeros((40, 50), np.uint8), np.zeros((20, 25), np.uint8)], multiscale=True), image)


def test_planes_of_a_stack_are_written_apart(viewer):
    stack = LabelsLayerWriter.create(viewer.add_image(np.zeros((3, 40, 50))))
    stack.commit(_prediction(np.ones((5, 5), bool)), (2,))
    assert stack.layer.data[2].sum() == 25
    assert not stack.layer.data[:2].any()


def test_records_are_enough_to_ask_again(writer):
    writer.commit(_prediction(np.ones((5, 5), bool)), ())
    (record,) = writer.layer.metadata["napari_sam"]
    assert record["points"] == [[1.0, 2.0]]
    assert record["point_labels"] == [1]
    assert record["model"] == "test"


def test_a_painted_label_is_not_given_again(writer):
    writer.commit(_prediction(np.ones((5, 5), bool)), ())
    writer.layer.selected_label = 2
    writer.layer.paint((30, 30), 2)
    assert writer.commit(_prediction(np.ones((5, 5), bool), (10, 10)), ()) == 3


def test_a_new_writer_keeps_the_earlier_objects_table(viewer, writer):
    writer.commit(_prediction(np.ones((5, 5), bool)), ())
    again = LabelsLayerWriter(writer.layer, viewer.layers["cells"])
    again.commit(_prediction(np.ones((5, 5), bool), (10, 10)), ())
    assert writer.layer.features["index"].tolist() == [1, 2]


def test_coarser_levels_with_fewer_planes_are_read_at_the_same_depth(viewer):
    fine = np.arange(8)[:, None, None] * np.ones((1, 40, 50), np.uint8)
    layer = viewer.add_image([fine, fine[::2, ::2, ::2]], multiscale=True)
    image = image_from_layer(layer, (6,))
    assert image.read(0, 0, 0, 1, 1).item() == image.read(1, 0, 0, 1, 1).item() == 6


def test_other_data_in_a_layer_is_another_image(viewer):
    layer = viewer.add_image(np.zeros((9, 9)))
    first = image_from_layer(layer).identity
    assert image_from_layer(layer).identity == first
    layer.data = np.ones((9, 9))
    assert image_from_layer(layer).identity != first
