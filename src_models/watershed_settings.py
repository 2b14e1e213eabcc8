"""Settings of the watershed on dense maps; without torch, so that command lines and forms can be made from them."""

from __future__ import annotations

from dataclasses import dataclass

from src_models.model_errors import SettingsError


@dataclass(frozen=True)
class WatershedSettings:
    """How dense maps become objects.

    Attributes
    ----------
    foreground : float
        Objects are where the foreground exceeds it.
    centre, boundary : float
        Seeds are connected parts of the foreground where the distance to the centre and that to the boundary are
        below these: higher joins, lower splits.
    foreground_sigma_px, sigma_px : float
        Gaussians on the foreground and on the distances, in pixels of the network's input.
    min_area_px : int
        Smaller objects are dropped; in pixels of the network's input.
    min_predicted_iou : float
        Objects of which the maps are less sure are dropped, where their scores are asked for (`scored_objects`).

    Notes
    -----
    Sizes are as the network sees them, since noise in the maps is of its scale and not of the image's: the same
    settings serve an image that is magnified for the network and one that is reduced. The steps are those of
    micro-sam's automatic instance segmentation (Archit et al., 2025).
    """

    foreground: float = 0.5
    centre: float = 0.4
    boundary: float = 0.5
    foreground_sigma_px: float = 0.0
    sigma_px: float = 2.0
    min_area_px: int = 0
    min_predicted_iou: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no map can reach."""
        for name in ("foreground", "centre", "boundary"):
            if not 0 < getattr(self, name) < 1:
                raise SettingsError(f"{name} {getattr(self, name)}: give a share between 0 and 1")
        for name in ("foreground_sigma_px", "sigma_px", "min_area_px"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} {getattr(self, name)}: cannot be negative")
        if not 0 <= self.min_predicted_iou <= 1:
            raise SettingsError(f"min_predicted_iou {self.min_predicted_iou}: give a share from 0 to 1")


HYPOTHESES = WatershedSettings(centre=0.5)
"""How the objects are found that the mask decoder is shown; a model is trained and used with the same."""
