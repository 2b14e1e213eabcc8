"""Opening the window from Python."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QApplication

import napari_sam as ns
from napari_sam.errors import ImageError, LabelsError, NapariSamError, UnknownModelError
from napari_sam.widgets import launch as launching

SHAPE = (60, 80)


@pytest.fixture
def launch(make_napari_viewer, qtbot, session, notifier, monkeypatch):
    """The function, whose windows are closed after the test."""
    import napari

    from napari_sam.widgets import dock

    monkeypatch.setattr(dock, "NapariNotifier", lambda *_: notifier)
    monkeypatch.setattr(dock, "EngineSession", lambda: session)
    monkeypatch.setattr(napari, "Viewer", lambda: make_napari_viewer(show=True))
    docks = []

    def call(*args, **kwargs):
        viewer, opened = ns.launch(*args, **kwargs)
        docks.append(opened)
        return viewer, opened

    yield call
    for opened in docks:
        opened.shutdown()
        qtbot.waitUntil(lambda opened=opened: not opened.thread.busy, timeout=60_000)


def test_an_image_can_be_clicked_and_saved_at_once(launch, nuclei, qtbot):
    viewer, dock = launch(nuclei[0])
    viewer.layers["SAM points"].add([(122, 182)])
    qtbot.waitUntil(lambda: dock.click.answer is not None, timeout=60_000)
    dock.click.accept()
    assert len(dock.labels.store_layers.store) == 1


def test_a_file_is_opened_lazily_with_its_pixel_size_and_its_labels(launch, tmp_path):
    path = tmp_path / "cells.ome.tif"
    sizes = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, np.zeros(SHAPE, np.uint8), ome=True, metadata=sizes)
    _, dock = launch(path, labels=tmp_path / "mine.ome.zarr")
    assert dock.images.layer.scale.tolist() == [0.5, 0.5]
    assert dock.labels.store_path == tmp_path / "mine.ome.zarr"
    assert dock.labels.store_layers.store.meta("image")["uri"] == str(path)
    assert "mine.ome.zarr" in dock.panel.labels.currentText()


def test_an_open_store_is_written_from_both_sides(launch, tmp_path, notifier):
    image = ns.open_image(np.zeros(SHAPE, np.uint8))
    labels = ns.LabelStore.create(tmp_path / "s.ome.zarr", like=image)
    viewer, dock = launch(image, labels=labels)
    labels.paint(np.full((5, 5), 1), (10, 10))
    assert np.asarray(dock.labels.writer.layer.data)[12, 12] == 1
    assert dock.labels.store_layers.store is labels
    assert launch(viewer=viewer, labels=labels) == (viewer, dock)
    assert not labels.closed
    assert notifier.messages == []


def test_an_array_of_labels_becomes_the_layer_that_is_written_to(launch):
    labels = np.zeros(SHAPE, np.int32)
    viewer, dock = launch(np.zeros(SHAPE, np.uint8), labels=labels)
    assert dock.labels.labels_layer.layer is viewer.layers["labels"]
    assert dock.panel.labels.currentText() == "labels"


def test_a_stack_and_an_open_image_of_channels_become_layers(launch):
    viewer, _ = launch(np.zeros((3, *SHAPE), np.uint8))
    assert viewer.layers["image"].ndim == 3
    channels = ns.open_image(np.zeros((2, *SHAPE), np.uint16), axes="cyx")
    again, _ = launch(channels, viewer=viewer)
    assert again is viewer
    assert [layer.name for layer in viewer.layers if layer.name.startswith("image ")] == [
        "image channel 0",
        "image channel 1",
    ]


def test_the_model_is_chosen_before_the_image_is_looked_at(launch, session, tmp_path, monkeypatch):
    used = []
    monkeypatch.setattr(session, "_loader", lambda model, cache, device="auto": used.append(model) or 1 / 0)
    checkpoint = tmp_path / "mine.safetensors"
    checkpoint.write_bytes(b"")
    _, dock = launch(np.zeros(SHAPE, np.uint8), model=checkpoint)
    assert dock.session.model == str(checkpoint)
    assert dock.panel.model.currentText() == "mine.safetensors"
    with pytest.raises(UnknownModelError, match=r"did you mean .*vit_t"):
        dock.use_model("vitt")
    assert (dock.session.model, dock.panel.model.currentText()) == (str(checkpoint), "mine.safetensors")


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"model": "vit_z"}, UnknownModelError, "did you mean vit_"),
        ({"model": "missing.safetensors"}, UnknownModelError, "missing.safetensors"),
        ({"image": "missing.tif"}, ImageError, "missing.tif"),
        ({"image": 3.5}, ImageError, "cannot open float"),
        ({"image": None}, LabelsError, "labels need an image"),
        ({"labels": np.zeros((9, 9), int)}, LabelsError, r"shape \(9, 9\) do not fit"),
    ],
)
def test_wrong_arguments_are_named(launch, wrong, error, message):
    with pytest.raises(error, match=message):
        launch(**{"image": np.zeros(SHAPE, np.uint8), "labels": np.zeros(SHAPE, int)} | wrong)


def test_without_a_display_there_is_an_error_and_no_crash(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(launching.sys, "platform", "linux")
    with pytest.raises(NapariSamError, match="no display"):
        ns.launch()


def test_without_napari_the_extra_is_named(monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setitem(sys.modules, "napari", None)
    with pytest.raises(NapariSamError, match=r"pip install 'napari-sam-xl\[pyqt6\]'"):
        ns.launch()


def test_naming_the_function_imports_no_napari():
    code = (
        "import sys, napari_sam; napari_sam.launch; print([m for m in ('napari', 'qtpy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_labels_given_with_an_image_for_an_open_viewer_belong_to_that_image(launch, nuclei, qtbot, tmp_path):
    viewer, dock = launch(nuclei[0][:40, :50])
    qtbot.waitUntil(lambda: dock.images.layer is not None, timeout=60_000)
    with ns.LabelStore.create(tmp_path / "mine.ome.zarr", shape=SHAPE) as labels:
        launch(nuclei[0][: SHAPE[0], : SHAPE[1]], labels=labels, viewer=viewer)
        QApplication.processEvents()  # those of the new layers
        assert dock.images.layer is viewer.layers["image [1]"]
        assert dock.labels.store_layers.store is labels


def test_a_store_that_its_program_closes_is_released_and_opened_again_when_needed(launch, nuclei, qtbot, tmp_path):
    with ns.LabelStore.create(tmp_path / "mine.ome.zarr", like=ns.open_image(nuclei[0])) as labels:
        viewer, dock = launch(nuclei[0], labels=labels)
    viewer.layers["SAM points"].add([(122, 182)])
    qtbot.waitUntil(lambda: dock.click.answer is not None, timeout=60_000)
    assert dock.labels.store_layers is None
    dock.click.accept()
    assert dock.labels.store_path == tmp_path / "mine.ome.zarr"
    assert len(dock.labels.store_layers.store) == 1
