"""The box "Device" of the dock: where the network runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.widgets.activities import DEVICES

if TYPE_CHECKING:
    from qtpy.QtWidgets import QComboBox

    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import Outcome

_AUTOMATIC = "auto"
_EVERYWHERE = (_AUTOMATIC, "cpu")  # the same without an accelerator, so that there is nothing to choose


class DeviceSelection(QObject):
    """Offer the devices of this machine, once the engine's thread has imported torch, which finds them.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    combo : QComboBox
        Box that offers them, in a row of `context.object_form` that is hidden while there is nothing to choose.

    Signals
    -------
    device_chosen
        The user chose another device, or the one in use is not there.
    """

    device_chosen = Signal()

    def __init__(self, context: DockContext, combo: QComboBox) -> None:
        super().__init__()
        self._thread, self._form, self._combo = context.thread, context.object_form, combo
        self._is_known = False
        self._offer(_EVERYWHERE)
        combo.activated.connect(lambda _: self.device_chosen.emit())
        self._thread.finished.connect(self._on_finished)
        self._look()

    @property
    def device(self) -> str:
        """Device to run on, as `choose_device` takes it."""
        return str(self._combo.currentData())

    def select(self, device: str) -> None:
        """Show a device as the one in use; "auto" instead of one that this machine lacks."""
        if not self._is_known and self._combo.findData(device) < 0:
            self._combo.addItem(device, device)  # as in the last session; `_on_finished` tells whether it is there
        self._combo.setCurrentIndex(max(0, self._combo.findData(device)))

    def _look(self) -> None:
        self._thread.submit(DEVICES, lambda _: _find_devices())

    def _on_finished(self, outcome: Outcome) -> None:
        if outcome.kind != DEVICES or self._is_known:
            return
        if isinstance(outcome.value, list):
            self._is_known, used = True, self.device
            self._offer(outcome.value)
            self.select(used)
            if self.device != used:
                self.device_chosen.emit()
        elif outcome.error is None and not self._thread.was_superseded(outcome):
            self._look()  # cancelled with the other jobs, as when another model is chosen

    def _offer(self, devices: list[str] | tuple[str, ...]) -> None:
        self._combo.clear()
        for device in devices:
            self._combo.addItem("automatic" if device == _AUTOMATIC else device, device)
        self._form.show_row(self._combo, len(devices) > len(_EVERYWHERE))


def _find_devices() -> list[str]:
    from src_models.runtime import available_devices  # noqa: PLC0415 - imports torch

    return available_devices()
