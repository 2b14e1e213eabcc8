"""Fit the quality head of a model: ask for objects whose masks are known, and learn what a good mask looks like."""

from __future__ import annotations

import hashlib
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.errors import ImageError
from napari_sam.evaluation.experiments.simulated_clicks import labelled_images, next_prompt, prediction_iou
from napari_sam.predictor import Predictor
from src_models.checkpoints.checkpoint_files import load_sam, save_sam
from src_models.networks.quality_head import QualityHead, mask_features
from src_models.training.prompt_simulation import deepest_point
from src_models.training.quality_fitting import FittingSample, fit_quality

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction
    from src_models.networks.mask_decoder import DecodedMasks
    from src_models.networks.quality_head import PromptTensors
    from src_models.training.config import FolderConfig

_MIN_AREA_PX = 16
_CLICKS = 3


class Recorder(QualityHead):
    """Keeps what is known of every answer, and changes none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[bytes, NDArray[np.float32]] = {}

    def predict_iou(self, decoded: DecodedMasks, asked: PromptTensors, img_size: int) -> torch.Tensor:
        """Keep the features by the answer's logits; the decoder's own scores."""
        features = mask_features(decoded, asked, img_size).cpu().numpy()
        for logits, known in zip(decoded.logits.float().cpu().numpy(), features, strict=True):
            self.seen[_digest(logits)] = known
        return decoded.predicted_iou.float()

    def known(self, prediction: Prediction) -> NDArray[np.float32]:
        """The features (M, F) of an answer."""
        return self.seen[_digest(prediction.low_res_logits)]


def calibrate(
    model: str | Path,
    data_root: Path,
    folders: Sequence[FolderConfig],
    out: Path,
    *,
    images: int = 10,
    per_image: int = 6,
    device: str = "auto",
    progress: Callable[[str, int], None] | None = None,
) -> int:
    """Write a copy of a model whose predicted IoU is fitted to labelled images.

    Each object is asked for by one, two and three clicks and by its box, each answer's masks are compared with the
    truth, and a `QualityHead` is fitted to all of them. Its rows come from images of these folders only, so use
    those that the model was trained on.

    Parameters
    ----------
    model : str or Path
        Name or checkpoint; a quality head that it has is replaced.
    data_root : Path
        What the folders' paths are relative to.
    folders : sequence of FolderConfig
        Data sets, as in a training configuration.
    out : Path
        The new checkpoint, half precision.
    images, per_image : int
        Images of each data set and objects of each image, evenly spread.
    device : str
        "auto", "cpu", "cuda" or "mps".
    progress : callable, optional
        Called with a data set's name and the number of its answers.

    Returns
    -------
    int
        Answers that the head was fitted to.

    Raises
    ------
    NapariSamError
        If the model or the data cannot be read, or there are too few objects.
    """
    import torch  # noqa: PLC0415 - slow to import

    net = load_sam(model)
    net.quality_head = Recorder()
    predictor = Predictor(net, device)
    recorder = _recorder_of(predictor)
    answers: list[FittingSample] = []
    for folder in folders:
        before = len(answers)
        pairs = [
            (image, labels)
            for image, labels in labelled_images(data_root / folder.path)
            if not isinstance(image, Path) or any(fnmatch(image.name, pattern) for pattern in folder.include)
        ]
        for i in _spread(len(pairs), images):
            image, labels = pairs[i]
            answers += _judged(predictor, recorder, image, labels, per_image, folder.path)
        if progress is not None:
            progress(folder.path, len(answers) - before)
    net.quality_head = fit_quality(answers)
    save_sam(net, out, torch.float16)
    return len(answers)


def _recorder_of(predictor: Predictor) -> Recorder:
    """The runner's own copy of the recorder."""
    head = predictor.runner.net.quality_head
    if not isinstance(head, Recorder):
        raise TypeError(f"the runner has {type(head).__name__}")
    return head


def _judged(
    predictor: Predictor,
    recorder: Recorder,
    image: Path | NDArray[np.generic],
    labels: NDArray[np.int32],
    per_image: int,
    group: str,
) -> list[FittingSample]:
    """Answers about some objects of an image, and how good they are."""
    predictor.set_image(image)
    if labels.shape != predictor.image.shape:
        raise ImageError(f"labels of shape {labels.shape} for {image} of shape {predictor.image.shape}: must be one")
    recorder.seen.clear()
    ids = np.unique(labels[labels > 0])
    boxes = ndimage.find_objects(labels)
    truths = []
    for label in ids[_spread(len(ids), per_image)]:
        rows, cols = boxes[label - 1]
        truth = labels[rows, cols] == label
        if truth.sum() >= _MIN_AREA_PX:
            truths.append((truth, (rows.start, cols.start)))
    if not truths:
        return []
    asks = [{"points": [np.add(deepest_point(t), origin)], "point_labels": [1]} for t, origin in truths]
    rounds = [predictor.predict_many(asks)]
    for _ in range(_CLICKS - 1):
        asks = [next_prompt(ask, p, *t) for ask, p, t in zip(asks, rounds[-1], truths, strict=True)]
        rounds.append(predictor.predict_many(asks))
    boxed = [{"box": (y, x, y + t.shape[0], x + t.shape[1])} for t, (y, x) in truths]
    rounds.append(predictor.predict_many(boxed))
    rounds += [predictor.predict_many(some, multimask=False) for some in (asks, boxed)]
    return [
        FittingSample(
            group,
            recorder.known(prediction),
            np.array([prediction_iou(prediction, k, *truth) for k in range(len(prediction.masks))], np.float32),
        )
        for predictions in rounds
        for prediction, truth in zip(predictions, truths, strict=True)
    ]


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Up to `most` of `count` places, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))


def _digest(logits: NDArray[np.float32]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(logits).tobytes()).digest()
