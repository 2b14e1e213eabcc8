"""Pairs of image and label files from the accepted objects of a project's images."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from napari_sam.errors import EvaluationError, ProjectError
from napari_sam.evaluation.datasets.store_corrections import NOT_BY_PEOPLE, read_corrections
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.projects.image_entry import FINISHED
from napari_sam.project.labelled_parts import labelled_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_sam.project.project_image import ProjectImage

COMPLETE, PARTIAL, CORRECTED, VALIDATION = "complete", "partial", "corrected", "validation"
"""Folders of pairs: all objects of the image have labels, some have, some were corrected by hand; not trained on."""
_TILE_PX = 1024  # side of the parts that a large image is cut into
_MOST_TILES = 64  # of one image
_VALIDATION_SHARE = 0.25


@dataclass(frozen=True)
class PairFolders:
    """Folders of pairs, and what is in them.

    Attributes
    ----------
    root : Path
        Their parent.
    pairs : dict of str to int
        Number of pairs in each folder.
    objects : dict of str to int
        Number of objects in each folder.
    images : dict of str to int
        Number of images of the project in each folder.
    checksum : str
        Changes with the pixels of any pair.
    """

    root: Path
    pairs: dict[str, int]
    objects: dict[str, int]
    images: dict[str, int]
    checksum: str


@dataclass(frozen=True)
class _Source:
    """An image with accepted objects, and the folder that its pairs belong to."""

    image: ProjectImage
    accepted: frozenset[int]
    folder: str


def write_pairs(images: Sequence[ProjectImage], root: Path) -> PairFolders:
    """Write the accepted objects of images as pairs of files, split by image.

    Of images that are done or checked all objects count. Of others, those that a person drew, clicked or accepted in a
    review: objects of everything-mode that nobody looked at do not. A quarter of the images is kept for validation,
    always the same ones.

    Parameters
    ----------
    images : sequence of ProjectImage
        Images of a project.
    root : Path
        A folder for the pairs, which must be new or empty.

    Raises
    ------
    ProjectError
        If fewer than two images have accepted objects.
    """
    sources = _sources(images)
    digest = hashlib.sha256()
    pairs: dict[str, int] = {}
    objects: dict[str, int] = {}
    counts: dict[str, int] = {}
    for source in sources:
        folder = root / source.folder
        folder.mkdir(parents=True, exist_ok=True)
        counts[source.folder] = counts.get(source.folder, 0) + 1
        for name, pixels, labels in _tiles(source):
            tifffile.imwrite(folder / f"{name}.image.tif", pixels, photometric="rgb", compression="zlib")
            tifffile.imwrite(folder / f"{name}.labels.tif", labels, compression="zlib")
            for part in (f"{source.folder}/{name}".encode(), pixels.tobytes(), labels.tobytes()):
                digest.update(part)
            pairs[source.folder] = pairs.get(source.folder, 0) + 1
            objects[source.folder] = objects.get(source.folder, 0) + len(np.unique(labels[labels > 0]))
    return PairFolders(root, pairs, objects, counts, digest.hexdigest())


def _sources(images: Sequence[ProjectImage]) -> list[_Source]:
    """Return the images with accepted objects, split for training and validation."""
    usable = [(image, accepted) for image in images if (accepted := accepted_objects(image))]
    if len(usable) < 2:
        number = len(usable)
        raise ProjectError(
            f"{number or 'no'} image{'s' * (number != 1)} of {len(images)} with accepted objects: too few to train on "
            "some and compare on others",
            remedy="accept objects in at least two images",
        )
    usable.sort(key=lambda pair: _draw(pair[0]))
    held = max(1, sum(_draw(image) < _VALIDATION_SHARE for image, _ in usable))
    held = min(held, len(usable) - 1)
    return [
        _Source(image, accepted, VALIDATION if number < held else _training_folder(image))
        for number, (image, accepted) in enumerate(usable)
    ]


def _draw(image: ProjectImage) -> float:
    """Return a number in [0, 1) that belongs to the pixels of an image, so that a split stays as images are added."""
    return int(hashlib.sha256(image.entry.fingerprint.encode()).hexdigest()[:12], 16) / 16**12


def _training_folder(image: ProjectImage) -> str:
    try:
        if any(correction.outcome == "changed" for correction in read_corrections(image.labels_path)):
            return CORRECTED if image.state in FINISHED else PARTIAL
    except EvaluationError:  # no automatic objects
        pass
    return COMPLETE if image.state in FINISHED else PARTIAL


def accepted_objects(image: ProjectImage) -> frozenset[int]:
    """Return the labels of the objects of an image that a person accepted."""
    if not image.is_begun:
        return frozenset()
    with LabelStore.open(image.labels_path, "r") as store:
        labels = frozenset(int(label) for label in store.journal.objects.labels())
        if image.state in FINISHED:
            return labels
        changes = store.journal.changes
        by_people = {change.label for change in changes.changes_of_objects() if change.kind not in NOT_BY_PEOPLE}
        unseen = {origin.label for origin in changes.automatic_objects()} - by_people - store.reviewed()
        return labels - unseen


def _tiles(source: _Source) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Return the name, pixels (h, w, 3) uint8 and labels (h, w) int32 of the parts of an image with objects."""
    parts = labelled_parts(source.image, source.accepted, _TILE_PX)
    for part in itertools.islice(parts, _MOST_TILES):
        where = "-".join(str(int(n)) for n in (*part.plane, *part.box[:2]))
        yield f"{source.image.image_id}-{where}", part.pixels, part.labels
