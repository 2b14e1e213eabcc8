"""The record of a propagation in a folder: each step in a file, and the state that it is continued from."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import StoreError
from napari_sam.io.json_files import read_json_object
from src_models.atomic import replacing, write_json
from src_models.run_record import first_difference

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from src_models.run_record import JsonValue

_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
_REMEDY = "delete the folder to start anew, or give another one as {resume_folder}"


class PropagationFolder:
    """Keeps the steps of a propagation; a `StepStore`.

    Files are complete or absent: ``request.json`` says what was asked, ``steps/000012.npz`` holds the answers of a
    step, and ``state.npz`` what the carrier remembered before a step, whose number it holds.

    Parameters
    ----------
    folder : Path
        The folder, made when it is opened and deleted when the propagation is complete.
    interval_s : float
        Time between two records of the state, in seconds.
    """

    def __init__(self, folder: Path, interval_s: float = 30.0) -> None:
        self.folder, self.interval_s = folder, interval_s

    def open(self, request: Mapping[str, JsonValue]) -> int:
        """As `StepStore.open`.

        Raises
        ------
        StoreError
            If the folder holds something else, or the record of another propagation.
        """
        path = self.folder / "request.json"
        if not path.is_file():
            if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
                raise StoreError(
                    f"{self.folder} exists and is no record of a propagation",
                    parameter="resume_folder",
                    remedy="give a new folder",
                )
            write_json(path, dict(request))
            return 0
        try:
            earlier = read_json_object(path)
        except _DAMAGED as error:
            raise StoreError(f"{path} is damaged: {error}", remedy=_REMEDY) from error
        difference = first_difference(earlier, request)
        if difference is not None:
            raise difference.error(f"{self.folder} holds an unfinished propagation", StoreError, _REMEDY)
        return self._continues_at()

    def read_step(self, number: int) -> dict[str, NDArray[np.generic]]:
        """As `StepStore.read_step`.

        Raises
        ------
        StoreError
            If the file is damaged.
        """
        return _read(self._step(number))

    def write_step(self, number: int, step: dict[str, NDArray[np.generic]]) -> None:
        """As `StepStore.write_step`."""
        _write(self._step(number), step, durable=False)

    def read_state(self) -> dict[str, NDArray[np.generic]]:
        """As `StepStore.read_state`; errors as `read_step`."""
        state = _read(self._state)
        del state["number"]
        return state

    def write_state(self, number: int, state: dict[str, NDArray[np.generic]]) -> None:
        """As `StepStore.write_state`."""
        _write(self._state, {"number": np.array(number), **state}, durable=True)

    def close(self) -> None:
        """As `StepStore.close`."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _state(self) -> Path:
        return self.folder / "state.npz"

    def _step(self, number: int) -> Path:
        return self.folder / "steps" / f"{number:06d}.npz"

    def _continues_at(self) -> int:
        """Return the step of the last state; 0 if there is none, or a step before it is lost, as by a power cut."""
        if not self._state.is_file():
            return 0
        try:
            with np.load(self._state, allow_pickle=False) as file:
                number = int(file["number"])
        except _DAMAGED as error:
            raise StoreError(f"{self._state} is damaged: {error}", remedy=_REMEDY) from error
        return number if all(self._step(i).is_file() for i in range(number)) else 0


def _read(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except _DAMAGED as error:
        raise StoreError(f"{path} is damaged: {error}", remedy=_REMEDY) from error


def _write(path: Path, arrays: Mapping[str, NDArray[np.generic]], *, durable: bool) -> None:
    with replacing(path, durable=durable) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
