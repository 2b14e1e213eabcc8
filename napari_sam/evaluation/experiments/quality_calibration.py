"""Fit the mask judge of a model to objects whose masks are known."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, Unpack, cast

import numpy as np
import torch
from scipy import ndimage

from napari_sam.engine.windows import Hints
from napari_sam.errors import ImageError
from napari_sam.evaluation.datasets.labelled_samples import MIN_AREA_PX, evenly_spaced
from napari_sam.evaluation.evaluation_settings import CalibrationSettings
from napari_sam.evaluation.experiments.simulated_clicks import next_prompt, prediction_iou
from napari_sam.predictor import Predictor
from src_models.checkpoints.checkpoint_files import load_sam, save_sam
from src_models.networks.mask_judge import JudgeInputs, judge_inputs
from src_models.training.data.augment import augment, dihedral
from src_models.training.data.datasets import read_dataset
from src_models.training.data.labelled_images import checked_labels
from src_models.training.data.picture_files import read_picture, read_rgb
from src_models.training.judge_fitting import JudgedSample, fit_judge
from src_models.training.prompt_simulation import deepest_point, random_point
from src_models.training.synthetic.sample import STYLES, WIDE_STYLES, synthetic_sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.evaluation.evaluation_settings import CalibrationKeywords
    from napari_sam.evaluation.experiments.simulated_clicks import PromptArguments
    from src_models.networks.mask_judge import JudgedMasks, MaskJudge
    from src_models.training.config import FolderConfig

    _CroppedMask = tuple[NDArray[np.bool_], tuple[int, int]]

_CLICKS = 3
_FIRST_CLICKS = (0.5, 0.3, 0.2)  # shares of first clicks at the centre, anywhere inside, and near the border
_BORDER = 0.25  # depth of a click near the border, as a share of the object's largest depth
_ACCEPTED = 0.5  # share of the images in which objects were accepted before
_VIEW_SIDES = (2.5, 9.0)  # sides of random views over the median side of the objects
_LEAST_VIEW_PX = 96
_CHANGED = 0.4  # share of random views changed in appearance
_SYNTHETIC_SIDES = (320, 513)
_SYNTHETIC_SEED = 7  # training draws other images


@dataclass(frozen=True)
class _Clicks:
    """How many objects of an image are clicked on, and the source of randomness."""

    per_image: int
    rng: np.random.Generator


class FeatureRecorder(torch.nn.Module):
    """Stands in for a mask judge: records the features of every answer and keeps the decoder's scores."""

    def __init__(self) -> None:
        super().__init__()
        self._features: dict[bytes, JudgeInputs] = {}

    def predict_iou(self, seen: JudgedMasks, img_size: int) -> torch.Tensor:
        """Record the features of each object's masks, and return the decoder's predicted IoU."""
        inputs = judge_inputs(seen, img_size)
        parts = [getattr(inputs, name).half().cpu() for name in ("numbers", "token", "inside", "around")]
        for i, logits in enumerate(seen.decoded.logits.float().cpu().numpy()):
            self._features[_digest(logits)] = JudgeInputs(*(part[i].clone() for part in parts))
        return seen.decoded.predicted_iou.float()

    def features_of(self, prediction: Prediction) -> JudgeInputs:
        """Return the features of an answer, (M, ...) each."""
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
    """Write a copy of a model with a mask judge that is fitted to labelled images.

    Each object is prompted by one, two and three clicks and by its box; the masks of each answer are compared with the
    true one, and a `MaskJudge` is fitted to all of them. The first click is at the centre of the object, anywhere in
    it or near its border. Images that the model was not trained on make the scores more honest.

    Parameters
    ----------
    model : str or Path
        Name or checkpoint; its mask judge or quality head, if any, is replaced.
    data_root : Path
        Folder that the paths of `folders` are relative to.
    folders : sequence of FolderConfig
        Data sets, as in a training configuration.
    out : Path
        The new checkpoint, in half precision.
    settings : CalibrationSettings, optional
        Number of images, views and objects, and device.
    progress : callable, optional
        Called with the name of a data set and the number of its answers.
    **keywords
        Fields of `CalibrationSettings`, by name.

    Returns
    -------
    int
        Number of answers that the judge was fitted to.

    Raises
    ------
    NapariSamError
        If the model or the data cannot be read, or there are too few objects.
    """
    chosen = replace(settings or CalibrationSettings(), **keywords)
    net = load_sam(model)
    net.quality_head, net.mask_judge = None, cast("MaskJudge", FeatureRecorder())
    predictor = Predictor(net, chosen.device)
    answers: list[JudgedSample] = []
    for name, pairs in _data_sets(data_root, folders, chosen):
        previous = len(answers)
        for i, pair in enumerate(pairs):
            rng = np.random.default_rng([chosen.seed, zlib.crc32(name.encode()), i])
            for image, labels in views(*pair, chosen.views, rng):
                answers += _score_answers(predictor, image, labels, _Clicks(chosen.per_image, rng), name)
        if progress is not None:
            progress(name, len(answers) - previous)
    net.mask_judge = fit_judge(answers, chosen.seed)
    save_sam(net, out, torch.float16)
    return len(answers)


