"""What an evaluation is made on: images with objects whose masks are known."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Box = tuple[int, int, int, int]

_FEW_FILES = 4

MIN_AREA_PX = 16
"""Smaller objects are not asked for by points and boxes."""


@dataclass(frozen=True)
class TrueObject:
    """One object of the ground truth.

    Attributes
    ----------
    label : int
        Its id in the image.
    mask : ndarray of bool
        (h, w), tight.
    origin : (int, int)
        (y, x) of the mask's first pixel.
    category : str
        What it is; empty where the data do not say.
    frequency : str
        LVIS: "f", "c" or "r", how many images have this category; else empty.
    crowd : bool
        A region of many objects, which counts neither for nor against.
    """

    label: int
    mask: NDArray[np.bool_]
    origin: tuple[int, int]
    category: str = ""
    frequency: str = ""
    crowd: bool = False

    @cached_property
    def area_px(self) -> int:
        """Pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def box(self) -> Box:
        """(y0, x0, y1, x1), half-open."""
        (y, x), (h, w) = self.origin, self.mask.shape
        return y, x, y + h, x + w

    def drawn(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """The mask in an array of the image's shape."""
        out = np.zeros(shape, bool)
        y0, x0, y1, x1 = self.box
        out[y0:y1, x0:x1] = self.mask
        return out


@dataclass(frozen=True)
class GroundTruth:
    """Everything that is known of an image.

    Attributes
    ----------
    shape : (int, int)
        Height and width.
    objects : tuple of TrueObject
        They may overlap.
    boundaries : ndarray of bool or None
        (A, H, W) boundaries that annotators drew.
    absent, incomplete : frozenset of str
        LVIS: categories that were looked for and not found, and those of which not every object is marked.
    """

    shape: tuple[int, int]
    objects: tuple[TrueObject, ...] = ()
    boundaries: NDArray[np.bool_] | None = None
    absent: frozenset[str] | None = None
    incomplete: frozenset[str] = frozenset()

    @property
    def counted(self) -> tuple[TrueObject, ...]:
        """The objects that are no crowds."""
        return tuple(one for one in self.objects if not one.crowd)

    def labels(self) -> NDArray[np.int32]:
        """As a label image (H, W), small objects on top of large ones."""
        out = np.zeros(self.shape, np.int32)
        for one in sorted(self.counted, key=lambda o: -o.area_px):
            y0, x0, y1, x1 = one.box
            out[y0:y1, x0:x1][one.mask] = one.label
        return out


def truth_from_labels(labels: NDArray[np.integer], category: str = "") -> GroundTruth:
    """The objects of a label image (H, W); 0 is background.

    >>> [o.box for o in truth_of_labels(np.array([[0, 7, 7], [3, 0, 0]])).objects]
    [(1, 0, 2, 1), (0, 1, 1, 3)]
    """
    objects = []
    for label, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is not None:
            mask = labels[place] == label
            objects.append(TrueObject(label, mask, (place[0].start, place[1].start), category))
    return GroundTruth((labels.shape[0], labels.shape[1]), tuple(objects))


def object_from_mask(label: int, mask: NDArray[np.bool_], origin: tuple[int, int], **about: Any) -> TrueObject | None:
    """An object whose mask is cut to what is set; None if nothing is."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    part = mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    return TrueObject(label, part, (origin[0] + int(rows[0]), origin[1] + int(cols[0])), **about)


@dataclass(frozen=True)
class Sample:
    """A labelled image; nothing is read before it is asked for.

    Attributes
    ----------
    dataset, name : str
        Where it belongs, and what it is called there.
    image : Path or None
        Its file.
    read_truth : callable
        Gives the `Truth`.
    read_image : callable or None
        Gives the pixels where the image is no file of its own.
    identity : str
        Changes when the files do.
    kind : str
        "objects", or "boundaries" where people drew edges.
    groups : mapping of str to str
        Grouping columns, such as modality or site.
    position : (float, float) or None
        Latitude and longitude, degrees.
    number : int or None
        The id that a COCO file gives the image.
    """

    dataset: str
    name: str
    image: Path | None
    read_truth: Callable[[], GroundTruth]
    read_image: Callable[[], NDArray[Any]] | None = None
    identity: str = ""
    kind: str = "objects"
    groups: Mapping[str, str] = field(default_factory=dict)
    position: tuple[float, float] | None = None
    number: int | None = None

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"{self.dataset}/{self.name}" if self.image is None else str(self.image)

    def source(self) -> Path | NDArray[Any]:
        """What a predictor is given."""
        if self.read_image is not None:
            return self.read_image()
        if self.image is None:
            raise EvaluationError(f"{self.title}: has labels but no image; put it beside them")
        return self.image

    def truth(self, shape: tuple[int, int] | None = None) -> GroundTruth:
        """The ground truth, checked to be of the image's shape if that is given.

        Raises
        ------
        EvaluationError
            If it is not.
        """
        truth = self.read_truth()
        if shape is not None and truth.shape != tuple(shape):
            raise EvaluationError(
                f"{self.title}: labels of shape {truth.shape} for an image of shape {tuple(shape)}: both must be one"
            )
        return truth

    def rng(self, seed: int, what: str, label: int = 0) -> np.random.Generator:
        """Random numbers for an object, whatever else is evaluated, and in which order."""
        words = (f"{self.dataset}/{self.name}", what)
        return np.random.default_rng([seed, label, *(zlib.crc32(word.encode()) for word in words)])


def file_identity(*paths: Path | None) -> str:
    """What changes when files do: their names, sizes and times, or a hash of these; pixels are not read."""
    parts = []
    for path in paths:
        if path is not None:
            known = path.stat()
            parts.append(f"{path.name}:{known.st_size}:{known.st_mtime_ns}")
    text = "|".join(parts)
    return text if len(parts) <= _FEW_FILES else hashlib.sha256(text.encode()).hexdigest()


def evenly_spaced(count: int, most: int | None) -> list[int]:
    """Up to `most` of `count` places, evenly spread; all of them for None.

    >>> spread(10, 3), spread(2, 5)
    ([0, 4, 9], [0, 1])
    """
    if most is None or count <= most:
        return list(range(count))
    return [int(v) for v in np.unique(np.linspace(0, count - 1, most).astype(int))]


def select_objects(truth: GroundTruth, most: int | None, least_px: int = MIN_AREA_PX) -> list[TrueObject]:
    """Up to `most` objects of an image that are large enough to be asked for, evenly spread over its labels."""
    large = [one for one in truth.counted if one.area_px >= least_px]
    return [large[i] for i in evenly_spaced(len(large), most)]


def select_samples(samples: Sequence[Sample], most: int | None) -> list[Sample]:
    """Up to `most` samples of each data set, evenly spread, in their order."""
    by_set: dict[str, list[Sample]] = {}
    for one in samples:
        by_set.setdefault(one.dataset, []).append(one)
    return [some[i] for some in by_set.values() for i in evenly_spaced(len(some), most)]


def add_groups(samples: Iterable[Sample], table: Mapping[tuple[str, str], Mapping[str, str]]) -> list[Sample]:
    """Samples with the columns of a table that is read by data set and name, or by name alone.

    Raises
    ------
    EvaluationError
        If no row of the table is of any sample, or a position is none.
    """
    samples, out = list(samples), []
    if not any((one.dataset, one.name) in table or ("", one.name) in table for one in samples):
        names = [name for _, name in table][:1]
        raise EvaluationError(
            f"no row of the table is of any image: it names {names[0] if names else 'nothing'!r}, and images are "
            f"called {samples[0].name if samples else 'nothing'!r}; name them so in the column 'sample'"
        )
    for one in samples:
        more = table.get((one.dataset, one.name)) or table.get(("", one.name)) or {}
        place = _position(more) or one.position
        known = {k: v for k, v in more.items() if k not in ("latitude", "longitude") and v != ""}
        out.append(replace(one, groups={**one.groups, **known}, position=place))
    return out


def _position(columns: Mapping[str, str]) -> tuple[float, float] | None:
    if not columns.get("latitude") or not columns.get("longitude"):
        return None
    try:
        place = float(columns["latitude"]), float(columns["longitude"])
    except ValueError as error:
        raise EvaluationError(f"latitude and longitude {columns!r}: {error}; give degrees") from error
    if not (abs(place[0]) <= 90 and abs(place[1]) <= 360):
        raise EvaluationError(f"latitude {place[0]} and longitude {place[1]}: give degrees, latitude from -90 to 90")
    return place
