"""Rate masks from 1 to 10, blind: one at a time, in random order, saved at once."""

from __future__ import annotations

import getpass
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sam.errors import NapariSamError
from napari_sam.evaluation.rating.rating_study import BEST, RatingStudy
from napari_sam.widgets.canvas_view import focus_canvas
from napari_sam.widgets.key_bindings import KeySet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import napari
    from numpy.typing import NDArray

    from napari_sam.evaluation.rating.rating_study import RatingItem

_ABOUT = (
    "<b>How good is the outlined mask?</b><br>"
    "10: as good as one drawn with care.<br>"
    "7 to 9: right object, small mistakes along its outline.<br>"
    "4 to 6: right object, large mistakes.<br>"
    "2 to 3: hardly the object.<br>"
    "1: no object, or nothing outlined.<br>"
    "The cross marks what was asked for; any object or part of one that it may mean is right."
)
_PICTURE, _MASK, _CROSS = "To rate", "Mask", "Asked for"


class RatingWidget(QWidget):
    """The dock of a rating study.

    Parameters
    ----------
    viewer : napari.Viewer
        The window; the study shows its own layers in it.
    study : Study, optional
        Which; without it the dock asks for a folder.
    rater : str, optional
        Who rates; the user's name by default.

    Attributes
    ----------
    current : Item or None
        What is shown; None before a study is opened, and at its end.
    """

    def __init__(self, viewer: napari.Viewer, study: RatingStudy | None = None, rater: str | None = None) -> None:
        super().__init__()
        self._viewer, self._study = viewer, study
        self._keys = KeySet(viewer)
        self._order: list[RatingItem] = []
        self._at = 0
        self._rated_as = ""  # whose order it is, whatever is being typed
        self._shown_at = 0.0
        self.current: RatingItem | None = None
        self._build()
        self.rater.setText(rater or _user())
        self._show_state()
        if study is not None:
            self.begin(study)

    def _build(self) -> None:
        about = QLabel(_ABOUT)
        about.setWordWrap(True)
        self.choose = QPushButton("Open study …")
        self.choose.setToolTip("The folder that 'napari-sam evaluate human prepare' made")
        self.rater = QLineEdit()
        self.rater.setPlaceholderText("Your name")
        self.rater.setToolTip("Ratings are kept under this name; each rater sees an order of their own")
        self.next_step = QLabel()
        self.next_step.setWordWrap(True)
        self.next_step.setStyleSheet("QLabel { font-weight: bold; padding: 6px; }")
        grid = QGridLayout()
        self.buttons: list[QPushButton] = []
        for value in range(1, BEST + 1):
            button = QPushButton(str(value))
            button.setToolTip(f"Key {value % BEST}")
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys must keep going to the canvas
            button.clicked.connect(partial(self._pressed, value))
            grid.addWidget(button, (value - 1) // 5, (value - 1) % 5)
            self.buttons.append(button)
        self.back = _quiet("↶ Back (Backspace)", "Take the last rating back and rate it again")
        self.hide_mask = _quiet("Hide mask (M)", "Look at the picture without the outline, and back")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.counts = QLabel()
        self.counts.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.choose.clicked.connect(self._ask_folder)
        self.rater.editingFinished.connect(self._another_rater)
        self.back.clicked.connect(self.take_back)
        self.hide_mask.clicked.connect(self.toggle_mask)
        layout = QVBoxLayout(self)
        layout.addWidget(self.next_step)
        layout.addWidget(self.choose)
        layout.addWidget(self.rater)
        layout.addWidget(about)
        layout.addLayout(grid)
        for widget in (self.back, self.hide_mask, self.progress, self.counts):
            layout.addWidget(widget)
        layout.addStretch(1)

    # ---- what the user does -------------------------------------------------------------------------------

    def begin(self, study: RatingStudy) -> None:
        """Go on with a study where this rater stopped."""
        rater = self.rater.text().strip()
        try:
            rated = study.ratings(rater)
            order = study.order(rater)
        except NapariSamError as error:
            show_error(str(error))
            return
        waiting = [item for item in order if item.number not in rated]
        self._study, self._rated_as = study, rater
        self._order = [item for item in order if item.number in rated] + waiting
        self._at = len(rated)
        self._keys.use(self._bindings())
        self._go()
        focus_canvas()

    def rate(self, rating: int) -> None:
        """Keep a rating of what is shown, and go on."""
        if self._study is None or self.current is None or self._renamed():
            return
        seconds = time.monotonic() - self._shown_at
        try:
            self._study.rate(self._rated_as, self.current.number, rating, seconds)
        except NapariSamError as error:
            show_error(str(error))
            return
        self._at += 1
        self._go()

    def _pressed(self, value: int, checked: bool = False) -> None:
        self.rate(value)

    def take_back(self) -> None:
        """Take the last rating back, and show its mask again."""
        if self._study is None or self._renamed() or self._at == 0:
            return
        item = self._order[self._at - 1]
        try:
            self._study.rate(self._rated_as, item.number, 0)
        except NapariSamError as error:
            show_error(str(error))
            return
        self._at -= 1
        self._go()

    def toggle_mask(self) -> None:
        """Hide the outline, or show it again."""
        if _MASK in self._viewer.layers:
            layer = self._viewer.layers[_MASK]
            layer.visible = not layer.visible

    def _renamed(self) -> bool:
        """Whether another name was typed: then its own order is shown first, and nothing is rated yet."""
        if self.rater.text().strip() == self._rated_as:
            return False
        self._another_rater()
        return True

    def _another_rater(self) -> None:
        """Another name has its own ratings."""
        self.rater.clearFocus()
        if self._study is not None and self.rater.text().strip() != self._rated_as:
            self.begin(self._study)
        self._show_state()

    def _ask_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of the study")
        if folder:
            self.open(folder)

    def open(self, folder: str | Path) -> None:
        """Open a study's folder; says what is wrong with it if it is none."""
        try:
            study = RatingStudy.open(folder)
        except NapariSamError as error:
            show_error(str(error))
            return
        self.begin(study)

    def _bindings(self) -> dict[str, Callable[[], None]]:
        keys: dict[str, Callable[[], None]] = {str(v % BEST): partial(self.rate, v) for v in range(1, BEST + 1)}
        return keys | {"Backspace": self.take_back, "M": self.toggle_mask}

    # ---- what is shown ------------------------------------------------------------------------------------

    def _go(self) -> None:
        """Show the next mask, or the end."""
        self.current = self._order[self._at] if self._at < len(self._order) else None
        if self.current is not None and self._study is not None:
            try:
                rgb, mask = self._study.pixels(self.current)
            except NapariSamError as error:
                show_error(str(error))
                self.current = None
            else:
                self._show(rgb, mask, self.current.point)
        if self.current is None:
            self._remove()
        self._shown_at = time.monotonic()
        self._show_state()

    def _show(self, rgb: NDArray[np.uint8], mask: NDArray[np.bool_], point: tuple[int, int]) -> None:
        """A picture, a mask's outline and the point; the layers stay, so that keys and view settings do."""
        layers = self._viewer.layers
        outline = mask.astype(np.uint8)
        if _PICTURE in layers and _MASK in layers and _CROSS in layers:
            layers[_PICTURE].data, layers[_MASK].data, layers[_CROSS].data = rgb, outline, [point]
            layers[_MASK].visible = True
        else:
            self._remove()
            self._keys.add(self._viewer.add_image(rgb, name=_PICTURE, rgb=True))
            drawn = self._viewer.add_labels(
                outline, name=_MASK, opacity=1.0, colormap={None: "transparent", 1: "#ffd400"}
            )
            drawn.contour = 1
            drawn.editable = False
            self._keys.add(drawn)
            cross = self._viewer.add_points([point], name=_CROSS, symbol="cross", face_color="#ff3b30", border_width=0)
            cross.editable = False
            self._keys.add(cross)
        layers[_CROSS].size = max(3.0, 0.03 * max(rgb.shape[:2]))
        self._viewer.reset_view()

    def _remove(self) -> None:
        for name in (_CROSS, _MASK, _PICTURE):
            if name in self._viewer.layers:
                self._viewer.layers.remove(name)

    def _show_state(self) -> None:
        """Say what to do next, and how far it is."""
        total = len(self._order)
        waiting = self.current is not None
        for button in (*self.buttons, self.hide_mask):
            button.setEnabled(waiting)
        self.back.setEnabled(self._at > 0)
        self.progress.setVisible(total > 0)
        self.progress.setRange(0, max(1, total))
        self.progress.setValue(self._at)
        self.counts.setText(f"{self._at} of {total} rated" if total else "")
        if self._study is None:
            self.next_step.setText("Open a study: the folder that 'napari-sam evaluate human prepare' made.")
        elif waiting:
            self.next_step.setText(f"Mask {self._at + 1} of {total}: rate it with the keys 1 to 9, 0 for 10.")
        elif total and self._at >= total:
            self.next_step.setText("Done: every mask is rated. Thank you! You can close the window.")
        else:
            self.next_step.setText("This study cannot be shown; open another one.")


def _quiet(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return button


def _user() -> str:
    """The user's name, as far as it is known."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def rate_in_window(study: RatingStudy, rater: str) -> int:
    """Open a window, let a person rate, and return how many masks have their rating when it is closed.

    Parameters
    ----------
    study : Study
        Which.
    rater : str
        Who.

    Raises
    ------
    EvaluationError
        If the name cannot be that of a file, or earlier ratings are damaged.
    """
    import napari  # noqa: PLC0415 - slow to import

    study.ratings(rater)
    viewer = napari.Viewer(title=f"napari-sam: rating as {rater}")
    viewer.window.add_dock_widget(RatingWidget(viewer, study, rater), name="Rate masks", area="right")
    napari.run()
    return len(study.ratings(rater))
