"""The profiles of a project's images on disk, those of each model in a folder of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.project.ranking.image_profile import ImageProfile
from src_models.atomic import replacing

if TYPE_CHECKING:
    from pathlib import Path


class ProfileFiles:
    """Profiles of images as seen by one model; any of them can be deleted and is computed again.

    Parameters
    ----------
    folder : Path
        Folder of all profiles of a project.
    weights : str
        Fingerprint of the model.
    """

    def __init__(self, folder: Path, weights: str) -> None:
        self._folder = folder / weights[:16]

    def get(self, image_id: str) -> ImageProfile | None:
        """Return the profile of an image; None if there is none, or it cannot be read."""
        try:
            values = np.load(self._folder / f"{image_id}.npy", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        if values.ndim != 1 or values.dtype != np.float32 or len(values) < 2 or not np.isfinite(values).all():
            return None
        return ImageProfile(values[1:], float(values[0]))

    def put(self, image_id: str, profile: ImageProfile) -> None:
        """Keep the profile of an image."""
        with replacing(self._folder / f"{image_id}.npy", durable=False) as path, path.open("wb") as file:
            np.save(file, np.append(np.float32(profile.uncertainty), profile.embedding))
