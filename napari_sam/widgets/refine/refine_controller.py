"""The page "Refine": objects of other programs become prompts, and the masks of the model new objects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QSignalBlocker, Signal
from qtpy.QtWidgets import QFileDialog

from napari_sam.errors import NapariSamError, PromptError
from napari_sam.io.labels.review_queue import ReviewQueue
from napari_sam.io.prompts.prompt_region import prompts_within
from napari_sam.jobs.prompt_run import read_unfinished_prompts
from napari_sam.layers.layer_prompts import FilePrompts, layers_with_objects, prompts_of_layer
from napari_sam.layers.placement import image_plane_shape
from napari_sam.widgets.background_run import BackgroundRun
from napari_sam.widgets.qt_helpers import refill
from napari_sam.widgets.refine.refine_panel import MASKS, OPEN_FILE, VIEW
from napari_sam.widgets.refine.refine_text import refine_step, refined_text
from napari_sam.widgets.run_controls import RemainingTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Labels, Points, Shapes

    from napari_sam.engine.geometry import Box
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.jobs.job_settings import PromptedSettings
    from napari_sam.jobs.segment_prompts import PromptedReport
    from napari_sam.layers.layer_prompts import PromptSource
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import Job, Outcome
    from napari_sam.widgets.refine.refine_panel import RefinePanel

_IN_MEMORY = (
    "“Write to” is a layer in memory. Refined objects go to a label store on disk, which can undo, resume and hold any "
    "size."
)
_FILE_TYPES = (
    "Objects (*.geojson *.json *.csv *.tsv *.txt *.xml *.parquet *.gpkg *.zip *.roi *.npy *.tif *.tiff *.png);;"
    "All files (*)"
)


class RefineController(QObject):
    """Behaviour of the page "Refine".

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : RefinePanel
        The page.

    Attributes
    ----------
    run : BackgroundRun
        The run in the background.

    Signals
    -------
    changed
        A run began or ended, or another choice was made.
    """

    changed = Signal()

    def __init__(self, context: DockContext, panel: RefinePanel) -> None:
        super().__init__()
        self._context, self._panel = context, panel
        self._images, self._labels = context.images, context.labels
        self.run = BackgroundRun()
        self._remaining = RemainingTime()
        self._files: list[Path] = []
        self._layer: Labels | Shapes | Points | None = None  # whose objects the run draws anew
        self._discarded: Path | None = None  # store whose unfinished run the next one replaces
        self._can_resume = False
        self._chosen: object = None  # layer or file whose objects are drawn anew
        panel.source.currentIndexChanged.connect(self._on_source_chosen)
        panel.run.start.clicked.connect(self.start)
        panel.run.cancel.clicked.connect(self.cancel)
        panel.run.discard.clicked.connect(self.discard)
        panel.own_store.clicked.connect(self._labels.use_own_store)
        self.run.activity_changed.connect(panel.run.remaining.setText)
        self.run.progressed.connect(self._on_progressed)
        self.run.finished.connect(self._on_finished)
        self._labels.store_closing.connect(self._on_store_closing)

    # ---- the user's actions --------------------------------------------------------------------------------

    def start(self) -> None:
        """Draw the chosen objects anew, or continue the unfinished run."""
        if self.run.is_running:
            return
        if self._labels.labels_layer is not None:
            self._context.notifier.info(_IN_MEMORY)
            return
        read = self._images.read()
        chosen = self._panel.source.currentData()
        if read is None or chosen in (None, OPEN_FILE):
            self._context.notifier.info(self.guide())
            return
        plane, image = read
        try:
            source = self._source(chosen, plane)
            store_layers = self._labels.ready_store()
            store_layers.prepare_change()
            settings = self._panel.form.settings(**self._context.object_form.values())
        except NapariSamError as error:
            self._context.notifier.error(str(error))
            return
        resume = True if self._can_resume else None if self._discarded is None else False
        self._layer, self._discarded = (None if isinstance(chosen, Path) else chosen), None
        self._remaining.begin()
        self._panel.show_running()
        self.run.submit(self._job(source, image, store_layers.store, settings, resume), store_layers.store)
        self.changed.emit()

    def cancel(self) -> None:
        """Stop; objects that are done are kept."""
        if self.run.is_running:
            self._panel.run.remaining.setText("Stopping…")
            self.run.cancel()

    def discard(self) -> None:
        """Forget the unfinished run, and keep its objects."""
        self._discarded = self._labels.store_path
        self._panel.run.message.setText("")
        self.changed.emit()

    def open_file(self) -> None:
        """Ask for a file with objects, and choose it."""
        folder = self._context.memory.start_folder
        path, _ = QFileDialog.getOpenFileName(self._panel, "Open objects of another program", str(folder), _FILE_TYPES)
        if path:
            self._context.memory.folder = str(Path(path).parent)
            self._context.memory.save()
            self.use_file(Path(path))
        else:
            self.update_choices()

    def use_file(self, path: Path) -> None:
        """Choose the objects of a file."""
        if path not in self._files:
            self._files.append(path)
        self.update_choices(path)
        self.changed.emit()

    # ---- the page -----------------------------------------------------------------------------------------

    def update_choices(self, selected: object = None) -> None:
        """Offer the layers with objects and the files that were opened; keep the choice if it is still there."""
        writer = self._labels.writer
        layers = layers_with_objects(self._context.viewer.layers, [] if writer is None else writer.layers)
        combo = self._panel.source
        chosen = self._chosen if selected is None else selected
        items: list[tuple[str, object]] = [(layer.name, layer) for layer in reversed(layers)]
        items += [(path.name, path) for path in self._files]
        if not items:
            items.append(("nothing open yet", None))
        items.append(("open a file…", OPEN_FILE))
        if items != [(combo.itemText(i), combo.itemData(i)) for i in range(combo.count())]:
            refill(combo, items)
        with QSignalBlocker(combo):
            combo.setCurrentIndex(next((i for i, (_, data) in enumerate(items) if data is chosen), 0))
        self._chosen = combo.currentData()

    def refresh(self) -> None:
        """Show what can be done with the current image and store."""
        panel, in_memory = self._panel, self._labels.labels_layer is not None
        panel.own_store.setVisible(in_memory)
        self.update_choices()
        if self.run.is_running:
            return
        path = self._labels.store_path
        unfinished = None if path is None or path == self._discarded else _unfinished(path)
        self._can_resume = unfinished is not None
        panel.show_idle(self._can_resume)
        panel.run.start.setEnabled(self._images.layer is not None and not in_memory and self._has_source)
        if in_memory:
            panel.run.message.setText(_IN_MEMORY)
        elif unfinished is not None:
            panel.run.message.setText(
                f"An unfinished run over {unfinished} objects: choose the same ones, and Resume continues it."
            )
        elif panel.run.message.text() == _IN_MEMORY:
            panel.run.message.setText("")

    def guide(self) -> str:
        """Return what the user can do next."""
        return refine_step(has_image=self._images.layer is not None, has_source=self._has_source, state=self._state())

    def close(self) -> None:
        """Stop the run."""
        self.run.close()

    @property
    def _has_source(self) -> bool:
        return self._panel.source.currentData() not in (None, OPEN_FILE)

    def _state(self) -> str:
        if self.run.is_running:
            return "running"
        if self._can_resume:
            return "unfinished"
        return "idle" if self._panel.run.review.isHidden() else "finished"

    def _on_source_chosen(self) -> None:
        chosen = self._panel.source.currentData()
        if chosen == OPEN_FILE:
            self.open_file()
            return
        self._chosen = chosen
        self._panel.run.review.hide()
        if not self._can_resume:
            self._panel.run.message.setText("")
        self.changed.emit()

    # ---- the run ------------------------------------------------------------------------------------------

    def _source(self, chosen: Labels | Shapes | Points | Path, plane: tuple[int, ...]) -> PromptSource:
        """Return the chosen objects, ready to be read by another thread; raises `PromptError` if there are none."""
        if isinstance(chosen, Path):
            return FilePrompts(chosen)
        layer = self._images.layer
        if layer is None:
            raise PromptError("there is no image", remedy="open an image first")
        return prompts_of_layer(chosen, layer, plane)

    def _region(self) -> Box | None:
        """Return the part of the image whose objects are drawn anew; None for all."""
        layer, view = self._images.layer, self._images.view
        if layer is None or view is None or self._panel.which.currentData() != VIEW:
            return None
        height, width = image_plane_shape(layer)[-2:]
        return view.clip((height, width))

    def _job(
        self, source: PromptSource, image: Image, store: LabelStore, settings: PromptedSettings, resume: bool | None
    ) -> Job:
        session, run = self._context.session, self.run
        model, region = session.model, self._region()
        with_masks = self._panel.prompt.currentData() == MASKS

        def job(cancelled: Callable[[], bool]) -> PromptedReport:
            from napari_sam.jobs.segment_prompts import segment_prompts  # noqa: PLC0415 - imports torch

            run.activity_changed.emit("Reading the objects…")
            table = source.read(image, masks=with_masks)
            if region is not None:
                table = prompts_within(table, region)
            if not len(table):
                left_out = "".join(f"; {count} {reason}" for reason, count in table.skipped.items())
                raise PromptError(
                    f"there are no objects to refine{' in view' if region is not None else ''}{left_out}",
                    remedy="choose other objects" if region is None else "move the view, or refine all of them",
                )
            run.activity_changed.emit("Loading the model…")
            predictor = session.load(model)
            report = segment_prompts(
                image,
                table,
                predictor,
                store,
                settings=settings,
                resume=resume,
                progress=run.progressed.emit,
                cancelled=cancelled,
            )
            ReviewQueue(store)  # makes its index here rather than in the GUI thread
            return report

        return job

    def _on_progressed(self, done: int, total: int) -> None:
        if self.run.is_running:
            left = self._remaining.seconds(done, total)
            self._panel.run.show_progress(done, total, f"{done} of {total} objects", left)

    def _on_finished(self, outcome: Outcome) -> None:
        from napari_sam.jobs.segment_prompts import PromptedReport  # noqa: PLC0415 - imports torch

        if self._labels.store_layers is not None:
            self._labels.store_layers.catch_up()
        self._panel.show_idle()
        if isinstance(outcome.value, PromptedReport):
            text = refined_text(outcome.value, outcome.milliseconds / 1e3)
            self._panel.run.show_result(text + self._uncover(outcome.value.objects), outcome.value.objects > 0)
        elif outcome.error is not None and not self.run.was_closed(outcome):
            self._panel.run.message.setText(f"The run stopped: {outcome.error}")
            self._context.notifier.failure(outcome.error)
        self.changed.emit()

    def _uncover(self, objects: int) -> str:
        """Hide the labels layer of the originals, which covers the new objects; return a sentence about it."""
        layer, self._layer = self._layer, None
        if layer is None or not objects or not layer.visible:
            return ""
        layer.visible = False
        return f" “{layer.name}” is hidden now, so that you see the new objects."

    def _on_store_closing(self) -> None:
        self.cancel()
        self._panel.run.message.setText("")
        self._panel.run.review.hide()


def _unfinished(path: Path) -> int | None:
    """Return the number of prompts of the unfinished run in a store; 0 if its record is damaged, None without one."""
    try:
        record = read_unfinished_prompts(path)
    except NapariSamError:  # it can be discarded, not continued
        return 0
    return None if record is None else int(str(record["prompts"]))
