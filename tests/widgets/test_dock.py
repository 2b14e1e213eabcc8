"""The dock in a real window: real clicks on a real image, masks against hand-drawn truth."""

from __future__ import annotations

import time

import numpy as np
import pytest
from napari.layers import Labels, Points, Shapes

from napari_sam.engine.embeddings.embedder import Embedder
from napari_sam.layers.prompt_layers import PREVIEW_NAME
from napari_sam.widgets.dock_panel import EVERYTHING, OBJECTS, REVIEW

A, B, C = (122, 182), (299, 269), (475, 482)  # three nuclei of the sample


def _iou(labels, label, truth, yx):
    found, wanted = labels == label, truth == truth[yx]
    return (found & wanted).sum() / (found | wanted).sum()


def _box_of(truth, yx):
    ys, xs = np.nonzero(truth == truth[yx])
    return (ys.min() - 2, xs.min() - 2), (ys.max() + 2, xs.max() + 2)


def test_a_click_is_accepted_undone_and_redone(window, nuclei):
    image, truth = nuclei
    layer = window.show(image, name="nuclei")
    assert "Click an object" in window.guide
    answer = window.predict(lambda: window.click(layer, A))
    assert "Press C" in window.guide
    assert len(answer.predictions[0].masks) == 3
    preview = window.viewer.layers[PREVIEW_NAME]
    assert preview.data.any()
    np.testing.assert_allclose(preview.translate, answer.predictions[0].bbox[:2])
    window.key("C")
    assert _iou(window.labels(), 1, truth, A) > 0.7
    assert not len(window.viewer.layers["SAM points"].data)  # ready for the next
    window.predict(lambda: window.click(layer, B))
    window.key("C")
    assert _iou(window.labels(), 2, truth, B) > 0.7
    before = window.labels().copy()
    window.key("Z", "ControlModifier")
    assert window.labels().max() == 1
    window.key("Z", "ControlModifier+ShiftModifier")
    np.testing.assert_array_equal(window.labels(), before)
    assert window.errors == []


def test_the_preview_follows_added_moved_and_removed_points(window, nuclei):
    layer = window.show(nuclei[0])
    first = window.predict(lambda: window.click(layer, A)).predictions[0]
    window.key("B")
    second = window.predict(lambda: window.click(layer, (150, 240))).predictions[0]
    assert second.prompt.point_labels.tolist() == [1, 0]
    points = window.viewer.layers["SAM points"]

    def move():
        points.data = np.array([B, (5.0, 5.0)])

    moved = window.predict(move).predictions[0]
    assert moved.full_mask(nuclei[0].shape)[B]
    assert not first.full_mask(nuclei[0].shape)[B]

    def remove():
        points.selected_data = {1}
        points.remove_selected()

    assert len(window.predict(remove).predictions[0].prompt.points) == 1
    window.key("C", "ShiftModifier")
    window.settle()
    assert window.dock.click.answer is None
    assert not window.viewer.layers[PREVIEW_NAME].data.any()


def test_candidates_are_cycled_with_their_scores(window, nuclei):
    layer = window.show(nuclei[0])
    prediction = window.predict(lambda: window.click(layer, A)).predictions[0]
    seen = []
    for _ in range(3):
        seen.append(window.panel.click.candidate.text())
        shown = window.viewer.layers[PREVIEW_NAME].data.astype(bool)
        np.testing.assert_array_equal(shown, prediction.masks[window.dock.click.candidate])
        window.key("N")
    assert len(set(seen)) == 3
    assert f"{prediction.predicted_iou[prediction.best]:.2f}" in seen[0]
    window.key("N", "ShiftModifier")
    chosen = window.dock.click.candidate
    window.key("C")
    assert (window.labels() == 1).sum() == prediction.masks[chosen].sum()


