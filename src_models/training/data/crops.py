"""Labelled images, and the crops of them that a network is trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from src_models.model_errors import TrainingError
from src_models.training.data.augment import PADDING, augment, dihedral, turn
from src_models.training.dense_targets import dense_target
from src_models.training.synthetic.sample import synthetic_sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from src_models.training.config import TrainConfig

_TURNED = 0.25  # share of the crops that are turned by an angle that is no multiple of 90 degrees
_TRIES = 300
_MIN_OBJECT_PX = 40  # visible pixels of the crop; less is not an object a person would click


def to_rgb8(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Grey or multi-channel, any depth, to RGB uint8: 8-bit stays, the rest is stretched from 0.1 to 99.9 %.

    >>> to_rgb8(np.array([[0, 65535]], np.uint16)).tolist()
    [[[0, 0, 0], [255, 255, 255]]]
    """
    if array.ndim == 2:
        array = array[..., None]
    array = array[..., :3] if array.shape[-1] >= 3 else array[..., :1]
    if array.dtype != np.uint8:
        x = array.astype(np.float32)
        low, high = np.percentile(x, [0.1, 99.9])
        array = np.clip((x - low) / max(high - low, 1e-6) * 255 + 0.5, 0, 255).astype(np.uint8)
    rgb: NDArray[np.uint8] = np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))
    return rgb


@dataclass(frozen=True)
class Pair:
    """An image and its labels, decoded.

    Attributes
    ----------
    name : str
        For messages.
    image : ndarray of uint8
        (H, W, 3).
    labels : ndarray of int32
        (H, W), 0 is background.
    """

    name: str
    image: NDArray[np.uint8]
    labels: NDArray[np.int32]

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """(n, 4) boxes (y0, x0, y1, x1), half-open, of the objects present."""
        from scipy import ndimage  # noqa: PLC0415 - only training needs it

        found = [s for s in ndimage.find_objects(self.labels) if s is not None]
        return np.array([[s[0].start, s[1].start, s[0].stop, s[1].stop] for s in found]).reshape(-1, 4)


