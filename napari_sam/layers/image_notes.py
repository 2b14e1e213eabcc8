"""What is used of an image that holds more, in the words of the viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from src_models.model_errors import named_arguments

if TYPE_CHECKING:
    from napari_sam.io.images.lazy_image import Image

_WORDS = {
    "channels": "the layer of another channel",
    "series": "an address such as FILE#series=1",
    "axes": "an address such as FILE#axes=zyx",
}


def image_notes(image: Image) -> list[str]:
    """Return what the user should know about an opened image: what was chosen of it, and why it is slow.

    The plane is left out, because the viewer's sliders show it.
    """
    chosen = [note for note in image.choices if "{plane}" not in note]
    worded = [named_arguments(note, lambda name: _WORDS.get(name, name)) for note in chosen]
    return [*worded, *([image.advice] if image.advice else [])]