def test_many_boxes_are_segmented_at_once(window, nuclei):
    image, truth = nuclei
    layer = window.show(image)
    window.key("R")
    window.panel.click.batch.setChecked(True)
    for yx in (A, B, C):
        window.predict(lambda yx=yx: window.drag(layer, *_box_of(truth, yx)))
    assert len(window.dock.click.answer.predictions) == 3
    assert "3 objects" in window.guide
    window.key("C")
    assert [round(_iou(window.labels(), i + 1, truth, yx), 1) >= 0.7 for i, yx in enumerate((A, B, C))] == [True] * 3
    assert not len(window.viewer.layers["SAM boxes"].data)


@pytest.mark.parametrize("transform", [{"scale": (0.5, 0.5), "translate": (40, -30)}, {"scale": (3, 3), "rotate": 90}])
def test_scale_and_translate_do_not_move_the_mask(window, nuclei, transform):
    image, truth = nuclei
    layer = window.show(image, **transform)
    window.predict(lambda: window.click(layer, A))
    window.key("C")
    assert _iou(window.labels(), 1, truth, A) > 0.7
    np.testing.assert_allclose(window.writer.layer.data_to_world((10, 20)), layer.data_to_world((10, 20)), atol=1e-6)


@pytest.mark.parametrize("kind", ["rgb", "uint16", "float"])
def test_images_of_every_pixel_type_can_be_segmented(window, nuclei, kind):
    image, truth = nuclei
    data = {
        "rgb": np.repeat(image[..., None], 3, 2),
        "uint16": image.astype(np.uint16) * 300,
        "float": image / 1e4,
    }[kind]
    layer = window.show(data, rgb=kind == "rgb")
    window.predict(lambda: window.click(layer, A))
    window.key("C")
    assert _iou(window.labels(), 1, truth, A) > 0.6


def test_prompts_and_objects_of_a_stack_belong_to_their_plane(window, nuclei):
    image, truth = nuclei
    stack = np.stack([np.zeros_like(image), image, image[::-1]])
    layer = window.show(stack)
    window.viewer.dims.set_point(0, 1)
    window.settle()
    window.predict(lambda: window.click(layer, (1, *A)))
    window.viewer.dims.set_point(0, 2)
    window.settle()
    assert window.dock.click.answer is None  # the prompt belongs to plane 1
    window.predict(lambda: window.viewer.dims.set_point(0, 1))
    window.key("C")
    assert _iou(window.labels()[1], 1, truth, A) > 0.7
    assert not window.labels()[[0, 2]].any()


def test_the_user_chooses_which_object_keeps_shared_pixels(window, nuclei):
    layer = window.show(nuclei[0])
    window.predict(lambda: window.click(layer, A))
    window.key("C")
    area = (window.labels() == 1).sum()
    window.predict(lambda: window.click(layer, A))
    window.key("C")  # existing objects stay: the same mask again has nowhere to go
    assert any("wholly under" in e for e in window.errors)
    window.panel.object_form.set_value("overlap", "replace")
    window.key("C")
    assert (window.labels() == 2).sum() == area


def test_an_existing_labels_layer_is_continued(window, nuclei):
    layer = window.show(nuclei[0])
    mine = window.viewer.add_labels(np.where(nuclei[1] == 8, 41, 0), name="mine")
    combo = window.panel.labels
    combo.setCurrentIndex(combo.findText("mine"))
    assert window.viewer.layers.selection.active is mine
    window.key("F")  # of the dock; napari's would fill the layer at the next click
    window.predict(lambda: window.click(layer, A))
    window.key("C")
    assert set(np.unique(mine.data)) == {0, 41, 42}
    for page, word in ((EVERYTHING, "Use the image's label store"), (REVIEW, "Write to"), (OBJECTS, "Write to")):
        window.panel.tabs.setCurrentIndex(page)
        window.settle()
        assert word in window.guide


def test_a_labels_layer_of_another_shape_is_refused(window, nuclei):
    window.show(nuclei[0])
    window.viewer.add_labels(np.zeros((9, 9), int), name="small")
    combo = window.panel.labels
    combo.setCurrentIndex(combo.findText("small"))
    assert any("(9, 9)" in e for e in window.errors)
    assert combo.currentIndex() == 0


