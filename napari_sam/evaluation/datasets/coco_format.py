"""COCO instance files and their relatives: LVIS (frequencies, federated labels) and LIVECell (annotations by id)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.ground_truth import GroundTruth, object_from_mask
from napari_sam.evaluation.datasets.labelled_samples import Sample, file_identity
from src_models.training.data.coco_dataset import find_image, unique_names
from src_models.training.data.coco_files import object_mask

if TYPE_CHECKING:
    from collections.abc import Iterable

CocoId = int | str
Row = dict[str, Any]
"""An entry of a table, as JSON stores it."""

_NOT_COCO = "give an instances file"


@dataclass(frozen=True)
class CocoFile:
    """The tables of a COCO file.

    Attributes
    ----------
    path : Path
        The file.
    images : list of dict
        Rows of the table "images".
    annotations : dict of (int or str) to list of dict
        Rows of the table "annotations", by image id.
    names, frequencies : dict of (int or str) to str
        Name and LVIS frequency of each category, by its id.
    """

    path: Path
    images: list[Row]
    annotations: dict[CocoId | None, list[Row]]
    names: dict[CocoId, str]
    frequencies: dict[CocoId, str]

    @classmethod
    def read(cls, path: Path) -> CocoFile:
        """Read a file.

        Raises
        ------
        EvaluationError
            If it is not COCO, or an annotation refers to an image that is not in it.
        """
        raw = _read_json(path)
        categories = {row["id"]: row for row in _table(raw, "categories", path) if "id" in row}
        annotations: dict[CocoId | None, list[Row]] = {}
        for row in _table(raw, "annotations", path):
            _check_ids(row, path)
            annotations.setdefault(row.get("image_id"), []).append(row)
        images = _table(raw, "images", path)
        ids = {row["id"] for row in images}
        if missing := [image_id for image_id in annotations if image_id not in ids]:
            raise EvaluationError(
                f"{path}: an annotation has image id {missing[0]!r}, which is not in 'images'", remedy="add the image"
            )
        names = {k: str(row.get("name", k)) for k, row in categories.items()}
        frequencies = {k: str(row.get("frequency", "")) for k, row in categories.items()}
        return cls(path, images, annotations, names, frequencies)


@dataclass(frozen=True)
class _CocoAnnotations:
    """The annotations of one image, with the categories they use; small enough to send to another process."""

    title: str
    shape: tuple[int, int]
    rows: list[Row]
    names: dict[CocoId, str]
    frequencies: dict[CocoId, str]
    has_categories: bool
    absent: list[CocoId] | None
    incomplete: list[CocoId]

    def read(self) -> GroundTruth:
        """Return the objects, labelled from 1 in the order of the file."""
        objects = []
        for label, row in enumerate(self.rows, start=1):
            category = row.get("category_id")
            if self.has_categories and category not in self.names:
                raise EvaluationError(
                    f"{self.title}: category id {category!r} is not in 'categories'", remedy="add the category"
                )
            if not row.get("segmentation"):
                continue
            title = f"{self.title}, annotation {row.get('id', label)}"
            mask, origin = object_mask(row["segmentation"], self.shape, title)
            true_object = object_from_mask(
                label,
                mask,
                origin,
                category=self.names.get(category, "") if category is not None else "",
                frequency=self.frequencies.get(category, "") if category is not None else "",
                crowd=bool(row.get("iscrowd")),
            )
            if true_object is not None:
                objects.append(true_object)
        absent = None if self.absent is None else self._names_of(self.absent)
        return GroundTruth(self.shape, tuple(objects), absent=absent, incomplete=self._names_of(self.incomplete))

    def _names_of(self, ids: Iterable[CocoId]) -> frozenset[str]:
        return frozenset(self.names.get(k, str(k)) for k in ids)


def find_coco_samples(path: Path, split: str = "", notes: list[str] | None = None) -> list[Sample]:
    """Find the images of a COCO, LVIS or LIVECell file that exist.

    Parameters
    ----------
    path : Path
        The JSON file; images are searched beside it, in ``images``, and in any folder below.
    split : str
        Ignored: a file is one split.
    notes : list of str, optional
        Receives the number of missing images.

    Raises
    ------
    EvaluationError
        If the file is not COCO, or an annotation refers to an image or a category that is not in it.
    """
    coco = CocoFile.read(path)
    finder = _ImageFinder(path, map(_file_name, coco.images))
    samples = []
    for row in coco.images:
        name = _file_name(row)
        image = finder.find(name)
        if image is not None:
            samples.append(_sample(coco, row, name, image))
    if not samples and coco.images:
        raise EvaluationError(
            f"{path}: none of its {len(coco.images)} images exists, such as {_file_name(coco.images[0])!r}",
            remedy="put the folder of images beside it",
        )
    missing = len(coco.images) - len(samples)
    if notes is not None and missing:
        notes.append(f"{path}: {missing} of its {len(coco.images)} images do not exist, or their name is not unique")
    return sorted(samples, key=lambda sample: sample.name)


def read_coco_ids(path: Path) -> tuple[set[CocoId], dict[CocoId, str]]:
    """Return the ids of a file's images, and the names of its categories by their ids."""
    raw = _read_json(path)
    names = {row["id"]: str(row.get("name", row["id"])) for row in _table(raw, "categories", path) if "id" in row}
    return {row["id"] for row in _table(raw, "images", path)}, names


