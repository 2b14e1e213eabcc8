"""Training data: folders of image/label pairs, and the crops a network sees of them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from PIL import Image

from src_models.errors import TrainingError
from src_models.training.augment import augment, dihedral
from src_models.training.synthetic import synthetic_sample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from src_models.training.config import FolderConfig, TrainConfig

_MIN_OBJECT_PX = 40  # visible pixels of the crop; less is not an object a person would click


def read_array(path: Path) -> NDArray[np.generic]:
    """Read a TIFF or any image that Pillow reads.

    Raises
    ------
    TrainingError
        If the file is not an image.
    """
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            return np.asarray(tifffile.imread(path))
        with Image.open(path) as image:
            return np.asarray(image)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: cannot be read as an image: {error}") from error


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

    @classmethod
    def read(cls, image_path: Path, labels_path: Path) -> Pair:
        """Decode a pair from disk.

        Raises
        ------
        TrainingError
            If the shapes differ or the labels are not integers.
        """
        image, labels = to_rgb8(read_array(image_path)), read_array(labels_path)
        if labels.shape != image.shape[:2]:
            raise TrainingError(f"{labels_path}: shape {labels.shape} is not its image's {image.shape[:2]}")
        if not np.issubdtype(labels.dtype, np.integer):
            raise TrainingError(f"{labels_path}: labels are {labels.dtype}; save them as integers")
        return cls(image_path.name.split(".image")[0], image, labels.astype(np.int32))

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """(n, 4) boxes (y0, x0, y1, x1), half-open, of the objects present."""
        from scipy import ndimage  # noqa: PLC0415 - only training needs it

        found = [s for s in ndimage.find_objects(self.labels) if s is not None]
        return np.array([[s[0].start, s[1].start, s[0].stop, s[1].stop] for s in found]).reshape(-1, 4)


def read_folder(root: Path, config: FolderConfig) -> list[Pair]:
    """All pairs ``NAME.image.*`` and ``NAME.labels.tif`` of a folder that have objects.

    Raises
    ------
    TrainingError
        If the folder holds no usable pair.
    """
    folder = root / config.path
    pairs = []
    for labels_path in sorted(folder.glob("*.labels.tif")):
        name = labels_path.name.removesuffix(".labels.tif")
        images = sorted(folder.glob(f"{name}.image.*"))
        if images and any(fnmatch(name, pattern) for pattern in config.include):
            pair = Pair.read(images[0], labels_path)
            if len(pair.boxes):
                pairs.append(pair)
    if not pairs:
        raise TrainingError(f"{folder}: no pair NAME.image.* and NAME.labels.tif with objects")
    return pairs


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
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    labels: NDArray[np.int32]


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
    """

    def __init__(self, folders: Sequence[tuple[float, list[Pair]]], config: TrainConfig, img_size: int) -> None:
        self._sets = [pairs for _, pairs in folders]
        weights = np.array([w for w, _ in folders] + [config.synthetic_weight], dtype=float)
        self._chances = weights / weights.sum()
        self._config = config
        self._img_size = img_size
        self._textures = [p.image for pairs in self._sets for p in pairs[:20] if min(p.labels.shape) > 64]

    def draw(self, rng: np.random.Generator, crop_px: int | None = None) -> Crop:
        """One crop with at least one object."""
        side = crop_px or self._config.crop_px
        while True:
            which = int(rng.choice(len(self._chances), p=self._chances))
            if which == len(self._sets):
                image, labels = synthetic_sample(side, rng, self._textures)
            else:
                pairs = self._sets[which]
                image, labels = self._window(pairs[int(rng.integers(len(pairs)))], side, rng)
            image, labels = dihedral(image, labels, rng)
            masks = self._objects(labels, rng)
            if masks is not None:
                return Crop(augment(image, rng), masks, labels)

    def _window(self, pair: Pair, side: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Cut a window around a random object, at the scale of the whole image or of the object."""
        h, w = pair.labels.shape
        y0, x0, y1, x1 = pair.boxes[int(rng.integers(len(pair.boxes)))]
        if rng.random() < 0.45:
            zoom = self._img_size / max(h, w) * np.exp(rng.normal(0, 0.25))
        else:  # the object takes a chosen share of the crop
            zoom = np.exp(rng.uniform(np.log(0.10), np.log(0.85))) * side / max(y1 - y0, x1 - x0)
        zoom = float(np.clip(zoom, 0.2, 8.0))
        span = side / zoom  # of the crop, in image pixels
        corner = []
        for low, high, size in ((y0, y1, h), (x0, x1, w)):
            middle = (low + high) / 2 + rng.uniform(-0.3, 0.3) * span
            corner.append(float(np.clip(middle - span / 2, 0, max(size - span, 0))))
        top, left = corner
        height, width = min(span, h - top), min(span, w - left)
        box = (left, top, left + width, top + height)
        size_px = (max(1, round(width * zoom)), max(1, round(height * zoom)))
        size_px = (min(size_px[0], side), min(size_px[1], side))
        shown = np.asarray(Image.fromarray(pair.image).resize(size_px, Image.Resampling.BILINEAR, box=box))
        cut = Image.fromarray(pair.labels).resize(size_px, Image.Resampling.NEAREST, box=box)
        image = np.empty((side, side, 3), np.uint8)
        image[:] = np.array([124, 116, 104], np.uint8)  # the normalised padding is zero
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
