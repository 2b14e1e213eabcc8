"""The rating dock: masks are rated blind from 1 to 10, in random order; each rating is saved at once."""

from __future__ import annotations

import getpass
import time
from functools import partial
from typing import TYPE_CHECKING

import napari
import numpy as np
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_sam.errors import NapariSamError
from napari_sam.evaluation.rating.rating_study import BEST_RATING, RatingStudy
from napari_sam.widgets.notifier import NapariNotifier
from napari_sam.widgets.rating_panel import RatingPanel
from napari_sam.widgets.viewer.canvas_view import focus_canvas
from napari_sam.widgets.viewer.key_bindings import KeyBindings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.evaluation.rating.rating_study import RatingItem
    from napari_sam.widgets.notifier import Notifier

_PICTURE, _MASK, _PROMPT = "To rate", "Mask", "Asked for"
_LEAST_CROSS_PX, _CROSS_SHARE = 3.0, 0.03  # size of the cross, in pixels and of the picture


class RatingWidget(QWidget):
    """The dock of a rating study.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Viewer that shows the masks; napari passes it by this name.
    study : RatingStudy, optional
        The study; without it the dock asks for a folder.
    rater : str, optional
        Name of the rater; the user's name by default.
    notifier : Notifier, optional
        Receiver of errors.
    clock : callable
        Returns the time in seconds.

    Attributes
    ----------
    panel : RatingPanel
        All controls.
    current : RatingItem or None
        Mask to rate; None before a study is opened, and at its end.
    """

    def __init__(
        self,
        napari_viewer: napari.Viewer,
        study: RatingStudy | None = None,
        rater: str | None = None,
        *,
        notifier: Notifier | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._viewer, self._study, self._clock = napari_viewer, study, clock
        self._notifier: Notifier = notifier or NapariNotifier()
        self._keys = KeyBindings(napari_viewer)
        self._items: list[RatingItem] = []
        self._position = 0
        self._rater = ""  # whose items they are, whatever is being typed
        self._shown_at = 0.0
        self.current: RatingItem | None = None
        self.panel = RatingPanel(BEST_RATING)
        QVBoxLayout(self).addWidget(self.panel)
        self.panel.rater.setText(rater or _user_name())
        self.panel.rated.connect(self.rate)
        self.panel.choose.clicked.connect(self._choose_folder)
        self.panel.rater.editingFinished.connect(self._on_rater_edited)
        self.panel.back.clicked.connect(self.take_back)
        self.panel.hide_mask.clicked.connect(self.toggle_mask)
        self._refresh()
        if study is not None:
            self.begin(study)

    # ---- the user's actions --------------------------------------------------------------------------------

    def open(self, folder: str | Path) -> None:
        """Open the study of a folder; tell the user if there is none."""
        try:
            study = RatingStudy.open(folder)
        except NapariSamError as error:
            self._notifier.error(str(error))
            return
        self.begin(study)

    def begin(self, study: RatingStudy) -> None:
        """Continue a study where the rater stopped."""
        rater = self.panel.rater.text().strip()
        try:
            rated = study.ratings(rater)
            order = study.order(rater)
        except NapariSamError as error:
            self._notifier.error(str(error))
            return
        waiting = [item for item in order if item.number not in rated]
        self._study, self._rater = study, rater
        self._items = [item for item in order if item.number in rated] + waiting
        self._position = len(rated)
        self._keys.use(self._bindings())
        self._show_current()
        focus_canvas()

    def rate(self, rating: int) -> None:
        """Save the rating of the current mask, and show the next one."""
        if self._study is None or self.current is None or self._was_renamed():
            return
        seconds = self._clock() - self._shown_at
        if self._save(self._study, self.current, rating, seconds):
            self._position += 1
            self._show_current()

    def take_back(self) -> None:
        """Take the last rating back, and show its mask again."""
        if self._study is None or self._was_renamed() or self._position == 0:
            return
        if self._save(self._study, self._items[self._position - 1], 0):
            self._position -= 1
            self._show_current()

    def toggle_mask(self) -> None:
        """Hide the outline, or show it again."""
        if _MASK in self._viewer.layers:
            layer = self._viewer.layers[_MASK]
            layer.visible = not layer.visible

    def _save(self, study: RatingStudy, item: RatingItem, rating: int, seconds: float = 0.0) -> bool:
        try:
            study.rate(self._rater, item.number, rating, seconds)
        except NapariSamError as error:
            self._notifier.error(str(error))
            return False
        return True

    def _was_renamed(self) -> bool:
        """Show the masks of another rater if another name was typed; return whether that was so."""
        if self.panel.rater.text().strip() == self._rater:
            return False
        self._on_rater_edited()
        return True

    def _on_rater_edited(self) -> None:
        self.panel.rater.clearFocus()
        if self._study is not None and self.panel.rater.text().strip() != self._rater:
            self.begin(self._study)
        self._refresh()

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of the study")
        if folder:
            self.open(folder)

    def _bindings(self) -> dict[str, Callable[[], None]]:
        keys: dict[str, Callable[[], None]] = {
            str(v % BEST_RATING): partial(self.rate, v) for v in range(1, BEST_RATING + 1)
        }
        return keys | {"Backspace": self.take_back, "M": self.toggle_mask}

    # ---- display ------------------------------------------------------------------------------------------

    def _show_current(self) -> None:
        """Show the next mask, or the end of the study."""
        self.current = self._items[self._position] if self._position < len(self._items) else None
        if self.current is not None and self._study is not None:
            try:
                rgb, mask = self._study.pixels(self.current)
            except NapariSamError as error:
                self._notifier.error(str(error))
                self.current = None
            else:
                self._show(rgb, mask, self.current.point)
        if self.current is None:
            self._remove_layers()
        self._shown_at = self._clock()
        self._refresh()

    def _show(self, rgb: NDArray[np.uint8], mask: NDArray[np.bool_], point: tuple[int, int]) -> None:
        """Show a picture, the outline of a mask and its prompt; existing layers are reused, with their settings."""
        layers = self._viewer.layers
        outline = mask.astype(np.uint8)
        if _PICTURE in layers and _MASK in layers and _PROMPT in layers:
            layers[_PICTURE].data, layers[_MASK].data, layers[_PROMPT].data = rgb, outline, [point]
            layers[_MASK].visible = True
        else:
            self._remove_layers()
            self._add_layers(rgb, outline, point)
        layers[_PROMPT].size = max(_LEAST_CROSS_PX, _CROSS_SHARE * max(rgb.shape[:2]))
        self._viewer.reset_view()

    def _add_layers(self, rgb: NDArray[np.uint8], outline: NDArray[np.uint8], point: tuple[int, int]) -> None:
        picture = self._viewer.add_image(rgb, name=_PICTURE, rgb=True)
        mask = self._viewer.add_labels(outline, name=_MASK, opacity=1.0, colormap={None: "transparent", 1: "#ffd400"})
        mask.contour = 1
        mask.editable = False
        cross = self._viewer.add_points([point], name=_PROMPT, symbol="cross", face_color="#ff3b30", border_width=0)
        cross.editable = False
        for layer in (picture, mask, cross):
            self._keys.add_layer(layer)

    def _remove_layers(self) -> None:
        for name in (_PROMPT, _MASK, _PICTURE):
            if name in self._viewer.layers:
                self._viewer.layers.remove(name)

    def _refresh(self) -> None:
        """Show the next step and the progress."""
        total, panel = len(self._items), self.panel
        is_waiting = self.current is not None
        for control in (*panel.ratings, panel.hide_mask):
            control.setEnabled(is_waiting)
        panel.back.setEnabled(self._position > 0)
        panel.show_progress(self._position, total)
        if self._study is None:
            panel.next_step.setText("Open a study: the folder that 'napari-sam evaluate human prepare' made.")
        elif is_waiting:
            panel.next_step.setText(f"Mask {self._position + 1} of {total}: rate it with the keys 1 to 9, 0 for 10.")
        elif total and self._position >= total:
            panel.next_step.setText("Done: every mask is rated. Thank you! You can close the window.")
        else:
            panel.next_step.setText("This study cannot be shown; open another one.")


def _user_name() -> str:
    """Return the user's name, or an empty text if it is unknown."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def rate_in_window(study: RatingStudy, rater: str) -> int:
    """Open a window for rating, and return the number of rated masks when it is closed.

    Parameters
    ----------
    study : RatingStudy
        The study.
    rater : str
        Name of the rater.

    Raises
    ------
    EvaluationError
        If the name cannot be that of a file, or earlier ratings are damaged.
    """
    study.ratings(rater)
    viewer = napari.Viewer(title=f"napari-sam: rating as {rater}")
    viewer.window.add_dock_widget(RatingWidget(viewer, study, rater), name="Rate masks", area="right")
    napari.run()
    return len(study.ratings(rater))
