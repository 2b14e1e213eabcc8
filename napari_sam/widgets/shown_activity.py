"""What the engine does, shown in the dock and by napari, if it takes a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import napari
from qtpy.QtCore import QObject

from napari_sam.widgets.activities import ACTIVITIES
from napari_sam.widgets.qt_helpers import single_shot

if TYPE_CHECKING:
    from napari_sam.widgets.dock_panel import DockPanel
    from napari_sam.widgets.engine_thread import EngineThread

_SHOWN_MS = 300


class ShownActivity(QObject):
    """Progress in the dock and in napari's list of activities.

    Short jobs, such as the answer to a click, are not shown: an activity takes napari up to 0.1 s of the GUI thread.

    Parameters
    ----------
    panel : DockPanel
        Panel with the bar.
    thread : EngineThread
        Thread of the jobs.
    """

    def __init__(self, panel: DockPanel, thread: EngineThread) -> None:
        super().__init__()
        self._panel, self._thread = panel, thread
        self._text = ""
        self._shown: napari.utils.progress | None = None
        self._show_soon = single_shot(self, _SHOWN_MS, self._show)

    def begin(self, kind: str) -> None:
        """Show in a moment that a job of this kind runs."""
        self._text = ACTIVITIES.get(kind, "Segmenting")
        if self._shown is not None:
            self._panel.show_progress(self._text)
        elif self._thread.busy and not self._show_soon.isActive():
            self._show_soon.start()

    def end(self) -> None:
        """Show no activity."""
        self._show_soon.stop()
        if self._shown is not None:
            self._shown.close()
            self._shown = None
        self._panel.show_progress(None)

    def _show(self) -> None:
        if not self._thread.busy or self._shown is not None:
            return
        shown = napari.utils.progress(total=0, desc=f"SAM: {self._text}")
        # napari has handled events meanwhile: the job may be over, or another one may have begun.
        if self._thread.busy and self._shown is None:
            self._shown = shown
            self._panel.show_progress(self._text)
        else:
            shown.close()
