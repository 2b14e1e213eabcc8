"""Undo, redo and export of the saved objects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog

from napari_sam.errors import NapariSamError
from napari_sam.io.exports.export_settings import EXTENSIONS, ExportSettings
from napari_sam.widgets.pages.outline_dialog import OutlineDialog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.layers.label_store_layers import LabelStoreLayers
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import Outcome
    from napari_sam.widgets.pages.click_panel import ClickPanel

UNDO, REDO, EXPORT = "undo", "redo", "export"
_WORDS = {
    UNDO: "The last change of the saved objects was undone; Ctrl+Shift+Z repeats it.",
    REDO: "The change of the saved objects was repeated.",
}
FILE_TYPES = {
    "GeoJSON": ".geojson",
    "GeoPackage": ".gpkg",
    "COCO": ".json",
    "Label image": ".tif",
    "Label image, OME-TIFF": ".ome.tif",
    "Label image, cloud-optimised GeoTIFF": ".cog.tif",
    "Label image, PNG": ".png",
    "Label image, OME-Zarr": ".ome.zarr",
    "SpatialData": ".sdata.zarr",
    "Table": ".csv",
    "Table, Parquet": ".parquet",
    "ImageJ ROIs": ".zip",
    "Python script": ".py",
}
STACK_FILE_TYPES = {
    "Tracks, Cell Tracking Challenge": ".ctc",
    "Tracks, TrackMate": ".xml",
    "Tracks, GEFF": ".geff",
    "Surfaces, STL": ".stl",
    "Surfaces, PLY": ".ply",
}
"""What the dialog also offers for objects of stacks and movies."""

_IN_PIXELS = (
    "The image has ground control points that no affine transform fits: coordinates are in pixels, not on the map."
)


class LabelActions(QObject):
    """Undo, redo and export; whole runs are undone in the engine's thread.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : ClickPanel
        Panel with the buttons.

    Attributes
    ----------
    outlines : OutlineDialog or None
        The window that asked for the outlines of an export last.

    Signals
    -------
    changed
        The saved objects changed.
    run_undone, run_redone
        All objects of a run were removed, or written again.
    """

    changed = Signal()
    run_undone = Signal()
    run_redone = Signal()

    def __init__(self, context: DockContext, panel: ClickPanel) -> None:
        super().__init__()
        self._labels, self._thread, self._notifier = context.labels, context.thread, context.notifier
        self._images, self._memory = context.images, context.memory
        self._panel = panel
        self._lent: LabelStoreLayers | None = None  # whose store the thread changes
        self._is_run = False  # whether that change is a whole run
        self.outlines: OutlineDialog | None = None  # the window that was opened last
        panel.export.clicked.connect(lambda: self.export())
        context.labels.store_closing.connect(self._on_store_closing)
        context.thread.finished.connect(self._on_finished)

    def undo(self) -> None:
        """Undo the last change."""
        self._step(UNDO)

    def redo(self) -> None:
        """Repeat the change that was undone last."""
        self._step(REDO)

    def export(self, labels: Sequence[int] | None = None) -> None:
        """Ask for a file and write objects to it, all by default."""
        start = Path(self._memory.start_folder) / "objects"
        store_layers = self._labels.store_layers
        is_stack = store_layers is not None and len(store_layers.store.shape) > 2
        types = FILE_TYPES | (STACK_FILE_TYPES if is_stack else {})
        filters = [f"{name} (*{suffix})" for name, suffix in types.items()]
        title = "Export all objects" if labels is None else f"Export {len(labels)} selected objects"
        path, chosen = QFileDialog.getSaveFileName(self._panel, title, str(start), ";;".join(filters))
        if path:
            suffix = next((s for f, s in zip(filters, types.values(), strict=True) if f == chosen), ".geojson")
            is_known = path.lower().endswith(tuple(EXTENSIONS))
            self._memory.folder = str(Path(path).parent)
            self._memory.save()
            path = path if is_known else path + suffix
            if path.lower().endswith(FILE_TYPES["SpatialData"]) and not is_stack and store_layers is not None:
                self._ask_for_outlines(path, labels)
            else:
                self.export_to(path, labels)

    def _ask_for_outlines(self, path: str, labels: Sequence[int] | None) -> None:
        """Export to a SpatialData store with the outlines that the user chooses."""
        self.outlines = OutlineDialog(self._panel.window())
        self.outlines.settings_chosen.connect(lambda settings: self.export_to(path, labels, settings))
        self.outlines.open()

    def export_to(self, path: str, labels: Sequence[int] | None = None, outlines: ExportSettings | None = None) -> None:
        """Write objects to a file, all by default; its suffix gives the format.

        Parameters
        ----------
        path : str
            The file, or the folder of a store.
        labels : sequence of int, optional
            Ids of the objects.
        outlines : ExportSettings, optional
            How the outlines are written.
        """
        if self._labels.store_layers is None:
            self._notifier.info("Accept an object first: there is no label store to export yet.")
            return
        self._labels.flush()
        store = self._labels.store_layers.store
        read = self._images.read_quietly()
        note = f" {_IN_PIXELS}" if read is not None and read[1].control_points else ""

        how = ExportSettings() if outlines is None else outlines
        choice = {name: getattr(how, name) for name in ("simplify_px", "regularise_px", "polygons")}

        def job(cancelled: Callable[[], bool]) -> str:
            count = len(store) if labels is None else len(labels)
            objects = f"{count} object{'s' * (count != 1)}"
            return f"Exported {objects} to {store.export(path, labels=labels, cancelled=cancelled, **choice)}.{note}"

        self._thread.submit(EXPORT, job)

    def refresh(self) -> None:
        """Enable the actions that are possible now."""
        writer = self._labels.writer
        self._panel.undo.setEnabled(writer is not None and writer.can_undo)
        self._panel.redo.setEnabled(writer is not None and writer.can_redo)
        self._panel.export.setEnabled(self._labels.store_layers is not None)

    def _step(self, step: str) -> None:
        store_layers, writer = self._labels.store_layers, self._labels.writer
        try:
            if writer is store_layers and store_layers is not None and store_layers.is_long(step):
                self._step_in_thread(step, store_layers)
            elif writer is None or not (writer.undo() if step == UNDO else writer.redo()):
                self._notifier.info(f"Nothing to {step}.")
            else:
                self._notifier.note(_WORDS[step])
        except NapariSamError as error:
            self._notifier.error(str(error))
        self.changed.emit()

    def _step_in_thread(self, step: str, store_layers: LabelStoreLayers) -> None:
        self._is_run = store_layers.is_run(step)
        store_layers.lend()
        self._lent = store_layers
        change = store_layers.store.undo if step == UNDO else store_layers.store.redo
        self._thread.submit(step, lambda _: change())

    def _on_finished(self, outcome: Outcome) -> None:
        if outcome.kind in (UNDO, REDO) and self._lent is not None:
            lent, self._lent = self._lent, None
            lent.take_back()
            if outcome.value is not None and not self._is_run:
                self._notifier.note(_WORDS[outcome.kind])
            elif outcome.value is not None:
                (self.run_undone if outcome.kind == UNDO else self.run_redone).emit()
            self.changed.emit()
        elif outcome.kind == EXPORT and outcome.value is not None and self._thread.is_current(outcome):
            self._notifier.info(str(outcome.value))

    def _on_store_closing(self) -> None:
        for kind in (EXPORT, UNDO, REDO):
            self._thread.cancel(kind)
