"""COCO files of videos: frames as planes of a stack, and annotations that go through several frames.

Two forms are in use. In that of TAO, each annotation belongs to an image, which names its ``video_id`` and
``frame_index``; annotations with one ``track_id`` are one object. In that of YouTube-VIS, an annotation is an object
with lists ``segmentations`` and ``bboxes``, one entry for each frame of its ``video_id``.
"""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.json_types import JsonObject

    Id = int | float | str
    Plane = tuple[int, ...]

_IDS = (int, float, str)
_LISTS = ("segmentations", "bboxes")
_FRAME_NAMES = ("frame_index", "frame_id")


def split_into_frames(content: JsonObject) -> tuple[JsonObject, list[int]]:
    """Split the annotations of YouTube-VIS into one for each frame, whose image has the index of its frame.

    Parameters
    ----------
    content : dict
        A COCO document.

    Returns
    -------
    content : dict
        The document, unchanged if no annotation goes through several frames.
    numbers : list of int
        Position of each annotation in the file.
    """
    entries = content["annotations"]
    if not any(_is_video_entry(entry) for entry in entries):
        return content, list(range(len(entries)))
    images = listed(content, "images")
    frames, numbers = [], []
    for number, entry in enumerate(entries):
        parts = list(_frames_of(entry)) if _is_video_entry(entry) else [entry]
        frames += parts
        numbers += [number] * len(parts)
    known = {image.get("id") for image in images if isinstance(image.get("id"), _IDS)}
    for part in frames:
        if isinstance(part, dict) and "frame_index" in part and part["image_id"] not in known:
            known.add(part["image_id"])
            images.append({"id": part["image_id"], "video_id": part["video_id"], "frame_index": part["frame_index"]})
    return {**content, "images": images, "annotations": frames}, numbers


def planes_of_images(content: JsonObject, name: str, image: Image) -> dict[Id, Plane]:
    """Return the plane of a stack that each image of a document stands for, by the id of the image.

    Parameters
    ----------
    content : dict
        A COCO document, as `split_into_frames` returns it.
    name : str
        Name of the file in messages.
    image : Image
        The stack.

    Returns
    -------
    dict
        Empty unless the image is a stack, and all images of the document name a plane or a frame of one video.

    Raises
    ------
    PromptError
        If the document holds several videos, and none is called like the stack.
    """
    images = [item for item in listed(content, "images") if isinstance(item.get("id"), _IDS)]
    if not image.plane_axes or not images:
        return {}
    video = _chosen_video(content, images, name, image)
    images = [item for item in images if video is None or item.get("video_id") == video]
    planes = {item["id"]: _plane_of(item, image, len(images)) for item in images}
    found = {number: plane for number, plane in planes.items() if plane is not None}
    return found if len(found) == len(planes) else {}


def track_of(entry: JsonObject) -> str | None:
    """Return the name of the object that an annotation shows on its frame; None if it stands for itself."""
    track = entry.get("track_id", entry.get("instance_id"))
    return str(track) if isinstance(track, _IDS) and not isinstance(track, bool) else None


def parents_of_tracks(content: JsonObject) -> dict[str, str]:
    """Return the parent of each object that came from a division, as our own exports list it in ``tracks``."""
    tracks = [item for item in listed(content, "tracks") if isinstance(item.get("id"), _IDS)]
    return {str(item["id"]): str(item["parent"]) for item in tracks if isinstance(item.get("parent"), _IDS)}


def listed(content: JsonObject, key: str) -> list[JsonObject]:
    """Return the objects of a list of a document; what is none is left out."""
    values = content.get(key)
    return [item for item in values if isinstance(item, dict)] if isinstance(values, list) else []


def _is_video_entry(entry: object) -> bool:
    return isinstance(entry, dict) and any(isinstance(entry.get(key), list) for key in _LISTS)


def _frames_of(entry: JsonObject) -> Iterator[JsonObject]:
    """Iterate over the frames on which an annotation of YouTube-VIS has a box or a mask."""
    masks, boxes = (entry[key] if isinstance(entry.get(key), list) else [] for key in _LISTS)
    common = {key: value for key, value in entry.items() if key not in (*_LISTS, "areas", "id")}
    video = entry.get("video_id") if isinstance(entry.get("video_id"), _IDS) else None
    for frame in range(max(len(masks), len(boxes))):
        mask = masks[frame] if frame < len(masks) else None
        box = boxes[frame] if frame < len(boxes) else None
        if mask or box:
            where = {"image_id": f"video {video}, frame {frame}", "video_id": video, "frame_index": frame}
            yield {**common, **where, "track_id": entry.get("id"), "segmentation": mask, "bbox": box}


def _chosen_video(content: JsonObject, images: list[JsonObject], name: str, image: Image) -> Id | None:
    """Return the id of the video that a stack is; None if the document does not distinguish videos."""
    videos: set[Id] = {item["video_id"] for item in images if isinstance(item.get("video_id"), _IDS)}
    if len(videos) < 2:
        return next(iter(videos), None)
    stem = "" if image.uri is None else PurePath(image.uri.rstrip("/")).name.split(".")[0]
    named = {item["id"]: item for item in listed(content, "videos") if isinstance(item.get("id"), _IDS)}
    same: list[Id] = [video for video in videos if stem and stem in _names_of(named.get(video, {}))]
    if len(same) == 1:
        return same[0]
    raise PromptError(
        f"{name}: holds {len(videos)} videos, and not one of them is called {stem or 'like the stack'!r}",
        remedy="give a file with the annotations of one video",
    )


def _names_of(video: JsonObject) -> set[str]:
    """Return what a video is called: its name, or the folder of its frames."""
    files = video.get("file_names")
    first = files[0] if isinstance(files, list) and files else None
    given = [video.get("name"), video.get("file_name")]
    names = [PurePath(value).name for value in given if isinstance(value, str)]
    names += [PurePath(first).parent.name] if isinstance(first, str) else []
    return {name.split(".")[0] for name in names}


def _plane_of(item: JsonObject, image: Image, count: int) -> Plane | None:
    """Return the plane of an image of a document: as our own exports give it, or by the index of its frame."""
    plane = item.get("plane")
    if isinstance(plane, list) and all(isinstance(i, int) for i in plane):
        return tuple(plane)
    frame = next((item[key] for key in _FRAME_NAMES if isinstance(item.get(key), int)), None)
    sizes = tuple(image.plane_axes.values())
    if frame is None or frame < 0:
        return None
    along = [i for i, n in enumerate(sizes) if n > 1] or [0]
    if len(along) == 1:
        return tuple(frame if i == along[0] else 0 for i in range(len(sizes)))
    if frame < math.prod(sizes) and count <= math.prod(sizes):
        return tuple(int(i) for i in np.unravel_index(frame, sizes))
    return None
