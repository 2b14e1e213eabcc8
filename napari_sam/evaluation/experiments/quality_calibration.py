"""Fit the quality head of a model to objects whose masks are known."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, Unpack, cast

import numpy as np
import torch
from scipy import ndimage

from napari_sam.errors import ImageError
from napari_sam.evaluation.datasets.labelled_samples import MIN_AREA_PX, evenly_spaced
from napari_sam.evaluation.evaluation_settings import CalibrationSettings
from napari_sam.evaluation.experiments.simulated_clicks import next_prompt, prediction_iou
from napari_sam.predictor import Predictor
from src_models.checkpoints.checkpoint_files import load_sam, save_sam
from src_models.networks.quality_head import mask_features
from src_models.training.data.datasets import read_dataset
from src_models.training.data.labelled_images import checked_labels
from src_models.training.data.picture_files import read_picture
from src_models.training.prompt_simulation import deepest_point
from src_models.training.quality_fitting import FittingSample, fit_quality

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.evaluation.evaluation_settings import CalibrationKeywords
    from napari_sam.evaluation.experiments.simulated_clicks import PromptArguments
    from src_models.networks.mask_decoder import DecodedMasks
    from src_models.networks.quality_head import PromptTensors, QualityHead
    from src_models.training.config import FolderConfig

    _CroppedMask = tuple[NDArray[np.bool_], tuple[int, int]]

_CLICKS = 3


class FeatureRecorder(torch.nn.Module):
    """Stands in for a quality head: records the features of every answer and keeps the decoder's scores."""

    def __init__(self) -> None:
        super().__init__()
        self._features: dict[bytes, NDArray[np.float32]] = {}

    def predict_iou(self, decoded: DecodedMasks, prompts: PromptTensors, img_size: int) -> torch.Tensor:
        """Record the features of each object's masks, and return the decoder's predicted IoU."""
        features = mask_features(decoded, prompts, img_size).cpu().numpy()
        for logits, row in zip(decoded.logits.float().cpu().numpy(), features, strict=True):
            self._features[_digest(logits)] = row
        return decoded.predicted_iou.float()

    def features_of(self, prediction: Prediction) -> NDArray[np.float32]:
        """Return the features (M, F) of an answer."""
        return self._features[_digest(prediction.low_res_logits)]

    def clear(self) -> None:
        """Forget all features."""
        self._features.clear()


def calibrate(
    model: str | Path,
    data_root: Path,
    folders: Sequence[FolderConfig],
    out: Path,
    settings: CalibrationSettings | None = None,
    *,
    progress: Callable[[str, int], None] | None = None,
    **keywords: Unpack[CalibrationKeywords],
) -> int:
    """Write a copy of a model whose predicted IoU is fitted to labelled images.

    Each object is prompted by one, two and three clicks and by its box; the masks of each answer are compared with the
    true one, and a `QualityHead` is fitted to all of them. Use images that the model was trained on.

    Parameters
    ----------
    model : str or Path
        Name or checkpoint; its quality head, if any, is replaced.
    data_root : Path
        Folder that the paths of `folders` are relative to.
    folders : sequence of FolderConfig
        Data sets, as in a training configuration.
    out : Path
        The new checkpoint, in half precision.
    settings : CalibrationSettings, optional
        Number of images and objects, and device.
    progress : callable, optional
        Called with the name of a data set and the number of its answers.
    **keywords
        Fields of `CalibrationSettings`, by name.

    Returns
    -------
    int
        Number of answers that the head was fitted to.

    Raises
    ------
    NapariSamError
        If the model or the data cannot be read, or there are too few objects.
    """
    chosen = replace(settings or CalibrationSettings(), **keywords)
    net = load_sam(model)
    net.quality_head = cast("QualityHead", FeatureRecorder())
    predictor = Predictor(net, chosen.device)
    answers: list[FittingSample] = []
    for folder in folders:
        previous = len(answers)
        pairs = [
            (image, labels)
            for image, labels in labelled_images(data_root / folder.path)
            if not isinstance(image, Path) or any(fnmatch(image.name, pattern) for pattern in folder.include)
        ]
        for image, labels in _thin_out(pairs, chosen.images):
            answers += _score_answers(predictor, image, labels, chosen.per_image, folder.path)
        if progress is not None:
            progress(folder.path, len(answers) - previous)
    net.quality_head = fit_quality(answers)
    save_sam(net, out, torch.float16)
    return len(answers)


