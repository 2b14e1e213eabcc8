"""Images of two kinds of objects with their truth, made of labelled images: nuclei and debris, buildings and fields.

    python -m benchmarks.mixed_kinds OUT [--data ../shared/data] [--split dev] [--images 4]

writes NAME.image.png, NAME.labels.tif and NAME.kinds.json (label to kind) for each image, and a picture of all.

Debris are the pebbles and particles of other data sets: irregular bodies with a texture of their own, smaller than the
nuclei or as large, as bright as these, and blurred as the nuclei are. Buildings are cut out with their surroundings and
set between the fields of an aerial image, in its colours; where there is no room, into large fields.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage

from benchmarks import timing
from napari_sam.evaluation.datasets.dataset_formats import find_samples
from napari_sam.evaluation.datasets.labelled_samples import evenly_spaced, read_rgb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.labelled_samples import Sample

_CONTEXT_PX = 5  # of a building's surroundings
_MIN_AREA_PX = 100  # smaller objects are not set into other images
_TRIES = 200  # places that are tried for one object
_FIELD_TO_BUILDING = 20  # a field that gets a building inside is at least so many times as large
_SEED = 16


@dataclass(frozen=True)
class MixedImage:
    """An image with objects of two kinds.

    Attributes
    ----------
    name : str
        Kinds and number.
    image : ndarray of uint8
        (H, W, 3).
    labels : ndarray of int32
        (H, W), 0 is background.
    kinds : dict of int to str
        Kind of each label.
    """

    name: str
    image: NDArray[np.uint8]
    labels: NDArray[np.int32]
    kinds: dict[int, str]

    def labels_of(self, kind: str) -> NDArray[np.int32]:
        """Return the labels of one kind, (H, W); the other kind is background."""
        chosen = [label for label, its_kind in self.kinds.items() if its_kind == kind]
        return np.where(np.isin(self.labels, chosen), self.labels, 0)


@dataclass(frozen=True)
class Cutout:
    """An object with its surroundings.

    Attributes
    ----------
    pixels : ndarray of float32
        (h, w, 3).
    mask : ndarray of bool
        (h, w) of the object.
    weight : ndarray of float32
        (h, w) how much of it is shown, from 0 to 1.
    """

    pixels: NDArray[np.float32]
    mask: NDArray[np.bool_]
    weight: NDArray[np.float32]


def average_precision(scores: NDArray[np.floating], accepted: NDArray[np.bool_], missed: int = 0) -> float:
    """Return the average precision of a ranking: the mean, over all objects of the kind, of the precision at its rank.

    Parameters
    ----------
    scores : ndarray of float
        (n,) candidates of equal score share the worst rank among them.
    accepted : ndarray of bool
        (n,) whether each is of the kind.
    missed : int
        Objects of the kind that no candidate shows, which count with precision 0.

    Examples
    --------
    >>> round(average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True])), 3)
    0.833
    >>> average_precision(np.array([0.9, 0.5]), np.array([True, False]), missed=1)
    0.5
    """
    scores, accepted = np.asarray(scores, float), np.asarray(accepted, bool)
    count = int(accepted.sum()) + missed
    if not count:
        return float("nan")
    rank = (scores[None, :] >= scores[:, None]).sum(1)
    hits = ((scores[None, :] >= scores[:, None]) & accepted[None, :]).sum(1)
    return float((hits / rank)[accepted].sum() / count)


def kind_of_candidates(
    mixed: MixedImage, masks: Sequence[tuple[tuple[int, int], NDArray[np.bool_]]], iou: float = 0.5
) -> list[str | None]:
    """Return the kind of the object that each candidate shows.

    Parameters
    ----------
    mixed : MixedImage
        The truth.
    masks : sequence of ((int, int), ndarray of bool)
        Corner (y, x) and mask (h, w) of each candidate.
    iou : float
        Lowest IoU with the true object; candidates below it have no kind.
    """
    area = np.bincount(mixed.labels.ravel())
    kinds: list[str | None] = []
    for (y, x), mask in masks:
        under = mixed.labels[y : y + mask.shape[0], x : x + mask.shape[1]][mask]
        counts = np.bincount(under, minlength=len(area))
        counts[0] = 0
        best = int(counts.argmax())
        union = np.count_nonzero(mask) + int(area[best]) - int(counts[best])
        kinds.append(mixed.kinds[best] if best and counts[best] >= iou * union else None)
    return kinds


def nuclei_and_debris(data: Path, split: str = "dev", images: int | None = None) -> Iterator[MixedImage]:
    """Yield fluorescence images of nuclei with as many pieces of debris.

    Parameters
    ----------
    data : Path
        Folder of the shipped data sets.
    split : str
        "train" or "dev".
    images : int, optional
        Number of images, evenly spaced; all by default.
    """
    samples = [s for s in _samples(data, split, "dsb2018") if s.groups.get("modality") == "fluorescence nuclei"]
    samples = [s for s in samples if len(s.truth().objects) >= 5]
    debris = _cutouts(_samples(data, split, "gravel_fh", "emps"), context_px=0)
    for number, index in enumerate(evenly_spaced(len(samples), images)):
        rng = np.random.default_rng([_SEED, index])
        yield _add_debris(f"nuclei_and_debris_{number}", samples[index], debris, rng)


def buildings_and_fields(data: Path, split: str = "dev", images: int | None = None) -> Iterator[MixedImage]:
    """Yield aerial images of fields with twice as many buildings between them, at least 20; arguments as above."""
    samples = _samples(data, split, "agoro_fields")
    buildings = _cutouts(_samples(data, split, "buildings"), _CONTEXT_PX)
    for number, index in enumerate(evenly_spaced(len(samples), images)):
        rng = np.random.default_rng([_SEED, index])
        yield _add_buildings(f"buildings_and_fields_{number}", samples[index], buildings, rng)


SETS: dict[str, Callable[[Path, str, int | None], Iterator[MixedImage]]] = {
    "nuclei and debris": nuclei_and_debris,
    "buildings and fields": buildings_and_fields,
}
"""The mixed sets."""


def _samples(data: Path, split: str, *names: str) -> list[Sample]:
    return find_samples(data, split=split, only=names)


def _cutouts(samples: Sequence[Sample], context_px: int) -> list[Cutout]:
    """Cut out the objects of images that do not touch the border, with so many pixels around them."""
    cutouts = []
    for sample in samples:
        rgb, labels = read_rgb(sample).astype(np.float32), sample.truth().labels()
        for label, slices in enumerate(ndimage.find_objects(labels), 1):
            if slices is None:
                continue
            y0, x0, y1, x1 = slices[0].start, slices[1].start, slices[0].stop, slices[1].stop
            pad = context_px + 1
            if min(y0, x0) < pad or y1 + pad > labels.shape[0] or x1 + pad > labels.shape[1]:
                continue
            rows, cols = slice(y0 - pad, y1 + pad), slice(x0 - pad, x1 + pad)
            mask = labels[rows, cols] == label
            if np.count_nonzero(mask) < _MIN_AREA_PX:
                continue
            away = ndimage.distance_transform_edt(~mask)
            weight = np.clip(1 - np.maximum(0, away - context_px / 2) / (context_px / 2 + 1), 0, 1)
            cutouts.append(Cutout(rgb[rows, cols], mask, weight.astype(np.float32)))
    return cutouts


def _scaled(cutout: Cutout, scale: float) -> Cutout:
    """Return a cutout enlarged or reduced."""
    h, w = (max(3, round(size * scale)) for size in cutout.mask.shape)

    def resize(values: NDArray[np.float32]) -> NDArray[np.float32]:
        resized = Image.fromarray(values).resize(
            (w, h), Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
        )
        return np.asarray(resized, np.float32)

    pixels = np.stack([resize(np.ascontiguousarray(cutout.pixels[..., c])) for c in range(3)], -1)
    mask = resize(cutout.mask.astype(np.float32)) >= 0.5
    return Cutout(pixels, mask, resize(cutout.weight))


def _add_debris(name: str, sample: Sample, debris: list[Cutout], rng: np.random.Generator) -> MixedImage:
    image, labels = read_rgb(sample).astype(np.float32), sample.truth().labels().astype(np.int32)
    kinds = dict.fromkeys(_present(labels), "nuclei")
    background = float(np.median(image[labels == 0]))
    brightness = np.array([image[labels == label].mean() for label in kinds]) - background
    diameter = float(np.sqrt(np.median(np.bincount(labels.ravel())[list(kinds)])))
    for _ in range(len(kinds)):
        cutout = debris[rng.integers(len(debris))]
        size = diameter * rng.uniform(0.4, 1.0) / np.sqrt(np.count_nonzero(cutout.mask))
        cutout = _scaled(cutout, size)
        corner = _free_place(labels, cutout.mask, rng)
        if corner is None or not cutout.mask.any():
            continue
        grey = cutout.pixels.mean(-1)
        texture = grey / max(1.0, float(grey[cutout.mask].mean()))
        level = float(rng.choice(brightness)) * rng.uniform(0.8, 1.3)
        weight = ndimage.gaussian_filter(cutout.weight, 0.7)
        _paint(image, corner, np.repeat((background + level * texture)[..., None], 3, -1), weight)
        kinds[_mark(labels, corner, cutout.mask)] = "debris"
    return MixedImage(name, np.clip(image, 0, 255).astype(np.uint8), labels, kinds)


def _add_buildings(name: str, sample: Sample, buildings: list[Cutout], rng: np.random.Generator) -> MixedImage:
    image, labels = read_rgb(sample).astype(np.float32), sample.truth().labels().astype(np.int32)
    kinds = dict.fromkeys(_present(labels), "fields")
    for _ in range(max(20, 2 * len(kinds))):
        cutout = _scaled(buildings[rng.integers(len(buildings))], rng.uniform(0.8, 1.2))
        corner = _free_place(labels, cutout.mask, rng) or _place_in_field(labels, kinds, cutout.mask, rng)
        if corner is None:
            continue
        y, x = corner
        there = image[y : y + cutout.mask.shape[0], x : x + cutout.mask.shape[1]]
        around = ~cutout.mask & (cutout.weight > 0)
        gain = there.mean((0, 1)) / np.maximum(1, cutout.pixels[around].mean(0))
        _paint(image, corner, cutout.pixels * np.clip(gain, 0.6, 1.7), cutout.weight)
        kinds[_mark(labels, corner, cutout.mask)] = "buildings"
    return MixedImage(name, np.clip(image, 0, 255).astype(np.uint8), labels, kinds)


def _present(labels: NDArray[np.int32]) -> list[int]:
    present: list[int] = np.unique(labels[labels > 0]).tolist()
    return present


def _free_place(labels: NDArray[np.int32], mask: NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int] | None:
    """Return a random corner where an object meets no other; None if none of some tries does."""
    h, w = mask.shape
    if h + 2 >= labels.shape[0] or w + 2 >= labels.shape[1]:
        return None
    for _ in range(_TRIES):
        y, x = int(rng.integers(1, labels.shape[0] - h)), int(rng.integers(1, labels.shape[1] - w))
        if not labels[y - 1 : y + h + 1, x - 1 : x + w + 1].any():
            return y, x
    return None


def _place_in_field(
    labels: NDArray[np.int32], kinds: dict[int, str], mask: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[int, int] | None:
    """Return a random corner where a building lies inside a single large field; None if none of some tries does."""
    h, w = mask.shape
    area = np.bincount(labels.ravel())
    for _ in range(_TRIES):
        y, x = int(rng.integers(1, labels.shape[0] - h)), int(rng.integers(1, labels.shape[1] - w))
        there = labels[y - 1 : y + h + 1, x - 1 : x + w + 1]
        label = int(there[0, 0])
        if kinds.get(label) == "fields" and (there == label).all() and area[label] > _FIELD_TO_BUILDING * mask.size:
            return y, x
    return None


def _paint(
    image: NDArray[np.float32], corner: tuple[int, int], pixels: NDArray[np.float32], weight: NDArray[np.float32]
) -> None:
    y, x = corner
    there = image[y : y + weight.shape[0], x : x + weight.shape[1]]
    there += weight[..., None] * (pixels - there)


def _mark(labels: NDArray[np.int32], corner: tuple[int, int], mask: NDArray[np.bool_]) -> int:
    """Give an object the next label."""
    label = int(labels.max()) + 1
    labels[corner[0] : corner[0] + mask.shape[0], corner[1] : corner[1] + mask.shape[1]][mask] = label
    return label


def write_mixed(mixed: MixedImage, folder: Path) -> None:
    """Write an image, its labels and the kinds of these."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mixed.image).save(folder / f"{mixed.name}.image.png")
    tifffile.imwrite(folder / f"{mixed.name}.labels.tif", mixed.labels.astype(np.uint16), compression="zlib")
    kinds = {str(label): kind for label, kind in mixed.kinds.items()}
    (folder / f"{mixed.name}.kinds.json").write_text(json.dumps(kinds, indent=1) + "\n")