def _data_sets(
    root: Path, folders: Sequence[FolderConfig], settings: CalibrationSettings
) -> Iterator[tuple[str, list[tuple[Path | NDArray[np.uint8], NDArray[np.int32]]]]]:
    """Yield the name and the chosen images of each data set, then those of each synthetic style."""
    for folder in folders:
        pairs = [
            (image, labels)
            for image, labels in labelled_images(root / folder.path)
            if not isinstance(image, Path) or any(fnmatch(image.name, pattern) for pattern in folder.include)
        ]
        yield folder.path, _thin_out(pairs, settings.images)
    for style in (*STYLES, *WIDE_STYLES) if settings.synthetic else ():
        rng = np.random.default_rng([settings.seed, zlib.crc32(style.encode()), _SYNTHETIC_SEED])
        sides = rng.integers(*_SYNTHETIC_SIDES, settings.synthetic).tolist()
        yield f"synthetic {style}", [synthetic_sample(side, rng, style=style) for side in sides]


def views(
    image: Path | NDArray[np.uint8], labels: NDArray[np.int32], count: int, rng: np.random.Generator
) -> Iterator[tuple[Path | NDArray[np.uint8], NDArray[np.int32]]]:
    """Yield an image as it is, then random crops of it, rotated, mirrored, and some changed in appearance.

    Parameters
    ----------
    image : Path or ndarray of uint8
        File, or (H, W, 3) pixels.
    labels : ndarray of int32
        (H, W).
    count : int
        Number of views, the plain one included.
    rng : numpy.random.Generator
        Draws the views.
    """
    yield image, labels
    if count < 2 or not labels.any():
        return
    pixels = read_rgb(image, None) if isinstance(image, Path) else image
    boxes = [box for box in ndimage.find_objects(labels) if box is not None]
    sides = [max(rows.stop - rows.start, cols.stop - cols.start) for rows, cols in boxes]
    for _ in range(count - 1):
        side = int(np.exp(rng.uniform(*np.log(_VIEW_SIDES))) * np.median(sides))
        side = min(max(side, _LEAST_VIEW_PX), max(labels.shape))
        corner = []
        for span, size in zip(boxes[int(rng.integers(len(boxes)))], labels.shape, strict=True):
            middle = (span.start + span.stop) / 2 + rng.uniform(-0.3, 0.3) * side
            corner.append(int(np.clip(middle - side / 2, 0, max(size - side, 0))))
        part = tuple(slice(start, start + side) for start in corner)
        view, cut = dihedral(pixels[part], labels[part], rng)
        yield (augment(view, rng) if rng.random() < _CHANGED else view), cut


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
    head: torch.nn.Module | None = predictor.runner.net.mask_judge
    if not isinstance(head, FeatureRecorder):
        raise TypeError(f"the network has a {type(head).__name__}")
    return head


def _score_answers(
    predictor: Predictor,
    image: Path | NDArray[np.generic],
    labels: NDArray[np.int32],
    clicks: _Clicks,
    group: str,
) -> list[JudgedSample]:
    """Prompt for some objects of an image, and compare the answers with the true masks."""
    predictor.set_image(image)
    if labels.shape != predictor.image.shape:
        raise ImageError(
            f"labels of shape {labels.shape} for {image} of shape {predictor.image.shape}",
            remedy="give labels of the same shape as the image",
        )
    recorder = _recorder_of(predictor)
    recorder.clear()
    truths = _select_masks(labels, clicks.per_image)
    if not truths:
        return []
    return [
        JudgedSample(
            group,
            recorder.features_of(prediction),
            torch.tensor([prediction_iou(prediction, k, *truth) for k in range(prediction.count)]),
        )
        for predictions in _prompt_rounds(predictor, truths, clicks.rng)
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


def _prompt_rounds(
    predictor: Predictor, truths: Sequence[_CroppedMask], rng: np.random.Generator
) -> list[list[Prediction]]:
    """Prompt for each object by one, two and three clicks and by its box, and by the last two for a single mask."""
    hints = Hints(last_px=_accepted_px(truths, rng)) if rng.random() < _ACCEPTED else Hints()
    prompts: list[PromptArguments] = [
        {"points": [np.add(_first_click(mask, rng), origin).tolist()], "point_labels": [1]} for mask, origin in truths
    ]
    rounds = [predictor.predict_many(prompts, hints=hints)]
    for _ in range(_CLICKS - 1):
        prompts = [next_prompt(q, p, *truth) for q, p, truth in zip(prompts, rounds[-1], truths, strict=True)]
        rounds.append(predictor.predict_many(prompts, hints=hints))
    boxes: list[PromptArguments] = [{"box": (y, x, y + mask.shape[0], x + mask.shape[1])} for mask, (y, x) in truths]
    rounds.append(predictor.predict_many(boxes, hints=hints))
    rounds += [predictor.predict_many(last, multimask=False, hints=hints) for last in (prompts, boxes)]
    return rounds


def _first_click(mask: NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int]:
    """Return a click at the centre of an object, anywhere in it, or near its border."""
    kind = rng.choice(len(_FIRST_CLICKS), p=_FIRST_CLICKS)
    if kind == 0:
        return deepest_point(mask)
    if kind == 1:
        return random_point(mask, rng)
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return random_point(mask & (depth <= max(_BORDER * float(depth.max()), 1.0)), rng)


def _accepted_px(truths: Sequence[_CroppedMask], rng: np.random.Generator) -> float:
    """Return the long side of one of the objects, about."""
    mask, _ = truths[int(rng.integers(len(truths)))]
    return float(max(mask.shape) * np.exp(rng.normal(0, 0.2)))


_Item = TypeVar("_Item")


def _thin_out(items: Sequence[_Item], limit: int) -> list[_Item]:
    """Return up to `limit` evenly spaced items."""
    return [items[i] for i in evenly_spaced(len(items), limit)]


def _digest(logits: NDArray[np.float32]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(logits).tobytes()).digest()
