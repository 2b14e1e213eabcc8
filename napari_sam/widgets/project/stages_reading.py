"""Facts about the stages of a project, for which only label stores that have changed are read again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_sam.errors import StoreError
from napari_sam.io.labels.store_access import JOURNAL_FILE
from napari_sam.project.stages.audit import AUDITS
from napari_sam.project.stages.judged_objects import judged_objects
from napari_sam.project.stages.threshold import ConfidenceThreshold, learn_threshold
from napari_sam.project.time_per_object import TimePerObject

if TYPE_CHECKING:
    from napari_sam.project.project import Project
    from napari_sam.project.project_image import ProjectImage
    from napari_sam.project.stages.audit import Agreement
    from napari_sam.widgets.engine_thread import IsCancelled


@dataclass(frozen=True)
class StagesFacts:
    """Facts about the stages of a project.

    Attributes
    ----------
    here, project : TimePerObject
        Time per object in the image that is open, and in the project.
    threshold : ConfidenceThreshold
        Score from which objects are filled in.
    agreement : Agreement or None
        Result of the last audit.
    """

    here: TimePerObject
    project: TimePerObject
    threshold: ConfidenceThreshold
    agreement: Agreement | None


@dataclass(frozen=True)
class _ImageFacts:
    """Facts about one image, and what its label store looked like then."""

    mark: tuple[object, ...] = ()
    seconds: list[float] = field(default_factory=list)
    judged: list[tuple[float, bool]] = field(default_factory=list)


class StagesReading:
    """Read the facts; its methods run in one thread."""

    def __init__(self) -> None:
        self._known: dict[str, _ImageFacts] = {}
        self._audited: tuple[object, Agreement | None] = (None, None)  # what the last result of the audit is of, and it

    def read(self, project: Project, opened: str, cancelled: IsCancelled) -> StagesFacts | None:
        """Return the facts; None if `cancelled()` returned True.

        Parameters
        ----------
        project : Project
            The project.
        opened : str
            Id of the image that is open; empty for none.
        cancelled : callable
            Polled before each image.
        """
        facts: dict[str, _ImageFacts] = {}
        for image in project.images():
            if cancelled():
                return None
            facts[image.image_id] = self._facts(image)
        self._known = facts
        return StagesFacts(
            TimePerObject.of(facts.get(opened, _ImageFacts()).seconds),
            TimePerObject.of(seconds for one in facts.values() for seconds in one.seconds),
            learn_threshold(pair for one in facts.values() for pair in one.judged),
            self._agreement(project),
        )

    def _agreement(self, project: Project) -> Agreement | None:
        """Return the result of the audit, which is computed again if a label store or the audit has changed."""
        marks = tuple((image_id, facts.mark) for image_id, facts in self._known.items())
        of = (marks, max((project.path / AUDITS).glob("*.json"), default=None))
        if self._audited[0] != of:
            self._audited = of, project.stages.agreement()
        return self._audited[1]

    def _facts(self, image: ProjectImage) -> _ImageFacts:
        known, mark = self._known.get(image.image_id, _ImageFacts()), _mark(image)
        if mark == known.mark:
            return known
        with suppress(StoreError):  # the list of images tells that it is damaged
            return _ImageFacts(mark, list(image.seconds().values()), judged_objects(image))
        return known


def _mark(image: ProjectImage) -> tuple[object, ...]:
    """Return what changes with the objects of an image: its state, and time and size of the journal's files."""
    found: list[object] = []
    for name in (JOURNAL_FILE, f"{JOURNAL_FILE}-wal"):
        with suppress(OSError):
            status = (image.labels_path / name).stat()
            found += [status.st_mtime_ns, status.st_size]
    return (*found, image.state) if found else ()
