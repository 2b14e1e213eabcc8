"""Audit of automatic objects: a random sample is reviewed, and the share of right masks is reported."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.errors import EvaluationError, ProjectError
from napari_sam.evaluation.datasets.store_corrections import read_corrections
from napari_sam.evaluation.metrics.proportion import wilson_interval
from napari_sam.io.json_files import read_json_object
from napari_sam.io.labels.journal.stage_names import AUTOMATIC
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.project.stages.judged_objects import GOOD_IOU
from src_models.atomic import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_sam.project.project_image import ProjectImage

AUDITS = "audits"
"""Folder of a project with its audits."""


@dataclass(frozen=True)
class Audit:
    """A random sample of the automatic objects of a project.

    Attributes
    ----------
    number : int
        1 for the first audit.
    by : str
        Who began it.
    created : float
        Seconds since 1970.
    population : int
        Number of automatic objects that it was drawn from.
    seed : int
        Seed of the draw.
    sample : tuple of (str, int)
        Image and label of each object.
    """

    number: int
    by: str
    created: float
    population: int
    seed: int
    sample: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Agreement:
    """Result of an audit: how often the automatic mask is right.

    Attributes
    ----------
    number : int
        Number of the audit.
    sample, population : int
        Number of objects that were drawn, and of all automatic objects then.
    judged : int
        Objects that a person has accepted, corrected or erased since they were found.
    right : int
        Those whose mask before and after has an IoU above 0.9.
    share, low, high : float or None
        Share of right ones among the judged, and its 95 % interval; None without any.
    waiting : mapping of str to tuple of int
        Labels of the objects that wait for a review, by image.
    gone : int
        Objects that a later run replaced, or whose image was removed; they do not count.
    """

    number: int
    sample: int
    population: int
    judged: int
    right: int
    share: float | None
    low: float | None
    high: float | None
    waiting: Mapping[str, tuple[int, ...]]
    gone: int

    @property
    def left(self) -> int:
        """Number of objects that wait for a review."""
        return sum(map(len, self.waiting.values()))


def begin_audit(
    folder: Path, images: Sequence[ProjectImage], size: int, seed: int | None = None, by: str = ""
) -> Audit:
    """Draw a sample of the automatic objects of images, each with the same probability, and keep it in the project.

    Parameters
    ----------
    folder : Path
        Folder of the project.
    images : sequence of ProjectImage
        Its images.
    size : int
        Number of objects; all of them if there are fewer.
    seed : int, optional
        Seed of the draw; the number of the audit by default.
    by : str
        Who begins it.

    Raises
    ------
    ProjectError
        If there is no automatic object, or the sample cannot be written.
    """
    if size < 1:
        raise ProjectError(f"size is {size}", parameter="size", remedy="give the number of objects to review")
    population = [(image.image_id, label) for image in images for label in _automatic(image)]
    if not population:
        raise ProjectError(
            "none of the project's objects was found automatically", remedy="find all objects of some images first"
        )
    last = last_audit(folder)
    number = 1 if last is None else last.number + 1
    seed = number if seed is None else seed
    drawn = random.Random(seed).sample(sorted(population), min(size, len(population)))  # noqa: S311 - no secret
    audit = Audit(number, by, time.time(), len(population), seed, tuple(sorted(drawn)))
    path = folder / AUDITS / f"{number:04d}.json"
    try:
        path.parent.mkdir(exist_ok=True)
        write_json(path, {**vars(audit), "sample": [list(one) for one in audit.sample]})
    except OSError as error:
        raise ProjectError(
            f"{path}: cannot be written ({error.strerror})", remedy="free some space, or make the folder writable"
        ) from error
    return audit


def last_audit(folder: Path) -> Audit | None:
    """Return the last audit of a project; None if there is none.

    Raises
    ------
    ProjectError
        If its file is damaged.
    """
    path = max((folder / AUDITS).glob("*.json"), default=None)
    if path is None:
        return None
    try:
        content = read_json_object(path)
        return Audit(
            number=int(content["number"]),
            by=str(content["by"]),
            created=float(content["created"]),
            population=int(content["population"]),
            seed=int(content["seed"]),
            sample=tuple((str(image), int(label)) for image, label in content["sample"]),
        )
    except (OSError, ValueError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ProjectError(f"{path}: cannot be read ({error})", remedy="delete it, and begin a new audit") from error


def agreement(audit: Audit, images: Sequence[ProjectImage]) -> Agreement:
    """Compare the masks of an audit's objects as they were found with what people made of them.

    Parameters
    ----------
    audit : Audit
        The sample.
    images : sequence of ProjectImage
        Images of the project.

    Raises
    ------
    StoreError
        If a label store is damaged.
    """
    by_image: dict[str, list[int]] = {}
    for image_id, label in audit.sample:
        by_image.setdefault(image_id, []).append(label)
    known = {image.image_id: image for image in images}
    judged: list[float] = []
    waiting: dict[str, tuple[int, ...]] = {}
    for image_id, labels in by_image.items():
        if image_id not in known:
            continue
        ious = _judged(known[image_id])
        judged += [ious[label] for label in labels if label in ious]
        left = set(labels) - ious.keys()
        existing = tuple(sorted(left & _existing(known[image_id]))) if left else ()
        if existing:
            waiting[image_id] = existing
    right, number = sum(iou > GOOD_IOU for iou in judged), len(judged)
    low, high = wilson_interval(right, number) if number else (None, None)
    gone = len(audit.sample) - number - sum(map(len, waiting.values()))
    share = right / number if number else None
    return Agreement(audit.number, len(audit.sample), audit.population, number, right, share, low, high, waiting, gone)


def _automatic(image: ProjectImage) -> list[int]:
    """Return the automatic objects of an image that exist, or that people removed."""
    if not image.is_begun:
        return []
    with LabelStore.open(image.labels_path, "r") as store:
        found = {origin.label for origin in store.journal.changes.automatic_objects() if origin.stage == AUTOMATIC}
    return sorted(found & (_existing(image) | _judged(image).keys())) if found else []


def _judged(image: ProjectImage) -> dict[int, float]:
    """Return the IoU of the automatic mask and the present one, for each automatic object that people judged."""
    if not image.is_begun:
        return {}
    try:
        return {one.label: one.iou for one in read_corrections(image.labels_path)}
    except EvaluationError:  # no automatic objects
        return {}


def _existing(image: ProjectImage) -> set[int]:
    if not image.is_begun:
        return set()
    with LabelStore.open(image.labels_path, "r") as store:
        return {int(label) for label in store.journal.objects.labels()}