def _sample(coco: CocoFile, row: Row, name: str, image: Path) -> Sample:
    shape = _shape(row, name, coco.path)
    rows = coco.annotations.get(row["id"], [])
    absent, incomplete = row.get("neg_category_ids"), row.get("not_exhaustive_category_ids") or []
    used = {r.get("category_id") for r in rows} | set(absent or ()) | set(incomplete)
    names = {k: coco.names[k] for k in used if k in coco.names}
    frequencies = {k: coco.frequencies[k] for k in names if coco.frequencies[k]}
    title = f"{coco.path}: {name}"
    annotations = _CocoAnnotations(title, shape, rows, names, frequencies, bool(coco.names), absent, incomplete)
    dataset = coco.path.stem
    return Sample(
        dataset,
        str(PurePosixPath(name).with_suffix("")),
        image,
        partial(_CocoAnnotations.read, annotations),
        identity=f"{file_identity(coco.path, image)}|{row['id']}",
        groups={"dataset": dataset},
        position=_position(row, coco.path),
        number=row["id"] if isinstance(row["id"], int) else None,
    )


class _ImageFinder:
    """Find the image files that a COCO file names; the folder is walked at most once."""

    def __init__(self, path: Path, names: Iterable[str]) -> None:
        self._path, self._unique = path, unique_names(names)
        self._files: dict[str, list[Path]] | None = None

    def find(self, name: str) -> Path | None:
        """Return the file beside the COCO file, or the only one in any folder below whose path ends as the name."""
        beside = find_image(self._path, name, self._unique)
        if beside is not None:
            return beside
        if self._files is None:
            self._files = _list_files(self._path.parent)
        parts = PurePosixPath(name).parts
        matches = [path for path in self._files.get(parts[-1], []) if path.parts[-len(parts) :] == parts]
        return matches[0] if len(matches) == 1 else None


def _list_files(folder: Path) -> dict[str, list[Path]]:
    """Return all files below a folder, by their name."""
    files: dict[str, list[Path]] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            files.setdefault(name, []).append(Path(parent) / name)
    return files


def _check_ids(row: Row, path: Path) -> None:
    for name in ("image_id", "category_id"):
        if not isinstance(row.get(name), int | str | None):
            raise EvaluationError(
                f"{path}: annotation {row.get('id')!r} has the {name} {row[name]!r}", remedy="give a number"
            )


def _shape(row: Row, name: str, path: Path) -> tuple[int, int]:
    height, width = row.get("height"), row.get("width")
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        raise EvaluationError(f"{path}: image {name!r} has no 'height' and 'width'", remedy="add them")
    return height, width


def _position(row: Row, path: Path) -> tuple[float, float] | None:
    """Return latitude and longitude of an image, if its row has them."""
    latitude, longitude = row.get("latitude"), row.get("longitude")
    if latitude is None or longitude is None:
        return None
    try:
        return float(latitude), float(longitude)
    except (TypeError, ValueError) as error:
        raise EvaluationError(
            f"{path}: image {row['id']!r} has latitude and longitude {(latitude, longitude)}", remedy="give degrees"
        ) from error


def _read_json(path: Path) -> Row:
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise EvaluationError(f"{path}: cannot be read as JSON: {error}", remedy="export the file again") from error
    if not isinstance(raw, dict) or "images" not in raw or "annotations" not in raw:
        raise EvaluationError(f"{path}: not COCO: it has no 'images' and 'annotations'", remedy=_NOT_COCO)
    return raw


def _table(raw: Row, name: str, path: Path) -> list[Row]:
    """Return the rows of a table, which LIVECell stores as a mapping from ids."""
    rows = raw.get(name, [])
    rows = list(rows.values()) if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise EvaluationError(f"{path}: not COCO: {name!r} is not a list of entries", remedy=_NOT_COCO)
    if name == "images" and (bad := next((row for row in rows if not isinstance(row.get("id"), int | str)), None)):
        raise EvaluationError(f"{path}: not COCO: the image {str(bad)[:60]} has no 'id'", remedy="add one")
    return rows


def _file_name(row: Row) -> str:
    """Return an image's file; LVIS gives only its address, whose last two parts are folder and file."""
    if isinstance(row.get("file_name"), str):
        return str(row["file_name"]).replace("\\", "/")
    if isinstance(row.get("coco_url"), str):
        return "/".join(row["coco_url"].split("/")[-2:])
    raise EvaluationError(f"the image {str(row)[:60]} has neither 'file_name' nor 'coco_url'", remedy="add one")
