"""COCO instance files and their relatives: LVIS (frequencies, federated labels) and LIVECell (annotations by id)."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.samples import Sample, Truth, file_identity, tight
from src_models.training.coco import object_mask
from src_models.training.datasets import find_image


def coco_samples(path: Path, split: str = "") -> list[Sample]:
    """Images of a COCO, LVIS or LIVECell file that are there.

    Parameters
    ----------
    path : Path
        The JSON file; images are looked for beside it, in ``images``, and in any folder below.
    split : str
        Not used: one file is one split.

    Raises
    ------
    EvaluationError
        If it is no such file, or an annotation names an image or a category that is not in it.
    """
    raw = _loaded(path)
    categories = {row["id"]: row for row in _table(raw, "categories", path) if "id" in row}
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for row in _table(raw, "annotations", path):
        by_image.setdefault(row.get("image_id"), []).append(row)
    images = _table(raw, "images", path)
    if missing := [k for k in by_image if k not in {row.get("id") for row in images}]:
        raise EvaluationError(f"{path}: an annotation has image id {missing[0]!r}, which is not in 'images'; add it")
    below: dict[str, Path] = {}
    out = []
    for row in images:
        name = _file_name(row)
        shape: tuple[Any, Any] = (row.get("height"), row.get("width"))
        place = find_image(path, name) or _below(path.parent, PurePosixPath(name).name, below)
        if place is None:
            continue
        if not all(isinstance(n, int) and n > 0 for n in shape):
            raise EvaluationError(f"{path}: image {name!r} has no 'height' and 'width'; add them")
        read = partial(
            _truth,
            f"{path}: {name}",
            shape,
            by_image.get(row["id"], []),
            {k: str(v.get("name", k)) for k, v in categories.items()},
            {k: str(v.get("frequency", "")) for k, v in categories.items()},
            row.get("neg_category_ids"),
            row.get("not_exhaustive_category_ids") or [],
        )
        position = (
            (float(row["latitude"]), float(row["longitude"])) if {"latitude", "longitude"} <= row.keys() else None
        )
        out.append(
            Sample(
                path.stem,
                str(PurePosixPath(name).with_suffix("")),
                place,
                read,
                identity=f"{file_identity(path, place)}|{row['id']}",
                groups={"dataset": path.stem},
                position=position,
                number=row["id"] if isinstance(row["id"], int) else None,
            )
        )
    if not out and images:
        raise EvaluationError(
            f"{path}: none of its {len(images)} images is there, such as {_file_name(images[0])!r}; put the folder of "
            "images beside it"
        )
    return sorted(out, key=lambda one: one.name)


def category_names(path: Path) -> dict[int, str]:
    """Names of a file's categories by their ids."""
    return {row["id"]: str(row.get("name", row["id"])) for row in _table(_loaded(path), "categories", path)}


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


def _below(folder: Path, name: str, known: dict[str, Path]) -> Path | None:
    """A file anywhere below a folder; the folder is walked once."""
    if not known:
        known[""] = folder
        for inner, _, files in os.walk(folder):
            known.update({file: Path(inner) / file for file in files})
    return known.get(name)


def _truth(
    where: str,
    shape: tuple[int, int],
    annotations: list[dict[str, Any]],
    names: dict[Any, str],
    frequencies: dict[Any, str],
    absent: list[Any] | None,
    incomplete: list[Any],
) -> Truth:
    """The objects of an image, in the order of the file."""
    objects = []
    for at, row in enumerate(annotations, start=1):
        number = row.get("category_id")
        if names and number not in names:
            raise EvaluationError(f"{where}: category id {number!r} is not in 'categories'; add it")
        if not row.get("segmentation"):
            continue
        mask, origin = object_mask(row["segmentation"], shape, f"{where}, annotation {row.get('id', at)}")
        about = {"category": names.get(number, ""), "frequency": frequencies.get(number, "")}
        found = tight(at, mask, origin, crowd=bool(row.get("iscrowd")), **about)
        if found is not None:
            objects.append(found)
    negative = None if absent is None else frozenset(names.get(k, str(k)) for k in absent)
    return Truth(shape, tuple(objects), absent=negative, incomplete=frozenset(names.get(k, str(k)) for k in incomplete))
