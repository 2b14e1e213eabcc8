"""SAM's interactive evaluation: clicks at the deepest point of the object, then of the error region."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import ImageError
from src_models.training.datasets import checked_labels, looks_like_dataset, read_dataset, read_picture
from src_models.training.prompts import correction, deepest_point

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.prediction import Prediction
    from napari_sam.predictor import Predictor

_MIN_AREA_PX = 16


@dataclass(frozen=True)
class ObjectScore:
    """IoU of one object under each protocol.

    Attributes
    ----------
    click : tuple of float
        After 1, 2, ... clicks, top-scored mask.
    oracle : float
        Best of the three masks after one click.
    box : float
        Prompted with its bounding box.
    confidence_error : float
        Absolute difference between predicted and true IoU after one click.
    """

    click: tuple[float, ...]
    oracle: float
    box: float
    confidence_error: float


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
        yield from ((pair.image, pair.labels) for pair in read_dataset(folder).pairs)
    for path in found:
        name = path.name.removesuffix(".labels.tif")
        images = sorted(folder.glob(f"{name}.image.*"))
        if images:
            yield images[0], checked_labels(read_picture(path, indices=True), str(path))


def box_iou(prediction: Prediction, index: int, truth: NDArray[np.bool_], origin: tuple[int, int]) -> float:
    """IoU of one of a prediction's masks and an object whose crop lies at `origin` (y, x)."""
    y0, x0, y1, x1 = prediction.bbox
    ty0, tx0 = origin
    ty1, tx1 = ty0 + truth.shape[0], tx0 + truth.shape[1]
    top, left, bottom, right = max(y0, ty0), max(x0, tx0), min(y1, ty1), min(x1, tx1)
    mask = prediction.mask_at(index)
    both = 0
    if bottom > top and right > left:
        a = mask[top - y0 : bottom - y0, left - x0 : right - x0]
        b = truth[top - ty0 : bottom - ty0, left - tx0 : right - tx0]
        both = int(np.count_nonzero(a & b))
    either = int(np.count_nonzero(mask)) + int(np.count_nonzero(truth)) - both
    return both / either if either else 1.0


def score_image(
    predictor: Predictor,
    image: Path | NDArray[np.generic],
    labels: NDArray[np.int32],
    clicks: int = 3,
    objects: Sequence[int] | None = None,
) -> list[ObjectScore]:
    """Evaluate the objects of one image.

    Parameters
    ----------
    predictor : Predictor
        The model.
    image : Path or ndarray
        The image.
    labels : ndarray of int32
        (H, W) ground truth, 0 is background.
    clicks : int
        How many clicks to simulate.
    objects : sequence of int, optional
        Labels to evaluate; all of at least 16 px by default.

    Returns
    -------
    list of ObjectScore
    """
    from scipy import ndimage  # noqa: PLC0415 - slow to import, and only evaluation needs it

    predictor.set_image(image)
    if labels.shape != predictor.image.shape:
        name = image if isinstance(image, Path) else "the image"
        raise ImageError(f"labels of shape {labels.shape} for {name} of shape {predictor.image.shape}: must be one")
    truths = []
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None and (objects is None or label in objects):
            truth = labels[box] == label
            if truth.sum() >= _MIN_AREA_PX:
                truths.append((truth, (box[0].start, box[1].start)))
    if not truths:
        return []
    asks = []
    for truth, (y, x) in truths:
        py, px = deepest_point(truth)
        asks.append({"points": [(y + py, x + px)], "point_labels": [1]})
    first = predictor.predict_many(asks)
    rounds = [first]
    for _ in range(clicks - 1):
        asks = [next_prompt(ask, p, *t) for ask, p, t in zip(asks, rounds[-1], truths, strict=True)]
        rounds.append(predictor.predict_many(asks))
    boxes = predictor.predict_many([{"box": (y, x, y + t.shape[0], x + t.shape[1])} for t, (y, x) in truths])
    scores = []
    for i, (truth, origin) in enumerate(truths):
        curve = tuple(box_iou(r[i], r[i].best, truth, origin) for r in rounds)
        three = [box_iou(first[i], k, truth, origin) for k in range(len(first[i].masks))]
        sure = float(np.clip(first[i].predicted_iou[first[i].best], 0, 1))
        scores.append(
            ObjectScore(
                curve,
                max(three),
                box_iou(boxes[i], boxes[i].best, truth, origin),
                abs(sure - curve[0]),
            )
        )
    return scores


