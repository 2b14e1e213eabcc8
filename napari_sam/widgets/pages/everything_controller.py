"""Finding all objects from the window: a worker of its own, progress, partial results, cancel and resume."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_sam.engine.geometry import Box
from napari_sam.errors import NapariSamError
from napari_sam.io.labels.review_queue import ReviewQueue
from napari_sam.jobs.segment_image import segment_everything, unfinished_run
from napari_sam.layers.label_store_layers import StoreWriter
from napari_sam.layers.labels_layer import LabelsWriter, image_plane_shape
from napari_sam.layers.partial_results import PartialFrame, PartialLayer
from napari_sam.layers.region_layer import REGION_NAME, drawn_box, region_layer
from napari_sam.widgets.canvas_view import visible_box
from napari_sam.widgets.engine_thread import EngineThread, Outcome
from napari_sam.widgets.pages.everything_panel import DRAWN, VIEW, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import napari
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.jobs.segment_image import EverythingReport
    from napari_sam.layers.partial_results import Part
    from napari_sam.widgets.engine_session import EngineSession
    from napari_sam.widgets.key_bindings import KeySet
    from napari_sam.widgets.label_target import LabelTarget
    from napari_sam.widgets.pages.click_panel import Controls

_KIND = "everything"
_REFRESH_MS, _LOOK_S = 300, 0.5
_NAMED_FAILURES = 3
_GETTING_READY, _SAMPLING = "Getting ready…", "Looking at samples to choose the magnification…"
_IN_MEMORY = (
    "“Write to” is a layer in memory. All objects of a region go to a label store on disk, which can undo, resume and "
    "hold any size."
)


class EverythingRun(QObject):
    """Behaviour of the page "Everything".

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    controls : Controls
        Whose page, object size and overlap count.
    session : EngineSession
        Has the model.
    target : LabelTarget
        Has the store.
    keys : KeySet
        For the layer on which a region is drawn.
    own_change : callable
        A context in which changes of the layer list are ours.

    Attributes
    ----------
    layer : callable
        Gives the image layer, or None.
    source : callable
        Gives the image layer, the plane shown and the image as the engine reads it, or None.
    report, inform : callable
        Called with a message for the user.
    on_changed : callable
        Called when a run begins or ends.
    running, stopped : bool
        Whether a run goes on, and whether one that lies unfinished in the store can be gone on with.
    """

    _progressed = Signal(int, int)
    _found = Signal(object)
    _doing = Signal(str)

    def __init__(
        self,
        viewer: napari.Viewer,
        controls: Controls,
        session: EngineSession,
        target: LabelTarget,
        keys: KeySet,
        own_change: Callable[[], AbstractContextManager[None]],
    ) -> None:
        super().__init__()
        self._viewer, self._controls, self._session, self._target = viewer, controls, session, target
        self._keys, self._own_change = keys, own_change
        self._panel = panel = controls.everything
        self.thread = EngineThread(self)  # clicks have another one, and go before in `PriorityLock`
        self.layer: Callable[[], ImageLayer | None] = lambda: None
        self.source: Callable[[], tuple[ImageLayer, tuple[int, ...], Image] | None] = lambda: None
        self.report: Callable[[str], None] = lambda _: None
        self.inform: Callable[[str], None] = lambda _: None
        self.on_changed: Callable[[], None] = lambda: None
        self.running = self.stopped = False
        self._discarded: Path | None = None  # store whose unfinished run the next one replaces
        self._partial: PartialLayer | None = None
        self._parts: list[Part] = []
        self._began: tuple[float, int] | None = None  # time and steps done when the first progress came
        self._looked, self._tiles = 0.0, ""
        self._before: dict[str, Any] | None = None  # what lay unfinished when the run began
        self._refresh = QTimer(self)
        self._refresh.setInterval(_REFRESH_MS)
        self._refresh.timeout.connect(self._show_parts)
        self._progressed.connect(self._on_progress)
        self._found.connect(self._parts.append)
        self._doing.connect(panel.left.setText)
        self.thread.finished.connect(self._on_finished)
        panel.start.clicked.connect(lambda: self.start())
        panel.anew.clicked.connect(self.discard)
        panel.cancel.clicked.connect(self.cancel)
        panel.own_store.clicked.connect(target.use_own_store)
        panel.where.currentIndexChanged.connect(lambda: self.choose_where())

    @property
    def finished(self) -> bool:
        """Whether objects were just found, and nothing else was chosen since."""
        return not self._panel.review.isHidden()

    def unfinished(self) -> dict[str, Any] | None:
        """Settings and progress of a run that lies unfinished in the store."""
        path = self._target.store_path
        return None if path is None or path == self._discarded else unfinished_run(path)

    def choose_where(self) -> None:
        """Get ready to draw a rectangle, or take the one that was drawn away."""
        self._panel.review.hide()
        layer, drawing = self.layer(), self._panel.where.currentData() == DRAWN
        with self._own_change():
            if drawing and layer is not None:
                self._keys.add(region_layer(self._viewer, layer))
            elif not drawing:
                self._remove_region()
        self.on_changed()

    def start(self) -> None:
        """Find all objects of the chosen region, or go on with the unfinished run."""
        found = self.source()
        if self.running or found is None:
            self.inform("Open an image first." if found is None else "This is still working: wait, or cancel it.")
            return
        if isinstance(self._target.writer, LabelsWriter):
            self.inform(_IN_MEMORY)
            return
        layer, plane, image = found
        try:
            writer = self._target.ready()
            writer.flush() if isinstance(writer, StoreWriter) else None
            options = self._options(layer)
        except NapariSamError as error:
            self.report(str(error))
            return
        if options is not None and isinstance(writer, StoreWriter):
            self._begin(layer, plane, options)
            self.thread.submit(_KIND, self._job(image, writer, options))

    def discard(self) -> None:
        """Forget the unfinished run; what to do instead can be chosen again."""
        self._discarded = self._target.store_path
        self._end_partial()
        self._panel.message.setText("")
        self.on_changed()

    def cancel(self) -> None:
        """Stop; tiles that are done are kept."""
        if self.running:
            self._panel.left.setText("Stopping…")
            self.thread.cancel(_KIND)

    def look(self) -> None:
        """Show what can be done with the image and store there are."""
        panel = self._panel
        panel.own_store.setVisible(isinstance(self._target.writer, LabelsWriter))
        layer = self.layer()
        self.name_view()
        if self.running:
            return
        left = self.unfinished()
        self.stopped = left is not None
        panel.show_idle(self.stopped)
        if left is not None:
            panel.coarser.setChecked(_coarser(left))
        panel.start.setEnabled(layer is not None and not isinstance(self._target.writer, LabelsWriter))
        if isinstance(self._target.writer, LabelsWriter):
            panel.message.setText(_IN_MEMORY)
        elif left is not None:
            panel.message.setText(_unfinished_text(left))
        elif panel.message.text() == _IN_MEMORY:
            panel.message.setText("")

    def name_view(self) -> None:
        """Say how large the part of the image in view is."""
        layer = self.layer()
        self._panel.name_view(None if layer is None else self._view(layer))

    def stepped(self, name: str) -> None:
        """A whole run was taken back ("undo") or written again ("redo")."""
        back = name == "undo"
        self._panel.message.setText(
            "The run was taken back. Ctrl+Shift+Z writes it again." if back else "The run was written again."
        )
        self._panel.review.setVisible(not back)

    def let_go(self) -> None:
        """Image or store are about to be changed: stop, and forget what belongs to them."""
        self.cancel()
        self._end_partial()
        with self._own_change():
            self._remove_region()
        self._panel.message.setText("")
        self._panel.review.hide()

    def close(self) -> None:
        """Stop for good."""
        self.thread.close()
        self._refresh.stop()
        self.let_go()

    # ---- how ----------------------------------------------------------------------------------------------

    def _options(self, layer: ImageLayer) -> dict[str, Any] | None:
        """Keywords of `segment_everything`; those of the unfinished run if that is gone on with."""
        left = self.unfinished()
        diameter = float(self._controls.diameter.value()) or None
        if left is not None:
            kept = {"region": tuple(left["region"]), "method": left["method"], "overlap": left["overlap"]}
            kept |= {"side": left["call"]["side"], "coarser": _coarser(left), "category": left["category"]}
            return {**kept, "resume": True}
        where, shape = self._panel.where.currentData(), image_plane_shape(layer)[-2:]
        region: Box | None = Box(0, 0, shape[0], shape[1])
        if where == VIEW:
            region = self._view(layer)
        elif where == DRAWN:
            region = drawn_box(self._viewer, layer, (shape[0], shape[1]))
            if region is None:
                self.choose_where()
                self.inform("Drag a rectangle over the part to segment, then press Start again.")
                return None
        overlap, method = self._controls.overlap.currentData(), self._panel.how.currentData()
        resume = None if self._discarded is None else False
        chosen = {"region": region, "method": method, "overlap": overlap, "diameter_px": diameter, "resume": resume}
        return {**chosen, "coarser": self._panel.coarser.isChecked()}

    def _job(
        self, image: Image, writer: StoreWriter, options: dict[str, Any]
    ) -> Callable[[Callable[[], bool]], EverythingReport]:
        model, frame = self._session.model, PartialFrame.of(options["region"])

        def on_tile(box: Box, labels: NDArray[Any]) -> None:
            part = frame.sample(box, labels)
            if part is not None:
                self._found.emit(part)

        def job(cancelled: Callable[[], bool]) -> EverythingReport:
            self._doing.emit("Loading the model…")
            predictor = self._session.load(model)
            dense = options["method"] == "dense" or (options["method"] == "auto" and predictor.can_dense)
            known = options.get("diameter_px") or options["resume"]
            self._doing.emit(_GETTING_READY if known or not dense else _SAMPLING)
            report = segment_everything(
                image,
                predictor,
                writer.store,
                **options,
                progress=self._progressed.emit,
                on_tile=on_tile,
                cancelled=cancelled,
            )
            ReviewQueue(writer.store)  # makes its index here, where it holds nobody up
            return report

        return job

    def _begin(self, layer: ImageLayer, plane: tuple[int, ...], options: dict[str, Any]) -> None:
        self.running, self._began, self._tiles, self._discarded = True, None, "", None
        self._before = None if options["resume"] else self.unfinished()
        frame = PartialFrame.of(options["region"])
        if self._partial is None or self._partial.frame != frame or self._partial.layer not in self._viewer.layers:
            self._end_partial()
            with self._own_change():
                self._partial = PartialLayer(self._viewer, layer, frame, plane)
        self._refresh.start()
        self._panel.show_running()
        self.on_changed()

    def _on_progress(self, done: int, total: int) -> None:
        if not self.running:
            return
        now = time.monotonic()
        if self._began is None:
            self._began = (now, done)
        since, first = self._began
        left_s = (now - since) / (done - first) * (total - done) if done > first else None
        if now - self._looked > _LOOK_S:
            self._count_tiles(now)
        self._panel.show_progress(done, total, self._tiles, left_s)

    def _count_tiles(self, now: float) -> None:
        """Look how many tiles there are and how many are done; before the first is, there is no other progress."""
        self._looked = now
        left = self.unfinished()
        if left is None or (self._began is None and left == self._before):
            return  # the run has not said yet what it does
        tiles, count = min(left["tiles_done"], left["tiles"]), left["tiles"]
        self._tiles = f"{tiles} of {count} tiles" if tiles < count else "Joining and saving"
        if self._began is None:
            self._panel.show_progress(tiles, count, self._tiles, None)

    def _show_parts(self) -> None:
        """Put what was found since the last time onto the partial layer."""
        now = time.monotonic()
        if self.running and self._began is None and now - self._looked > _LOOK_S:
            self._count_tiles(now)
        parts = self._parts[:]
        self._parts.clear()
        if self._partial is not None and parts:
            for part in parts:
                self._partial.put(part)
            self._partial.refresh()

    def _on_finished(self, outcome: Outcome) -> None:
        self.running = False
        self._refresh.stop()
        self._show_parts()
        if isinstance(self._target.writer, StoreWriter):
            self._target.writer.catch_up()
        wanted, report = self.thread.is_current(outcome), outcome.value
        self._panel.show_idle()
        if report is not None:
            self._end_partial()
            self._panel.message.setText(_result_text(report, outcome.milliseconds / 1e3))
            self._panel.review.setVisible(report.objects > 0)
        elif wanted and isinstance(outcome.error, NapariSamError):
            self._panel.message.setText(f"It stopped: {outcome.error}")
            self.report(str(outcome.error))
        self.on_changed()
        if wanted and outcome.error is not None and not isinstance(outcome.error, NapariSamError):
            raise outcome.error

    def _view(self, layer: ImageLayer) -> Box:
        h, w = image_plane_shape(layer)[-2:]
        y0, x0, y1, x1 = visible_box(layer)
        y0, x0 = max(0, min(y0, h - 1)), max(0, min(x0, w - 1))
        return Box(y0, x0, max(y0 + 1, min(y1, h)), max(x0 + 1, min(x1, w)))

    def _end_partial(self) -> None:
        self._parts.clear()
        if self._partial is not None:
            with self._own_change():
                self._partial.remove()
            self._partial = None

    def _remove_region(self) -> None:
        for layer in [x for x in self._viewer.layers if x.name == REGION_NAME]:
            self._viewer.layers.remove(layer)


def _coarser(left: dict[str, Any]) -> bool:
    """Whether an unfinished run looks for objects larger than a window, too."""
    return bool(left.get("call", {}).get("coarser", True))


def _box_text(box: Sequence[int]) -> str:
    """Where a box lies, as the dock says it.

    >>> _box_text((0, 10, 100, 300))
    'y 0–100, x 10–300'
    """
    y0, x0, y1, x1 = box
    return f"y {y0}–{y1}, x {x0}–{x1}"


def _unfinished_text(left: dict[str, Any]) -> str:
    """What lies unfinished in a store."""
    tiles = min(left["tiles_done"], left["tiles"])
    return (
        f"An unfinished run: {tiles} of {left['tiles']} tiles of the region {_box_text(left['region'])} are done "
        f"({left['method']}). Resume goes on; its objects are saved when all tiles are done."
    )


def _result_text(report: EverythingReport, seconds: float) -> str:
    """What a run found, and what it could not do."""
    count = f"{report.objects} objects" if report.objects else "no new objects"
    text = f"Found {count} in {duration(seconds)} ({report.method}, {report.tiles} tiles)."
    if not report.failed:
        return text
    named = "; ".join(f"{_box_text(f.box)}: {f.reason}" for f in report.failed[:_NAMED_FAILURES])
    more = len(report.failed) - _NAMED_FAILURES
    rest = f"; and {more} more" if more > 0 else ""
    return f"{text} {len(report.failed)} tiles could not be done: {named}{rest}."
