"""How well the dense decoder finds all objects of an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import ImageError
from napari_sam.evaluation.matching import match
from napari_sam.evaluation.points import labelled_images

if TYPE_CHECKING:
    from napari_sam.predictor import Predictor
    from src_models.instances import WatershedSettings


@dataclass(frozen=True)
class DenseScore:
    """Means over the images of a data set.

    Attributes
    ----------
    name : str
        Of the data set.
    images, objects : int
        How many images, and true objects in them.
    msa : float
        Mean segmentation accuracy, TP / (TP + FP + FN) averaged over IoU 0.50, 0.55, ... 0.95.
    sa50, sa75 : float
        Segmentation accuracy at IoU 0.50 and 0.75.
    """

    name: str
    images: int
    objects: int
    msa: float
    sa50: float
    sa75: float


def score_dense(
    predictor: Predictor,
    folder: Path,
    name: str,
    max_images: int = 1000,
    settings: WatershedSettings | None = None,
) -> DenseScore:
    """Segment every image of a folder of image/label pairs, as everything-mode does, and compare all objects.

    Parameters
    ----------
    predictor : Predictor
        With a dense decoder.
    folder : Path
        Pairs as `labelled_images` finds them.
    name : str
        Of the data set.
    max_images : int
        Images, evenly spread over the folder.
    settings : WatershedSettings, optional
        Of the watershed; by default those that suit the model.
    """
    pairs = list(labelled_images(folder))
    rows = []
    for i in np.unique(np.linspace(0, len(pairs) - 1, min(max_images, len(pairs))).astype(int)):
        path, labels = pairs[i]
        predictor.set_image(path)
        if labels.shape != predictor.image.shape:
            what = path if isinstance(path, Path) else f"image {i}"
            raise ImageError(f"labels of shape {labels.shape} for {what} of shape {predictor.image.shape}: must be one")
        m = match(labels, predictor.instances(settings=settings))
        rows.append((m.mean_accuracy(), m.accuracy(0.5), m.accuracy(0.75), m.true))
    if not rows:
        raise ImageError(f"{folder}: no image NAME.image.* beside the labels")
    mean = np.mean(rows, axis=0)
    objects = sum(row[3] for row in rows)
    return DenseScore(name, len(rows), objects, float(mean[0]), float(mean[1]), float(mean[2]))
