"""Files that hold prompts: tables, COCO, GeoJSON and label images, each as rows of one form."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.errors import PromptError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.edits import boxes_of, union
from napari_sam.io.labels.label_pyramid import blocks
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.prompts.prompt_tables import BOX, Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image

    Box = tuple[int, int, int, int]

_SEPARATORS = ",;\t"
_JOURNAL = "journal.sqlite"  # what makes a folder a label store
_IDS = (int, float, str)  # of images and categories, as JSON has them
_SHOWN = 60  # characters of a wrong value that a message repeats


def rows_of_file(source: str | Path, image: Image, coordinates: str, image_id: int | None) -> Rows:
    """Prompts of a file; its ending says what it is.

    Raises
    ------
    PromptError
        If it is nothing that holds prompts, or damaged.
    """
    path = Path(source).expanduser()
    suffix = path.suffix.lower()
    if not path.exists() and "://" not in str(source):
        raise PromptError(f"{path}: no such file of prompts")
    if (path / _JOURNAL).is_file():
        with LabelStore.open(path, "r") as store:
            return rows_of_store(store, image)
    try:
        if suffix in (".csv", ".tsv", ".txt"):
            return _csv(path)
        if suffix in (".parquet", ".pq"):
            return _parquet(path)
        if suffix in (".json", ".geojson"):
            with path.open(encoding="utf-8") as file:
                content = json.load(file)
            return _json(content, path, image, coordinates, image_id)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        if isinstance(error, PromptError):
            raise
        raise PromptError(f"{path}: cannot be read as prompts ({error}); see that it is whole") from error
    labels = open_image(source)
    return rows_of_labels(labels, image, str(source))


def _csv(path: Path) -> Rows:
    import pandas as pd  # noqa: PLC0415 - slow to import

    with path.open(encoding="utf-8-sig") as file:
        head = file.readline()
    separator = max(_SEPARATORS, key=head.count)
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter=separator, skipinitialspace=True)
        named, given = len(next(lines, [])), len(next(lines, []))
    if given > named:  # pandas would take the first for names of rows; in later lines it refuses them itself
        raise PromptError(
            f"{path}: line 2: {given} fields, but the first line names {named} columns; name every column, or remove "
            "the surplus fields"
        )
    frame = pd.read_csv(
        path, sep=separator, index_col=False, skipinitialspace=True, encoding="utf-8-sig", skip_blank_lines=False
    )
    return Rows(frame, str(path), "line", np.arange(2, len(frame) + 2))


def _parquet(path: Path) -> Rows:
    import pandas as pd  # noqa: PLC0415 - slow to import

    try:
        importlib.import_module("pyarrow")
    except ImportError as error:
        raise PromptError(f"{path}: Parquet needs pyarrow; run 'pip install pyarrow', or give .csv") from error
    frame = pd.read_parquet(path)
    return Rows(frame, str(path), "row", np.arange(len(frame)))


def _json(content: Any, path: Path, image: Image, coordinates: str, image_id: int | None) -> Rows:
    if isinstance(content, dict) and content.get("type") in ("FeatureCollection", "Feature"):
        from napari_sam.io.prompts.geojson_prompts import rows_of_geojson  # noqa: PLC0415 - knows Rows

        return rows_of_geojson(content, str(path), image, coordinates)
    if isinstance(content, list) and content and isinstance(content[0], dict) and "bbox" in content[0]:
        return _coco({"annotations": content}, path, image, image_id)
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return _coco(content, path, image, image_id)
    if isinstance(content, list) and content and all(isinstance(f, dict) and "geometry" in f for f in content):
        return _json({"type": "FeatureCollection", "features": content}, path, image, coordinates, image_id)
    raise PromptError(f"{path}: neither COCO (annotations, or a list of detections) nor GeoJSON (a FeatureCollection)")


def _coco(content: dict[str, Any], path: Path, image: Image, image_id: int | None) -> Rows:
    """Annotations or detections of one image; bbox is (x, y, width, height) from the pixels' outer corner."""
    import pandas as pd  # noqa: PLC0415 - slow to import

    entries = [e if isinstance(e, dict) else {} for e in content["annotations"]]
    wanted = _coco_image(content, entries, path, image, image_id)
    numbers = [
        i
        for i, e in enumerate(entries)
        if wanted is None or _odd_id(e, "image_id") or e.get("image_id", wanted) == wanted
    ]
    kept = [entries[i] for i in numbers]
    names = _named(content, "categories", "name", path)
    boxes = np.full((len(kept), 4), np.nan)
    problems: list[str | None] = [None] * len(kept)
    for i, entry in enumerate(kept):
        problems[i] = _odd_id(entry, "image_id") or _odd_id(entry, "category_id")
        try:
            x, y, width, height = _four(entry.get("bbox"))
            boxes[i] = y, x, y + height, x + width
        except (TypeError, ValueError, OverflowError):
            problems[i] = f"bbox {_short(entry.get('bbox'))} is not four numbers (x, y, width, height)"
    frame = pd.DataFrame(boxes, columns=list(BOX))
    frame["problem"] = pd.Series(problems, dtype=object)
    ids = [None if _odd_id(e, "category_id") else e.get("category_id") for e in kept]
    frame["category"] = pd.Series([None if c is None else names.get(c, str(c)) for c in ids], dtype=object)
    frame["score"] = pd.Series([e.get("score") for e in kept], dtype=object)
    return Rows(frame, str(path), "annotation", np.array(numbers, np.int64))


