"""COCO instance files and their relatives: LVIS (frequencies, federated labels) and LIVECell (annotations by id)."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.labelled_samples import GroundTruth, Sample, file_identity, object_from_mask
from src_models.training.data.coco_files import object_mask
from src_models.training.data.datasets import find_image


def coco_samples(path: Path, split: str = "", notes: list[str] | None = None) -> list[Sample]:
    """Images of a COCO, LVIS or LIVECell file that are there.

    Parameters
    ----------
    path : Path
        The JSON file; images are looked for beside it, in ``images``, and in any folder below.
    split : str
        Not used: one file is one split.
    notes : list of str, optional
        Gets how many images are not there.

    Raises
    ------
    EvaluationError
        If it is no such file, or an annotation names an image or a category that is not in it.
    """
    raw = _loaded(path)
    categories = {row["id"]: row for row in _table(raw, "categories", path) if "id" in row}
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for row in _table(raw, "annotations", path):
        _check_ids(row, path)
        by_image.setdefault(row.get("image_id"), []).append(row)
    images = _table(raw, "images", path)
    there = {row["id"] for row in images}
    if missing := [k for k in by_image if k not in there]:
        raise EvaluationError(f"{path}: an annotation has image id {missing[0]!r}, which is not in 'images'; add it")
    below: dict[str, list[Path]] = {}
    names = {k: str(v.get("name", k)) for k, v in categories.items()}
    frequencies = {k: str(v.get("frequency", "")) for k, v in categories.items()}
    out = []
    for row in images:
        name = _file_name(row)
        shape: tuple[Any, Any] = (row.get("height"), row.get("width"))
        place = find_image(path, name) or _below(path.parent, name, below)
        if place is None:
            continue
        if not all(isinstance(n, int) and n > 0 for n in shape):
            raise EvaluationError(f"{path}: image {name!r} has no 'height' and 'width'; add them")
        annotations = by_image.get(row["id"], [])
        absent, incomplete = row.get("neg_category_ids"), row.get("not_exhaustive_category_ids") or []
        used = {one.get("category_id") for one in annotations} | set(absent or ()) | set(incomplete)
        some = {k: names[k] for k in used if k in names}  # what goes to another process is small
        often = {k: frequencies[k] for k in some if frequencies[k]}
        about = (some, often, bool(names), absent, incomplete)
        read = partial(_truth, f"{path}: {name}", shape, annotations, *about)
        out.append(
            Sample(
                path.stem,
                str(PurePosixPath(name).with_suffix("")),
                place,
                read,
                identity=f"{file_identity(path, place)}|{row['id']}",
                groups={"dataset": path.stem},
                position=_place(row, path),
                number=row["id"] if isinstance(row["id"], int) else None,
            )
        )
    if not out and images:
        raise EvaluationError(
            f"{path}: none of its {len(images)} images is there, such as {_file_name(images[0])!r}; put the folder of "
            "images beside it"
        )
    if notes is not None and len(out) < len(images):
        count = len(images) - len(out)
        notes.append(f"{path}: {count} of its {len(images)} images are not there, or not the only ones of their name")
    return sorted(out, key=lambda one: one.name)


def coco_ids(path: Path) -> tuple[set[Any], dict[Any, str]]:
    """Ids of a file's images, and names of its categories by their ids."""
    raw = _loaded(path)
    names = {row["id"]: str(row.get("name", row["id"])) for row in _table(raw, "categories", path) if "id" in row}
    return {row["id"] for row in _table(raw, "images", path)}, names


def _check_ids(row: dict[str, Any], path: Path) -> None:
    for name in ("image_id", "category_id"):
        if not isinstance(row.get(name), int | str | None):
            raise EvaluationError(f"{path}: annotation {row.get('id')!r} has the {name} {row[name]!r}; give a number")


def _place(row: dict[str, Any], path: Path) -> tuple[float, float] | None:
    """Latitude and longitude of an image's entry, if it has them."""
    given = (row.get("latitude"), row.get("longitude"))
    if None in given:
        return None
    try:
        return float(given[0]), float(given[1])  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise EvaluationError(
            f"{path}: image {row['id']!r} has latitude and longitude {given}; give degrees"
        ) from error


def _loaded(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EvaluationError(f"{path}: cannot be read as JSON: {error}; export it anew") from error
    if not isinstance(raw, dict) or "images" not in raw or "annotations" not in raw:
        raise EvaluationError(f"{path}: not COCO: it has no 'images' and 'annotations'; give an instances file")
    return raw


def _table(raw: dict[str, Any], name: str, path: Path) -> list[dict[str, Any]]:
    """Rows of a table, which LIVECell writes as a mapping from ids."""
    rows = raw.get(name, [])
    rows = list(rows.values()) if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise EvaluationError(f"{path}: not COCO: {name!r} is no list of entries; give an instances file")
    if name == "images" and (bad := next((row for row in rows if not isinstance(row.get("id"), int | str)), None)):
        raise EvaluationError(f"{path}: not COCO: the image {str(bad)[:60]} has no 'id'; add one")
    return rows


def _file_name(row: dict[str, Any]) -> str:
    """An image's file; LVIS gives only its address, whose last two parts are folder and file."""
    if isinstance(row.get("file_name"), str):
        return str(row["file_name"]).replace("\\", "/")
    if isinstance(row.get("coco_url"), str):
        return "/".join(row["coco_url"].split("/")[-2:])
    raise EvaluationError(f"the image {str(row)[:60]} has neither 'file_name' nor 'coco_url'; add one")


def _below(folder: Path, name: str, known: dict[str, list[Path]]) -> Path | None:
    """A file anywhere below a folder, whose path ends as the name does; a bare name must be there once only."""
    if not known:
        known[""] = []
        for inner, _, files in os.walk(folder):  # the folder is walked once
            for file in files:
                known.setdefault(file, []).append(Path(inner) / file)
    wanted = PurePosixPath(name).parts
    found = [p for p in known.get(wanted[-1], []) if p.parts[-len(wanted) :] == wanted]
    return found[0] if len(found) == 1 else None


def _truth(
    where: str,
    shape: tuple[int, int],
    annotations: list[dict[str, Any]],
    names: dict[Any, str],
    frequencies: dict[Any, str],
    has_names: bool,
    absent: list[Any] | None,
    incomplete: list[Any],
) -> GroundTruth:
    """The objects of an image, in the order of the file."""
    objects = []
    for at, row in enumerate(annotations, start=1):
        number = row.get("category_id")
        if has_names and number not in names:
            raise EvaluationError(f"{where}: category id {number!r} is not in 'categories'; add it")
        if not row.get("segmentation"):
            continue
        mask, origin = object_mask(row["segmentation"], shape, f"{where}, annotation {row.get('id', at)}")
        about = {"category": names.get(number, ""), "frequency": frequencies.get(number, "")}
        found = object_from_mask(at, mask, origin, crowd=bool(row.get("iscrowd")), **about)
        if found is not None:
            objects.append(found)
    negative = None if absent is None else frozenset(names.get(k, str(k)) for k in absent)
    return GroundTruth(
        shape, tuple(objects), absent=negative, incomplete=frozenset(names.get(k, str(k)) for k in incomplete)
    )
