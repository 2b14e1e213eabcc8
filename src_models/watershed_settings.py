"""Settings of the watershed on dense maps; without torch, so that command lines and forms can be made from them."""

from __future__ import annotations

from dataclasses import dataclass

from src_models.settings import setting, validate

_OPEN_UNIT_INTERVAL = {"low": 0, "high": 1, "above": True, "below": True, "step": 0.05}


@dataclass(frozen=True)
class WatershedSettings:
    """Settings of the watershed that turns dense maps into objects.

    Notes
    -----
    Sizes are in pixels of the network's input, because the noise of the maps has that scale and not the scale of the
    image: the same settings suit an image that is magnified for the network and one that is reduced. The steps are
    those of micro-sam's automatic instance segmentation (Archit et al., 2025).
    """

    foreground: float = setting(0.5, "objects are where the foreground exceeds this", **_OPEN_UNIT_INTERVAL)
    centre: float = setting(
        0.4, "seeds have a centre distance below this: higher joins, lower splits", **_OPEN_UNIT_INTERVAL
    )
    boundary: float = setting(
        0.5, "seeds have a boundary distance below this: higher joins, lower splits", **_OPEN_UNIT_INTERVAL
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
"""Settings of the objects that become mask prompts, the same in training and inference."""
