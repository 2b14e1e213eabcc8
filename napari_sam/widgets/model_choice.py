"""The choice under "Model": the registered networks, or a checkpoint file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog

from napari_sam.widgets.qt_helpers import refill
from src_models.checkpoints.registry import is_cached, model_info, model_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QComboBox

    from napari_sam.widgets.engine_session import EngineSession

_OPEN_FILE = "checkpoint file…"


class ModelChoice:
    """Fills the box of models and tells which one was chosen.

    Parameters
    ----------
    combo : QComboBox
        The box.
    session : EngineSession
        Which knows the model in use.
    chosen : callable
        Called with the name or path.
    """

    def __init__(self, combo: QComboBox, session: EngineSession, chosen: Callable[[str], None]) -> None:
        self._combo, self._session, self._chosen = combo, session, chosen
        items: list[tuple[str, Any]] = []
        for name in model_names():
            info = model_info(name)
            size = f", {info.size_bytes / 1e6:.0f} MB" if info.size_bytes else ""
            items.append((name if is_cached(info) else f"{name} (download{size})", name))
        refill(combo, [*items, (_OPEN_FILE, _OPEN_FILE)])
        combo.activated.connect(self._on_activated)

    def _on_activated(self) -> None:
        chosen = self._combo.currentData()
        if chosen == _OPEN_FILE:
            path, _ = QFileDialog.getOpenFileName(
                self._combo, "Open a SAM checkpoint", "", "Checkpoints (*.pth *.pt *.safetensors)"
            )
            if not path:
                self._combo.setCurrentIndex(self._combo.findData(self._session.model))
                return
            self._combo.insertItem(0, Path(path).name, path)
            self._combo.setCurrentIndex(0)
            chosen = path
        self._chosen(chosen)
