"""Divisions of the objects of a movie: which object is the parent of those that are saved next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.errors import LabelsError, NapariSamError
from napari_sam.layers.stacks.stack_axes import TIME, axis_index
from napari_sam.widgets.stack.saved_objects import label_under_mouse

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

    from napari_sam.layers.label_store_layers import LabelStoreLayers
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.stack.stack_panel import StackPanel

_DAUGHTERS = 2


class Divisions(QObject):
    """Remember the object that divides, and make it the parent of its daughters.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : StackPanel
        Panel with the button.

    Attributes
    ----------
    mother : int or None
        The object that divides; None while none is marked.
    last : int
        The object that was saved last; 0 without one.

    Signals
    -------
    changed
        An object was marked, or got a parent.
    """

    changed = Signal()

    def __init__(self, context: DockContext, panel: StackPanel) -> None:
        super().__init__()
        self._context, self._button = context, panel.divide
        self.mother: int | None = None
        self.last = 0
        self._daughters: list[int] = []
        panel.divide.clicked.connect(self._on_clicked)
        context.labels.store_closing.connect(self._forget)

    def divide(self) -> None:
        """Mark the object under the mouse, or the last one, as dividing; if one is marked, make this its daughter."""
        self._take(label_under_mouse(self._context) or (self.last if self.mother is None else 0))

    def take_new(self, label: int) -> None:
        """Note an object that was saved on one frame; while another one divides, it becomes its daughter."""
        if self.mother is None:
            self.count(label)
        else:
            self.adopt(label)

    def adopt(self, label: int) -> None:
        """Make an object a daughter of the one that divides."""
        store_layers, mother = self._context.labels.store_layers, self.mother
        if store_layers is None or mother is None:
            return
        try:
            self._check_order(store_layers, label, mother)
            store_layers.prepare_change()
            store_layers.store.set_parent(label, mother)
        except NapariSamError as error:
            self._context.notifier.error(str(error))
        else:
            self.count(label)

    def count(self, label: int) -> None:
        """Note an object that was saved; with an object that divides, it is its daughter."""
        self.last = label
        if self.mother is None:
            return
        self._daughters.append(label)
        if len(self._daughters) < _DAUGHTERS:
            self._context.notifier.note(f"Object {label} is a daughter of object {self.mother}. Now the second one.")
            self.changed.emit()
        else:
            self.end()

    def end(self) -> None:
        """Mark no object any more."""
        if self.mother is not None:
            names = " and ".join(map(str, self._daughters))
            text = f"Object {self.mother} divides into {names}." if names else f"Object {self.mother} does not divide."
            self._context.notifier.note(text)
        self._forget()

    def guide(self) -> str:
        """Return the next step while an object divides; empty otherwise."""
        if self.mother is None:
            return ""
        which = "second" if self._daughters else "first"
        return (
            f"Object {self.mother} divides. Go to the next frame and click its {which} daughter, or point at a saved "
            "object and press Y. Y on the background ends this."
        )

    def refresh(self) -> None:
        """Show whether an object is marked."""
        self._button.setChecked(self.mother is not None)

    def _take(self, label: int) -> None:
        image = self._context.images.layer
        if image is None or axis_index(image, TIME) is None:
            self._context.notifier.info("Objects divide in time, and this image has no time axis.")
        elif self._context.labels.store_layers is None:
            self._context.notifier.info("Save an object in a label store first: only a label store holds lineages.")
        elif self.mother is None and label:
            self._begin(label, image)
        elif self.mother is None:
            self._context.notifier.info("Point at the saved object that divides, then press Y.")
        elif label and label != self.mother:
            self.adopt(label)
        else:
            self.end()
        self.refresh()
        self.changed.emit()

    def _begin(self, label: int, image: ImageLayer) -> None:
        """Mark an object; what it has on later frames is one of its daughters, which it was followed into."""
        self.mother, self._daughters = label, []
        store_layers, plane, time = (
            self._context.labels.store_layers,
            self._context.images.quiet_plane,
            axis_index(image, TIME),
        )
        if store_layers is None or plane is None or time is None:
            return
        store = store_layers.store
        parts = store.journal.objects.planes_of(label)
        later = [part.plane for part in parts if part.plane[time] > plane[time]]
        if not later or len(later) == len(parts):
            return
        try:
            store_layers.prepare_change()
            daughter = store.next_label
            store.relabel(label, daughter, later)
            store.set_parent(daughter, label)
            store_layers.new_label()  # the brush may have had that id
        except NapariSamError as error:
            self._context.notifier.error(str(error))
        else:
            self.count(daughter)
            text = f"Object {label} ends on frame {plane[time]}; its later frames are object {daughter}, a daughter."
            self._context.notifier.note(f"{text} Ctrl+Z undoes that.")

    def _check_order(self, store_layers: LabelStoreLayers, label: int, mother: int) -> None:
        """Raise LabelsError if an object does not begin after the one that it would descend from."""
        time = axis_index(store_layers.image, TIME)
        if time is None:
            return
        born, before = (store_layers.store.row(x).plane[time] for x in (label, mother))
        if born <= before:
            raise LabelsError(
                f"object {label} begins on frame {born}, and object {mother} on frame {before}",
                remedy="mark the earlier one as dividing",
            )

    def _on_clicked(self) -> None:
        """Mark the object that was saved last: the mouse is on the button."""
        self._take(self.last if self.mother is None else 0)

    def _forget(self) -> None:
        self.mother, self._daughters = None, []
        self.refresh()
        self.changed.emit()
