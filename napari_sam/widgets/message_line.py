"""The last message to the user, in full, in the dock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFrame, QHBoxLayout, QToolButton, QVBoxLayout

from napari_sam.widgets.qt_helpers import button, single_shot, wrapped_label

if TYPE_CHECKING:
    from qtpy.QtWidgets import QPushButton

_NOTE_MS = 10_000
_ERROR_STYLE = "QFrame#message { border-left: 4px solid #e5484d; }"
NOTE_STYLE = "QFrame#message { border-left: 4px solid #2dd4bf; }"


class ClosableLine(QFrame):
    """Text with a button below it, and one that closes the line.

    Parameters
    ----------
    more : QPushButton
        Button below the text.
    tip : str
        What closing means.
    """

    def __init__(self, more: QPushButton, tip: str) -> None:
        super().__init__()
        self.setObjectName("message")
        self.label = wrapped_label(selectable=True)
        self.dismiss = QToolButton()
        self.dismiss.setText("✕")
        self.dismiss.setAutoRaise(True)
        self.dismiss.setToolTip(tip)
        self.dismiss.setAccessibleName(tip)
        self.dismiss.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        text = QVBoxLayout()
        text.addWidget(self.label)
        text.addWidget(more, alignment=Qt.AlignmentFlag.AlignLeft)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(6, 2, 0, 2)
        layout.addLayout(text, 1)
        layout.addWidget(self.dismiss, alignment=Qt.AlignmentFlag.AlignTop)


class MessageLine(ClosableLine):
    """A message that can be selected, copied and closed; it is hidden without one.

    Notes disappear by themselves; errors stay until the user closes them or another message comes.
    """

    def __init__(self) -> None:
        self.copy = button("Copy details", "Copy what a developer needs to know about this error")
        super().__init__(self.copy, "Close this message")
        self._details = ""
        self._hide_soon = single_shot(self, _NOTE_MS, self.clear)
        self.dismiss.clicked.connect(self.clear)
        self.copy.clicked.connect(self.copy_details)
        self.clear()

    def note(self, text: str) -> None:
        """Show a message that disappears by itself."""
        self._show(text, "", NOTE_STYLE)
        self._hide_soon.start()

    def error(self, text: str, details: str = "") -> None:
        """Show an error; its details can be copied."""
        self._show(text, details, _ERROR_STYLE)

    def clear(self) -> None:
        """Show no message."""
        self._hide_soon.stop()
        self.label.setText("")
        self.hide()

    def copy_details(self) -> None:
        """Copy the message and its details to the clipboard."""
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText("\n\n".join(filter(None, (self.label.text(), self._details))))

    def _show(self, text: str, details: str, style: str) -> None:
        self._hide_soon.stop()
        self._details = details
        self.label.setText(text)
        self.copy.setVisible(bool(details))
        self.setStyleSheet(style)
        self.show()
