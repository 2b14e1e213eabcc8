"""Where the batches of a project keep their records, tables and measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import ImageError
from napari_sam.io.labels.store_access import JOURNAL_FILE
from napari_sam.jobs.batch.batch_folder import BatchFolder
from napari_sam.jobs.input_pairs import InputPair

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam.project.project_image import ProjectImage

FINDING_STATES = ("unseen", "in work")
"""States of the images whose objects are found by default: those that nobody has finished."""


def batch_folder(project: Path, command: str) -> BatchFolder:
    """Return the records of a command over a project; its table is ``batch/COMMAND.csv``."""
    outputs = project / ("measurements" if command == "measure" else "labels")
    return BatchFolder(project / "batch" / command, outputs, project / "batch" / f"{command}.csv")


def finding_pairs(images: Sequence[ProjectImage]) -> dict[InputPair, ProjectImage]:
    """Return the images with the label stores that their objects are written to."""
    return {InputPair(last_place(image), image.labels_path): image for image in images}


def measuring_pairs(images: Sequence[ProjectImage], project: Path) -> dict[InputPair, ProjectImage]:
    """Return the label stores of the images that have one, with the tables of their measurements."""
    return {
        InputPair(str(image.labels_path), project / "measurements" / f"{image.image_id}.csv"): image
        for image in images
        if (image.labels_path / JOURNAL_FILE).is_file()
    }


def last_place(image: ProjectImage) -> str:
    """Return where an image is, or where it was: opening it there says that it has moved."""
    try:
        return image.source
    except ImageError:
        return image.entry.source
