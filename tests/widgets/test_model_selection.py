"""The box of models offers the registered networks and checkpoint files."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QComboBox, QFileDialog

from napari_sam.widgets.model_selection import ModelSelection
from src_models.checkpoints.registry import model_names


@pytest.fixture
def combo(qtbot):
    made = QComboBox()
    qtbot.addWidget(made)
    return made


@pytest.fixture
def selection(combo):
    return ModelSelection(combo, "default")


def choose_file(combo, monkeypatch, path):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (path, ""))
    combo.setCurrentIndex(combo.count() - 1)
    combo.activated.emit(combo.currentIndex())


def test_all_registered_models_are_offered(combo, selection):
    assert [combo.itemData(k) for k in range(combo.count() - 1)] == list(model_names())
    assert combo.itemText(combo.findData("default")) == "default"


def test_a_chosen_model_is_announced(qtbot, combo, selection):
    combo.setCurrentIndex(combo.findData("vit_b"))
    with qtbot.waitSignal(selection.model_chosen) as caught:
        combo.activated.emit(combo.currentIndex())
    assert caught.args == ["vit_b"]


def test_a_checkpoint_file_becomes_an_item(qtbot, combo, selection, monkeypatch):
    with qtbot.waitSignal(selection.model_chosen) as caught:
        choose_file(combo, monkeypatch, "/models/mine.pth")
    assert caught.args == ["/models/mine.pth"]
    assert combo.currentText() == "mine.pth"


def test_without_a_file_the_model_stays(combo, selection, monkeypatch):
    choose_file(combo, monkeypatch, "")
    assert combo.currentData() == "default"


def test_a_version_of_a_project_is_shown_by_its_name(combo, selection):
    selection.select("/screen/models/0002/model.safetensors", "screen, version 2")
    assert combo.currentText() == "screen, version 2"
    assert selection.model == combo.currentData() == "/screen/models/0002/model.safetensors"
