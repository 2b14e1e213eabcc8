"""The menu “More” at the foot of the dock."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication, QMenu, QToolButton

from napari_sam.errors import NapariSamError
from napari_sam.io.images.open_image import open_image
from napari_sam.widgets.objects.store_jobs import COPY

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.objects.store_jobs import StoreJobs

_MOST_CHARACTERS = 4_000_000  # more than a clipboard or a notebook takes well
_NO_FILE = "ns.open_image('IMAGE')"


class MoreMenu(QObject):
    """Fill the menu, and do what it offers.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    button : QToolButton
        Button that opens the menu.
    jobs : StoreJobs
        Reads the changes of the label store.
    show_models : callable
        Shows this computer and the models.
    """

    def __init__(
        self, context: DockContext, button: QToolButton, jobs: StoreJobs, show_models: Callable[[], None]
    ) -> None:
        super().__init__()
        self._notifier, self._images, self._jobs = context.notifier, context.images, jobs
        self.menu = QMenu(button)
        self.menu.setToolTipsVisible(True)
        for text, tip, is_last in (
            ("Copy last change as Python", "Lines that repeat the last saved change, or whole-image run", True),
            ("Copy all changes as Python", "Lines that make all saved objects again, in a new label store", False),
        ):
            action = self.menu.addAction(text)
            action.setToolTip(tip)
            action.triggered.connect(partial(self.copy_python, is_last))
        self.menu.addSeparator()
        models = self.menu.addAction("This computer and the models…")
        models.setToolTip("What was found on this computer, and models by kind of image; downloads nothing")
        models.triggered.connect(lambda: show_models())
        button.setMenu(self.menu)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)

    def copy_python(self, is_last: bool, _: bool = False) -> None:
        """Copy Python lines to the clipboard, those of the last change or of all."""
        what = "The last change" if is_last else "All changes"
        layer = self._images.layer
        path = None if layer is None else layer.source.path
        self._jobs.query(lambda store, _: _lines(store, path, is_last=is_last), partial(self._copy, what), COPY)

    def _copy(self, what: str, lines: str) -> None:
        clipboard = QApplication.clipboard()
        if len(lines) > _MOST_CHARACTERS or clipboard is None:
            self._notifier.error(
                f"{what} as Python would be {len(lines) / 1e6:.0f} MB, too much for the clipboard: "
                "use “Export…” and choose “Python script”."
            )
            return
        clipboard.setText(lines)
        note = " The image has no file: replace IMAGE by its path." if _NO_FILE in lines else ""
        self._notifier.info(f"{what} copied as {lines.count(chr(10))} lines of Python.{note}")


def _lines(store: LabelStore, path: str | None, *, is_last: bool) -> str:
    """Return the changes as Python; `path` is the file of an image that another reader of napari opened."""
    lines = store.to_python(last=is_last)
    if path and _NO_FILE in lines:
        with suppress(NapariSamError, OSError):  # a file that only the other reader can read
            if open_image(path).shape == store.shape[-2:]:
                return lines.replace(_NO_FILE, f"ns.open_image({path!r})")
    return lines
