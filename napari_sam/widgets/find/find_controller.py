"""The page "Find": objects that the user marks, and all others like them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.errors import NapariSamError
from napari_sam.layers.find.search import Example, Search
from napari_sam.layers.objects.selection_band import LASSO, PICK
from napari_sam.widgets.engine_thread import EngineThread
from napari_sam.widgets.find.concept_files import ConceptFiles
from napari_sam.widgets.find.find_canvas import FindCanvas
from napari_sam.widgets.find.find_engine import (
    Saved,
    Searched,
    Wanted,
    mark_object,
    rank_again,
    save_results,
    search,
)
from napari_sam.widgets.find.find_marks import labelled_object
from napari_sam.widgets.find.find_region import FindRegion
from napari_sam.widgets.find.find_text import examples_text, find_step, results_text, saved_text
from napari_sam.widgets.qt_helpers import single_shot
from napari_sam.widgets.run_controls import RemainingTime
from napari_sam.widgets.viewer.canvas_view import cursor_position, focus_canvas

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.review_queue import ReviewItem
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import Outcome
    from napari_sam.widgets.find.find_engine import FindEngine
    from napari_sam.widgets.find.find_panel import FindPanel
    from napari_sam.widgets.pages.label_actions import LabelActions

_MARK, _SEARCH, _RANK, _SAVE = "mark", "search", "rank", "save results"
_RANK_MS = 30  # several clicks in a row are ranked once
_IN_MEMORY = "“Write to” is a layer in memory: choose the image's label store there to save many objects."


class FindController(QObject):
    """Behaviour of the page "Find".

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : FindPanel
        The page.
    actions : LabelActions
        Undo and redo of saved objects.
    engine : FindEngine
        Engine that measures examples and finds candidates.

    Attributes
    ----------
    search : Search
        What the user said, and the results.
    region : FindRegion
        Where to look.
    files : ConceptFiles
        Concepts on disk.
    thread : EngineThread
        Thread of the searches; clicks on the page "Click" have another one.

    Signals
    -------
    changed
        Examples, results or saved objects changed.
    """

    changed = Signal()
    _progressed = Signal(int, int)

    def __init__(self, context: DockContext, panel: FindPanel, actions: LabelActions, engine: FindEngine) -> None:
        super().__init__()
        self._context, self._panel, self._actions, self._engine = context, panel, actions, engine
        self._images, self._labels = context.images, context.labels
        self.search = Search()
        self.canvas = FindCanvas(context)
        self.region = FindRegion(context, panel.where, self.canvas)
        self.files = ConceptFiles(context, panel, self.search)
        self.thread = EngineThread(self)
        self._remaining = RemainingTime()
        self._busy: set[str] = set()  # kinds of jobs under way
        self._is_saved = False  # the last results
        self._is_threshold_chosen = False  # by the user, so that learning leaves it alone
        self._rank_soon = single_shot(self, _RANK_MS, self._rank)
        self._connect()

    def _connect(self) -> None:
        panel = self._panel
        for control, action in (
            (panel.run.start, self.start),
            (panel.run.cancel, self.cancel),
            (panel.load, self.files.ask_load),
            (panel.save_concept, self.files.ask_save),
            (panel.clear, self.clear),
            (panel.pick, lambda: self.use(PICK)),
            (panel.lasso, lambda: self.use(LASSO)),
            (panel.undo, self.undo),
            (panel.save, self.save),
        ):
            control.clicked.connect(lambda _=False, action=action: action())
        panel.name.editingFinished.connect(focus_canvas)
        panel.name.textChanged.connect(self.changed)
        self.files.loaded.connect(self._learn)
        self.region.changed.connect(self.changed)
        panel.histogram.threshold_changed.connect(self.set_threshold)
        self.canvas.clicked.connect(self.mark)
        self.canvas.encircled.connect(self._on_encircled)
        self.thread.finished.connect(self._on_finished)
        self._progressed.connect(self._on_progressed)
        self._images.image_changed.connect(self._on_image_changed)
        self._images.pixels_changed.connect(self._on_image_changed)
        self._images.plane_changed.connect(self._on_plane_changed)

    # ---- the page -----------------------------------------------------------------------------------------

    def begin(self, corrected: ReviewItem | None = None) -> None:
        """Take the keys and the canvas."""
        self._context.keys.use(self._bindings())
        focus_canvas()
        if self._images.layer is not None:
            self.canvas.begin(self._images.layer)
        self.use(self.canvas.tool)
        self.show()

    def end(self) -> None:
        """Leave the canvas to another page; examples and results stay."""
        self.canvas.end()

    def refresh(self) -> None:
        """Enable the controls that can be used now."""
        panel, ranking = self._panel, self.search.ranking
        loaded = self.search.loaded
        panel.examples.setText(examples_text(*self.search.choices.counts, "" if loaded is None else loaded.name))
        panel.run.start.setEnabled(self._images.layer is not None and self.search.has_examples)
        panel.save_concept.setEnabled(self.search.concept is not None)
        panel.clear.setEnabled(self.search.has_examples or self.search.choices.counts[1] > 0)
        panel.undo.setEnabled(self.search.can_undo)
        is_found = ranking is not None and _SEARCH not in self._busy
        panel.found.setVisible(is_found)
        if ranking is not None:
            count = int(self.search.results().sum())
            panel.results.setText(results_text(count, int(self.search.alternatives().sum()), self.search.threshold))
            panel.save.setText(f"✓ Save {count} object{'' if count == 1 else 's'}  (C)")
            panel.save.setEnabled(count > 0 and _SAVE not in self._busy)

    def guide(self) -> str:
        """Return what the user can do next."""
        return find_step(
            has_image=self._images.layer is not None,
            state=self._state(),
            has_example=self.search.has_examples,
            tool=self.canvas.tool,
        )

    def show(self) -> None:
        """Outline results or examples, and show the histogram."""
        self._redraw()
        if self.search.ranking is not None:
            self._panel.histogram.show_scores(self.search.ranking.scores[self.search.alternatives()])
            self._panel.histogram.show_threshold(self.search.threshold)
        self.changed.emit()

    def close(self) -> None:
        """Stop the engine, and release the canvas."""
        self._rank_soon.stop()
        self.thread.close()
        self.end()

    def _state(self) -> str:
        if _SEARCH in self._busy:
            return "searching"
        if _MARK in self._busy:
            return "marking"
        if self.search.ranking is not None:
            return "found"
        return "saved" if self._is_saved else "idle"

    def _bindings(self) -> dict[str, Callable[[], None]]:
        return {
            "P": lambda: self.use(PICK),
            "L": lambda: self.use(LASSO),
            "Escape": lambda: self.use(PICK),
            "A": lambda: self._mark_under_cursor(accepted=True),
            "R": lambda: self._mark_under_cursor(accepted=False),
            "Delete": lambda: self._mark_under_cursor(accepted=False),
            "Return": self.start,
            "C": self.save,
            "Z": self.undo,
            "Control-Z": self.undo,
            "Control-Shift-Z": self.redo,
        }

    # ---- the user's actions --------------------------------------------------------------------------------

    def use(self, tool: str) -> None:
        """Mark objects by clicks ("pick") or with a "lasso"."""
        self._panel.pick.setChecked(tool == PICK)
        self._panel.lasso.setChecked(tool == LASSO)
        self.canvas.tool = tool
        self.changed.emit()

    def mark(self, y: float, x: float, accepted: bool) -> None:
        """Say whether the object at a position, in level-0 pixels, is of the kind."""
        read, place = self._images.read(), self._place()
        layer = self._images.layer
        if read is None or place is None or layer is None:
            return
        self._is_saved = False
        candidate = self.search.candidate_at(y, x)
        example = self.search.example_at(place, y, x)
        if candidate is not None:
            self.search.decide([candidate], accepted)
        elif example is not None:
            self.search.turn(example, accepted)
        else:
            self._mark_new(read[0], read[1], round(y), round(x), accepted)
        self._learn()

    def start(self) -> None:
        """Look for all objects like the examples."""
        if _SEARCH in self._busy:
            return
        if not self.search.has_examples:
            self._context.notifier.info(self.guide())
            return
        region = self.region.box()
        if region is None:
            self._context.notifier.info("Drag a rectangle over the part to search, then press the button again.")
            return
        self.search.drop_results()
        wanted = self._wanted(region)
        if wanted is None:
            return
        self._is_saved = self._is_threshold_chosen = False
        self._remaining.begin()
        self._panel.run.show_running()
        self._panel.run.remaining.setText("Loading the model…")
        session, engine, model = self._context.session, self._engine, self._context.session.model

        def job(cancelled: Callable[[], bool]) -> Searched:
            return search(engine, wanted, session.load(model), self._progressed.emit, cancelled)

        self._submit(_SEARCH, job)
        self.show()

    def cancel(self) -> None:
        """Stop the search."""
        self.thread.cancel()
        self._panel.run.remaining.setText("Stopping…")

    def set_threshold(self, threshold: float) -> None:
        """Let candidates count as found from this score on."""
        self.search.threshold, self._is_threshold_chosen = threshold, True
        self._redraw()
        self.changed.emit()

    def undo(self) -> None:
        """Take the last mark back; without one, undo the last change of the saved objects."""
        if self.search.undo():
            self._learn()
        else:
            self._actions.undo()

    def redo(self) -> None:
        """Repeat the mark that was taken back; without one, the change of the saved objects."""
        if self.search.redo():
            self._learn()
        else:
            self._actions.redo()

    def clear(self) -> None:
        """Forget examples and results."""
        self.thread.cancel()
        self.search.clear()
        self._is_saved = self._is_threshold_chosen = False
        self._panel.run.message.setText("")
        self._panel.run.review.hide()
        self.show()

    def save(self) -> None:
        """Write all results into the label store, as one change."""
        ranking, plane = self.search.ranking, self._images.quiet_plane
        chosen = [i for i, found in enumerate(self.search.results().tolist()) if found]
        if ranking is None or plane is None or not chosen or _SAVE in self._busy:
            self._context.notifier.info(self.guide())
            return
        if self._labels.labels_layer is not None:
            self._context.notifier.info(_IN_MEMORY)
            return
        try:
            store_layers = self._labels.ready_store()
            store_layers.prepare_change()
        except NapariSamError as error:
            self._context.notifier.error(str(error))
            return
        store, overlap = store_layers.store, str(self._context.object_form.values()["overlap"])
        category, on_plane = self._panel.category, plane if len(store.shape) > 2 else ()

        def job(cancelled: Callable[[], bool]) -> Saved:
            return save_results(store, ranking, chosen, overlap, on_plane, category)

        self._submit(_SAVE, job)
        self.changed.emit()

    # ---- marks --------------------------------------------------------------------------------------------

    def _mark_under_cursor(self, *, accepted: bool) -> None:
        if self._images.layer is not None:
            self.mark(*cursor_position(self._context.viewer, self._images.layer), accepted)

    def _mark_new(self, plane: tuple[int, ...], image: Image, y: int, x: int, accepted: bool) -> None:
        """Make an example of a labelled object, or of what the model sees at a position."""
        place, (height, width) = (image.identity, plane), image.shape
        if not (0 <= y < height and 0 <= x < width):
            return
        try:
            labelled = labelled_object(self._context, plane, y, x)
        except NapariSamError as error:
            self._context.notifier.error(str(error))
            return
        if labelled is not None:
            self.search.add_examples([Example(*labelled, accepted, place)])
            return
        session, model = self._context.session, self._context.session.model

        def job(cancelled: Callable[[], bool]) -> Example:
            return mark_object(image, session.load(model), (y, x), place, accepted, cancelled)

        self._submit(_MARK, job)

    def _on_encircled(self, corners: NDArray[np.float64], accepted: bool) -> None:
        inside = self.search.results_inside(corners)
        if inside:
            self.search.decide(inside, accepted)
            self._learn()

    def _learn(self) -> None:
        """Show what the user said at once, and soon what follows from it."""
        self._redraw()
        self._rank_soon.start()
        self.changed.emit()

    def _redraw(self) -> None:
        plane, place = self._images.quiet_plane, self._place()
        if plane is not None and place is not None:
            self.canvas.show(self.search, place, plane)

    def _rank(self) -> None:
        found, previous = self.search.found, self.search.ranking
        wanted = None if found is None else self._wanted(found.region)
        if found is None or wanted is None or wanted.place != found.place or not self.search.has_examples:
            return
        session, engine, model = self._context.session, self._engine, self._context.session.model

        def job(cancelled: Callable[[], bool]) -> Searched:
            return rank_again(engine, wanted, session.load(model), found, previous, cancelled)

        self._submit(_RANK, job)

    # ---- jobs ---------------------------------------------------------------------------------------------

    def _submit(self, kind: str, job: Callable[[Callable[[], bool]], object]) -> None:
        self._busy.add(kind)
        self.thread.submit(kind, job)

    def _on_progressed(self, done: int, total: int) -> None:
        if _SEARCH in self._busy:
            left = self._remaining.seconds(done, total)
            self._panel.run.show_progress(done, total, f"{done} of {total} windows", left)

    def _on_finished(self, outcome: Outcome) -> None:
        if self.thread.was_superseded(outcome):
            return
        self._busy.discard(outcome.kind)
        if outcome.kind == _SEARCH:
            self._panel.run.show_idle()
        is_current = self.thread.is_current(outcome)
        value = outcome.value if is_current else None
        if outcome.error is not None:
            self._context.notifier.failure(outcome.error)
        elif isinstance(value, Searched):
            self._take(value)
        elif isinstance(value, Example):
            self.search.add_examples([value])
            self._rank_soon.start()
        elif isinstance(value, Saved):
            self._on_saved(value)
        self.show()

    def _take(self, result: Searched) -> None:
        """Show candidates and scores, unless the image has changed since."""
        self.search.measured(result.measured)
        if result.found.place != self._place():
            return
        self.search.take(result.found, result.ranking)
        if not self._is_threshold_chosen:
            self.search.threshold = float(result.ranking.concept.threshold)
        self._panel.run.message.setText("" if len(result.found.candidates) else "The model sees no objects there.")

    def _on_saved(self, saved: Saved) -> None:
        if self._labels.store_layers is not None:
            self._labels.store_layers.catch_up()
        self.search.drop_results()
        self._is_saved = True
        self._panel.run.show_result(
            saved_text(len(saved.labels), saved.known, self._panel.category), bool(saved.labels)
        )

    # ---- the image ----------------------------------------------------------------------------------------

    def _wanted(self, region: Box) -> Wanted | None:
        read = self._images.read()
        if read is None:
            return None
        plane, image = read
        name = self._panel.category or ("concept" if self.search.loaded is None else self.search.loaded.name)
        return Wanted(image, (image.identity, plane), region, self.search.choices, self.search.loaded, name)

    def _place(self) -> tuple[str, tuple[int, ...]] | None:
        read = self._images.read_quietly()
        return None if read is None else (read[1].identity, read[0])

    def _on_image_changed(self) -> None:
        self.thread.cancel()
        self.search.drop_results()
        self._is_saved = False
        if self.canvas.is_active:
            self.canvas.end()
            if self._images.layer is not None:
                self.canvas.begin(self._images.layer)
        self.show()

    def _on_plane_changed(self) -> None:
        self.search.drop_results()
        self.show()
