"""The paper's study of mask quality: people rate masks from 1 to 10, blind and in random order.

A study is a folder: ``study.json`` with an entry for every mask, pictures and masks as PNG, and one file of ratings for
each rater, written line by line. Whose mask it is stands in ``study.json`` and is never shown.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
import time
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from napari_sam.errors import CancelledError, EvaluationError, StoreError
from napari_sam.evaluation.datasets.labelled_samples import evenly_spaced, read_rgb
from napari_sam.evaluation.metrics.bootstrap import bootstrap_mean, paired_difference
from src_models.training.prompt_simulation import deepest_point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.ground_truth import GroundTruth, TrueObject
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.runs.model_spec import ModelSpec
    from napari_sam.predictor import Predictor

BEST = 10
TRUTH = "ground truth"
_LEAST_PX = 24**2
_LEAST_CONTEXT_PX = 64
_CONFIDENCE = 0.99
_RESAMPLES = 10_000
_FILE = "study.json"
_COLUMNS = ("item", "rating", "seconds", "time")


@dataclass(frozen=True)
class RatingItem:
    """One mask to rate.

    Attributes
    ----------
    number : int
        Its id in the study.
    thing : str
        The object: masks of the same one are compared with each other.
    image : str
        The image it is in, for the bootstrap.
    source : str
        Whose mask it is.
    picture, mask : str
        Files in the study's folder, of one shape.
    point : (int, int)
        (y, x) in the picture that was clicked.
    """

    number: int
    thing: str
    image: str
    source: str
    picture: str
    mask: str
    point: tuple[int, int]


@dataclass(frozen=True)
class RatingStudy:
    """Masks to rate, and where ratings are kept.

    Attributes
    ----------
    folder : Path
        Of all its files.
    items : tuple of Item
        Every mask.
    """

    folder: Path
    items: tuple[RatingItem, ...]

    @classmethod
    def open(cls, folder: str | Path) -> RatingStudy:
        """Open a study.

        Raises
        ------
        EvaluationError
            If there is none, or its files are damaged.
        """
        place = Path(folder).expanduser()
        try:
            raw = json.loads((place / _FILE).read_text(encoding="utf-8"))
            items = tuple(RatingItem(**{**row, "point": tuple(row["point"])}) for row in raw["items"])
        except FileNotFoundError as error:
            raise EvaluationError(
                f"{place}: no {_FILE}; make a study with 'napari-sam evaluate human prepare DATA --study {place}'"
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvaluationError(f"{place / _FILE}: damaged: {error}; prepare the study anew") from error
        return cls(place, items)

    @property
    def sources(self) -> list[str]:
        """Whose masks there are."""
        return sorted({one.source for one in self.items})

    def order(self, rater: str) -> list[RatingItem]:
        """The items in a rater's own random order."""
        rng = np.random.default_rng([zlib.crc32(rater.encode()), len(self.items)])
        return [self.items[i] for i in rng.permutation(len(self.items))]

    def pixels(self, item: RatingItem) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Picture (h, w, 3) and mask (h, w) of an item.

        Raises
        ------
        EvaluationError
            If a file is missing or damaged.
        """
        try:
            with Image.open(self.folder / item.picture) as file:
                rgb = np.asarray(file.convert("RGB"))
            with Image.open(self.folder / item.mask) as file:
                mask = np.asarray(file.convert("L")) > 0
        except OSError as error:
            raise EvaluationError(f"{self.folder}: a picture of item {item.number} is damaged: {error}") from error
        return rgb, mask

    def ratings_file(self, rater: str) -> Path:
        """Where a rater's ratings are.

        Raises
        ------
        EvaluationError
            If the name cannot be that of a file.
        """
        if not re.fullmatch(r"[\w .-]{1,60}", rater) or rater.startswith("."):
            raise EvaluationError(f"rater {rater!r}: give a name of letters, digits, spaces, points and hyphens")
        return self.folder / f"ratings-{rater}.csv"

    def ratings(self, rater: str) -> dict[int, int]:
        """A rater's last word on each item.

        Raises
        ------
        EvaluationError
            If a rating is none from 1 to 10, or of an item that is not in the study.
        """
        path = self.ratings_file(rater)
        if not path.exists():
            return {}
        known = {one.number for one in self.items}
        out: dict[int, int] = {}
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise EvaluationError(f"{path}: the ratings cannot be read: {error}; restore the file") from error
        for line, row in enumerate(rows, start=2):
            try:
                number, rating = int(row["item"]), int(row["rating"])
            except (KeyError, TypeError, ValueError) as error:
                raise EvaluationError(f"{path}, line {line}: no item and rating: {dict(row)}; mend the line") from error
            if not 0 <= rating <= BEST or number not in known:
                raise EvaluationError(f"{path}, line {line}: rating {rating} of item {number}: give 1 to 10")
            out[number] = rating
        return {number: rating for number, rating in out.items() if rating}

    def rate(self, rater: str, item: int, rating: int, seconds: float = 0.0) -> None:
        """Keep a rating; on disk when this returns. A rating of 0 takes the last one back.

        Raises
        ------
        EvaluationError
            If it is none from 0 to 10, or there is no such item.
        StoreError
            If it cannot be written.
        """
        if isinstance(rating, bool) or not isinstance(rating, int) or not 0 <= rating <= BEST:
            raise EvaluationError(f"rating {rating!r}: give a whole number from 1 (worst) to {BEST} (best)")
        if item not in {one.number for one in self.items}:
            raise EvaluationError(f"item {item}: the study has {len(self.items)} items, numbered from 1")
        path = self.ratings_file(rater)
        try:
            new = not path.exists() or path.stat().st_size == 0
            with path.open("a", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                if new:
                    writer.writerow(_COLUMNS)
                writer.writerow([item, rating, f"{seconds:.2f}", f"{time.time():.0f}"])
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"{path}: the rating cannot be written: {error}; is the disk full?") from error

    def raters(self) -> list[str]:
        """Who has rated."""
        return sorted(p.stem.removeprefix("ratings-") for p in self.folder.glob("ratings-*.csv"))


def prepare_study(
    folder: str | Path,
    samples: Sequence[Sample],
    models: Sequence[ModelSpec],
    objects: int = 100,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> RatingStudy:
    """Make a study: every model's mask of some objects, clicked at their centres, and the true masks.

    Parameters
    ----------
    folder : str or Path
        To be made.
    samples : sequence of Sample
        Labelled images; objects of at least 24 x 24 px are chosen from all of them.
    models : sequence of Model
        Whose masks are rated.
    objects : int
        How many objects.
    seed : int
        Of the choice.
    progress : callable, optional
        Called with objects done and their number.
    cancelled : callable, optional
        Asked between images; when it returns True nothing is kept.

    Returns
    -------
    Study

    Raises
    ------
    EvaluationError
        If the folder exists, or no object is large enough.
    CancelledError
        If `cancelled` said so.
    """
    place = Path(folder).expanduser()
    if place.exists():
        raise EvaluationError(f"{place}: exists already; rate it, or give another folder")
    if objects < 1:
        raise EvaluationError(f"objects {objects}: give a number from 1 up")
    chosen = _objects(samples, objects, seed)
    if not chosen:
        raise EvaluationError(f"none of {len(samples)} images has an object of 24 x 24 px or more; give other data")
    total, done = sum(len(labels) for _, _, labels in chosen), 0
    predictors = [(one.name, one.load()) for one in models]
    begun = place.with_name(f".{place.name}.partial")
    items: list[RatingItem] = []
    try:
        begun.mkdir(parents=True, exist_ok=True)
        for sample, truth, labels in chosen:
            if cancelled is not None and cancelled():
                raise CancelledError("stopped; no study was made")
            items += _items_of(begun, sample, truth, labels, predictors, len(items))
            done += len(labels)
            if progress is not None:
                progress(done, total)
        text = json.dumps({"items": [asdict(one) for one in items]}, indent=1)
        (begun / _FILE).write_text(text, encoding="utf-8")
        begun.rename(place)
    except OSError as error:
        raise StoreError(f"{place}: the study cannot be written: {error}; is the disk full?") from error
    return RatingStudy(place, tuple(items))


def _objects(samples: Sequence[Sample], objects: int, seed: int) -> list[tuple[Sample, GroundTruth, list[int]]]:
    """Objects to rate: data sets take turns, images are drawn at random, few objects of each."""
    rng = np.random.default_rng([seed, zlib.crc32(b"rating")])
    by_set: dict[str, list[Sample]] = {}
    for one in samples:
        if one.kind == "objects":
            by_set.setdefault(one.dataset, []).append(one)
    waiting = [[some[i] for i in rng.permutation(len(some))] for _, some in sorted(by_set.items())]
    out: list[tuple[Sample, GroundTruth, list[int]]] = []
    count = 0
    while count < objects and any(waiting):
        for some in waiting:
            if not some or count >= objects:
                continue
            sample = some.pop()
            truth = sample.truth()
            large = [one.label for one in truth.scored_objects if one.area_px >= _LEAST_PX]
            labels = [large[i] for i in evenly_spaced(len(large), min(4, objects - count))]
            if labels:
                out.append((sample, truth, labels))
                count += len(labels)
    return out


def _items_of(
    folder: Path,
    sample: Sample,
    truth: GroundTruth,
    labels: Sequence[int],
    predictors: Sequence[tuple[str, Predictor]],
    known: int,
) -> list[RatingItem]:
    """Write pictures and masks of some objects of an image."""
    rgb = read_rgb(sample)
    sample.truth((rgb.shape[0], rgb.shape[1]))  # refuses labels of another shape
    objects = [one for one in truth.scored_objects if one.label in labels]
    clicks = [np.add(deepest_point(one.mask), one.origin).tolist() for one in objects]
    answers: dict[str, list[tuple[NDArray[np.bool_], tuple[int, int]]]] = {TRUTH: [(o.mask, o.origin) for o in objects]}
    for name, predictor in predictors:
        predictor.set_image(sample.source())
        found = predictor.predict_many([{"points": [click], "point_labels": [1]} for click in clicks])
        answers[name] = [(p.mask, (p.bbox[0], p.bbox[1])) for p in found]
    out: list[RatingItem] = []
    for i, (one, click) in enumerate(zip(objects, clicks, strict=True)):
        region = _surroundings(one, truth.shape)
        y0, x0, y1, x1 = region
        name = f"picture-{known + len(out) + 1:05d}.png"
        Image.fromarray(rgb[y0:y1, x0:x1]).save(folder / name)
        for source, masks in answers.items():
            number = known + len(out) + 1
            mask, origin = masks[i]
            Image.fromarray(_placed(mask, origin, region) * np.uint8(255)).save(folder / f"mask-{number:05d}.png")
            title = f"{sample.dataset}/{sample.name}"
            point = (int(click[0]) - y0, int(click[1]) - x0)
            out.append(RatingItem(number, f"{title}/{one.label}", title, source, name, f"mask-{number:05d}.png", point))
    return out


def _surroundings(one: TrueObject, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """The object's box, grown by its own size on each side, at least by 64 px."""
    y0, x0, y1, x1 = one.box
    dy, dx = max(y1 - y0, _LEAST_CONTEXT_PX), max(x1 - x0, _LEAST_CONTEXT_PX)
    return max(0, y0 - dy), max(0, x0 - dx), min(shape[0], y1 + dy), min(shape[1], x1 + dx)