@dataclass(frozen=True)
class Crop:
    """What a training step sees of one image.

    Attributes
    ----------
    image : ndarray of uint8
        (S, S, 3).
    masks : ndarray of bool
        (N, S, S), one object each.
    labels : ndarray of int32
        (S, S), all objects.
    dense : ndarray of float32 or None
        (3, S / pitch, S / pitch) target of the dense decoder, if it is trained.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    labels: NDArray[np.int32]
    dense: NDArray[np.float32] | None = None


class CropSampler:
    """Draw crops as the engine's windows would show them.

    Parameters
    ----------
    folders : sequence of (float, list of Pair)
        Weight and content of each data set.
    config : TrainConfig
        Crop size, objects per image, share of synthetic images.
    img_size : int
        Side of the network's input: an image that fits is scaled to it before it is cropped.
    pitch : int
        Pixels of the input per pixel of the dense decoder's target; 0 for no target.
    plain : bool
        No synthetic images and no change of appearance, for validation.
    """

    def __init__(
        self,
        folders: Sequence[tuple[float, Sequence[Pair]]],
        config: TrainConfig,
        img_size: int,
        pitch: int = 0,
        plain: bool = False,
    ) -> None:
        self._pitch, self._plain = pitch, plain
        self._sets = [pairs for _, pairs in folders]
        weights = np.array([w for w, _ in folders] + [0.0 if plain else config.synthetic_weight], dtype=float)
        self._chances = weights / weights.sum()
        self._config = config
        self._img_size = img_size
        self._textures = [p.image for pairs in self._sets for p in pairs[:20] if min(p.labels.shape) > 64]

    def draw(self, rng: np.random.Generator) -> Crop:
        """One crop with at least one object.

        Raises
        ------
        TrainingError
            If no crop of many shows an object of a size that can be learned.
        """
        side = self._config.crop_px
        share = 0.0 if self._plain else self._config.augment
        varied = share == 1 or (share > 0 and rng.random() < share)
        for _ in range(_TRIES):
            which = int(rng.choice(len(self._chances), p=self._chances))
            if which == len(self._sets):
                image, labels = synthetic_sample(side, rng, self._textures)
            else:
                pairs = self._sets[which]
                pair = pairs[int(rng.integers(len(pairs)))]
                if self._config.crops == "jitter":
                    image, labels = self._cut(pair, side, self._jitter(pair, rng), rng)
                elif varied and rng.random() < _TURNED:  # cut generously, turn by any angle, keep the middle
                    large = math.ceil(side * math.sqrt(2))
                    image, labels = turn(*self._cut(pair, large, self._zoom(pair, side, rng), rng), side, rng)
                else:
                    image, labels = self._cut(pair, side, self._zoom(pair, side, rng), rng)
            if varied:
                image, labels = dihedral(image, labels, rng)
            masks = self._objects(labels, rng)
            if masks is not None:
                dense = dense_target(labels, self._pitch) if self._pitch else None
                return Crop(augment(image, rng) if varied else image, masks, labels, dense)
        raise TrainingError(
            f"none of {_TRIES} crops of {side} x {side} px shows an object of {_MIN_OBJECT_PX} px to 90 % of the crop; "
            f"use a larger crop_px, or smaller images"
        )

    def _zoom(self, pair: Pair, side: int, rng: np.random.Generator) -> tuple[float, NDArray[np.int64]]:
        """Scale of the crop and the box of the object it shows, as the engine's windows would have it."""
        box = pair.boxes[int(rng.integers(len(pair.boxes)))]
        extent = float(max(box[2] - box[0], box[3] - box[1]))
        if rng.random() < 0.45:
            zoom = self._img_size / max(pair.labels.shape) * np.exp(rng.normal(0, 0.25))
        else:  # the object takes a chosen share of the crop
            zoom = np.exp(rng.uniform(np.log(0.10), np.log(0.85))) * side / extent
        return float(np.clip(zoom, min(0.2, 0.85 * side / extent), 8.0)), box

    def _jitter(self, pair: Pair, rng: np.random.Generator) -> tuple[float, NDArray[np.int64]]:
        """Large-scale jitter: the whole image fits the network's input 0.1 to 2 times."""
        box = pair.boxes[int(rng.integers(len(pair.boxes)))]
        return float(self._img_size / max(pair.labels.shape) * rng.uniform(0.1, 2.0)), box

    def _cut(
        self, pair: Pair, side: int, where: tuple[float, NDArray[np.int64]], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Cut a square of `side` pixels around an object, at a scale."""
        h, w = pair.labels.shape
        zoom, (y0, x0, y1, x1) = where
        span = side / zoom  # of the crop, in image pixels
        corner = []
        for low, high, size in ((y0, y1, h), (x0, x1, w)):
            middle = (low + high) / 2 + rng.uniform(-0.3, 0.3) * span
            corner.append(float(np.clip(middle - span / 2, 0, max(size - span, 0))))
        top, left = corner
        height, width = min(span, h - top), min(span, w - left)
        size_px = (max(1, round(width * zoom)), max(1, round(height * zoom)))
        size_px = (min(size_px[0], side), min(size_px[1], side))
        # Only the part that is shown becomes a Pillow image, which copies it.
        margin = math.ceil(2 / zoom) + 1  # what the resampling filter reaches
        y, x = max(int(top) - margin, 0), max(int(left) - margin, 0)
        part = (slice(y, math.ceil(top + height) + margin), slice(x, math.ceil(left + width) + margin))
        box = (left - x, top - y, left - x + width, top - y + height)
        shown = np.asarray(Image.fromarray(pair.image[part]).resize(size_px, Image.Resampling.BILINEAR, box=box))
        cut = Image.fromarray(pair.labels[part]).resize(size_px, Image.Resampling.NEAREST, box=box)
        image = np.empty((side, side, 3), np.uint8)
        image[:] = PADDING
        labels = np.zeros((side, side), np.int32)
        image[: size_px[1], : size_px[0]] = shown
        labels[: size_px[1], : size_px[0]] = np.asarray(cut)
        return image, labels

    def _objects(self, labels: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.bool_] | None:
        """Masks of up to `objects` objects, repeated if there are fewer; None if there is none."""
        ids, counts = np.unique(labels, return_counts=True)
        limit = 0.9 * labels.size
        usable = ids[(ids > 0) & (counts >= _MIN_OBJECT_PX) & (counts <= limit)]
        if not len(usable):
            return None
        wanted = self._config.objects
        chosen = rng.choice(usable, size=wanted, replace=len(usable) < wanted)
        masks: NDArray[np.bool_] = labels[None] == chosen[:, None, None]
        return masks