def labelled_images(folder: Path) -> Iterator[tuple[Path | NDArray[np.uint8], NDArray[np.int32]]]:
    """Yield the images of a data set with their labels.

    Images of a folder of ``NAME.image.*`` and ``NAME.labels.tif`` are paths, so that each is seen at its own bit depth;
    of everything else that `read_dataset` reads they are (H, W, 3) arrays of 8 bits.

    Raises
    ------
    TrainingError
        If there is no such pair, or labels cannot be read, are not integers, or are negative.
    """
    label_files = sorted(folder.glob("*.labels.tif"))
    if not label_files:
        yield from ((pair.image, pair.labels) for pair in read_dataset(folder).images)
    for path in label_files:
        name = path.name.removesuffix(".labels.tif")
        images = sorted(folder.glob(f"{name}.image.*"))
        if images:
            yield images[0], checked_labels(read_picture(path, indices=True), str(path))


def _recorder_of(predictor: Predictor) -> FeatureRecorder:
    """Return the recorder of a predictor's own copy of the network."""
    head: torch.nn.Module | None = predictor.runner.net.quality_head
    if not isinstance(head, FeatureRecorder):
        raise TypeError(f"the network has a {type(head).__name__}")
    return head


def _score_answers(
    predictor: Predictor,
    image: Path | NDArray[np.generic],
    labels: NDArray[np.int32],
    per_image: int,
    group: str,
) -> list[FittingSample]:
    """Prompt for some objects of an image, and compare the answers with the true masks."""
    predictor.set_image(image)
    if labels.shape != predictor.image.shape:
        raise ImageError(
            f"labels of shape {labels.shape} for {image} of shape {predictor.image.shape}",
            remedy="give labels of the same shape as the image",
        )
    recorder = _recorder_of(predictor)
    recorder.clear()
    truths = _select_masks(labels, per_image)
    if not truths:
        return []
    return [
        FittingSample(
            group,
            recorder.features_of(prediction),
            np.array([prediction_iou(prediction, k, *truth) for k in range(len(prediction.masks))], np.float32),
        )
        for predictions in _prompt_rounds(predictor, truths)
        for prediction, truth in zip(predictions, truths, strict=True)
    ]


def _select_masks(labels: NDArray[np.int32], limit: int) -> list[_CroppedMask]:
    """Return up to `limit` masks of a label image with their (y, x), evenly spaced, without the small ones."""
    boxes = ndimage.find_objects(labels)
    masks = []
    for label in _thin_out(list(np.unique(labels[labels > 0])), limit):
        rows, cols = boxes[label - 1]
        mask = labels[rows, cols] == label
        if mask.sum() >= MIN_AREA_PX:
            masks.append((mask, (rows.start, cols.start)))
    return masks


def _prompt_rounds(predictor: Predictor, truths: Sequence[_CroppedMask]) -> list[list[Prediction]]:
    """Prompt for each object by one, two and three clicks and by its box, and by the last two for a single mask."""
    prompts: list[PromptArguments] = [
        {"points": [np.add(deepest_point(mask), origin).tolist()], "point_labels": [1]} for mask, origin in truths
    ]
    rounds = [predictor.predict_many(prompts)]
    for _ in range(_CLICKS - 1):
        prompts = [next_prompt(q, p, *truth) for q, p, truth in zip(prompts, rounds[-1], truths, strict=True)]
        rounds.append(predictor.predict_many(prompts))
    boxes: list[PromptArguments] = [{"box": (y, x, y + mask.shape[0], x + mask.shape[1])} for mask, (y, x) in truths]
    rounds.append(predictor.predict_many(boxes))
    rounds += [predictor.predict_many(last, multimask=False) for last in (prompts, boxes)]
    return rounds


_Item = TypeVar("_Item")


def _thin_out(items: Sequence[_Item], limit: int) -> list[_Item]:
    """Return up to `limit` evenly spaced items."""
    return [items[i] for i in evenly_spaced(len(items), limit)]


def _digest(logits: NDArray[np.float32]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(logits).tobytes()).digest()