def _placed(mask: NDArray[np.bool_], origin: tuple[int, int], region: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """What of a crop at `origin` lies in a region."""
    y0, x0, y1, x1 = region
    out = np.zeros((y1 - y0, x1 - x0), bool)
    (top, left), (h, w) = origin, mask.shape
    a, b, c, d = max(top, y0), max(left, x0), min(top + h, y1), min(left + w, x1)
    if c > a and d > b:
        out[a - y0 : c - y0, b - x0 : d - x0] = mask[a - top : c - top, b - left : d - left]
    return out


def rating_report(study: RatingStudy) -> dict[str, Any]:
    """Mean rating of every source, and all differences of two: paired bootstrap (10 000 resamples, 99 %) and t test.

    A mask's rating is the mean over its raters. Intervals come from resampling images.

    Raises
    ------
    EvaluationError
        If nobody has rated, or a file has a rating that is none.
    """
    given: dict[int, list[int]] = {}
    for rater in study.raters():
        for number, rating in study.ratings(rater).items():
            given.setdefault(number, []).append(rating)
    if not given:
        raise EvaluationError(f"{study.folder}: nobody has rated yet; 'napari-sam evaluate human rate' does")
    by_source: dict[str, dict[str, tuple[float, str]]] = {}
    for item in study.items:
        if item.number in given:
            mean = float(np.mean(given[item.number]))
            by_source.setdefault(item.source, {})[item.thing] = (mean, item.image)
    sources = {}
    for name, rated in sorted(by_source.items()):
        found = bootstrap_mean([v for v, _ in rated.values()], [i for _, i in rated.values()])
        sources[name] = {"mean": found.value, "low": _known(found.low), "high": _known(found.high), "n": found.n}
    differences = []
    names = sorted(by_source)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            both = [t for t in by_source[first] if t in by_source[second]]
            if not both:
                continue
            a, b = ([by_source[s][t][0] for t in both] for s in (first, second))
            images = [by_source[first][t][1] for t in both]
            test = paired_difference(a, b, images, confidence=_CONFIDENCE, resamples=_RESAMPLES)
            differences.append(
                {
                    "first": first,
                    "second": second,
                    "difference": test.interval.value,
                    "low": _known(test.interval.low),
                    "high": _known(test.interval.high),
                    "p": _known(test.p_value),
                    "n": len(both),
                }
            )
    return {
        "raters": study.raters(),
        "ratings": sum(map(len, given.values())),
        "sources": sources,
        "differences": differences,
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
