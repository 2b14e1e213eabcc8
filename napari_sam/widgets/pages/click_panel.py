"""The page "Click": tools, masks, and what is done with them."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QButtonGroup, QCheckBox, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_sam.widgets.qt_helpers import button, primary_button, row
from napari_sam.widgets.stack.stack_panel import StackPanel


class ClickPanel(QWidget):
    """Controls of the page, without behaviour; `ClickController` operates them.

    Attributes
    ----------
    stack : StackPanel
        The part for stacks and movies.
    """

    def __init__(self) -> None:
        super().__init__()
        self.foreground = button("● Object  (F)", "Click points that belong to the object", checkable=True)
        self.background = button("✕ Background  (B)", "Click points that do not belong to the object", checkable=True)
        self.box = button("▭ Box  (R)", "Drag a box around the object", checkable=True)
        self.brush = button("✎ Brush  (D)", "Draw or erase accepted objects with napari's own tools", checkable=True)
        self.tools = QButtonGroup(self)
        self.tools.setExclusive(True)
        for tool in (self.foreground, self.background, self.box, self.brush):
            self.tools.addButton(tool)
        self.batch = QCheckBox("One object per box")
        self.batch.setToolTip("Draw many boxes, then segment and accept them together")
        self.segment = button("All boxes  (⇧S)", "Segment every box as an object of its own")
        self.previous = button("◀", "Previous mask, or previous of several objects (Shift+N)")
        self.following = button(
            "▶", "Next mask (N), or next of several objects; Alt+N shows another mask of that object"
        )
        self.candidate = QLabel("no mask yet")
        self.candidate.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.stack = StackPanel()
        self.accept = primary_button("✓ Accept  (C)", "Save the object and start the next one")
        self.replace = button("⇄ Replace  (X)", "Save the object in place of those that it lies on")
        self.clear = button("Clear  (Shift+C)", "Remove all points and boxes (Escape does the same)")
        self.undo = button(
            "Undo  (Ctrl+Z)", "Take the last point or box back; without any, undo the last change of the saved objects"
        )
        self.redo = button("Redo  (⇧Ctrl+Z)", "Repeat what was undone")
        self.export = button("Export…", "Save all objects as GeoJSON, COCO, TIFF, table or script")
        self._lay_out()

    def _lay_out(self) -> None:
        actions = QGridLayout()
        actions.addWidget(self.accept, 0, 0)
        actions.addWidget(self.replace, 0, 1)
        actions.addWidget(self.clear, 1, 0)
        actions.addWidget(self.export, 1, 1)
        actions.addWidget(self.undo, 2, 0)
        actions.addWidget(self.redo, 2, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(row((self.foreground, self.background)))
        layout.addLayout(row((self.box, self.brush)))
        layout.addLayout(row((self.batch, self.segment), stretch=1))
        layout.addLayout(row((self.previous, self.candidate, self.following), stretch=1))
        layout.addLayout(actions)
        layout.addWidget(self.stack)  # below the buttons, which must not move when it grows
        layout.addStretch(1)
