"""Images with known objects, read on demand, and how a subset of images and objects is selected."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.normalisation import choose_normalisation
from napari_sam.engine.window_pixels import network_rgb
from napari_sam.errors import EvaluationError
from napari_sam.io.images.open_image import open_image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.ground_truth import GroundTruth, TrueObject
    from napari_sam.evaluation.datasets.stack_truth import StackTruth

_MAX_LISTED_FILES = 4

MIN_AREA_PX = 16
"""Objects smaller than this are not prompted with points and boxes."""


@dataclass(frozen=True)
class Sample:
    """A labelled image whose files are read on demand.

    Attributes
    ----------
    dataset, name : str
        Data set, and name of the image in it.
    image : Path or None
        Image file.
    read_truth : callable
        Returns the `GroundTruth`.
    read_image : callable or None
        Returns the pixels of an image without a file of its own.
    identity : str
        Text that changes when the files do.
    kind : str
        "objects", or "boundaries" where people drew edges; "volume" or "movie" for stacks.
    groups : mapping of str to str
        Grouping columns, such as modality or site.
    position : (float, float) or None
        Latitude and longitude, in degrees.
    number : int or None
        Image id in a COCO file.
    read_stack : callable or None
        Returns the `StackTruth` of a volume or movie.
    """

    dataset: str
    name: str
    image: Path | None
    read_truth: Callable[[], GroundTruth]
    read_image: Callable[[], NDArray[np.generic]] | None = None
    identity: str = ""
    kind: str = "objects"
    groups: Mapping[str, str] = field(default_factory=dict)
    position: tuple[float, float] | None = None
    number: int | None = None
    read_stack: Callable[[], StackTruth] | None = None

    @property
    def title(self) -> str:
        """Name in messages."""
        return f"{self.dataset}/{self.name}" if self.image is None else str(self.image)

    def source(self) -> Path | NDArray[np.generic]:
        """Return what a predictor opens as the image."""
        if self.read_image is not None:
            return self.read_image()
        if self.image is None:
            raise EvaluationError(f"{self.title}: has labels but no image", remedy="put the image beside the labels")
        return self.image

    def truth(self, shape: tuple[int, int] | None = None) -> GroundTruth:
        """Return the ground truth.

        Parameters
        ----------
        shape : (int, int), optional
            Height and width of the image, which the ground truth must match.

        Raises
        ------
        EvaluationError
            If the shapes differ.
        """
        truth = self.read_truth()
        if shape is not None and truth.shape != tuple(shape):
            raise EvaluationError(
                f"{self.title}: labels of shape {truth.shape} for an image of shape {tuple(shape)}",
                remedy="give labels of the same shape as the image",
            )
        return truth

    def rng(self, seed: int, purpose: str, label: int = 0) -> np.random.Generator:
        """Return random numbers for an object that do not depend on what else is evaluated, or in which order."""
        words = (f"{self.dataset}/{self.name}", purpose)
        return np.random.default_rng([seed, label, *(zlib.crc32(word.encode()) for word in words)])


def read_rgb(sample: Sample) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3) of a small image as a network sees them."""
    image = open_image(sample.source())
    h, w = image.shape
    return network_rgb(image.read(0, 0, 0, h, w), choose_normalisation(image), image.nodata)


def file_identity(*paths: Path | None) -> str:
    """Return a text that changes when files do: their names, sizes and times, or a hash of these if there are many."""
    parts = []
    for path in paths:
        if path is not None:
            status = path.stat()
            parts.append(f"{path.name}:{status.st_size}:{status.st_mtime_ns}")
    text = "|".join(parts)
    return text if len(parts) <= _MAX_LISTED_FILES else hashlib.sha256(text.encode()).hexdigest()


def evenly_spaced(count: int, limit: int | None) -> list[int]:
    """Return up to `limit` evenly spaced indices below `count`; all of them if `limit` is None.

    >>> evenly_spaced(10, 3), evenly_spaced(2, 5)
    ([0, 4, 9], [0, 1])
    """
    if limit is None or count <= limit:
        return list(range(count))
    return [int(i) for i in np.unique(np.linspace(0, count - 1, limit).astype(int))]


def select_objects(truth: GroundTruth, limit: int | None, min_area_px: int = MIN_AREA_PX) -> list[TrueObject]:
    """Return up to `limit` objects of an image that are large enough to prompt, evenly spaced over its labels."""
    large = [o for o in truth.scored_objects if o.area_px >= min_area_px]
    return [large[i] for i in evenly_spaced(len(large), limit)]


def samples_by_dataset(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """Group samples by data set, both in their order."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.dataset, []).append(sample)
    return groups


def select_samples(samples: Sequence[Sample], limit: int | None) -> list[Sample]:
    """Return up to `limit` samples of each data set, evenly spaced, in their order."""
    return [group[i] for group in samples_by_dataset(samples).values() for i in evenly_spaced(len(group), limit)]
