"""The choice "Colour by": id, class, or a measured value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QInputDialog

from napari_sam.errors import NapariSamError
from napari_sam.layers.objects.object_colours import class_colormap, value_colormap
from napari_sam.widgets.objects.store_jobs import COLOUR, QUICK_OBJECTS
from napari_sam.widgets.objects.value_names import TABLE_VALUES, VALUES
from napari_sam.widgets.qt_helpers import single_shot

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from napari.layers import Labels
    from numpy.typing import NDArray
    from qtpy.QtWidgets import QComboBox

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.layers.objects.lookup_colormap import LookupColormap
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import IsCancelled
    from napari_sam.widgets.objects.colour_legend import ColourLegend
    from napari_sam.widgets.objects.store_jobs import StoreJobs

ID, CLASS, OTHER = "id", "class", "other"
_UPDATE_MS = 250


@dataclass(frozen=True)
class _Colours:
    """Colours of the objects, and the values of the first and last colour."""

    colormap: LookupColormap
    limits: tuple[float, float] | None


class ColourChoice(QObject):
    """Colour the layers of the label store in use.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    combo : QComboBox
        Box with the choice.
    legend : ColourLegend
        Legend of measured values.
    jobs : StoreJobs
        Reads the table of many objects.
    """

    def __init__(self, context: DockContext, combo: QComboBox, legend: ColourLegend, jobs: StoreJobs) -> None:
        super().__init__()
        self._context, self._combo, self._legend, self._jobs = context, combo, legend, jobs
        self._by = ID
        self._shown: tuple[object, ...] | None = None  # what the colours were made for
        self._originals: dict[int, tuple[Labels, Any]] = {}  # colormaps of the layers by id, as napari made them
        self._update_soon = single_shot(self, _UPDATE_MS, self.update)
        for text, value in (("Id", ID), ("Class", CLASS), *((t, v) for v, t in VALUES.items()), ("Other…", OTHER)):
            combo.addItem(text, value)
        combo.activated.connect(self._on_chosen)
        context.labels.store_closing.connect(self._on_store_closing)
        context.labels.store_opened.connect(self.update_soon)
        context.classes.changed.connect(self.update_soon)

    @property
    def by(self) -> str:
        """What is shown: "id", "class" or the name of a column of the object table."""
        return self._by

    def colour_by(self, by: str) -> None:
        """Show another value."""
        if self._combo.findData(by) < 0:
            self._combo.insertItem(self._combo.count() - 1, by, by)
        self._combo.setCurrentIndex(self._combo.findData(by))
        self._by, self._shown = by, None
        self.update()

    def update_soon(self) -> None:
        """Colour again after a burst of changes."""
        if self._by != ID:
            self._update_soon.start()

    def update(self) -> None:
        """Colour the objects again if they have changed."""
        store_layers = self._context.labels.store_layers
        if store_layers is None or self._by == ID:
            self._restore()
            return
        store = store_layers.store
        try:
            state = (str(store.path), store.journal.last_log_entry(), self._by)
        except NapariSamError as error:
            self._context.notifier.error(str(error))
            return
        if state == self._shown or self._jobs.is_busy:
            return
        self._shown = state
        colours = self._colours_of(self._by)
        if len(store) > QUICK_OBJECTS or (self._by != CLASS and self._by not in TABLE_VALUES):
            self._jobs.query(colours, self._show, COLOUR)
        else:
            self._show(colours(store, lambda: False))

    def close(self) -> None:
        """Stop following changes; the colours stay."""
        self._update_soon.stop()

    def _colours_of(self, by: str) -> Callable[[LabelStore, IsCancelled], _Colours | NapariSamError]:
        """Return a function that makes the colours; an error is returned, since another choice must follow."""
        read = self._context.images.read_quietly()
        image = None if read is None else read[1]

        def colours(store: LabelStore, cancelled: IsCancelled) -> _Colours | NapariSamError:
            try:
                if by == CLASS:
                    return _Colours(class_colormap(*_classes(store), store.classes.colours), None)
                return _Colours(*value_colormap(*_values(store, image, by, cancelled)))
            except NapariSamError as error:
                return error

        return colours

    def _on_chosen(self) -> None:
        by = self._combo.currentData()
        if by == OTHER:
            by, accepted = QInputDialog.getText(
                self._combo, "Colour by", "Column, such as area_um2 or intensity_mean_0"
            )
            if not accepted or not by.strip():
                self._combo.setCurrentIndex(self._combo.findData(self._by))
                return
        self.colour_by(by.strip())

    def _show(self, colours: _Colours | NapariSamError) -> None:
        store_layers = self._context.labels.store_layers
        if store_layers is None:
            return
        if isinstance(colours, NapariSamError):
            self._context.notifier.error(str(colours))
            self.colour_by(ID)
            return
        for layer in store_layers.layers:
            self._originals.setdefault(id(layer), (layer, layer.colormap))
            layer.colormap = colours.colormap
        text = self._combo.currentText()
        self._legend.show_range(text, colours.limits, is_value=self._by != CLASS)

    def _restore(self) -> None:
        self._shown = None
        for layer, colormap in self._originals.values():
            layer.colormap = colormap
        self._originals = {}
        self._legend.hide()

    def _on_store_closing(self) -> None:
        self._originals, self._shown = {}, None
        self._legend.hide()


def _classes(store: LabelStore) -> tuple[list[int], list[str | None]]:
    """Return the ids of the objects that have a class, and their classes."""
    labels: list[int] = []
    names: list[str | None] = []
    for name in store.classes.names:
        of_class = store.journal.classes.objects_of(name)
        labels += of_class
        names += [name] * len(of_class)
    return labels, names


def _values(
    store: LabelStore, image: Image | None, name: str, cancelled: IsCancelled
) -> tuple[list[int], NDArray[np.float64]]:
    """Return the ids of all objects, and the values of a column.

    Raises
    ------
    LabelsError
        If there is no such column, or it holds text.
    """
    from napari_sam.io.labels.selection.object_columns import ObjectColumns  # noqa: PLC0415 - slow to import

    columns = ObjectColumns(store, image, cancelled)
    return columns.labels, columns.numbers(name)
