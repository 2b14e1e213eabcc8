"""The window that asks which outlines an export adds to the labels."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QDoubleSpinBox, QFormLayout, QVBoxLayout, QWidget

from napari_sam.io.exports.export_settings import ExportSettings
from napari_sam.widgets.qt_helpers import combo_box, wrapped_label

LABELS_ONLY, EDGES, SIMPLIFIED, REGULAR = "labels", "edges", "simplified", "regular"
_CHOICES = (
    ("None: labels and their table", LABELS_ONLY),
    ("Along the edges of the pixels", EDGES),
    ("Simplified", SIMPLIFIED),
    ("With right angles, as of buildings", REGULAR),
)
_DISTANCES = {SIMPLIFIED: "May deviate by", REGULAR: "No edges below"}
_FIRST_PX, _LARGEST_PX = 1.0, 1000.0
_WIDTH_PX = 460
_ABOUT = "A SpatialData store holds the objects as labels, and on request their outlines as shapes, too."


class OutlineDialog(QDialog):
    """Ask for the outlines of an export to SpatialData.

    Parameters
    ----------
    parent : QWidget
        The dock.

    Signals
    -------
    settings_chosen : ExportSettings
        The user pressed "Export".
    """

    settings_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Outlines of the export")
        self.setMinimumWidth(_WIDTH_PX)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.outlines = combo_box("Which outlines the store holds beside the labels", _CHOICES)
        self.distance = QDoubleSpinBox()
        self.distance.setRange(0.1, _LARGEST_PX)
        self.distance.setSingleStep(0.5)
        self.distance.setDecimals(1)
        self.distance.setValue(_FIRST_PX)
        self.distance.setSuffix(" px")
        self.distance.setToolTip("How far simplified outlines may lie from the edges of the pixels, in pixels")
        self.distance.setAccessibleName("Distance in pixels")
        standard = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(standard.Ok | standard.Cancel)
        self.export = self.buttons.button(standard.Ok)
        self.export.setText("Export")
        self.export.setToolTip("Write the store")
        self.buttons.button(standard.Cancel).setToolTip("Write nothing")
        self._lay_out()
        self.outlines.currentIndexChanged.connect(self._show_distance)
        self.buttons.accepted.connect(self._on_export)
        self.buttons.rejected.connect(self.close)
        self._show_distance()

    def settings(self) -> ExportSettings:
        """Return the outlines that are chosen."""
        chosen, distance = self.outlines.currentData(), self.distance.value()
        return ExportSettings(
            polygons=chosen != LABELS_ONLY,
            simplify_px=distance if chosen == SIMPLIFIED else None,
            regularise_px=distance if chosen == REGULAR else None,
        )

    def _on_export(self) -> None:
        self.settings_chosen.emit(self.settings())
        self.close()

    def _show_distance(self) -> None:
        text = _DISTANCES.get(self.outlines.currentData())
        self._form.setRowVisible(self.distance, text is not None)
        label = self._form.labelForField(self.distance)
        if text is not None and label is not None:
            label.setText(text)  # type: ignore[attr-defined]  # a QLabel

    def _lay_out(self) -> None:
        self._form = QFormLayout()
        self._form.addRow("Outlines", self.outlines)
        self._form.addRow(_DISTANCES[SIMPLIFIED], self.distance)
        layout = QVBoxLayout(self)
        layout.addWidget(wrapped_label(_ABOUT))
        layout.addLayout(self._form)
        layout.addWidget(self.buttons)
