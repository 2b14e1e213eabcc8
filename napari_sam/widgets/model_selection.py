"""The choice of the model: a registered network or a checkpoint file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog

from napari_sam.widgets.qt_helpers import refill
from src_models.checkpoints.registry import is_cached, model_info, model_names

if TYPE_CHECKING:
    from qtpy.QtWidgets import QComboBox

_OPEN_FILE = "checkpoint file…"


class ModelSelection(QObject):
    """Offer the models in a combo box.

    Parameters
    ----------
    combo : QComboBox
        Box to fill.
    model : str
        Name or path of the model in use.

    Attributes
    ----------
    model : str
        Name or path of the model chosen last.

    Signals
    -------
    model_chosen : str
        Name or path of a model that the user chose.
    """

    model_chosen = Signal(str)

    def __init__(self, combo: QComboBox, model: str) -> None:
        super().__init__()
        self._combo, self.model = combo, model
        refill(combo, [*((_text_of(name), name) for name in model_names()), (_OPEN_FILE, _OPEN_FILE)])
        combo.activated.connect(self._on_activated)

    def select(self, model: str, text: str = "") -> None:
        """Show a model as the one in use; `text` describes one that is not registered."""
        if self._combo.findData(model) < 0:
            self._combo.insertItem(0, text or Path(model).name, model)
        self._combo.setCurrentIndex(self._combo.findData(model))
        self.model = model

    def _on_activated(self) -> None:
        chosen = self._combo.currentData()
        if chosen == _OPEN_FILE:
            path, _ = QFileDialog.getOpenFileName(
                self._combo, "Open a SAM checkpoint", "", "Checkpoints (*.pth *.pt *.safetensors)"
            )
            if not path:
                self._combo.setCurrentIndex(self._combo.findData(self.model))
                return
            self._combo.insertItem(0, Path(path).name, path)
            self._combo.setCurrentIndex(0)
            chosen = path
        self.model = chosen
        self.model_chosen.emit(chosen)


def is_at_hand(model: str) -> bool:
    """Return whether a model can be loaded without a download: a file that exists, or a network that is cached."""
    if model in model_names():
        return is_cached(model_info(model))
    return Path(model).is_file()


def _text_of(name: str) -> str:
    """Return the item of a model, which tells whether it must be downloaded."""
    info = model_info(name)
    if is_cached(info):
        return name
    size = f", {info.size_bytes / 1e6:.0f} MB" if info.size_bytes else ""
    return f"{name} (download{size})"
