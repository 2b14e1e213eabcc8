"""The page "Objects": what is selected, the classes, and what is done with the selection."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_sam.widgets.objects.class_list import ClassList
from napari_sam.widgets.objects.colour_legend import ColourLegend
from napari_sam.widgets.qt_helpers import Fold, button, combo_box, line_edit, row, wrapped_label

_FILTER_TIP = (
    "Select the objects for which this holds, then press Enter. Columns: label, area_px, category, predicted_iou, "
    "touches_border and others of the object table; areas in µm² (area_um2) where the image has a pixel size. "
    "Example: area_px > 50 and category == 'nucleus' and not touches_border"
)
_KEYS = (
    "P click, B box, L lasso; Shift adds, Ctrl takes away · Ctrl+A all, Escape none · 1 to 9 class, 0 no class · "
    "Delete removes, J joins · Ctrl+Z undoes, Ctrl+Shift+Z repeats"
)


class ObjectsPanel(QWidget):
    """Controls of the page, without behaviour; `ObjectsController` operates them."""

    def __init__(self) -> None:
        super().__init__()
        self.pick = button("Click  (P)", "Click an object to select it; Shift adds, Ctrl removes", checkable=True)
        self.rectangle = button("▭ Box  (B)", "Drag a box around objects; Shift adds, Ctrl removes", checkable=True)
        self.lasso = button("Lasso  (L)", "Draw a line around objects; Shift adds, Ctrl removes", checkable=True)
        self.tools = QButtonGroup(self)
        for tool in (self.pick, self.rectangle, self.lasso):
            self.tools.addButton(tool)
        self.where = line_edit("Condition", "area_px > 50 and not touches_border", _FILTER_TIP)
        self.where.setClearButtonEnabled(True)
        self.select = button("Select", "Select the objects for which this holds")
        self.count = QLabel()
        self.count.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.all = button("All", "Select all objects (Ctrl+A)")
        self.none = button("None", "Select nothing (Escape)")
        self.classes = ClassList()
        self.suggest = button(
            "Classify the others",
            "Learn from the objects that have a class, and give each of the others the most likely one; "
            "the page “Review” then shows the most doubtful first",
        )
        self.confusion = wrapped_label(selectable=True)
        self.confusion.hide()
        self.colour = combo_box("What the colours of the objects show")
        self.legend = ColourLegend()
        self.delete = button("✕ Delete  (Del)", "Remove the selected objects")
        self.merge = button("Merge  (J)", "Make the selected objects one")
        self.relabel = button("New id…", "Number the selected objects anew, from an id that you choose")
        self.table = button("Table", "List all objects below the image: rows select objects", checkable=True)
        self.plot = button(
            "Plot",
            "Histogram or scatter plot of measured values below the image: what you draw around is selected",
            checkable=True,
        )
        self.export = button("Export…", "Save the selected objects as GeoJSON, COCO, TIFF, table or script")
        self.undo = button("Undo  (Ctrl+Z)", "Undo the last change of the saved objects")
        self.redo = button("Redo  (⇧Ctrl+Z)", "Repeat what was undone")
        self._lay_out()

    def _lay_out(self) -> None:
        actions = QGridLayout()
        edits = (self.delete, self.merge, self.relabel, self.export, self.undo, self.redo)
        for index, made in enumerate((self.table, self.plot, *edits)):
            actions.addWidget(made, index // 2, index % 2)
        layout = QVBoxLayout(self)
        layout.addLayout(row((self.pick, self.rectangle, self.lasso)))
        layout.addLayout(row((self.where, self.select), stretch=0))
        layout.addLayout(row((self.all, self.count, self.none), stretch=1))
        layout.addWidget(self.classes)
        layout.addWidget(self.suggest)
        layout.addWidget(self.confusion)
        layout.addLayout(row((QLabel("Colour"), self.colour), stretch=1))
        layout.addWidget(self.legend)
        layout.addLayout(actions)
        layout.addWidget(Fold("Keys", wrapped_label(_KEYS)))
        layout.addStretch(1)
