"""Crops of labelled and synthetic images, as a network is trained on them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from src_models.model_errors import TrainingError
from src_models.training.data.augment import PADDING, augment, dihedral, rotate
from src_models.training.data.copy_paste import paste_objects
from src_models.training.dense_targets import dense_target
from src_models.training.synthetic.sample import PARTIAL_STYLES, WIDE_STYLES, synthetic_sample

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from src_models.training.config import TrainConfig
    from src_models.training.data.labelled_images import LabelledImage

_ROTATED = 0.25  # share of the crops rotated by an angle that is no multiple of 90 degrees
_FOREIGN = 0.5  # share of the pastes whose objects come from another image of the data set, not from the crop itself
_TRIES = 300
_MIN_OBJECT_PX = 40  # visible pixels in the crop; smaller objects are unlikely to be clicked


@dataclass(frozen=True)
class Crop:
    """Training crop of an image.

    Attributes
    ----------
    image : ndarray of uint8
        (S, S, 3).
    masks : ndarray of bool
        (N, S, S), of the objects to prompt.
    labels : ndarray of int32
        (S, S), all objects.
    dense : ndarray of float32 or None
        (3, S / pitch, S / pitch) target of the dense decoder; None if it is not trained on this crop.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    labels: NDArray[np.int32]
    dense: NDArray[np.float32] | None = None


