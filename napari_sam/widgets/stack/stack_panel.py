"""The part of the page "Click" for stacks and movies: follow an object, check its planes, and say that it divides."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QGroupBox, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from napari_sam.widgets.qt_helpers import button, row, wrapped_label
from napari_sam.widgets.stack.plane_strip import PlaneStrip, StripContent

_STACK, _TIME = "⇅ Through the stack  (G)", "▶ Through time  (G)"
_STACK_OR, _OR_TIME = "⇅ Stack  (G)", "▶ Time  (⇧G)"  # where there are both
_SWAP = "z ⇄ t"
_SWAP_TIPS = {
    (False, False): "Exchange depth and time",
    (True, False): "The planes are frames of a movie, not slices of a volume: take them for time",
    (False, True): "The frames are slices of a volume, not a movie: take them for depth",
    (True, True): "The file names its axes wrongly: take its depth for time, and its time for depth",
}
_LATER = "Later  (Q)"
_WEAKEST_TIP = "Go to the {noun} whose mask is the least certain (W); a click there corrects it"


class StackPanel(QGroupBox):
    """Controls of a stack, without behaviour; `StackController` operates them. Hidden for single images.

    Attributes
    ----------
    strip : PlaneStrip
        The planes of the object in hand.
    """

    def __init__(self) -> None:
        super().__init__("Follow the object")
        self.through_stack = button(_STACK, "Follow the object up and down through all planes (G)")
        self.through_time = button(_TIME, "Follow the object forward and backward through all frames (G)")
        self.strip = PlaneStrip()
        self.summary = wrapped_label()
        self.weakest = button("Weakest  (W)", _WEAKEST_TIP.format(noun="plane"))
        self.not_here = button(
            "✂ Not here  (K)", "The object is not on this plane: remove it here, and beyond if nothing is clicked there"
        )
        self.next_object = button(_LATER, "Look at the next object that was followed, or keep this one for later")
        self.progress = QProgressBar()
        self.cancel = button("Stop", "Stop following; what was found so far is kept")
        self.divide = button(
            "Ƴ Divides  (Y)",
            "The object under the mouse divides: then click its daughters and accept them, or press Y over saved ones",
            checkable=True,
        )
        self.edit = button(
            "✎ Saved object  (E)", "Check and correct the saved object under the mouse on all its planes"
        )
        self.tracks = QCheckBox("Tracks")
        self.tracks.setToolTip("Show the paths and lineages of all saved objects as a tracks layer")
        self.neighbours = QCheckBox("Look nearby")
        self.neighbours.setChecked(True)
        self.neighbours.setToolTip("After a click, also look for the object on the planes before and after this one")
        self.swap = button(_SWAP, _SWAP_TIPS[False, False])
        self._lay_out()
        self.show_progress(None, 0, 0)

    def show_axes(self, has_depth: bool, has_time: bool, *, can_swap: bool) -> None:
        """Offer what an image with these axes allows; hide everything for a single image."""
        self.swap.setVisible(can_swap)
        self.swap.setToolTip(_SWAP_TIPS[has_depth, has_time])
        self.setVisible(has_depth or has_time)
        self.through_stack.setVisible(has_depth)
        self.through_time.setVisible(has_time)
        for widget in (self.divide, self.tracks):
            widget.setVisible(has_time)
        both = has_depth and has_time
        self.through_stack.setText(_STACK_OR if both else _STACK)
        self.through_time.setText(_OR_TIME if both else _TIME)
        self.through_stack.setToolTip("Follow the object up and down through all planes (G)")
        keys = "Shift+G" if both else "G"
        self.through_time.setToolTip(f"Follow the object forward and backward through all frames ({keys})")

    def show_progress(self, text: str | None, done: int, total: int) -> None:
        """Show how far an object was followed; None hides the bar."""
        for widget in (self.progress, self.cancel):
            widget.setVisible(text is not None)
        self.progress.setRange(0, max(total, 0))
        self.progress.setValue(done)
        self.progress.setFormat(text or "")

    def show_content(self, content: StripContent, summary: str) -> None:
        """Show the planes of an object, with a line in words; nothing without an object."""
        self.strip.show_content(content)
        self.summary.setText(summary)
        self.weakest.setEnabled(content.weakest is not None)
        self.weakest.setToolTip(_WEAKEST_TIP.format(noun=content.noun))
        for widget in (self.strip, self.summary, self.weakest, self.not_here):
            widget.setVisible(bool(summary))

    def show_waiting(self, waiting: int, *, in_hand: bool) -> None:
        """Offer the next of the objects that were followed, or to keep the one in hand for later."""
        self.next_object.setVisible(waiting > 0 or in_hand)
        self.next_object.setText(f"Next of {waiting}  (Q)" if waiting else _LATER)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(_shared_row((self.through_stack, self.through_time)))
        layout.addWidget(self.strip)
        layout.addWidget(self.summary)
        layout.addLayout(_shared_row((self.weakest, self.not_here)))
        layout.addLayout(_shared_row((self.next_object,)))
        layout.addLayout(row((self.progress, self.cancel), stretch=0))
        layout.addLayout(_shared_row((self.edit, self.divide)))
        layout.addLayout(row((self.neighbours, self.tracks, self.swap)))


def _shared_row(widgets: tuple[QWidget, ...]) -> QHBoxLayout:
    """Lay widgets out side by side with equal widths."""
    layout = QHBoxLayout()
    for widget in widgets:
        layout.addWidget(widget, 1)
    return layout