def _four(bbox: Any) -> list[float]:
    """Four numbers of a list.

    Raises
    ------
    TypeError, ValueError, OverflowError
        If it is something else.
    """
    if not isinstance(bbox, list) or any(isinstance(v, bool) or not isinstance(v, int | float) for v in bbox):
        raise TypeError("not a list of numbers")
    if len(bbox) != 4:
        raise ValueError("not four")
    return [float(v) for v in bbox]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _odd_id(entry: dict[str, Any], key: str) -> str | None:
    """What is wrong with an id, if it is no number or word."""
    value = entry.get(key)
    return None if value is None or isinstance(value, _IDS) else f"{key} {_short(value)} is not a number or a word"


def _named(content: dict[str, Any], key: str, what: str, path: Path) -> dict[Any, Any]:
    """From ids to names, of a COCO file's images or categories.

    Raises
    ------
    PromptError
        If one has no id.
    """
    listed = content.get(key, [])
    if not isinstance(listed, list):
        raise PromptError(f"{path}: {key!r} is {_short(listed)}; make it a list, or remove it")
    for i, one in enumerate(listed):
        if not isinstance(one, dict) or not isinstance(one.get("id"), _IDS):
            raise PromptError(f"{path}: {key}[{i}] is {_short(one)}; give it an id that is a number or a word")
    return {one["id"]: one.get(what) for one in listed}


def _coco_image(
    content: dict[str, Any], entries: list[dict[str, Any]], path: Path, image: Image, image_id: int | None
) -> Any:
    """Id of the image in a COCO file that this one is."""
    ids = list(dict.fromkeys(e["image_id"] for e in entries if isinstance(e.get("image_id"), _IDS)))
    files = {number: str(name or "") for number, name in _named(content, "images", "file_name", path).items()}
    if image_id is not None:
        if not isinstance(image_id, _IDS) or (image_id not in ids and image_id not in files):
            raise PromptError(f"{path}: image_id {image_id!r}: the file has images {', '.join(map(str, ids[:10]))}")
        return image_id
    if len(ids) <= 1 and len(files) <= 1:
        return None
    own = None if image.uri is None else Path(image.uri.rstrip("/")).name
    same = [i for i, name in files.items() if own is not None and Path(name).name == own]
    if len(same) == 1:
        return same[0]
    raise PromptError(f"{path}: holds {max(len(ids), len(files))} images; say which with image_id=NUMBER")


def rows_of_store(store: LabelStore, image: Image) -> Rows:
    """The boxes of a label store's objects; its masks are read from its pixels when they are asked for."""
    import pandas as pd  # noqa: PLC0415 - slow to import

    if len(store.shape) > 2 or tuple(store.shape) != tuple(image.shape):
        raise PromptError(
            f"{store.path}: labels of shape {store.shape} do not fit the image of shape {tuple(image.shape)}"
        )
    found = store.rows_of("SELECT label, y0, x0, y1, x1, category, predicted_iou FROM objects ORDER BY label")
    frame = pd.DataFrame(found, columns=["label", *BOX, "category", "score"])
    numbers = frame.pop("label").to_numpy(np.int64)
    pixels = open_image(store.path)  # stays readable when the store is closed
    return Rows(frame, str(store.path), "object", numbers, _masks(pixels, numbers, frame[list(BOX)].to_numpy(np.int64)))


def rows_of_labels(source: Any, image: Image, name: str) -> Rows:
    """The boxes of all objects of a label image, found block by block.

    Raises
    ------
    PromptError
        If it is not of the image's shape, or holds no whole numbers.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    labels = open_image(source)
    if labels.dtype.kind not in "biu" or labels.channel_count > 1:
        raise PromptError(
            f"{name}: {labels.channel_count} channels of {labels.dtype} are not labels; give a label image of whole "
            "numbers, a table, COCO or GeoJSON"
        )
    if tuple(labels.shape) != tuple(image.shape):
        raise PromptError(f"{name}: labels of shape {labels.shape} do not fit the image of shape {tuple(image.shape)}")
    found: dict[int, Box] = {}
    for y0, x0, y1, x1 in blocks((0, 0, *labels.shape)):
        part = labels.read(0, y0, x0, y1, x1)[..., 0]
        for label, _, (top, left, bottom, right) in boxes_of(part.astype(np.int64)):
            box = (top + y0, left + x0, bottom + y0, right + x0)
            found[label] = union(found[label], box) if label in found else box
    numbers = np.array(sorted(found), np.int64)
    boxes = np.array([found[n] for n in numbers.tolist()], np.int64).reshape(-1, 4)
    frame = pd.DataFrame(boxes, columns=list(BOX))
    return Rows(frame, name, "object", numbers, _masks(labels, numbers, boxes))


def _masks(labels: Image, numbers: NDArray[np.int64], boxes: NDArray[np.int64]) -> Callable[[int], MaskPrompt | None]:
    def mask(i: int) -> MaskPrompt | None:
        y0, x0, y1, x1 = boxes[i].tolist()
        own = labels.read(0, y0, x0, y1, x1)[..., 0] == numbers[i]
        return MaskPrompt(own, (y0, x0, y1, x1)) if own.any() else None

    return mask
