"""The paper's study of mask quality: people rate masks from 1 to 10 in random order, without knowing their source.

A study is a folder: ``study.json`` with an entry for every mask, pictures and masks as PNG, and a file of ratings for
each rater, written line by line. The source of a mask is in ``study.json`` only and is never shown.
"""

from __future__ import annotations

import csv
import json
import os
import re
import time
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from napari_sam.errors import EvaluationError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

BEST_RATING = 10
STUDY_FILE = "study.json"

_RATING_COLUMNS = ("item", "rating", "seconds", "time")
_OBJECT_KEY = "thing"  # key of `RatingItem.object_id` in files since version 0.1


@dataclass(frozen=True)
class RatingItem:
    """One mask to rate.

    Attributes
    ----------
    number : int
        Its number in the study, from 1.
    object_id : str
        The object; masks of the same object are compared with each other.
    image : str
        The object's image, for the bootstrap.
    source : str
        The model that made the mask, or "ground truth".
    picture, mask : str
        Files in the study's folder, of the same shape.
    point : (int, int)
        (y, x) of the click in the picture.
    """

    number: int
    object_id: str
    image: str
    source: str
    picture: str
    mask: str
    point: tuple[int, int]

    @classmethod
    def from_entry(cls, entry: dict[str, Any]) -> RatingItem:
        """Read an entry of ``study.json``."""
        fields = {"object_id" if key == _OBJECT_KEY else key: value for key, value in entry.items()}
        return cls(**{**fields, "point": tuple(fields["point"])})

    def as_entry(self) -> dict[str, Any]:
        """Return the entry of ``study.json``."""
        return {_OBJECT_KEY if key == "object_id" else key: value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class RatingStudy:
    """Masks to rate, and the ratings.

    Attributes
    ----------
    folder : Path
        Folder of all files.
    items : tuple of RatingItem
        All masks.
    """

    folder: Path
    items: tuple[RatingItem, ...]

    @classmethod
    def open(cls, folder: str | Path) -> RatingStudy:
        """Open a study.

        Raises
        ------
        EvaluationError
            If the folder is not a study, or its files are damaged.
        """
        folder = Path(folder).expanduser()
        path = folder / STUDY_FILE
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            items = tuple(RatingItem.from_entry(entry) for entry in raw["items"])
        except FileNotFoundError as error:
            raise EvaluationError(
                f"{folder}: no {STUDY_FILE}",
                remedy="make a study with 'napari-sam evaluate human prepare DATA --study FOLDER'",
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvaluationError(f"{path}: damaged: {error}", remedy="prepare the study again") from error
        return cls(folder, items)

    def save(self, folder: Path) -> None:
        """Write ``study.json`` to a folder.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        text = json.dumps({"items": [item.as_entry() for item in self.items]}, indent=1)
        (folder / STUDY_FILE).write_text(text, encoding="utf-8")

    @property
    def sources(self) -> list[str]:
        """The sources of the masks, sorted."""
        return sorted({item.source for item in self.items})

    def order(self, rater: str) -> list[RatingItem]:
        """Return the items in a random order that depends on the rater."""
        rng = np.random.default_rng([zlib.crc32(rater.encode()), len(self.items)])
        return [self.items[i] for i in rng.permutation(len(self.items))]

    def pixels(self, item: RatingItem) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Read picture (h, w, 3) and mask (h, w) of an item.

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
            raise EvaluationError(
                f"{self.folder}: a picture of item {item.number} is damaged: {error}", remedy="prepare the study again"
            ) from error
        return rgb, mask

    def ratings_file(self, rater: str) -> Path:
        """Return the file of a rater's ratings.

        Raises
        ------
        EvaluationError
            If the name cannot be part of a file name.
        """
        if not re.fullmatch(r"[\w .-]{1,60}", rater) or rater.startswith("."):
            raise EvaluationError(
                f"rater {rater!r} is not allowed",
                parameter="rater",
                remedy="give a name of letters, digits, spaces, points and hyphens",
            )
        return self.folder / f"ratings-{rater}.csv"

    def ratings(self, rater: str) -> dict[int, int]:
        """Return a rater's last rating of each item, by item number.

        Raises
        ------
        EvaluationError
            If a rating is not from 1 to 10, or of an item that is not in the study.
        """
        path = self.ratings_file(rater)
        if not path.exists():
            return {}
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise EvaluationError(f"{path}: the ratings cannot be read: {error}", remedy="restore the file") from error
        return self._parse_ratings(path, rows)

    def _parse_ratings(self, path: Path, rows: Iterable[dict[str, str]]) -> dict[int, int]:
        numbers = {item.number for item in self.items}
        ratings: dict[int, int] = {}
        for line, row in enumerate(rows, start=2):
            try:
                number, rating = int(row["item"]), int(row["rating"])
            except (KeyError, TypeError, ValueError) as error:
                raise EvaluationError(
                    f"{path}, line {line}: no item and rating: {dict(row)}", remedy="correct the line"
                ) from error
            if not 0 <= rating <= BEST_RATING or number not in numbers:
                raise EvaluationError(
                    f"{path}, line {line}: rating {rating} of item {number}",
                    remedy=f"give 1 to {BEST_RATING}, and an item of the study",
                )
            ratings[number] = rating
        return {number: rating for number, rating in ratings.items() if rating}

    def rate(self, rater: str, item: int, rating: int, seconds: float = 0.0) -> None:
        """Store a rating; it is on disk when this returns.

        Parameters
        ----------
        rater : str
            Name of the rater.
        item : int
            Number of the item.
        rating : int
            From 1 (worst) to 10 (best); 0 withdraws the last rating.
        seconds : float
            Time that the rater took.

        Raises
        ------
        EvaluationError
            If the rating is not from 0 to 10, or there is no such item.
        StoreError
            If the rating cannot be written.
        """
        if isinstance(rating, bool) or not isinstance(rating, int) or not 0 <= rating <= BEST_RATING:
            raise EvaluationError(
                f"rating is {rating!r}",
                parameter="rating",
                remedy=f"give a whole number from 1 (worst) to {BEST_RATING} (best)",
            )
        if item not in {known.number for known in self.items}:
            raise EvaluationError(
                f"item {item}: the study has {len(self.items)} items", parameter="item", remedy="number items from 1"
            )
        path = self.ratings_file(rater)
        try:
            is_new = not path.exists() or path.stat().st_size == 0
            with path.open("a", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                if is_new:
                    writer.writerow(_RATING_COLUMNS)
                writer.writerow([item, rating, f"{seconds:.2f}", f"{time.time():.0f}"])
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(
                f"{path}: the rating cannot be written: {error}", remedy="check that the disk is not full"
            ) from error

    def raters(self) -> list[str]:
        """Return the names of all raters, sorted."""
        return sorted(path.stem.removeprefix("ratings-") for path in self.folder.glob("ratings-*.csv"))