def _outlined(mixed: MixedImage, side: int = 512) -> NDArray[np.uint8]:
    """Return a square picture of an image with the first kind outlined in green and the second in red."""
    picture = mixed.image.copy()
    inner = ndimage.grey_erosion(mixed.labels, 3) == ndimage.grey_dilation(mixed.labels, 3)
    kinds = list(dict.fromkeys(mixed.kinds.values()))
    for kind, colour in zip(kinds, ((0, 255, 0), (255, 0, 0)), strict=False):
        picture[(mixed.labels_of(kind) > 0) & ~inner] = colour
    return np.asarray(Image.fromarray(picture).resize((side, side)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--split", default="dev")
    parser.add_argument("--images", type=int, default=4, help="of each set (default: 4)")
    options = parser.parse_args()
    rows = []
    for name, make in SETS.items():
        pictures = []
        for mixed in make(options.data, options.split, options.images):
            write_mixed(mixed, options.out)
            counts = {kind: list(mixed.kinds.values()).count(kind) for kind in set(mixed.kinds.values())}
            timing.say(f"{name}: {mixed.name}, {mixed.labels.shape}, {counts}")
            pictures.append(_outlined(mixed))
        rows.append(np.hstack(pictures))
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    Image.fromarray(np.vstack(padded)).save(options.out / "all.png")


if __name__ == "__main__":
    main()
