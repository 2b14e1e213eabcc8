"""Candidates of a whole image in a folder, one file for each region that was searched."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.errors import StoreError
from napari_sam.io.candidates.candidate_arrays import arrays_of, candidates_from
from napari_sam.io.candidates.unique_candidates import unique_candidates
from napari_sam.io.tile_files import DAMAGED, named_write_errors, read_member
from src_models.atomic import write_bytes, write_json
from src_models.run_record import as_json, first_difference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_sam.engine.concepts.candidates import Candidates
    from napari_sam.io.json_types import JsonObject

MANIFEST = "candidates.json"
"""File that tells of which image, model and settings the candidates are."""

WINDOW = "window"
"""Entry of that file: level-0 pixels that one window of the network covers, which is the magnification."""

_NAME = re.compile(r"f(\d+)-(\d+)-(\d+)-(\d+)-(\d+)\.npz")


class CandidateFiles:
    """A folder with the candidates of an image.

    A file gets its name once all of it is on disk. What is searched once is never searched again: another concept,
    threshold or class of the same image needs only these files.

    Parameters
    ----------
    folder : str or Path
        The folder, which is made when something is written.

    Attributes
    ----------
    folder : Path
        The folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()

    @property
    def about(self) -> JsonObject | None:
        """Image, model and settings of the candidates; None in a new folder.

        Raises
        ------
        StoreError
            If the file that tells it is damaged.
        """
        path = self.folder / MANIFEST
        try:
            about = json.loads(path.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise _damaged(path, error) from error
        if not isinstance(about, dict):
            raise _damaged(path, "it is no object")
        return about

    @property
    def window_px(self) -> int | None:
        """Level-0 pixels that one window of the network covered; None in a new folder; errors as `about`."""
        known = (self.about or {}).get(WINDOW)
        return known if isinstance(known, int) and known > 0 else None

    def begin(self, about: Mapping[str, object]) -> None:
        """Prepare the folder for the candidates of an image, or check that it holds them.

        Parameters
        ----------
        about : mapping
            Image, model and settings, as JSON.

        Raises
        ------
        StoreError
            If it holds candidates of another image, model or settings, something else than candidates, or cannot be
            written.
        """
        known, asked = self.about, as_json(about)
        if known is None:
            if self.folder.is_file() or (self.folder.is_dir() and any(self.folder.iterdir())):
                raise StoreError(
                    f"{self.folder}: is not a folder of candidates",
                    parameter="candidates",
                    remedy="give {candidates} another folder",
                )
            with named_write_errors(self.folder / MANIFEST):
                self.folder.mkdir(parents=True, exist_ok=True)
                write_json(self.folder / MANIFEST, asked)
            return
        difference = first_difference(known, asked)
        if difference is not None:
            remedy = "give {candidates} another folder, or delete this one"
            raise difference.error(f"{self.folder} holds candidates", StoreError, remedy)

    def regions(self) -> list[tuple[Box, int]]:
        """Return the regions that are searched, with their factors, finest first."""
        if not self.folder.is_dir():
            return []
        matches = (_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        numbers = [[int(group) for group in match.groups()] for match in matches if match is not None]
        return [(Box(*box), factor) for factor, *box in sorted(numbers)]

    def has(self, region: tuple[int, int, int, int], factor: int) -> bool:
        """Return whether a region is searched."""
        return self._path(region, factor).exists()

    def write(self, region: tuple[int, int, int, int], candidates: Candidates) -> None:
        """Keep the candidates of a region.

        Raises
        ------
        StoreError
            If the disk is full or cannot be written.
        """
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays_of(candidates))
        path = self._path(region, candidates.factor)
        with named_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, buffer.getvalue())

    def read(self, region: tuple[int, int, int, int], factor: int) -> Candidates:
        """Return the candidates of a region.

        Raises
        ------
        StoreError
            If the file is missing or damaged.
        """
        path = self._path(region, factor)
        try:
            return candidates_from(lambda name: read_member(path, name))
        except DAMAGED as error:
            if isinstance(error, StoreError):
                raise
            raise _damaged(path, error) from error

    def __iter__(self) -> Iterator[tuple[Box, Candidates]]:
        """Iterate over the regions and their candidates; those near a border are in several regions."""
        for region, factor in self.regions():
            yield region, self.read(region, factor)

    def all(self) -> Candidates | None:
        """Return the candidates of the whole image, each once, for images whose candidates fit into memory.

        Returns
        -------
        Candidates or None
            At the finest factor. Of coarser factors, those that are too large for a region of the finer one. None if
            no region is searched.

        Raises
        ------
        StoreError
            If a file is damaged.
        """
        return unique_candidates(list(self))

    def _path(self, region: tuple[int, int, int, int], factor: int) -> Path:
        return self.folder / f"f{factor}-{'-'.join(str(int(value)) for value in region)}.npz"


def _damaged(path: Path, reason: object) -> StoreError:
    return StoreError(f"{path}: damaged ({reason})", remedy="delete this file; its region is then searched again")
