"""COCO annotations and detections as prompts: the box of each entry, and its pixels."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.errors import PromptError, TrainingError
from napari_sam.io.class_styles import joined_styles, style_of
from napari_sam.io.images.address import split_address
from napari_sam.io.prompts.formats.coco_videos import (
    parents_of_tracks,
    planes_of_images,
    split_into_frames,
    track_of,
)
from napari_sam.io.prompts.prompt_rows import BOX, PromptRows
from src_models.training.data.coco_dataset import bare_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari_sam.io.class_styles import ClassStyle
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.json_types import JsonObject

    Id = int | float | str
    Entry = JsonObject

_IDS = (int, float, str)  # of images and categories in JSON
_NO_PARENT = ("none", None)  # as supercategory
_QUOTED = 60  # characters of a wrong value that a message repeats


def rows_of_coco(content: JsonObject, name: str, image: Image, image_id: int | str | None) -> PromptRows:
    """Return annotations or detections of one image as rows.

    Parameters
    ----------
    content : dict
        A COCO document; ``bbox`` is (x, y, width, height) from the outer corner of the first pixel. Of a video, rows
        have their plane and their track.
    name : str
        Name of the file in messages.
    image : Image
        The image to segment.
    image_id : int, str or None
        As for `read_prompts`.

    Raises
    ------
    PromptError
        If the document is damaged, or holds several images and it is not known which of them to use.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    content, positions = split_into_frames(content)
    entries = [entry if isinstance(entry, dict) else {} for entry in content["annotations"]]
    planes = planes_of_images(content, name, image) if image_id is None else {}
    images = planes.keys() if planes else _chosen_image(content, entries, name, image, image_id)
    _check_size(content, images, name, image)
    chosen = [i for i, entry in enumerate(entries) if _belongs_to(entry, images)]
    kept, numbers = [entries[i] for i in chosen], [positions[i] for i in chosen]
    categories = _names_by_id(content, "categories", "name", name)
    info = content.get("info")
    unclassified = info.get("unclassified_category") if isinstance(info, dict) else None  # of our own exports
    if isinstance(unclassified, int) and unclassified in categories:
        categories[unclassified] = None
    boxes = np.full((len(kept), 4), np.nan)
    problems: list[str | None] = [None] * len(kept)
    for i, entry in enumerate(kept):
        problems[i] = _invalid_id(entry, "image_id") or _invalid_id(entry, "category_id")
        try:
            x, y, width, height = _four_numbers(entry.get("bbox"))
            boxes[i] = y, x, y + height, x + width
        except (TypeError, ValueError, OverflowError):
            problems[i] = f"bbox {_quoted(entry.get('bbox'))} is not four numbers (x, y, width, height)"
    frame = pd.DataFrame(boxes, columns=list(BOX))
    frame["problem"] = pd.Series(problems, dtype=object)
    frame["category"] = pd.Series([_category(entry, categories) for entry in kept], dtype=object)
    frame["score"] = pd.Series([entry.get("score") for entry in kept], dtype=object)
    if planes:
        tracks, parents = [track_of(entry) for entry in kept], parents_of_tracks(content)
        where = [None if image is None else planes.get(image) for image in map(_image_of, kept)]
        frame["plane"] = pd.Series(where, dtype=object)
        frame["track"] = pd.Series(tracks, dtype=object)
        frame["parent"] = pd.Series([parents.get(track or "") for track in tracks], dtype=object)
    with_mask = any(entry.get("segmentation") for entry in kept)
    mask = partial(_mask, kept, image.shape, name, numbers) if with_mask else None
    classes = _classes(content.get("categories"), categories)
    return PromptRows(frame, name, "annotation", np.array(numbers, np.int64), mask, classes)


def _check_size(content: JsonObject, images: Collection[Id] | None, name: str, image: Image) -> None:
    """Refuse annotations of an image of another size, such as a reduced copy: their boxes would lie elsewhere.

    Raises
    ------
    PromptError
        If the document states another height and width.
    """
    for item in content.get("images", []):
        if not isinstance(item, dict):
            continue  # refused where it matters
        size = item.get("height"), item.get("width")
        if (images is None or item.get("id") in images) and all(isinstance(n, int) and n > 0 for n in size):
            if size != image.shape:
                raise PromptError(
                    f"{name}: annotations of an image of {size[0]} x {size[1]} px, and this one has "
                    f"{image.shape[0]} x {image.shape[1]}",
                    remedy="give the image that was annotated, or scale the annotations",
                )