class CropSampler:
    """Draw random crops at the scales of the engine's windows.

    Parameters
    ----------
    folders : sequence of (float, list of LabelledImage)
        Weight and images of each data set.
    config : TrainConfig
        Crop size, objects per image, share of synthetic images.
    img_size : int
        Side of the network's input, to which an image is scaled before it is cropped.
    pitch : int
        Pixels of the input per pixel of the dense target; 0 for no target.
    plain : bool
        Without synthetic images and augmentation, for validation.
    partial : collection of int
        Indices of data sets that have objects without a label; their crops get no dense target.

    Attributes
    ----------
    shares : ndarray of float64
        (n + 1,) probabilities of the n data sets, then of synthetic images.
    """

    def __init__(
        self,
        folders: Sequence[tuple[float, Sequence[LabelledImage]]],
        config: TrainConfig,
        img_size: int,
        pitch: int = 0,
        plain: bool = False,
        partial: Collection[int] = (),
    ) -> None:
        self._pitch, self._plain, self._partial = pitch, plain, frozenset(partial)
        self._sets = [pairs for _, pairs in folders]
        weights = np.array([w for w, _ in folders] + [0.0 if plain else config.synthetic_weight], dtype=float)
        self.shares = weights / weights.sum()
        self._config = config
        self._img_size = img_size
        self._textures = [p.image for pairs in self._sets for p in pairs[:20] if min(p.labels.shape) > 64]

    def draw(self, rng: np.random.Generator, source: int | None = None, side: int | None = None) -> Crop:
        """Draw a crop with at least one object.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of all random choices.
        source : int, optional
            Index into `shares` of the data set; drawn by default. Another one is drawn if many of its crops show no
            object of a suitable size.
        side : int, optional
            Side of the crop, in pixels; `crop_px` by default.

        Raises
        ------
        TrainingError
            If none of many crops shows an object of a suitable size.
        """
        side = self._config.crop_px if side is None else side
        share = 0.0 if self._plain else self._config.augment
        varied = share == 1 or (share > 0 and rng.random() < share)
        for attempt in range(_TRIES):
            fixed = source is not None and attempt < _TRIES // 3
            which = source if fixed and source is not None else int(rng.choice(len(self.shares), p=self.shares))
            image, labels, complete = self._labelled(which, side, varied, rng)
            if varied:
                image, labels = dihedral(image, labels, rng)
            masks = self._objects(labels, rng)
            if masks is not None:
                dense = dense_target(labels, self._pitch) if self._pitch and complete else None
                return Crop(augment(image, rng) if varied else image, masks, labels, dense)
        message = (
            f"none of {_TRIES} crops of {side} x {side} px shows an object of {_MIN_OBJECT_PX} px to 90 % of the crop"
        )
        raise TrainingError(message, parameter="crop_px", remedy="use a larger crop_px, or smaller images")

    def _labelled(
        self, which: int, side: int, varied: bool, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32], bool]:
        """Draw image and labels of a data set, and whether all objects in them are labelled."""
        config = self._config
        if which == len(self._sets):
            wide = config.synthetic_wide > 0 and rng.random() < config.synthetic_wide
            style = str(rng.choice(WIDE_STYLES)) if wide else None
            image, labels = synthetic_sample(side, rng, self._textures, style)
            complete = style not in PARTIAL_STYLES
        else:
            image, labels = self._cut_any(which, side, varied, rng)
            complete = which not in self._partial
        if not self._plain and config.paste > 0 and rng.random() < config.paste:
            donor = (image, labels)
            if which < len(self._sets) and rng.random() < _FOREIGN:
                donor = self._cut_any(which, side, varied, rng)
            image, labels = paste_objects(image, labels, donor, rng)
        return image, labels, complete

    def _cut_any(
        self, which: int, side: int, varied: bool, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Cut a square from a random image of a data set, at a random scale, and rotate some of them."""
        pairs, config = self._sets[which], self._config
        pair = pairs[int(rng.integers(len(pairs)))]
        mixed = not self._plain and config.jitter_share > 0 and rng.random() < config.jitter_share
        if config.crops == "jitter" or mixed:
            return self._cut(pair, side, self._jitter(pair, rng), rng)
        if varied and rng.random() < _ROTATED:  # cut a larger square, rotate it by any angle, keep the centre
            large = math.ceil(side * math.sqrt(2))
            return rotate(*self._cut(pair, large, self._zoom(pair, side, rng), rng), side, rng)
        return self._cut(pair, side, self._zoom(pair, side, rng), rng)

    def _zoom(self, pair: LabelledImage, side: int, rng: np.random.Generator) -> tuple[float, NDArray[np.int64]]:
        """Draw an object and the scale of its crop, as in the engine's windows; return the scale and its box."""
        box = pair.boxes[int(rng.integers(len(pair.boxes)))]
        extent = float(max(box[2] - box[0], box[3] - box[1]))
        if rng.random() < 0.45:
            zoom = self._img_size / max(pair.labels.shape) * np.exp(rng.normal(0, 0.25))
        else:  # the object takes a random share of the crop
            zoom = np.exp(rng.uniform(np.log(0.10), np.log(0.85))) * side / extent
        return float(np.clip(zoom, min(0.2, 0.85 * side / extent), 8.0)), box

    def _jitter(self, pair: LabelledImage, rng: np.random.Generator) -> tuple[float, NDArray[np.int64]]:
        """Draw an object, and a scale at which the image is 0.1 to 2 times as large as the network's input."""
        box = pair.boxes[int(rng.integers(len(pair.boxes)))]
        return float(self._img_size / max(pair.labels.shape) * rng.uniform(0.1, 2.0)), box

    def _cut(
        self, pair: LabelledImage, side: int, target: tuple[float, NDArray[np.int64]], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Cut a square of `side` pixels around an object; `target` is the scale and the box of the object."""
        h, w = pair.labels.shape
        zoom, (y0, x0, y1, x1) = target
        span = side / zoom  # side of the crop in pixels of the image
        corner = []
        for low, high, size in ((y0, y1, h), (x0, x1, w)):
            middle = (low + high) / 2 + rng.uniform(-0.3, 0.3) * span
            corner.append(float(np.clip(middle - span / 2, 0, max(size - span, 0))))
        top, left = corner
        height, width = min(span, h - top), min(span, w - left)
        size_px = (max(1, round(width * zoom)), max(1, round(height * zoom)))
        size_px = (min(size_px[0], side), min(size_px[1], side))
        # Pillow copies its input, so it receives only the visible part.
        margin = math.ceil(2 / zoom) + 1  # reach of the resampling filter
        y, x = max(int(top) - margin, 0), max(int(left) - margin, 0)
        part = (slice(y, math.ceil(top + height) + margin), slice(x, math.ceil(left + width) + margin))
        box = (left - x, top - y, left - x + width, top - y + height)
        resized = np.asarray(Image.fromarray(pair.image[part]).resize(size_px, Image.Resampling.BILINEAR, box=box))
        cut = Image.fromarray(pair.labels[part]).resize(size_px, Image.Resampling.NEAREST, box=box)
        image = np.empty((side, side, 3), np.uint8)
        image[:] = PADDING
        labels = np.zeros((side, side), np.int32)
        image[: size_px[1], : size_px[0]] = resized
        labels[: size_px[1], : size_px[0]] = np.asarray(cut)
        return image, labels

    def _objects(self, labels: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.bool_] | None:
        """Choose `objects` objects, repeated if there are fewer; return their masks, or None without objects."""
        ids, counts = np.unique(labels, return_counts=True)
        limit = 0.9 * labels.size
        usable = ids[(ids > 0) & (counts >= _MIN_OBJECT_PX) & (counts <= limit)]
        if not len(usable):
            return None
        wanted = self._config.objects
        chosen = rng.choice(usable, size=wanted, replace=len(usable) < wanted)
        masks: NDArray[np.bool_] = labels[None] == chosen[:, None, None]
        return masks
