"""Versions of a project's model: what each was trained on, what it gained, and which one is in use."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from napari_sam.errors import ProjectError
from napari_sam.io.json_files import read_json_object
from src_models.atomic import replacing, write_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_sam.io.json_types import JsonObject

MODEL_FILE = "model.safetensors"
_VERSION_FILE, _CURRENT_FILE = "version.json", "current.json"


@dataclass(frozen=True)
class Gain:
    """Change of a measure from one model to another on the same objects.

    Attributes
    ----------
    before, after : float
        Means over the objects.
    low, high : float or None
        95 % interval of the mean difference, by resampling images; None with a single image.
    """

    before: float
    after: float
    low: float | None
    high: float | None

    @property
    def difference(self) -> float:
        """After less before."""
        return self.after - self.before


@dataclass(frozen=True)
class ModelVersion:
    """A model that was trained in a project.

    Attributes
    ----------
    number : int
        From 1; 0 is the model that the project began with.
    base : str
        Model that the training started from.
    created : float
        Seconds since 1970.
    by : str
        Who trained it.
    images, objects : int
        Images and objects that it was trained on.
    validation_images, validation_objects : int
        Images and objects that it was compared on.
    iou_1click : Gain
        IoU of the mask after one click.
    clicks_to_085 : Gain
        Clicks until the IoU is 0.85; five where it is not reached in five.
    better : bool
        Whether more was gained than lost, so that it is offered.
    """

    number: int
    base: str
    created: float
    by: str
    images: int
    objects: int
    validation_images: int
    validation_objects: int
    iou_1click: Gain
    clicks_to_085: Gain
    better: bool

    @classmethod
    def from_json(cls, content: JsonObject) -> ModelVersion:
        """Read a version; what a newer program added is left out."""
        known = {f.name: content[f.name] for f in fields(cls)}
        for name in ("iou_1click", "clicks_to_085"):
            known[name] = Gain(**known[name])
        return cls(**known)


class ModelVersions:
    """The versions in a folder, each in a folder of its own.

    Parameters
    ----------
    folder : Path
        Folder ``models`` of a project; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def training_folder(self) -> Path:
        """Folder of the training under way, or of one that was stopped."""
        return self.folder / ".training"

    @property
    def has_unfinished_training(self) -> bool:
        """Whether a training was stopped; it continues if objects and settings are the same."""
        return any(self.training_folder.glob("[0-9a-f]*/run"))

    def all(self) -> list[ModelVersion]:
        """Return all versions, oldest first.

        Raises
        ------
        ProjectError
            If one is damaged; the message names its file.
        """
        return [self._read(path) for path in sorted(self.folder.glob(f"[0-9]*/{_VERSION_FILE}"))]

    def path(self, number: int) -> Path:
        """Return the checkpoint of a version.

        Raises
        ------
        ProjectError
            If there is none.
        """
        path = self.folder / f"{number:04d}" / MODEL_FILE
        if not path.is_file():
            numbers = ", ".join(str(version.number) for version in self.all()) or "none yet"
            raise ProjectError(
                f"version is {number}", parameter="version", remedy=f"choose 0 for the first model, or one of {numbers}"
            )
        return path

    def current(self) -> int:
        """Return the number of the version in use; 0 for the model that the project began with."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            number = int(read_json_object(self.folder / _CURRENT_FILE)["version"])
            if number == 0 or (self.folder / f"{number:04d}" / MODEL_FILE).is_file():
                return number
        return 0

    def use(self, number: int) -> None:
        """Put a version in use, also an earlier one; 0 for the model that the project began with."""
        if number != 0:
            self.path(number)
        write_json(self.folder / _CURRENT_FILE, {"version": number})

    def add(self, model: Path, make: Callable[[int], ModelVersion]) -> ModelVersion:
        """Add a version; it appears complete or not at all.

        Parameters
        ----------
        model : Path
            Checkpoint, which is copied.
        make : callable
            Takes the number, returns the version.
        """
        number = 1 + max((int(path.name) for path in self.folder.glob("[0-9]*") if path.name.isdigit()), default=0)
        version = make(number)
        with replacing(self.folder / f"{number:04d}") as temporary:
            temporary.mkdir(parents=True)
            shutil.copyfile(model, temporary / MODEL_FILE)
            write_json(temporary / _VERSION_FILE, asdict(version))
        return version

    def _read(self, path: Path) -> ModelVersion:
        try:
            return ModelVersion.from_json(read_json_object(path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ProjectError(
                f"{path}: no version of a model ({error})", remedy="restore the file, or delete its folder"
            ) from error