def _classes(categories: object, names: dict[Id, Any]) -> tuple[ClassStyle, ...]:
    """Return categories that have names and their supercategories; one that is its own supercategory has none."""
    entries = [item for item in categories if isinstance(item, dict)] if isinstance(categories, list) else []
    listed = [item for item in entries if names.get(item["id"]) is not None]
    styles = [style_of(item.get("name"), item.get("color"), item.get("supercategory")) for item in listed]
    parents = [style_of(style.parent) for style in styles if style is not None and style.parent not in _NO_PARENT]
    known = [
        replace(style, parent=None) if style.parent in _NO_PARENT else style for style in styles if style is not None
    ]
    return joined_styles([*known, *(style for style in parents if style is not None)])


def _mask(entries: list[Entry], shape: tuple[int, int], name: str, numbers: list[int], i: int) -> MaskPrompt | None:
    """Return the pixels of an annotation: of its polygons or run lengths; None without any."""
    from src_models.training.data.coco_files import object_mask  # noqa: PLC0415 - only masks need it

    segmentation = entries[i].get("segmentation")
    if not segmentation:
        return None
    try:
        mask, (y, x) = object_mask(segmentation, shape, f"{name}: annotation {numbers[i]}")
    except TrainingError as error:
        raise PromptError(error.message, remedy=error.remedy) from error
    h, w = mask.shape
    return MaskPrompt(mask, (y, x, y + h, x + w)) if mask.any() else None


def _image_of(entry: Entry) -> Id | None:
    """Return the id of the image of an entry; None without a valid one."""
    return None if _invalid_id(entry, "image_id") else entry.get("image_id")


def _belongs_to(entry: Entry, images: Collection[Id] | None) -> bool:
    """Return whether an entry belongs to one of some images; one with an invalid id does, to be refused later."""
    image = _image_of(entry)
    return images is None or image is None or image in images


def _category(entry: Entry, names: dict[Id, Any]) -> Any:
    number = None if _invalid_id(entry, "category_id") else entry.get("category_id")
    return None if number is None else names.get(number, str(number))


def _four_numbers(bbox: Any) -> list[float]:
    """Return the numbers of a list.

    Raises
    ------
    TypeError, ValueError, OverflowError
        If it is not a list of four numbers.
    """
    if not isinstance(bbox, list) or any(isinstance(v, bool) or not isinstance(v, int | float) for v in bbox):
        raise TypeError("not a list of numbers")
    if len(bbox) != 4:
        raise ValueError("not four")
    return [float(v) for v in bbox]


def _quoted(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}..."


def _invalid_id(entry: Entry, key: str) -> str | None:
    """Return what is wrong with an id; None if it is a number or a word, or missing."""
    value = entry.get(key)
    return None if value is None or isinstance(value, _IDS) else f"{key} {_quoted(value)} is not a number or a word"


def _names_by_id(content: JsonObject, key: str, name_key: str, name: str) -> dict[Id, Any]:
    """Return the names of a document's images or categories, by id.

    Raises
    ------
    PromptError
        If one of them has no id.
    """
    listed = content.get(key, [])
    if not isinstance(listed, list):
        raise PromptError(f"{name}: {key!r} is {_quoted(listed)}", remedy="make it a list, or remove it")
    for i, item in enumerate(listed):
        if not isinstance(item, dict) or not isinstance(item.get("id"), _IDS):
            raise PromptError(
                f"{name}: {key}[{i}] is {_quoted(item)}", remedy="give it an id that is a number or a word"
            )
    return {item["id"]: item.get(name_key) for item in listed}


def _chosen_image(
    content: JsonObject, entries: list[Entry], name: str, image: Image, image_id: int | str | None
) -> tuple[Id] | None:
    """Return the id of the image in a document; None if it holds only one image."""
    ids = list(dict.fromkeys(e["image_id"] for e in entries if isinstance(e.get("image_id"), _IDS)))
    files = {number: str(file or "") for number, file in _names_by_id(content, "images", "file_name", name).items()}
    if image_id is not None:
        if not isinstance(image_id, _IDS) or (image_id not in ids and image_id not in files):
            raise PromptError(
                f"image_id is {image_id!r}; {name} has images {', '.join(map(str, ids[:10]))}",
                parameter="image_id",
                remedy="choose one of them",
            )
        return (image_id,)
    if len(ids) <= 1 and len(files) <= 1:
        return None
    file_name = None if image.uri is None else Path(split_address(image.uri)[0].rstrip("/")).name
    same: list[Id] = [i for i, file in files.items() if file_name in (Path(file).name, bare_name(file))]
    if len(same) == 1:
        return (same[0],)
    raise PromptError(
        f"{name}: holds {max(len(ids), len(files))} images", parameter="image_id", remedy="choose one with {image_id}"
    )
