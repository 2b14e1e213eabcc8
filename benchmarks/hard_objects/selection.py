"""Objects of labelled images that are thin, small, or large and even; and images reduced until objects are small."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image
from scipy import ndimage

from napari_sam.evaluation.datasets.ground_truth import GroundTruth, truth_from_labels
from napari_sam.evaluation.datasets.labelled_samples import MIN_AREA_PX, Sample, evenly_spaced, read_rgb

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.ground_truth import TrueObject

T = TypeVar("T")

THIN_LENGTH = 5.0
"""A thin object is at least so many times as long as wide."""
THIN_LENGTH_PX = 16.0
"""A thin object is at least so long; shorter ones are often slivers at the image's border."""
SMALL_SIDE_PX = 8
"""Neither side of a small object's box is longer."""
LARGE_SHARE = 0.03
"""A large object covers at least this share of its image."""
EVEN_CONTRAST = 0.4
"""In an even area, grey values vary by at most this share of their variation in the whole image."""

_EDGE_PX = 3  # at an object's outline, grey values are mixtures
_REDUCED_SIDE_PX = 6.0  # median side of the objects in reduced images
_MIN_OBJECTS = 4  # in a reduced image


@dataclass(frozen=True)
class HardCase:
    """Images whose hard objects are measured.

    Attributes
    ----------
    name : str
        Group and origin, such as "thin: photographs".
    samples : tuple of Sample
        Images, whose ground truth holds only the hard objects.
    """

    name: str
    samples: tuple[Sample, ...]

    def limited(self, images: int | None) -> HardCase:
        """Return the case with up to `images` evenly spaced images."""
        return replace(self, samples=tuple(self.samples[i] for i in evenly_spaced(len(self.samples), images)))


def real_case(
    name: str, samples: Sequence[Sample], is_hard: Callable[[TrueObject, NDArray[np.uint8]], bool]
) -> HardCase:
    """Select the hard objects of labelled images.

    Parameters
    ----------
    name : str
        Name of the case.
    samples : sequence of Sample
        Labelled images.
    is_hard : callable
        Takes an object and the image's grey values (H, W).

    Returns
    -------
    HardCase
        The images that have such an object.
    """
    chosen = []
    for sample in samples:
        truth = sample.truth()
        grey = _grey(read_rgb(sample))
        kept = tuple(o for o in truth.scored_objects if o.area_px >= MIN_AREA_PX and is_hard(o, grey))
        if kept:
            chosen.append(_as_case(sample, name, replace(truth, objects=kept)))
    return HardCase(name, tuple(chosen))


def is_thin(true_object: TrueObject, grey: NDArray[np.uint8] | None = None) -> bool:
    """Return whether an object is many times as long as wide; rings and branching objects count by their arms.

    The width is that of the largest disc inside; the length is the area over the width.
    """
    depth = ndimage.distance_transform_edt(np.pad(true_object.mask, 1))
    width = max(1.0, 2 * float(depth.max()) - 1)
    return true_object.area_px / width >= max(THIN_LENGTH * width, THIN_LENGTH_PX)


def is_small(true_object: TrueObject, grey: NDArray[np.uint8] | None = None) -> bool:
    """Return whether both sides of an object's box are at most `SMALL_SIDE_PX`."""
    return max(true_object.mask.shape) <= SMALL_SIDE_PX


def is_large_and_even(true_object: TrueObject, grey: NDArray[np.uint8]) -> bool:
    """Return whether an object is a large part of an image and varies little inside, against the whole image."""
    if true_object.area_px < LARGE_SHARE * grey.size:
        return False
    inside = ndimage.binary_erosion(true_object.mask, iterations=_EDGE_PX)
    if not inside.any():
        return False
    return float(grey[true_object.box.slices][inside].std()) <= EVEN_CONTRAST * float(grey.std())


def reduced_case(name: str, samples: Sequence[Sample]) -> HardCase:
    """Reduce images by averaging pixels, so that the median object becomes about 6 px wide; keep the small objects.

    Parameters
    ----------
    name : str
        Name of the case.
    samples : sequence of Sample
        Labelled images; those whose objects are too few, or small already, are left out.
    """
    chosen = []
    for sample in samples:
        truth = sample.truth()
        sides = [max(o.mask.shape) for o in truth.scored_objects]
        factor = round(float(np.median(sides)) / _REDUCED_SIDE_PX) if sides else 0
        if factor < 2:
            continue
        pixels, labels = reduce_image(read_rgb(sample), truth.labels(), factor)
        smaller = truth_from_labels(labels)
        kept = tuple(o for o in smaller.objects if o.area_px >= MIN_AREA_PX and is_small(o))
        if len(kept) >= _MIN_OBJECTS:
            reduced = _as_case(sample, name, replace(smaller, objects=kept))
            chosen.append(replace(reduced, image=None, read_image=partial(unchanged, pixels)))
    return HardCase(name, tuple(chosen))


def reduce_image(
    pixels: NDArray[np.uint8], labels: NDArray[np.int32], factor: int
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Reduce an image (H, W, 3) and its labels (H, W) by a factor: mean colours, and the label in the middle.

    Examples
    --------
    >>> labels = np.kron(np.array([[1, 0], [0, 2]], np.int32), np.ones((4, 4), np.int32))
    >>> image = np.repeat(labels[:, :, None], 3, 2).astype(np.uint8)
    >>> pixels, smaller = reduce_image(image, labels, 4)
    >>> smaller.tolist(), pixels[:, :, 0].tolist()
    ([[1, 0], [0, 2]], [[1, 0], [0, 2]])
    """
    h, w = (n // factor for n in labels.shape)
    cropped = pixels[: h * factor, : w * factor]
    smaller = np.asarray(Image.fromarray(cropped).resize((w, h), Image.Resampling.BOX))
    middle = slice(factor // 2, None, factor)
    return smaller, labels[middle, middle][:h, :w]


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(pixels).convert("L"))


def _as_case(sample: Sample, name: str, truth: GroundTruth) -> Sample:
    """Return a sample of the data set `name` with another ground truth; its name includes its former data set."""
    return replace(sample, dataset=name, name=f"{sample.dataset}/{sample.name}", read_truth=partial(unchanged, truth))


def unchanged(value: T) -> T:
    """Return what was given; with `functools.partial`, a reader of a `Sample` that has been read."""
    return value
