"""The part of the page "Project" with the stages of annotation: by hand, filled in, and automatic."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_sam.widgets.qt_helpers import button, row, wrapped_label

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
        self.fill_in = button(
            "Fill in confident", "Find the objects of this image of which the model is confident; you add the others"
        )
        self.find_all = button("Find all", "Find all objects of this image, for images that nobody looks through")
        self.threshold = wrapped_label()
        self.threshold.setToolTip(
            "Score at which nine of ten objects are accepted, learned from those that were accepted, corrected, erased"
        )
        self.audit = button(
            "Audit a sample", "Review a random sample of the automatic objects: how often is the mask right?"
        )
        self.agreement = wrapped_label(selectable=True)
        self.agreement.setToolTip("Masks that keep an IoU above 0.9 when people look at them, with the 95 % interval")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.time)
        layout.addLayout(row((self.fill_in, self.find_all)))
        layout.addWidget(self.threshold)
        layout.addWidget(self.audit)
        layout.addWidget(self.agreement)
