"""Pascal VOC's XML annotations as prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from napari_sam.errors import PromptError
from napari_sam.io.prompts.prompt_rows import BOX, PromptRows

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.io.images.lazy_image import Image

_MOST_BYTES = 1 << 28
_SIDES = ("ymin", "xmin", "ymax", "xmax")


def rows_of_voc(path: Path, image: Image) -> PromptRows:
    """Return the objects of one image's XML annotation in the format of Pascal VOC.

    Parameters
    ----------
    path : Path
        The file. Its ``bndbox`` counts pixels from 1 and includes the last one [1]_.
    image : Image
        The image to segment.

    Raises
    ------
    PromptError
        If the file is damaged, is no annotation, holds no object, or belongs to an image of another size.

    References
    ----------
    .. [1] M. Everingham, J. Winn, "The PASCAL Visual Object Classes Challenge 2012 Development Kit", section 4.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    root = _root(path)
    _check_size(root, path, image)
    objects = root.findall("object")
    if not objects:
        raise PromptError(f"{path}: holds no object", remedy="give an annotation with at least one <object>")
    frame = pd.DataFrame([_row(element) for element in objects], columns=[*BOX, "category", "score", "problem"])
    return PromptRows(frame, str(path), "object", np.arange(1, len(frame) + 1))


def _root(path: Path) -> ElementTree.Element:
    if path.stat().st_size > _MOST_BYTES:
        raise PromptError(f"{path}: {path.stat().st_size} bytes of XML", remedy="give one file per image")
    try:
        root = ElementTree.fromstring(path.read_bytes())  # noqa: S314 - expat limits the expansion of entities
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise PromptError(
            f"{path}: cannot be read as XML ({error})", remedy="check that the file is complete"
        ) from error
    if root.tag != "annotation":
        raise PromptError(
            f"{path}: its first element is <{root.tag[:40]}>, not <annotation>", remedy="give a file of Pascal VOC"
        )
    return root


def _check_size(root: ElementTree.Element, path: Path, image: Image) -> None:
    """Refuse an annotation whose image has another size, for its boxes would lie elsewhere."""
    texts = [root.findtext(f"size/{name}") for name in ("height", "width")]
    try:
        size = tuple(int(float(text)) for text in texts if text is not None)
    except (ValueError, OverflowError):
        raise PromptError(
            f"{path}: the size {texts} is not two numbers", remedy="correct <size>, or remove it"
        ) from None
    if len(size) == 2 and all(size) and size != tuple(image.shape):
        raise PromptError(
            f"{path}: belongs to an image of {size[0]} x {size[1]} px, not {image.shape[0]} x {image.shape[1]}",
            remedy="give the image that was annotated",
        )


def _row(element: ElementTree.Element) -> dict[str, object]:
    """Return an object as a row of the table."""
    row: dict[str, object] = {"category": (element.findtext("name") or "").strip() or None}
    texts = [element.findtext(f"bndbox/{side}") for side in _SIDES]
    try:
        y0, x0, y1, x1 = (float(text) for text in texts if text is not None)
    except ValueError:
        return {**row, "problem": f"bndbox {texts} is not four numbers (ymin, xmin, ymax, xmax)"}
    row.update(zip(BOX, (y0 - 1, x0 - 1, y1, x1), strict=True))
    for name in ("confidence", "score"):
        if (text := element.findtext(name)) is not None:
            row["score"] = text.strip()
    return row
