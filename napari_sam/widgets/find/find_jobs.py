"""The jobs of the page "Find" in a thread of their own: mark an object, search, rank again, save."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.layers.find.search import Example
from napari_sam.widgets.engine_thread import EngineThread
from napari_sam.widgets.find.find_engine import Saved, Searched, mark_object, rank_again, save_results, search
from napari_sam.widgets.run_controls import RemainingTime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.layers.find.search import Found, Ranking
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import Job, Outcome
    from napari_sam.widgets.find.find_engine import FindEngine
    from napari_sam.widgets.find.wanted import Wanted
    from napari_sam.widgets.run_controls import RunControls

MARK, SEARCH, RANK, SAVE = "mark", "search", "rank", "save results"


class FindJobs(QObject):
    """Run the jobs, and tell what they returned.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    engine : FindEngine
        Engine that measures examples and finds candidates.
    controls : RunControls
        Progress of a search.

    Attributes
    ----------
    thread : EngineThread
        Thread of the jobs; clicks on the page "Click" have another one.
    busy : set of str
        Kinds of the jobs under way.

    Signals
    -------
    searched : Searched
        Candidates were found or ranked.
    marked : Example
        The model has outlined what the user clicked.
    saved : Saved
        Results were written.
    ended
        A job has ended, whatever became of it.
    """

    searched = Signal(object)
    marked = Signal(object)
    saved = Signal(object)
    ended = Signal()
    _progressed = Signal(int, int)

    def __init__(self, context: DockContext, engine: FindEngine, controls: RunControls) -> None:
        super().__init__()
        self._context, self._engine, self._controls = context, engine, controls
        self.thread = EngineThread(self)
        self.busy: set[str] = set()
        self._remaining = RemainingTime()
        self.thread.finished.connect(self._on_finished)
        self._progressed.connect(self._on_progressed)

    def mark(self, wanted: Wanted, point: tuple[int, int], accepted: bool) -> None:
        """Outline what the model sees at a point (y, x)."""
        session, model = self._context.session, self._context.session.model

        def job(cancelled: Callable[[], bool]) -> Example:
            return mark_object(wanted.image, session.load(model), point, wanted.place, accepted, cancelled)

        self._submit(MARK, job)

    def search(self, wanted: Wanted) -> None:
        """Find and rank candidates."""
        self._remaining.begin()
        self._controls.show_running()
        self._controls.remaining.setText("Loading the model…")
        session, engine, model = self._context.session, self._engine, self._context.session.model

        def job(cancelled: Callable[[], bool]) -> Searched:
            return search(engine, wanted, session.load(model), self._progressed.emit, cancelled)

        self._submit(SEARCH, job)

    def rank(self, wanted: Wanted, found: Found, previous: Ranking | None) -> None:
        """Rank candidates by what the user said since."""
        session, engine, model = self._context.session, self._engine, self._context.session.model

        def job(cancelled: Callable[[], bool]) -> Searched:
            return rank_again(engine, wanted, session.load(model), found, previous, cancelled)

        self._submit(RANK, job)

    def save(
        self, store: LabelStore, ranking: Ranking, chosen: Sequence[int], plane: tuple[int, ...], category: str | None
    ) -> None:
        """Write results into a store as one change."""
        overlap = str(self._context.object_form.values()["overlap"])
        on_plane = plane if len(store.shape) > 2 else ()

        def job(cancelled: Callable[[], bool]) -> Saved:
            return save_results(store, ranking, chosen, overlap, on_plane, category)

        self._submit(SAVE, job)

    def cancel(self) -> None:
        """Stop all jobs; their results no longer count."""
        self.thread.cancel()

    def close(self) -> None:
        """Stop for good."""
        self.thread.close()

    def _submit(self, kind: str, job: Job) -> None:
        self.busy.add(kind)
        self.thread.submit(kind, job)

    def _on_progressed(self, done: int, total: int) -> None:
        if SEARCH in self.busy:
            left = self._remaining.seconds(done, total)
            self._controls.show_progress(done, total, f"{done} of {total} windows", left)

    def _on_finished(self, outcome: Outcome) -> None:
        if self.thread.was_superseded(outcome):
            return
        self.busy.discard(outcome.kind)
        if outcome.kind == SEARCH:
            self._controls.show_idle()
        value = outcome.value if self.thread.is_current(outcome) or outcome.kind == SAVE else None
        if outcome.error is not None:
            self._context.notifier.failure(outcome.error)
        elif isinstance(value, Searched):
            self.searched.emit(value)
        elif isinstance(value, Example):
            self.marked.emit(value)
        elif isinstance(value, Saved):
            self.saved.emit(value)
        self.ended.emit()