class Slow:
    """Makes encoding take a while, and counts it."""

    def __init__(self, monkeypatch, seconds):
        self.count, original = 0, Embedder.embed

        def embed(embedder, window, cancelled=None, **kwargs):
            self.count += 1
            limit = time.monotonic() + seconds
            while time.monotonic() < limit:
                time.sleep(0.01)
            return original(embedder, window, cancelled, **kwargs)

        monkeypatch.setattr(Embedder, "embed", embed)


def test_the_window_responds_while_the_engine_works(window, nuclei, monkeypatch):
    from qtpy.QtCore import QTimer

    layer = window.show(nuclei[0])
    Slow(monkeypatch, 1.0)
    ticks = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start(20)
    window.predict(lambda: window.click(layer, A))
    timer.stop()
    assert len(ticks) > 5  # a blocked window would have ticked once


def test_a_prediction_shows_progress_and_can_be_cancelled(window, nuclei, monkeypatch):
    layer = window.show(nuclei[0])
    Slow(monkeypatch, 2.0)
    window.click(layer, A)
    window.wait(lambda: window.panel.cancel.isVisible())
    window.qtbot.wait(300)
    assert window.panel.progress.isVisible()
    window.panel.cancel.click()
    window.settle()
    assert window.dock.click.answer is None
    assert not window.panel.cancel.isVisible()
    monkeypatch.undo()


def test_the_image_may_be_removed_while_it_is_encoded(window, nuclei, monkeypatch):
    layer = window.show(nuclei[0])
    window.predict(lambda: window.click(layer, A))
    window.key("C")
    kept = window.labels().copy()
    Slow(monkeypatch, 0.5)
    window.click(layer, B)
    window.qtbot.wait(150)
    window.viewer.layers.remove(layer)
    window.settle()
    assert window.dock.click.answer is None
    assert not [x for x in window.viewer.layers if isinstance(x, Points | Shapes)]
    (labels,) = [x for x in window.viewer.layers if isinstance(x, Labels)]
    np.testing.assert_array_equal(labels.data, kept)
    assert "Open an image" in window.guide


def test_a_removed_prompt_layer_comes_back(window, nuclei):
    layer = window.show(nuclei[0])
    window.viewer.layers.remove("SAM points")
    window.settle()
    window.predict(lambda: window.click(layer, A))


def test_the_model_may_change_while_it_decodes(window, nuclei, monkeypatch, tmp_path):
    layer = window.show(nuclei[0])
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    Slow(monkeypatch, 0.5)
    window.click(layer, A)
    window.qtbot.wait(150)
    window.dock.set_model(str(tmp_path / "bad.pth"))
    window.settle(300)
    assert window.dock.click.answer is None  # the answer of the old model was dropped
    assert any("bad.pth" in e for e in window.errors)
    window.predict(lambda: window.dock.set_model("default"))  # the prompts are still there


def test_only_the_newest_answer_is_shown(window, nuclei, monkeypatch):
    layer = window.show(nuclei[0])
    Slow(monkeypatch, 0.3)
    points = window.viewer.layers["SAM points"]
    for yx in (A, B):
        points.data = np.array([yx], float)
        window.qtbot.wait(80)
    window.wait(lambda: window.dock.click.answer is not None)
    window.settle()
    assert window.dock.click.answer.predictions[0].full_mask(nuclei[0].shape)[B]
    assert layer in window.viewer.layers


def test_without_an_image_the_dock_tells_what_to_do(window):
    assert "Open an image" in window.guide
    window.key("C")
    assert any("click an object" in e for e in window.errors)
    window.dock.click.actions.undo()
    assert any("Nothing to undo" in e for e in window.errors)


def test_the_status_line_shows_the_state_of_the_engine(window, nuclei):
    layer = window.show(nuclei[0])
    assert "embedding ready" in window.panel.status.text()
    window.predict(lambda: window.click(layer, A))
    text = window.panel.status.text()
    for part in ("default on cpu", "window", "ms", "embedding ready"):
        assert part in text


