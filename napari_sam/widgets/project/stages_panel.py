"""The part of the page "Project" with the stages of annotation: by hand, filled in, and automatic."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_sam.widgets.qt_helpers import wrapped_label

_TIME_TIP = (
    "Median time from the object before, or from the first click, until you accepted an object, with its corrections; "
    "of a pause 30 s count"
)


class StagesPanel(QWidget):
    """Controls without behaviour; `StagesController` operates them."""

    def __init__(self) -> None:
        super().__init__()
        self.time = wrapped_label()
        self.time.setToolTip(_TIME_TIP)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.time)
