"""What became of images that were added to a project."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sam.project.project_image import ProjectImage


@dataclass(frozen=True)
class AddReport:
    """Result of adding images to a project.

    Attributes
    ----------
    added, known : list of ProjectImage
        Images that are new, and images that the project had already.
    failed : dict of str to str
        Reason for each that could not be opened.
    notes : tuple of str
        What may be a mistake: images of different kinds.
    """

    added: list[ProjectImage] = field(default_factory=list)
    known: list[ProjectImage] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
