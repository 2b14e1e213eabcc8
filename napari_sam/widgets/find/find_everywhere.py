"""Objects like the examples in a whole image, or in all images of a folder, saved as they are found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog

from napari_sam.errors import ConceptError, NapariSamError
from napari_sam.io.labels.review_queue import ReviewQueue
from napari_sam.jobs.image_run import read_unfinished_run
from napari_sam.widgets.background_run import BackgroundRun
from napari_sam.widgets.find.find_text import folder_text, found_text
from napari_sam.widgets.find.store_for_many import store_for_many
from napari_sam.widgets.run_controls import RemainingTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.concept import Concept
    from napari_sam.jobs.find.find import FindReport
    from napari_sam.jobs.find.find_in_images import ImageResult
    from napari_sam.jobs.find.find_settings import FindSettings
    from napari_sam.predictor import Predictor
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import Outcome
    from napari_sam.widgets.find.find_panel import FindPanel
    from napari_sam.widgets.find.wanted import Wanted


@dataclass(frozen=True)
class FolderResult:
    """Where the objects of the images of a folder were saved, and what became of each image."""

    folder: Path
    images: list[ImageResult]


class FindEverywhere(QObject):
    """Runs over a whole image or a folder.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : FindPanel
        The page.

    Attributes
    ----------
    run : BackgroundRun
        The run in the background.

    Signals
    -------
    changed
        A run began or ended.
    """

    changed = Signal()

    def __init__(self, context: DockContext, panel: FindPanel) -> None:
        super().__init__()
        self._context, self._panel = context, panel
        self.run = BackgroundRun()
        self._remaining = RemainingTime()
        self._unit = "steps"
        self._interrupted: tuple[Path, Path] | None = None  # images and objects of a run over a folder
        self.run.activity_changed.connect(panel.run.remaining.setText)
        self.run.progressed.connect(self._on_progressed)
        self.run.finished.connect(self._on_finished)
        context.labels.store_closing.connect(self.run.cancel)

    def start(self, wanted: Wanted, concept: Concept | None, settings: FindSettings, *, in_folder: bool) -> None:
        """Look in the image or in a folder that the user is asked for; parameters as in `find_in_image`."""
        if wanted.words and concept is None:
            self._context.notifier.info("Find what the words describe in view first; then look for it everywhere.")
        elif in_folder:
            self.find_in_folder(wanted, concept, settings)
        else:
            self.find_in_image(wanted, concept, settings)

    def find_in_image(self, wanted: Wanted, concept: Concept | None, settings: FindSettings) -> None:
        """Find all objects of an image of any size, and save them.

        Parameters
        ----------
        wanted : Wanted
            Image and examples.
        concept : Concept, optional
            What was learned; by default it is learned from the examples of this image.
        settings : FindSettings
            Threshold, class and overlap rule.
        """
        store_layers = store_for_many(self._context)
        if store_layers is None:
            return
        store = store_layers.store
        try:
            resume = True if read_unfinished_run(store.path) is not None else None
        except NapariSamError as error:
            self._context.notifier.error(str(error))
            return
        session, model, run = self._context.session, self._context.session.model, self.run

        def job(cancelled: Callable[[], bool]) -> FindReport:
            from napari_sam.jobs.find.find import find  # noqa: PLC0415 - imports torch

            predictor = session.load(model)
            report = find(
                wanted.image,
                concept or learned(wanted, predictor),
                predictor,
                store,
                settings=settings,
                resume=resume,
                progress=run.progressed.emit,
                cancelled=cancelled,
            )
            ReviewQueue(store)  # makes its index here rather than in the GUI thread
            return report

        self._begin("steps")
        self.run.submit(job, store)
        self.changed.emit()

    def find_in_folder(self, wanted: Wanted, concept: Concept | None, settings: FindSettings) -> None:
        """Ask for a folder of images, and find the objects of all; parameters as in `find_in_image`."""
        memory = self._context.memory
        chosen = QFileDialog.getExistingDirectory(self._panel, "Folder of images", str(memory.start_folder))
        if not chosen:
            return
        memory.folder = chosen
        memory.save()
        self.search_folder(Path(chosen), wanted, concept, settings)

    def search_folder(self, images: Path, wanted: Wanted, concept: Concept | None, settings: FindSettings) -> None:
        """Find the objects of all images of a folder; a run that was interrupted is continued."""
        interrupted = self._interrupted
        is_continued = interrupted is not None and interrupted[0] == images
        out = interrupted[1] if interrupted is not None and is_continued else new_folder(images, wanted.name)
        session, model, run = self._context.session, self._context.session.model, self.run
        self._interrupted = (images, out)

        def job(cancelled: Callable[[], bool]) -> FolderResult:
            from napari_sam.jobs.find.find_in_images import find_in_images  # noqa: PLC0415 - imports torch

            predictor = session.load(model)
            results = find_in_images(
                images,
                concept or learned(wanted, predictor),
                out,
                predictor,
                settings=settings,
                resume=True,
                progress=run.progressed.emit,
                cancelled=cancelled,
            )
            return FolderResult(out, results)

        self._begin("images")
        self.run.submit(job)
        self.changed.emit()

    def cancel(self) -> None:
        """Stop; what is saved is kept."""
        self.run.cancel()

    def close(self) -> None:
        """Stop for good."""
        self.run.close()

    def _begin(self, unit: str) -> None:
        self._unit = unit
        self._remaining.begin()
        self._panel.run.show_running()

    def _on_progressed(self, done: int, total: int) -> None:
        if self.run.is_running:
            left = self._remaining.seconds(done, total)
            self._panel.run.show_progress(done, total, f"{done} of {total} {self._unit}", left)

    def _on_finished(self, outcome: Outcome) -> None:
        from napari_sam.jobs.find.find import FindReport  # noqa: PLC0415 - imports torch

        if self._context.labels.store_layers is not None:
            self._context.labels.store_layers.catch_up()
        panel, value, seconds = self._panel.run, outcome.value, outcome.milliseconds / 1e3
        panel.show_idle()
        if isinstance(value, FindReport):
            panel.show_result(found_text(value.objects, len(value.failed), seconds), value.objects > 0)
        elif isinstance(value, FolderResult):
            self._interrupted = None
            objects = sum(result.objects for result in value.images)
            errors = [f"{Path(result.source).name}: {result.error}" for result in value.images if result.error]
            panel.show_result(folder_text(objects, len(value.images), str(value.folder), errors, seconds), False)
        elif outcome.error is not None and not self.run.was_closed(outcome):
            panel.message.setText(f"The run stopped: {outcome.error}")
            self._context.notifier.failure(outcome.error)
        else:
            panel.message.setText("Stopped. Start again in the same place to continue.")
        self.changed.emit()


def learned(wanted: Wanted, predictor: Predictor) -> Concept:
    """Return a concept of the examples that lie on the image; slow, so called by another thread.

    Raises
    ------
    ConceptError
        If none of them does.
    """
    from napari_sam.concept import Concept  # noqa: PLC0415 - imports torch

    examples = [example for example in wanted.choices.examples if example.place == wanted.place]
    if not any(example.accepted for example in examples):
        raise ConceptError(
            "no example lies on this image", remedy="find objects in view first, or mark one in this image"
        )
    masks = [(example.mask, example.box) for example in examples]
    return Concept.from_masks(wanted.image, masks, [example.accepted for example in examples], predictor, wanted.name)


def new_folder(images: Path, name: str) -> Path:
    """Return a folder beside the images for their objects, which does not exist yet."""
    safe = "".join(c if c.isalnum() or c in " -_" else "_" for c in name).strip() or "objects"
    number = 1
    while (folder := images / f"found {safe}{'' if number == 1 else f' {number}'}").exists():
        number += 1
    return folder