def test_the_manifest_names_things_that_exist():
    import npe2

    manifest = npe2.PluginManifest.from_distribution("napari-sam-xl")
    for command in manifest.contributions.commands:
        assert callable(command.python_name and npe2.manifest.utils.import_python_name(command.python_name))


def test_the_sample_opens_from_the_menu(make_napari_viewer):
    viewer = make_napari_viewer()
    (layer,) = viewer.open_sample("napari-sam-xl", "nuclei")
    assert layer.data.shape == (512, 640)


def test_all_layers_may_be_removed_at_once(window, nuclei):
    window.show(nuclei[0])
    window.viewer.layers.clear()  # must end, though ours are remade when one is lost
    window.settle()
    assert list(window.viewer.layers) == []
    window.show(nuclei[0])
    window.viewer.layers.selection = set(window.viewer.layers)
    window.viewer.layers.remove_selected()
    window.settle()
    assert list(window.viewer.layers) == []


def test_an_object_that_cannot_be_written_does_not_stop_the_others(window, nuclei):
    image, truth = nuclei
    layer = window.show(image)
    window.key("R")
    window.panel.click.batch.setChecked(True)
    for yx in (A, A, C):
        window.predict(lambda yx=yx: window.drag(layer, *_box_of(truth, yx)))
    window.key("C")
    assert window.labels().max() == 2  # the second box is the first again
    assert any("object 2" in e and "wholly under" in e for e in window.errors)
    assert window.dock.click.answer is None


def test_an_answer_that_is_outdated_is_not_accepted(window, nuclei, monkeypatch):
    layer = window.show(nuclei[0])
    window.predict(lambda: window.click(layer, A))
    Slow(monkeypatch, 0.5)
    window.click(layer, (135, 190))
    window.key("C")
    assert any("last change" in e for e in window.errors)
    assert window.writer is None
    window.settle()
    window.key("C")
    assert window.labels().max() == 1


def test_closing_the_dock_removes_its_layers_and_stops_its_thread(window, nuclei):
    window.show(nuclei[0])
    window.viewer.window.remove_dock_widget(window.dock)
    window.qtbot.wait(50)
    assert not [x for x in window.viewer.layers if isinstance(x, Points | Shapes | Labels)]
    assert len(window.viewer.layers) == 1  # the image stays
    assert window.dock.thread.closed
    window.viewer.layers.clear()
    assert list(window.viewer.layers) == []


def test_clearing_ends_the_progress(window, nuclei, monkeypatch):
    layer = window.show(nuclei[0])
    Slow(monkeypatch, 2.0)
    window.click(layer, A)
    window.wait(lambda: window.panel.progress.isVisible())
    window.key("C", "ShiftModifier")
    window.settle(300)
    assert not window.panel.progress.isVisible()
    assert window.dock.click.answer is None


def test_new_pixels_in_the_layer_are_segmented_again(window, nuclei):
    layer = window.show(nuclei[0])
    first = window.predict(lambda: window.click(layer, A)).predictions[0]
    layer.data = np.ascontiguousarray(nuclei[0][::-1])
    window.settle()
    assert window.dock.click.answer is None
    second = window.predict(lambda: window.click(layer, A)).predictions[0]
    assert first.masks.shape != second.masks.shape or (first.masks != second.masks).any()


def test_layers_are_removed_within_the_canvas_s_graphics_context(window, nuclei):
    """In another context their shaders are deleted while the canvas still uses them, and Mesa crashes."""
    from qtpy.QtGui import QOpenGLContext

    layer = window.show(nuclei[0], name="nuclei")
    seen = []
    window.viewer.layers.events.removed.connect(lambda: seen.append(QOpenGLContext.currentContext()))
    window.canvas.native.doneCurrent()
    window.viewer.layers.remove(layer)
    assert seen
    assert seen[0] is window.canvas.native.context()
    assert window.errors == []
