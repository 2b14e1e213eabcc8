"""Settings of the watershed on dense maps; without torch, so that command lines and forms can be made from them."""

from __future__ import annotations

from dataclasses import dataclass

from src_models.settings import setting, validate


@dataclass(frozen=True)
class WatershedSettings:
    """How dense maps become objects.

    Notes
    -----
    Sizes are as the network sees them, since noise in the maps is of its scale and not of the image's: the same
    settings serve an image that is magnified for the network and one that is reduced. The steps are those of
    micro-sam's automatic instance segmentation (Archit et al., 2025).
    """

    foreground: float = setting(
        0.5, "objects are where the foreground exceeds this", low=0, high=1, above=True, below=True, step=0.05
    )
    centre: float = setting(
        0.4,
        "seeds have a centre distance below this: higher joins, lower splits",
        low=0,
        high=1,
        above=True,
        below=True,
        step=0.05,
    )
    boundary: float = setting(
        0.5,
        "seeds have a boundary distance below this: higher joins, lower splits",
        low=0,
        high=1,
        above=True,
        below=True,
        step=0.05,
    )
    foreground_sigma_px: float = setting(
        0.0, "Gaussian smoothing of the foreground, in pixels of the network's input", low=0, unit="px", advanced=True
    )
    sigma_px: float = setting(
        2.0, "Gaussian smoothing of the distances, in pixels of the network's input", low=0, unit="px", advanced=True
    )
    min_area_px: int = setting(0, "drop smaller objects, in pixels of the network's input", low=0, unit="px")
    min_predicted_iou: float = setting(0.0, "drop objects with a lower predicted IoU", low=0, high=1, step=0.05)

    def __post_init__(self) -> None:
        """Refuse values outside the ranges of the fields."""
        validate(self)


HYPOTHESES = WatershedSettings(centre=0.5)
"""How the objects are found that the mask decoder is shown; a model is trained and used with the same."""
