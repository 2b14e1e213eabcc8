"""The page "Find": objects that the user marks, and all others like them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.engine.geometry import Box
from napari_sam.errors import NapariSamError
from napari_sam.jobs.find.find_settings import FindSettings
from napari_sam.layers.find.search import Example, Search
from napari_sam.layers.objects.selection_band import LASSO, PICK
from napari_sam.widgets.find.concept_files import ConceptFiles
from napari_sam.widgets.find.find_canvas import FindCanvas
from napari_sam.widgets.find.find_everywhere import FindEverywhere
from napari_sam.widgets.find.find_jobs import MARK, SAVE, SEARCH, FindJobs
from napari_sam.widgets.find.find_marks import labelled_object
from napari_sam.widgets.find.find_panel import FOLDER
from napari_sam.widgets.find.find_region import FindRegion
from napari_sam.widgets.find.find_text import examples_text, find_step, results_text, saved_text
from napari_sam.widgets.find.store_for_many import store_for_many
from napari_sam.widgets.find.wanted import Wanted
from napari_sam.widgets.qt_helpers import single_shot
from napari_sam.widgets.viewer.canvas_view import cursor_position, focus_canvas

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.review_queue import ReviewItem
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.find.find_engine import FindEngine, Saved, Searched
    from napari_sam.widgets.find.find_panel import FindPanel
    from napari_sam.widgets.pages.label_actions import LabelActions

_RANK_MS = 30  # several clicks in a row are ranked once


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
    everywhere : FindEverywhere
        Runs over a whole image or a folder.
    jobs : FindJobs
        What the engine does for the page.

    Signals
    -------
    changed
        Examples, results or saved objects changed.
    """

    changed = Signal()

    def __init__(self, context: DockContext, panel: FindPanel, actions: LabelActions, engine: FindEngine) -> None:
        super().__init__()
        self._context, self._panel, self._actions = context, panel, actions
        self._images, self._labels = context.images, context.labels
        self.search = Search()
        self.canvas = FindCanvas(context)
        self.region = FindRegion(context, panel.where, self.canvas)
        self.files = ConceptFiles(context, panel, self.search)
        self.everywhere = FindEverywhere(context, panel)
        self.jobs = FindJobs(context, engine, panel.run)
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
            (panel.detector, self.files.ask_detector),
            (panel.pick, lambda: self.use(PICK)),
            (panel.lasso, lambda: self.use(LASSO)),
            (panel.undo, self.undo),
            (panel.save, self.save),
        ):
            control.clicked.connect(lambda _=False, action=action: action())
        panel.name.editingFinished.connect(focus_canvas)
        panel.name.textChanged.connect(self.changed)
        panel.words.returnPressed.connect(self.start)
        panel.words.textChanged.connect(self.changed)
        self.files.loaded.connect(self._learn)
        self.everywhere.changed.connect(self.changed)
        self.region.changed.connect(self.changed)
        panel.histogram.threshold_changed.connect(self.set_threshold)
        self.canvas.clicked.connect(self.mark)
        self.canvas.encircled.connect(self._on_encircled)
        self.jobs.searched.connect(self._take)
        self.jobs.marked.connect(self._on_marked)
        self.jobs.saved.connect(self._on_saved)
        self.jobs.ended.connect(self.show)
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
        words = bool(panel.words.text().strip())
        panel.run.start.setEnabled(self._images.layer is not None and (self.search.has_examples or words))
        panel.save_concept.setEnabled(self.search.concept is not None)
        panel.clear.setEnabled(self.search.has_examples or self.search.choices.counts[1] > 0)
        panel.undo.setEnabled(self.search.can_undo)
        is_found = ranking is not None and SEARCH not in self.jobs.busy
        panel.found.setVisible(is_found)
        if ranking is not None:
            count = int(self.search.results().sum())
            panel.results.setText(results_text(count, int(self.search.alternatives().sum()), self.search.threshold))
            panel.save.setText(f"✓ Save {count} object{'' if count == 1 else 's'}  (C)")
            panel.save.setEnabled(count > 0 and SAVE not in self.jobs.busy)

    def guide(self) -> str:
        """Return what the user can do next."""
        return find_step(
            has_image=self._images.layer is not None,
            state=self._state(),
            has_example=self.search.has_examples,
            has_words=bool(self._panel.words.text().strip()),
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
        self.jobs.close()
        self.everywhere.close()
        self.end()

    def _state(self) -> str:
        if SEARCH in self.jobs.busy:
            return "searching"
        if self.everywhere.run.is_running:
            return "running"
        if MARK in self.jobs.busy:
            return "marking"
        if self.search.ranking is not None:
            return "found"
        return "saved" if self._is_saved else "idle"

    def _bindings(self) -> dict[str, Callable[[], None]]:
        return {
            **self._context.classes.bindings,
            "P": lambda: self.use(PICK),
            "L": lambda: self.use(LASSO),
            "Escape": lambda: self.use(PICK),
            "A": lambda: self._mark_under_cursor(accepted=True),
            "R": lambda: self._mark_under_cursor(accepted=False),
            "Delete": lambda: self._mark_under_cursor(accepted=False),
            "Enter": self.start,  # napari knows no "Return"
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
        if SEARCH in self.jobs.busy or self.everywhere.run.is_running:
            return
        if not self.search.has_examples and not self._panel.words.text().strip():
            self._context.notifier.info(self.guide())
            return
        if self.region.is_everywhere:
            self._start_everywhere()
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
        self.jobs.search(wanted)
        self.show()

    def _start_everywhere(self) -> None:
        """Look in the whole image or in a folder, and save what is found."""
        wanted = self._wanted(Box(0, 0, 0, 0))
        if wanted is None:
            return
        settings = FindSettings(
            threshold=self.search.threshold if self._is_threshold_chosen else None,
            category=self._category,
            overlap=str(self._context.object_form.values()["overlap"]),
        )
        self.everywhere.start(wanted, self.search.concept, settings, in_folder=self.region.kind == FOLDER)

    def cancel(self) -> None:
        """Stop the search."""
        self.jobs.cancel()
        self.everywhere.cancel()
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
        self.jobs.cancel()
        self.search.clear()
        self._is_saved = self._is_threshold_chosen = False
        self._panel.run.message.setText("")
        self._panel.run.review.hide()
        self.show()

    def save(self) -> None:
        """Write all results into the label store, as one change."""
        ranking, plane = self.search.ranking, self._images.quiet_plane
        chosen = [i for i, found in enumerate(self.search.results().tolist()) if found]
        if ranking is None or plane is None or not chosen or SAVE in self.jobs.busy:
            self._context.notifier.info(self.guide())
            return
        store_layers = store_for_many(self._context)
        if store_layers is None:
            return
        self.jobs.save(store_layers.store, ranking, chosen, plane, self._category)
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
        wanted = self._wanted(Box(y, x, y + 1, x + 1))
        if wanted is not None:
            self.jobs.mark(wanted, (y, x), accepted)

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
        self.jobs.rank(wanted, found, previous)

    # ---- results of jobs ------------------------------------------------------------------------------------

    def _on_marked(self, example: Example) -> None:
        self.search.add_examples([example])
        self._rank_soon.start()

    def _take(self, result: Searched) -> None:
        """Show candidates and scores, unless the image has changed since."""
        self.search.measured(result.measured)
        if result.found.place != self._place():
            return
        self.search.take(result.found, result.ranking)
        if not self._is_threshold_chosen:
            self.search.threshold = float(result.ranking.threshold)
        if self._panel.category is None and result.found.name:
            self._panel.name.setText(result.found.name)
        self._panel.run.message.setText("" if len(result.found.candidates) else "The model sees no objects there.")

    def _on_saved(self, saved: Saved) -> None:
        if self._labels.store_layers is not None:
            self._labels.store_layers.catch_up()
        self.search.drop_results()
        self._is_saved = True
        self._panel.run.show_result(saved_text(len(saved.labels), saved.known, self._category), bool(saved.labels))

    # ---- the image ----------------------------------------------------------------------------------------

    @property
    def _category(self) -> str | None:
        """Class of the objects when they are saved."""
        return self._panel.category or self._context.classes.current

    def _wanted(self, region: Box) -> Wanted | None:
        read = self._images.read()
        if read is None:
            return None
        plane, image = read
        name = self._category or ("concept" if self.search.loaded is None else self.search.loaded.name)
        words = self._panel.words.text().strip()
        return Wanted(
            image=image,
            place=(image.identity, plane),
            region=region,
            choices=self.search.choices,
            loaded=self.search.loaded,
            name=name,
            words=words,
            detector=self.files.detector,
        )

    def _place(self) -> tuple[str, tuple[int, ...]] | None:
        read = self._images.read_quietly()
        return None if read is None else (read[1].identity, read[0])

    def _on_image_changed(self) -> None:
        self.jobs.cancel()
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
