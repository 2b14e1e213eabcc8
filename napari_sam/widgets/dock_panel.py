"""All that the user sees of the dock, top to bottom in the order of use."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QProgressBar, QSizePolicy, QTabWidget, QToolButton, QVBoxLayout, QWidget

from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.widgets.find.find_panel import FindPanel
from napari_sam.widgets.message_line import MessageLine
from napari_sam.widgets.more.first_start import FirstStartLine
from napari_sam.widgets.objects.objects_panel import ObjectsPanel
from napari_sam.widgets.pages.click_panel import ClickPanel
from napari_sam.widgets.pages.everything_panel import EverythingPanel
from napari_sam.widgets.pages.review_panel import ReviewPanel
from napari_sam.widgets.project.project_panel import ProjectPanel
from napari_sam.widgets.qt_helpers import button, combo_box, row, scrolled, wrapped_label
from napari_sam.widgets.refine.refine_panel import RefinePanel
from napari_sam.widgets.settings_form import FieldText, SettingsForm

_HINT_LINES, _HINT_PADDING_PX = 4, 16
CLICK, EVERYTHING, FIND, REFINE, REVIEW, OBJECTS, PROJECT = range(7)
"""Indices of the pages."""
_OBJECT_TEXTS = {
    "overlap": FieldText(
        "Overlap",
        "Which object keeps the pixels that a new object shares with existing ones",
        {"keep": "Existing objects stay", "replace": "New object wins"},
    ),
    "diameter_px": FieldText(
        "Object size", "Typical diameter of an object, in image pixels: sets the magnification for the network"
    ),
}


class DockPanel(QWidget):
    """Controls of the dock, without behaviour.

    Attributes
    ----------
    object_form : SettingsForm
        Overlap rule and object size, which hold for all pages.
    click, everything, find, refine, review, objects, project : QWidget
        Panels of the pages.
    """

    def __init__(self) -> None:
        super().__init__()
        self.next_step = wrapped_label()
        self.next_step.setFrameShape(QFrame.Shape.StyledPanel)
        self.next_step.setStyleSheet("QLabel { padding: 6px; font-weight: bold; }")
        self.next_step.setAlignment(Qt.AlignmentFlag.AlignTop)
        # Room for the longest hint, so that the buttons below do not move when it changes.
        self.next_step.setMinimumHeight(_HINT_LINES * self.next_step.fontMetrics().lineSpacing() + _HINT_PADDING_PX)
        self.image = combo_box("The image layer to segment")
        self.model = combo_box("The network; 'default' comes with this plugin and needs no download")
        self.device = combo_box("Where the network runs")
        self.labels = combo_box("Where accepted objects are written")
        self.new_class = combo_box("Class of the objects that you accept (keys 1 to 9); see the page “Objects”")
        self.object_form = SettingsForm(EverythingSettings(), ("overlap", "diameter_px"), _OBJECT_TEXTS)
        self.click = ClickPanel()
        self.everything = EverythingPanel()
        self.find = FindPanel()
        self.refine = RefinePanel()
        self.review = ReviewPanel()
        self.objects = ObjectsPanel()
        self.project = ProjectPanel()
        self.tabs = QTabWidget()
        self.tabs.tabBar().setFocusPolicy(Qt.FocusPolicy.TabFocus)
        # All are in sight in the narrowest dock; where the font of the system is wider, the bar scrolls.
        self.tabs.tabBar().setStyleSheet("QTabBar::tab { padding-left: 1px; padding-right: 1px; font-size: 11px; }")
        self.progress = QProgressBar()
        self.progress.setTextVisible(True)
        self.cancel = button("Cancel", "Stop what the engine is doing")
        self.message = MessageLine()
        self.status = wrapped_label(selectable=True)
        # A long path in it must not widen the dock; the tooltip shows it whole.
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.first_start = FirstStartLine()
        self.more = QToolButton()
        self.more.setText("More ▾")
        self.more.setStyleSheet("QToolButton::menu-indicator { image: none; }")  # it would cover the text
        self.more.setAutoRaise(True)
        self.more.setToolTip("Copy changes as Python; this computer and the models")
        self.more.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._lay_out()
        self.show_progress(None)

    def show_progress(self, text: str | None) -> None:
        """Show what the engine does, with a bar that moves to and fro; None hides it."""
        for widget in (self.progress, self.cancel):
            widget.setVisible(text is not None)
        self.progress.setRange(0, 0)
        self.progress.setFormat(text or "")

    def show_status(self, text: str) -> None:
        """Show model, speed and place of the objects."""
        self.status.setText(text)
        self.status.setToolTip(text)

    def _lay_out(self) -> None:
        for index, (label, combo) in enumerate(
            (("Image", self.image), ("Model", self.model), ("Write to", self.labels), ("Class", self.new_class))
        ):
            self.object_form.insert_row(index, label, combo)
        self.object_form.insert_row(2, "Device", self.device)
        pages = (
            (self.click, "Click", "Object by object, by points and boxes"),
            (self.everything, "Everything", "Find all objects at once"),
            (self.find, "Find", "Mark one object, get all of its kind"),
            (self.refine, "Refine", "Improve objects of other programs: labels, shapes, points, files"),
            (self.review, "Review", "Judge objects one by one"),
            (self.objects, "Objects", "Select objects, give them classes, change many at once"),
            (self.project, "Project", "Many images one after another, and a model that learns from your objects"),
        )
        for index, (page, title, tip) in enumerate(pages):
            self.tabs.addTab(page, title)
            self.tabs.setTabToolTip(index, tip)
        choices = QWidget()  # scrolls where the window is low; hint, progress and message stay in sight
        inner = QVBoxLayout(choices)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self.object_form)
        inner.addWidget(self.tabs)
        inner.addLayout(row((self.status, self.more), stretch=0))
        inner.addStretch(1)
        # napari leaves the free height to a widget that wants it, and otherwise below the dock.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        margins = layout.contentsMargins()
        layout.setContentsMargins(margins.left() // 2, margins.top(), margins.right() // 2, margins.bottom())
        layout.addWidget(self.next_step)
        layout.addWidget(scrolled(choices), 1)
        layout.addLayout(row((self.progress, self.cancel), stretch=0))
        layout.addWidget(self.first_start)
        layout.addWidget(self.message)
