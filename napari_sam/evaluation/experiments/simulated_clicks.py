"""A simulated user: what to click next, and how good an answer is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from src_models.training.data.datasets import read_dataset
from src_models.training.data.labelled_images import checked_labels
from src_models.training.data.picture_files import read_picture
from src_models.training.prompt_simulation import correction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction


def labelled_images(folder: Path) -> Iterator[tuple[Path | NDArray[np.uint8], NDArray[np.int32]]]:
    """Images of a data set with their labels.

    Of a folder of ``NAME.image.*`` and ``NAME.labels.tif``, images are given as paths, so that each is seen at its
    own depth; of all else that `read_dataset` reads, as (H, W, 3) arrays of 8 bits.

    Raises
    ------
    TrainingError
        If there is no such pair, or labels cannot be read, are not integers, or are negative.
    """
    found = sorted(folder.glob("*.labels.tif"))
    if not found:
        yield from ((pair.image, pair.labels) for pair in read_dataset(folder).images)
    for path in found:
        name = path.name.removesuffix(".labels.tif")
        images = sorted(folder.glob(f"{name}.image.*"))
        if images:
            yield images[0], checked_labels(read_picture(path, indices=True), str(path))


def prediction_iou(prediction: Prediction, index: int, truth: NDArray[np.bool_], origin: tuple[int, int]) -> float:
    """IoU of one of a prediction's masks and an object whose crop lies at `origin` (y, x)."""
    return crop_iou(prediction.mask_at(index), prediction.bbox[:2], truth, origin)


def crop_iou(
    mask: NDArray[np.bool_], corner: tuple[int, int], truth: NDArray[np.bool_], origin: tuple[int, int]
) -> float:
    """IoU of two crops that lie at `corner` and `origin` (y, x); 1 where both are empty."""
    (y0, x0), (ty0, tx0) = corner, origin
    y1, x1 = y0 + mask.shape[0], x0 + mask.shape[1]
    ty1, tx1 = ty0 + truth.shape[0], tx0 + truth.shape[1]
    top, left, bottom, right = max(y0, ty0), max(x0, tx0), min(y1, ty1), min(x1, tx1)
    both = 0
    if bottom > top and right > left:
        a = mask[top - y0 : bottom - y0, left - x0 : right - x0]
        b = truth[top - ty0 : bottom - ty0, left - tx0 : right - tx0]
        both = int(np.count_nonzero(a & b))
    either = int(np.count_nonzero(mask)) + int(np.count_nonzero(truth)) - both
    return both / either if either else 1.0


def next_click(
    mask: NDArray[np.bool_],
    corner: tuple[int, int],
    truth: NDArray[np.bool_],
    origin: tuple[int, int],
    rng: np.random.Generator | None = None,
) -> tuple[int, int, int]:
    """The next click (y, x, label) in the image, where a mask at `corner` is wrong about an object at `origin`.

    Parameters
    ----------
    mask, truth : ndarray of bool
        Crops.
    corner, origin : (int, int)
        (y, x) of their first pixels.
    rng : numpy.random.Generator, optional
        A random pixel of the error; by default the one that lies deepest in it.
    """
    top, left = (min(a, b) for a, b in zip(corner, origin, strict=True))
    ends = [max(a + m, b + n) for a, m, b, n in zip(corner, mask.shape, origin, truth.shape, strict=True)]
    both = np.zeros((2, ends[0] - top, ends[1] - left), bool)
    for out, one, (y, x) in zip(both, (mask, truth), (corner, origin), strict=True):
        out[y - top : y - top + one.shape[0], x - left : x - left + one.shape[1]] = one
    y, x, label = correction(both[0], both[1], rng)
    return y + top, x + left, label


def next_prompt(
    ask: dict[str, Any],
    prediction: Prediction,
    truth: NDArray[np.bool_],
    origin: tuple[int, int],
    rng: np.random.Generator | None = None,
) -> dict[str, Any]:
    """Add the click that SAM's evaluation would make next, and the mask so far."""
    y, x, label = next_click(prediction.mask, prediction.bbox[:2], truth, origin, rng)
    return {
        **ask,
        "points": [*ask.get("points", ()), (y, x)],
        "point_labels": [*ask.get("point_labels", ()), label],
        "mask": prediction,
    }
