"""What to look for, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sam.concept import Concept
    from napari_sam.engine.geometry import Box
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.layers.find.search import Choices, Place


@dataclass(frozen=True)
class Wanted:
    """What to look for, and where.

    Attributes
    ----------
    image : Image
        The image.
    place : hashable
        Image and plane, as examples name it.
    region : Box
        Part of the image, level-0 pixels.
    choices : Choices
        What the user said so far.
    loaded : Concept or None
        Concept of a file.
    name : str
        Name of the concept.
    words : str
        What to look for in words; empty to look for objects like the examples.
    detector : str
        Folder or name of an open-vocabulary model for words that no concept stands for; empty for none.
    """

    image: Image
    place: Place
    region: Box
    choices: Choices
    loaded: Concept | None
    name: str
    words: str = ""
    detector: str = ""
