"""Concepts and open-vocabulary models on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog

from napari_sam.errors import NapariSamError

if TYPE_CHECKING:
    from napari_sam.layers.find.search import Search
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.find.find_panel import FindPanel

SUFFIX = ".concept"
CONCEPT_FILES = f"Concepts (*{SUFFIX} *.safetensors);;All files (*)"


class ConceptFiles(QObject):
    """Load and save concepts.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : FindPanel
        The page.
    search : Search
        What is looked for.

    Attributes
    ----------
    detector : str
        Folder of the open-vocabulary model for any words; empty for none.

    Signals
    -------
    loaded
        A concept was loaded.
    """

    loaded = Signal()

    def __init__(self, context: DockContext, panel: FindPanel, search: Search) -> None:
        super().__init__()
        self._context, self._panel, self._search = context, panel, search
        self.detector = ""

    def ask_load(self) -> None:
        """Ask for the file of a concept, and use it."""
        folder = str(self._context.memory.start_folder)
        path, _ = QFileDialog.getOpenFileName(self._panel, "Load a concept", folder, CONCEPT_FILES)
        if path:
            self.load(Path(path))

    def load(self, path: Path) -> None:
        """Look for objects of a saved concept; marks are added to it."""
        from napari_sam.concept import Concept  # noqa: PLC0415 - imports torch

        try:
            loaded = Concept.load(path)
        except NapariSamError as error:
            self._context.notifier.error(str(error))
            return
        self._remember(path)
        self._search.load(loaded)
        if self._panel.category is None:
            self._panel.name.setText(loaded.name)
        self.loaded.emit()

    def ask_save(self) -> None:
        """Ask for a file, and save the concept to it."""
        start = Path(self._context.memory.start_folder) / f"concept{SUFFIX}"
        path, _ = QFileDialog.getSaveFileName(self._panel, "Save the concept", str(start), CONCEPT_FILES)
        if path:
            self.save(Path(path) if Path(path).suffix else Path(path + SUFFIX))

    def save(self, path: Path) -> None:
        """Write what was learned to a file."""
        concept = self._search.concept
        if concept is None:
            self._context.notifier.info("Press “Find all like this” first: a concept is learned from what is found.")
            return
        concept.name, concept.threshold = self._panel.category or concept.name, self._search.threshold
        try:
            concept.save(path)
        except NapariSamError as error:
            self._context.notifier.error(str(error))
            return
        self._remember(path)
        self._context.notifier.info(f"The concept is saved in {path}: use it with “Load…”, or napari-sam find.")

    def ask_detector(self) -> None:
        """Ask for the folder of an open-vocabulary model."""
        folder = str(self._context.memory.start_folder)
        path = QFileDialog.getExistingDirectory(self._panel, "Folder of an open-vocabulary model", folder)
        if path:
            self.detector = path
            self._remember(Path(path) / "model")
            self._context.notifier.info(f"Words that the vocabulary does not have are looked for with {path}.")

    def _remember(self, path: Path) -> None:
        self._context.memory.folder = str(path.parent)
        self._context.memory.save()
