"""The page "Everything": where and how to find all objects, and the progress of a run."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_sam.engine.linking.link_settings import FrameLinking, PlaneLinking
from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.layers.stacks.stack_axes import DEPTH, TIME
from napari_sam.widgets.qt_helpers import button, combo_box, refill, wrapped_label
from napari_sam.widgets.run_controls import RunControls
from napari_sam.widgets.settings_form import FieldText, SettingsForm

VIEW, DRAWN, WHOLE = "view", "drawn", "whole"
ONE_PLANE = ""
_PLANES = {
    ONE_PLANE: ("This plane only", "Objects of the plane that is shown"),
    DEPTH: ("All, through the stack", "One object through all planes that it lies on"),
    TIME: ("All, through time", "One object through all frames, with divisions and lineages"),
}
_WHERE = (("What is in view", VIEW), ("A rectangle I draw", DRAWN), ("The whole image", WHOLE))
_ABOUT = "Finds all objects at once and saves them as labels. Meanwhile you can continue clicking."
_FIELDS = ("method", "coarser", "level", "side", "grid", "watershed", "branches")
_TEXTS = {
    "method": FieldText(
        "How",
        "How objects are found",
        {
            "auto": "Automatic: what suits the model",
            "dense": "Dense: many similar objects, fast",
            "grid": "Grid: objects of all kinds, slow",
        },
    ),
    "coarser": FieldText(
        "Also larger objects",
        "Look at the image from farther away, too, for objects that do not fit into one window of the network. "
        "Untick it if there are none: fewer tiles are then needed.",
    ),
    "level": FieldText("Scale level", "Segment the image reduced 2, 4, 8 … times: level 1, 2, 3 …"),
    "side": FieldText("Window", "Width of the image region that one window of the network covers"),
    "grid": FieldText(
        "Change the grid",
        "Settings of the method “Grid”; otherwise those of the model",
        names=("points_per_side", "pred_iou_thresh", "stability_score_thresh", "box_nms_thresh"),
    ),
    "branches": FieldText(
        "Dense objects by",
        "Whether the method “Dense” also prompts the model with each object that it finds: better outlines, but slower",
        {
            "auto": "Automatic: what suits the model",
            "both": "Both branches of the model",
            "dense": "The dense one: fast",
        },
    ),
    "watershed": FieldText(
        "Change the watershed",
        "Settings of the method “Dense”; otherwise those of the model",
        names=("foreground", "centre", "boundary", "sigma_px", "min_area_px", "min_predicted_iou"),
    ),
}


class EverythingPanel(QWidget):
    """Controls of the page, without behaviour; `EverythingController` operates them."""

    def __init__(self) -> None:
        super().__init__()
        self.where = combo_box("Which part of the image to segment", _WHERE)
        self.planes = combo_box("Which planes of the stack to segment")
        self.fill_gaps = QCheckBox("Fill gaps")
        self.fill_gaps.setToolTip(
            "Draw an object also on planes on which it was not found between two where it was: it is followed there"
        )
        self.form = SettingsForm(EverythingSettings(coarser=True), _FIELDS, _TEXTS)
        self.own_store = button("Use the image's label store", "Write to the label store that belongs to the image")
        self.run = RunControls(
            "▶ Start",
            "Find all objects there",
            kept="finished tiles are kept, and the run can be resumed",
            working="Finding objects…",
        )
        self._lay_out()
        self.planes.currentIndexChanged.connect(self._show_linking)
        self._show_linking()
        self.show_idle()

    def show_view_size(self, size: tuple[int, int] | None) -> None:
        """Show height and width of the visible part of the image."""
        text = "" if size is None else f"  (y {size[0]} × x {size[1]} px)"
        self.where.setItemText(0, _WHERE[0][0] + text)

    @property
    def axis(self) -> str:
        """Axis along which objects are linked, "z" or "t"; empty for one plane."""
        return str(self.planes.currentData() or ONE_PLANE)

    @property
    def linking(self) -> PlaneLinking | FrameLinking | None:
        """How the objects of all planes are linked; None for one plane."""
        kind = {DEPTH: PlaneLinking, TIME: FrameLinking}.get(self.axis)
        return None if kind is None else kind(fill_gaps=self.fill_gaps.isChecked())

    def choose_axis(self, axis: str) -> None:
        """Choose the axis along which objects are linked, if the image has it."""
        self.planes.setCurrentIndex(max(0, self.planes.findData(axis)))

    def show_axes(self, has_depth: bool, has_time: bool) -> None:
        """Offer the planes of an image with these axes; hide the choice for a single image."""
        choices = [ONE_PLANE, *([DEPTH] if has_depth else []), *([TIME] if has_time else [])]
        if [self.planes.itemData(i) for i in range(self.planes.count())] != choices:
            refill(self.planes, [(_PLANES[choice][0], choice) for choice in choices])
            for i, choice in enumerate(choices):
                self.planes.setItemData(i, _PLANES[choice][1], Qt.ItemDataRole.ToolTipRole)
        self.form.show_row(self.planes, len(choices) > 1)
        self._show_linking()

    def show_idle(self, unfinished: bool = False) -> None:
        """Show that nothing runs; an unfinished run can be resumed or discarded."""
        self.run.show_idle(unfinished)
        self._enable_choices(not unfinished)

    def show_running(self) -> None:
        """Show that a run has begun, before its first progress."""
        self.run.show_running()
        self._enable_choices(False)

    def _show_linking(self) -> None:
        self.form.show_row(self.fill_gaps, bool(self.axis))

    def _enable_choices(self, enabled: bool) -> None:
        self.form.setEnabled(enabled)

    def _lay_out(self) -> None:
        self.form.insert_row(0, "Where", self.where)
        self.form.insert_row(1, "Planes", self.planes)
        self.form.insert_row(2, "", self.fill_gaps)
        layout = QVBoxLayout(self)
        layout.addWidget(wrapped_label(_ABOUT))
        layout.addWidget(self.form)
        layout.addWidget(wrapped_label("“Overlap” and “Object size” above count here, too."))
        layout.addWidget(self.own_store)
        layout.addWidget(self.run)
        layout.addStretch(1)
        self.own_store.hide()