def next_prompt(
    ask: dict[str, Any], prediction: Prediction, truth: NDArray[np.bool_], origin: tuple[int, int]
) -> dict[str, Any]:
    """Add the click that SAM's evaluation would make next, and the mask so far."""
    y0, x0, y1, x1 = prediction.bbox
    ty0, tx0 = origin
    top, left = min(y0, ty0), min(x0, tx0)
    shape = (max(y1, ty0 + truth.shape[0]) - top, max(x1, tx0 + truth.shape[1]) - left)
    mask, wanted = np.zeros(shape, bool), np.zeros(shape, bool)
    mask[y0 - top : y1 - top, x0 - left : x1 - left] = prediction.mask
    wanted[ty0 - top : ty0 - top + truth.shape[0], tx0 - left : tx0 - left + truth.shape[1]] = truth
    y, x, label = correction(mask, wanted)
    return {
        "points": [*ask["points"], (y + top, x + left)],
        "point_labels": [*ask["point_labels"], label],
        "mask": prediction,
    }


@dataclass(frozen=True)
class FolderScore:
    """Means over the objects of a data set.

    Attributes
    ----------
    name : str
        Of the data set.
    objects : int
        How many were evaluated.
    click : tuple of float
        Mean IoU after 1, 2, ... clicks.
    oracle, box, confidence_error : float
        Means of `ObjectScore`'s.
    """

    name: str
    objects: int
    click: tuple[float, ...]
    oracle: float
    box: float
    confidence_error: float


def score_folder(
    predictor: Predictor,
    folder: Path,
    name: str,
    clicks: int = 3,
    per_image: int = 20,
    max_images: int = 1000,
) -> FolderScore:
    """Evaluate a folder of image/label pairs.

    Parameters
    ----------
    predictor : Predictor
        The model.
    folder : Path
        Pairs as `labelled_images` finds them.
    name : str
        Of the data set.
    clicks : int
        How many clicks to simulate.
    per_image : int
        Objects per image, evenly spread over the labels.
    max_images : int
        Images, evenly spread over the folder.
    """
    pairs = list(labelled_images(folder))
    scores: list[ObjectScore] = []
    for i in np.unique(np.linspace(0, len(pairs) - 1, min(max_images, len(pairs))).astype(int)):
        path, labels = pairs[i]
        ids = np.unique(labels)
        ids = ids[ids > 0]
        some = ids[np.unique(np.linspace(0, len(ids) - 1, min(per_image, len(ids))).astype(int))]
        scores += score_image(predictor, path, labels, clicks, [int(v) for v in some])
    if not scores:
        raise ImageError(f"{folder}: no object of at least {_MIN_AREA_PX} px in {len(pairs)} label images")
    table = np.array([[*s.click, s.oracle, s.box, s.confidence_error] for s in scores])
    mean = table.mean(0)
    return FolderScore(name, len(scores), tuple(float(v) for v in mean[:clicks]), *(float(v) for v in mean[clicks:]))


def data_sets(root: Path, split: str, only: Sequence[str] | None = None) -> list[tuple[str, Path]]:
    """Names and folders of the data sets under a root, laid out as DATASET/SPLIT/NAME.image.*, NAME.labels.tif.

    Parameters
    ----------
    root : Path
        Folder of data sets, or one data set of any kind that `read_dataset` reads.
    split : str
        Such as "dev".
    only : sequence of str, optional
        Names to keep.

    Raises
    ------
    ImageError
        If there is none, or one asked for is not there.
    """
    if any(root.glob("*.labels.tif")):
        return [(root.name, root)]
    found = [(f.parent.name, f) for f in sorted(root.glob(f"*/{split}")) if any(f.glob("*.labels.tif"))]
    if not found and looks_like_dataset(root):
        return [(root.name, root)]
    if not found:
        raise ImageError(f"{root}: no DATASET/{split}/NAME.labels.tif; give the folder that holds the data sets")
    if missing := sorted(set(only or ()) - {name for name, _ in found}):
        raise ImageError(f"data set {missing[0]!r} is not under {root}; there are {', '.join(n for n, _ in found)}")
    return [(name, folder) for name, folder in found if not only or name in only]
