"""The page "Everything": choose a region, find all its objects, and show them as they are found."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.engine.geometry import Box
from napari_sam.errors import ImageError, NapariSamError
from napari_sam.jobs.stacks.stack_report import StackReport
from napari_sam.layers.partial_results import PartialFrame, PartialLayer, TileColours
from napari_sam.layers.placement import image_plane_shape
from napari_sam.layers.region_layer import REGION_NAME, drawn_box, region_layer
from napari_sam.layers.stacks.stack_axes import TIME, axis_index, has_axes, stack_image
from napari_sam.widgets.pages.everything_panel import DRAWN, VIEW
from napari_sam.widgets.pages.everything_run import EverythingRun
from napari_sam.widgets.pages.everything_text import (
    confident_text,
    left_out_text,
    result_text,
    stack_result_text,
    unfinished_text,
)
from napari_sam.widgets.pages.guide import everything_step
from napari_sam.widgets.run_controls import RemainingTime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari.layers import Image as ImageLayer

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.jobs.job_settings import EverythingSettings
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import Outcome
    from napari_sam.widgets.pages.everything_panel import EverythingPanel
    from napari_sam.widgets.pages.everything_run import EverythingEngine, UnfinishedRun

_REFRESH_MS, _COUNT_S = 300, 0.5
_IN_MEMORY = (
    "“Write to” is a layer in memory. All objects of a region go to a label store on disk, which can undo, resume and "
    "hold any size."
)


class EverythingController(QObject):
    """Behaviour of the page "Everything".

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : EverythingPanel
        The page.
    engine : EverythingEngine
        Engine that finds the objects.
    clock : callable
        Returns the time in seconds.

    Attributes
    ----------
    run : EverythingRun
        The run in the background.

    Signals
    -------
    changed
        A run began or ended, or another choice was made.
    tracked
        The objects of a movie were found and linked.
    """

    changed = Signal()
    tracked = Signal()

    def __init__(
        self,
        context: DockContext,
        panel: EverythingPanel,
        engine: EverythingEngine,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._context, self._panel, self._clock = context, panel, clock
        self._viewer, self._images, self._labels = context.viewer, context.images, context.labels
        self.run = EverythingRun(context.session, engine)
        self._can_resume = False  # as the page shows it
        self._discarded: Path | None = None  # store whose unfinished run the next one replaces
        self._partial: PartialLayer | None = None
        self._tiles: list[TileColours] = []  # found since the last refresh
        self._remaining = RemainingTime(clock)
        self._min_iou = 0.0  # of the run
        self._counted_at, self._tiles_text = 0.0, ""
        self._unfinished_before: UnfinishedRun | None = None  # when the run began
        self._refresh_timer = QTimer(self)
        self._refresh_timer.setInterval(_REFRESH_MS)
        self._connect()

    def _connect(self) -> None:
        panel = self._panel
        self._refresh_timer.timeout.connect(self._show_tiles)
        self.run.progressed.connect(self._on_progressed)
        self.run.tile_found.connect(self._tiles.append)
        self.run.activity_changed.connect(panel.run.remaining.setText)
        self.run.finished.connect(self._on_finished)
        panel.run.start.clicked.connect(self.start)
        panel.run.discard.clicked.connect(self.discard)
        panel.run.cancel.clicked.connect(self.cancel)
        panel.own_store.clicked.connect(self._labels.use_own_store)
        panel.where.currentIndexChanged.connect(self.choose_region)
        panel.form.section("grid").toggled.connect(self._on_grid_toggled)
        self._labels.store_closing.connect(self._on_store_closing)

    # ---- the user's actions --------------------------------------------------------------------------------

    def start(self) -> None:
        """Find all objects of the chosen region, or continue the unfinished run."""
        self._start(self._new_settings)

    def find_in_image(self, chosen: EverythingSettings) -> None:
        """Find objects of the whole image with these settings, beside the size and overlap that the dock has."""
        if self.unfinished() is not None and not self.run.is_running:
            self._context.notifier.info("The image has an unfinished run: resume or discard it first.")
            return
        self._start(lambda _: replace(chosen, **self._context.object_form.values()), on_plane=True)

    def _start(
        self, settings_for: Callable[[ImageLayer], EverythingSettings | None], *, on_plane: bool = False
    ) -> None:
        if self.run.is_running:
            self._context.notifier.info("A run is still under way: wait for it, or cancel it.")
            return
        if self._labels.labels_layer is not None:
            self._context.notifier.info(_IN_MEMORY)
            return
        layer, read = self._images.layer, self._images.read()
        if layer is None or read is None:
            if layer is None:
                self._context.notifier.info("Open an image first.")
            return
        plane, image = read
        unfinished = self.unfinished()
        axis = unfinished.axis if unfinished is not None else "" if on_plane else self._panel.axis
        linking = self._panel.linking if unfinished is None else unfinished.linking
        try:
            image = self._stack(layer, plane, axis) if axis else image
            store_layers = self._labels.ready_store()
            store_layers.prepare_change()
            settings = settings_for(layer) if unfinished is None else unfinished.settings
        except NapariSamError as error:
            self._context.notifier.error(str(error))
            return
        if settings is not None:
            # None replaces nothing: a run that another process left unfinished is then an error.
            resume = True if unfinished is not None else None if self._discarded is None else False
            self._begin(layer, plane, settings, resume, has_tiles=not axis)
            self.run.start(image, store_layers.store, settings, resume, axis, linking)
            self.changed.emit()

    def discard(self) -> None:
        """Forget the unfinished run."""
        self._discarded = self._labels.store_path
        self._remove_partial()
        self._panel.run.message.setText("")
        self.changed.emit()

    def cancel(self) -> None:
        """Stop; finished tiles are kept."""
        if self.run.is_running:
            self._panel.run.remaining.setText("Stopping…")
            self.run.cancel()

    def choose_region(self) -> None:
        """Get ready to draw a rectangle, or remove the one that was drawn."""
        self._panel.run.review.hide()
        image = self._images.layer
        if self._is_drawing and image is not None:
            with self._context.layer_list.own_change():
                self._context.keys.add_layer(region_layer(self._viewer, image))
        elif not self._is_drawing:
            self._remove_region()
        self.changed.emit()

    # ---- the page -----------------------------------------------------------------------------------------

    def unfinished(self) -> UnfinishedRun | None:
        """Return the unfinished run of the store, unless the user discarded it."""
        path = self._labels.store_path
        return None if path is None or path == self._discarded else self.run.unfinished(path)

    def refresh(self) -> None:
        """Show what can be done with the current image and store."""
        panel, in_memory = self._panel, self._labels.labels_layer is not None
        panel.own_store.setVisible(in_memory)
        self.show_view_size()
        layer = self._images.layer
        panel.show_axes(*((False, False) if layer is None else has_axes(layer)))
        if self.run.is_running:
            return
        unfinished = self.unfinished()
        self._can_resume = unfinished is not None
        panel.show_idle(self._can_resume)
        panel.run.start.setEnabled(self._images.layer is not None and not in_memory)
        if unfinished is not None:
            panel.form.set_value("coarser", bool(unfinished.settings.coarser))
            panel.choose_axis(unfinished.axis)
            panel.fill_gaps.setChecked(unfinished.linking is not None and unfinished.linking.fill_gaps)
        if in_memory:
            panel.run.message.setText(_IN_MEMORY)
        elif unfinished is not None:
            panel.run.message.setText(unfinished_text(unfinished))
        elif panel.run.message.text() == _IN_MEMORY:
            panel.run.message.setText("")

    def guide(self) -> str:
        """Return what the user can do next."""
        if self._labels.labels_layer is not None and not self.run.is_running:
            return "“Write to” is a layer in memory: press “Use the image's label store”, or choose it there."
        return everything_step(self._images.layer is not None, self._state(), self._is_drawing)

    def show_view_size(self) -> None:
        """Show the size of the visible part of the image."""
        layer = self._images.layer
        self._panel.show_view_size(None if layer is None else self._view(layer).shape)

    def run_undone(self) -> None:
        """Tell the user that all objects of a run were removed."""
        self._panel.run.message.setText("The run was undone. Ctrl+Shift+Z writes its objects again.")
        self._panel.run.review.hide()

    def run_redone(self) -> None:
        """Tell the user that the objects of a run were written again."""
        self._panel.run.message.setText("The objects of the run were written again.")
        self._panel.run.review.show()

    def close(self) -> None:
        """Stop the run, and remove the temporary layers."""
        self.run.close()
        self._refresh_timer.stop()
        self._on_store_closing()

    @property
    def _is_drawing(self) -> bool:
        return bool(self._panel.where.currentData() == DRAWN)

    def _state(self) -> str:
        if self.run.is_running:
            return "running"
        if self._can_resume:
            return "unfinished"
        return "idle" if self._panel.run.review.isHidden() else "finished"

    @staticmethod
    def _stack(layer: ImageLayer, plane: tuple[int, ...], axis: str) -> Image:
        """Return the image as a stack along an axis; raises `ImageError` if the layer has no such axis."""
        index = axis_index(layer, axis)
        if index is None:
            raise ImageError(f"{layer.name} has no planes along {axis}", remedy="discard the run, and choose again")
        return stack_image(layer, plane, index, axis)

    # ---- settings -----------------------------------------------------------------------------------------

    def _new_settings(self, layer: ImageLayer) -> EverythingSettings | None:
        """Return the settings of a new run; None if the user has to draw its region first."""
        h, w = image_plane_shape(layer)[-2:]
        region: Box | None = Box(0, 0, h, w)
        if self._is_drawing:
            region = drawn_box(self._viewer, layer, (h, w))
        elif self._panel.where.currentData() == VIEW:
            region = self._view(layer)
        if region is None:
            self.choose_region()
            self._context.notifier.info("Drag a rectangle over the part to segment, then press Start again.")
            return None
        return self._panel.form.settings(region=region, border="whole", **self._context.object_form.values())

    def _view(self, layer: ImageLayer) -> Box:
        """Return the visible part of the image, at least one pixel."""
        h, w = image_plane_shape(layer)[-2:]
        y0, x0, y1, x1 = self._images.view or Box(0, 0, h, w)
        y0, x0 = max(0, min(y0, h - 1)), max(0, min(x0, w - 1))
        return Box(y0, x0, max(y0 + 1, min(y1, h)), max(x0 + 1, min(x1, w)))

    def _on_grid_toggled(self, is_checked: bool) -> None:
        if is_checked:
            form = self._panel.form.section("grid").form
            form.set_settings(GridSettings.for_model(self._context.session.kind))

    # ---- progress -----------------------------------------------------------------------------------------

    def _begin(
        self,
        layer: ImageLayer,
        plane: tuple[int, ...],
        settings: EverythingSettings,
        resume: bool | None,
        *,
        has_tiles: bool,
    ) -> None:
        self._unfinished_before = None if resume else self.unfinished()
        self._remaining.begin()
        self._tiles_text, self._discarded, self._min_iou = "", None, settings.min_iou
        frame = PartialFrame.of(settings.region or (0, 0, *image_plane_shape(layer)[-2:]))
        if not has_tiles:
            self._remove_partial()
        elif self._partial is None or self._partial.frame != frame or self._partial.layer not in self._viewer.layers:
            self._remove_partial()
            with self._context.layer_list.own_change():
                self._partial = PartialLayer(self._viewer, layer, frame, plane)
        self._refresh_timer.start()
        self._panel.show_running()

    def _on_progressed(self, done: int, total: int) -> None:
        if not self.run.is_running:
            return
        remaining_s = self._remaining.seconds(done, total)
        if self._clock() - self._counted_at > _COUNT_S:
            self._count_tiles()
        self._panel.run.show_progress(done, total, self._tiles_text, remaining_s)

    def _count_tiles(self) -> None:
        """Show the number of finished tiles; there is no other progress before the first tile."""
        self._counted_at = self._clock()
        record = self.unfinished()
        if record is None or (not self._remaining.has_begun and record == self._unfinished_before):
            return  # the run has not written its record yet
        is_joining = record.tiles_done >= record.tiles
        self._tiles_text = (
            "Joining and saving" if is_joining else f"{record.tiles_done} of {record.tiles} {record.unit}"
        )
        if not self._remaining.has_begun:
            self._panel.run.show_progress(record.tiles_done, record.tiles, self._tiles_text, None)

    def _show_tiles(self) -> None:
        """Put the tiles that were found since the last time onto the partial layer."""
        if self.run.is_running and not self._remaining.has_begun and self._clock() - self._counted_at > _COUNT_S:
            self._count_tiles()
        tiles = self._tiles[:]
        self._tiles.clear()
        if self._partial is not None and tiles:
            for tile in tiles:
                self._partial.put(tile)
            self._partial.refresh()

    def _on_finished(self, outcome: Outcome) -> None:
        from napari_sam.jobs.segment_image import EverythingReport  # noqa: PLC0415 - imports torch

        self._refresh_timer.stop()
        self._show_tiles()
        if self._labels.store_layers is not None:
            self._labels.store_layers.catch_up()
        self._panel.show_idle()
        if isinstance(outcome.value, EverythingReport):
            self._remove_partial()
            text = result_text(outcome.value, outcome.milliseconds / 1e3) + left_out_text(outcome.value.left_out)
            text += confident_text(self._min_iou)
            self._show_result(text, outcome.value.objects)
        elif isinstance(outcome.value, StackReport):
            self._show_result(stack_result_text(outcome.value, outcome.milliseconds / 1e3), outcome.value.objects)
            if outcome.value.axis == TIME:
                self.tracked.emit()
        elif outcome.error is not None and not self.run.was_closed(outcome):
            self._panel.run.message.setText(f"The run stopped: {outcome.error}")
            self._context.notifier.failure(outcome.error)
        self.changed.emit()

    def _show_result(self, text: str, objects: int) -> None:
        self._panel.run.show_result(text, objects > 0)

    # ---- layers -------------------------------------------------------------------------------------------

    def _on_store_closing(self) -> None:
        """Stop, and remove what belongs to the image or store."""
        self.cancel()
        self._remove_partial()
        self._remove_region()
        self._panel.run.message.setText("")
        self._panel.run.review.hide()

    def _remove_partial(self) -> None:
        self._tiles.clear()
        if self._partial is not None:
            self._context.layer_list.remove([self._partial.layer])
            self._partial = None

    def _remove_region(self) -> None:
        self._context.layer_list.remove([x for x in self._viewer.layers if x.name == REGION_NAME])
