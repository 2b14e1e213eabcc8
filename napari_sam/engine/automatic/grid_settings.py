"""Settings of grid mode; importing this module loads no network."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from napari_sam.errors import SettingsError
from src_models.settings import setting, validate


@dataclass(frozen=True)
class GridSettings:
    """Settings of grid mode, with the names, meanings and defaults of SAM's automatic mask generator.

    Attributes
    ----------
    points_per_side : int
        Points along each side of a window; each is a prompt.
    points_per_batch : int or None
        Prompts decoded together; None for a number that suits the device.
    pred_iou_thresh : float
        Masks must have a higher predicted IoU.
    stability_score_thresh : float
        Masks must have at least this stability score.
    stability_score_offset : float
        Shift of the threshold, in logits, for the stability score.
    box_nms_thresh : float
        Of masks whose boxes have a higher IoU, only the one with the highest predicted IoU is kept.
    crop_n_layers : int
        Layers of crops of a whole image; layer i has 2^i x 2^i crops. Not for tiles.
    crop_nms_thresh : float
        As `box_nms_thresh`, between crops; the mask of the smaller crop is kept.
    crop_overlap_ratio : float
        Overlap of the crops of the first layer, as a share of the image's short side.
    crop_n_points_downscale_factor : int
        In layer i, points per side are divided by this to the power of i.
    min_mask_region_area : int
        Area in pixels below which separate parts and holes of masks are removed; 0 keeps them.
    max_cover : float or None
        Masks that cover at least this share of their window are dropped: 0.95 in the paper; None keeps them, as the
        released code does.
    skip_covered : bool
        Leave out points that lie in a confident mask of another point: faster, but parts of objects may be missed.

    Raises
    ------
    SettingsError
        If a value is not allowed.

    Examples
    --------
    >>> GridSettings(points_per_side=16).pred_iou_thresh
    0.88
    """

    points_per_side: int = setting(32, "points along each side of a window", low=1)
    points_per_batch: int | None = setting(None, "prompts decoded together", low=1, advanced=True)
    pred_iou_thresh: float = setting(
        0.88, "lowest predicted IoU", low=0.0, high=1.0, step=0.01, label="predicted IoU", option="--pred-iou"
    )
    stability_score_thresh: float = setting(
        0.95, "lowest stability score", low=0.0, high=1.0, step=0.01, label="stability score", option="--stability"
    )
    stability_score_offset: float = setting(
        1.0, "shift of the threshold for the stability score, in logits", low=0.0, advanced=True
    )
    box_nms_thresh: float = setting(
        0.7, "IoU of boxes above which the worse mask is dropped", low=0.0, high=1.0, step=0.05, advanced=True
    )
    crop_n_layers: int = setting(0, "layers of crops of a whole image", low=0, high=6, advanced=True)
    crop_nms_thresh: float = setting(
        0.7,
        "IoU of boxes above which masks of two crops are the same",
        low=0.0,
        high=1.0,
        step=0.05,
        advanced=True,
    )
    crop_overlap_ratio: float = setting(
        512 / 1500, "overlap of crops over the image's short side", low=0.0, high=1.0, below=True, advanced=True
    )
    crop_n_points_downscale_factor: int = setting(
        1, "factor by which points per side decrease from layer to layer", low=1, advanced=True
    )
    min_mask_region_area: int = setting(
        0, "remove smaller parts and holes", low=0, unit="px", label="smallest part", option="--min-area"
    )
    max_cover: float | None = setting(
        None, "share of the window from which masks are dropped", low=0.0, high=1.0, above=True, advanced=True
    )
    skip_covered: bool = setting(False, "leave out points inside a confident mask", advanced=True)

    def __post_init__(self) -> None:
        """Check every value."""
        validate(self)
        if self.points_in_layer(self.crop_n_layers) < 1:
            raise SettingsError(
                f"points_per_side {self.points_per_side} divided by crop_n_points_downscale_factor "
                f"{self.crop_n_points_downscale_factor} leaves no point in crop layer {self.crop_n_layers}",
                parameter="points_per_side",
                remedy="give more points, a smaller factor or fewer layers",
            )

    @classmethod
    def for_model(cls, kind: str, **changes: Any) -> GridSettings:
        """Return the settings for a kind of network: SAM's defaults, but lower thresholds for the default model.

        Scores of the default model are lower. Of 6 084 masks of a grid of 16 x 16 points on two train images of each of
        six data sets of equal weight, 0.7 and 0.7 keep 52 % of those with an IoU of 0.7 or more, and 84 % of what they
        keep is such a mask.

        >>> GridSettings.for_model("default", points_per_side=16).pred_iou_thresh
        0.7
        """
        thresholds = {"pred_iou_thresh": 0.7, "stability_score_thresh": 0.7} if kind == "default" else {}
        return cls(**{**thresholds, **changes})

    def points_in_layer(self, layer: int) -> int:
        """Return the points along each side of a crop of a layer; layer 0 is the whole image."""
        return int(self.points_per_side / self.crop_n_points_downscale_factor**layer)

    def as_dict(self) -> dict[str, Any]:
        """Return all values, as JSON holds them."""
        return {f.name: getattr(self, f.name) for f in fields(self)}
