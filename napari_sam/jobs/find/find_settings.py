"""Settings of a search for the objects of a concept; importing them loads no network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_sam.jobs.job_settings import BORDERS, COARSEST_LEVEL, LARGEST_DIAMETER_PX, OVERLAPS, EverythingSettings
from src_models.settings import setting, validate

if TYPE_CHECKING:
    from napari_sam.engine.concepts.concept_model import ConceptModel


@dataclass(frozen=True)
class FindSettings:
    """Settings of `find`.

    Attributes
    ----------
    threshold : float, optional
        Least score of an object; that of the concept by default.
    category : str, optional
        Class of the objects; the name of the concept by default.
    region : (int, int, int, int), optional
        (y0, x0, y1, x1) in level-0 pixels, half-open; the whole image by default.
    diameter_px : float, optional
        Typical object diameter in level-0 pixels; that of the concept's examples by default.
    level : int, optional
        Reduce the image 2 ** level times along each axis, instead of `diameter_px`.
    side : int, optional
        Level-0 pixels that one window of the network covers, instead of `diameter_px` and `level`.
    coarser : bool
        Also search coarser levels for objects larger than half a window.
    overlap : {"keep", "replace"}
        Whether existing objects keep the pixels that they share with new ones.
    border : {"cut", "whole"}
        Whether objects end at the border of `region`, or are followed outside it.

    Raises
    ------
    SettingsError
        If a value is out of range, or more than one of `side`, `level` and `diameter_px` is given.
    """

    threshold: float | None = setting(None, "least score of an object", low=0, high=1, step=0.05)
    category: str | None = setting(None, "class of the objects", label="class", option="--class")
    region: tuple[int, ...] | None = setting(None, "part of the image to search: y0, x0, y1, x1", unit="px")
    diameter_px: float | None = setting(
        None, "typical object diameter", low=0, high=LARGEST_DIAMETER_PX, above=True, unit="px",
        label="object diameter", option="--diameter",
    )  # fmt: skip
    level: int | None = setting(None, "reduce the image 2^N times", low=0, high=COARSEST_LEVEL, advanced=True)
    side: int | None = setting(
        None, "width of the image region that one window of the network covers", low=1, unit="px", advanced=True
    )
    coarser: bool = setting(False, "also search coarser levels for objects larger than half a window", advanced=True)
    overlap: str = setting("keep", "what happens to pixels of existing objects", choices=OVERLAPS)
    border: str = setting("cut", "what happens to objects at the border of the region", choices=BORDERS)

    def __post_init__(self) -> None:
        """Check every value."""
        validate(self)
        self._everything(None, None)

    def for_concept(self, concept: ConceptModel, window_px: int | None = None) -> EverythingSettings:
        """Return the settings of a whole-image run that looks for a concept.

        Parameters
        ----------
        concept : ConceptModel
            Gives the name of the class and the diameter of objects, where the settings do not.
        window_px : int, optional
            Side of the windows in which candidates are known; instead of the concept's diameter.
        """
        if window_px is not None and self.side is None and self.level is None and self.diameter_px is None:
            return replace(self, side=window_px)._everything(None, concept.name)
        return self._everything(concept.diameter_px, concept.name)

    def _everything(self, diameter_px: float | None, name: str | None) -> EverythingSettings:
        sizes = (self.side, self.level, self.diameter_px)
        return EverythingSettings(
            method="dense",
            region=self.region,
            diameter_px=diameter_px if all(size is None for size in sizes) else self.diameter_px,
            level=self.level,
            side=self.side,
            coarser=self.coarser,
            overlap=self.overlap,
            category=name if self.category is None else self.category,
            border=self.border,
        )
