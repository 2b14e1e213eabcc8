"""Settings of an import, from which the options of the command line are made."""

from __future__ import annotations

from dataclasses import dataclass

from napari_sam.errors import LabelsError
from src_models.settings import setting, validate


@dataclass(frozen=True)
class ImportSettings:
    """How objects of a file are imported.

    Attributes
    ----------
    overlap : {"keep", "replace"}
        Whether existing objects keep or lose the pixels that they share with those of the file.
    category : str or None
        Category of objects for which the file gives none.
    coordinates : {"auto", "pixels", "map", "lonlat"}
        Coordinates of polygons, as for `read_prompts`.
    """

    overlap: str = setting(
        "keep", "keep shared pixels in existing objects, or replace them", choices=("keep", "replace")
    )
    category: str | None = setting(None, "category of objects for which the file gives none")
    coordinates: str = setting("auto", "coordinates of polygons", choices=("auto", "pixels", "map", "lonlat"))

    def __post_init__(self) -> None:
        validate(self, LabelsError)
