"""Settings of whole-image segmentation and of prompt tables; importing them loads no network."""

from __future__ import annotations

from dataclasses import dataclass

from napari_sam.engine.automatic.grid_settings import GridSettings  # noqa: TC001 - read by field_types
from napari_sam.engine.automatic.object_finder import BRANCHES
from napari_sam.errors import PromptError, SettingsError
from src_models.settings import setting, validate
from src_models.watershed_settings import WatershedSettings  # noqa: TC001

METHODS = ("auto", "grid", "dense")
OVERLAPS = ("keep", "replace")
BORDERS = ("cut", "whole")
STAGES = ("automatic", "semi-automatic")
LARGEST_DIAMETER_PX = 1 << 20
COARSEST_LEVEL = 16


@dataclass(frozen=True)
class EverythingSettings:
    """Settings of `segment_everything`.

    Attributes
    ----------
    method : {"auto", "grid", "dense"}
        Prompt with a grid of points, as SAM's automatic mask generator does, or run the dense decoder. "auto" takes
        "dense" if the model has a dense decoder.
    region : (int, int, int, int), optional
        (y0, x0, y1, x1) in level-0 pixels, half-open; the whole image by default.
    diameter_px : float, optional
        Typical object diameter in level-0 pixels; it sets the magnification.
    level : int, optional
        Reduce the image 2 ** level times along each axis, instead of `diameter_px`.
    side : int, optional
        Level-0 pixels that one window of the network covers, instead of `diameter_px` and `level`. Without any of the
        three, dense mode estimates the magnification from samples of the image, and grid mode uses full resolution.
    grid : GridSettings, optional
        Settings of grid mode; those of the model by default.
    watershed : WatershedSettings, optional
        Settings of dense mode; those of the model by default.
    branches : {"auto", "both", "dense"}
        Whether dense mode also prompts the mask decoder with what the dense decoder suggests, which takes longer.
        "auto" does so with the default model, which was trained for it.
    coarser : bool, optional
        Also search coarser levels for objects larger than half a window; by default only without `diameter_px`.
    overlap : {"keep", "replace"}
        "keep" leaves existing objects their pixels and drops new objects that are half covered by them; "replace"
        gives the pixels to the new objects.
    category : str, optional
        Category of the new objects.
    border : {"cut", "whole"}
        "cut" ends objects at the border of `region`. "whole" follows them outside it: it keeps those whose centre
        lies in the region, and leaves out those that reach farther than a window around it.
    min_iou : float
        Leave out objects of a lower predicted IoU.
    min_stability : float
        Leave out objects of a lower stability score.
    min_region_px : int
        Of the objects of dense mode, fill holes and remove separate parts with fewer pixels of the network's input; the
        largest part stays. Grid mode has `GridSettings.min_mask_region_area`.
    stage : {"automatic", "semi-automatic"}
        What is noted with the objects: "semi-automatic" if a person adds those that are missing.

    Raises
    ------
    SettingsError
        If a value is out of range, or more than one of `side`, `level` and `diameter_px` is given.
    PromptError
        If `region` does not have four numbers.
    """

    method: str = setting("auto", "how to find objects", choices=METHODS)
    region: tuple[int, ...] | None = setting(None, "part of the image to segment: y0, x0, y1, x1", unit="px")
    diameter_px: float | None = setting(
        None, "typical object diameter", low=0, high=LARGEST_DIAMETER_PX, above=True, unit="px",
        label="object diameter", option="--diameter",
    )  # fmt: skip
    level: int | None = setting(None, "reduce the image 2^N times", low=0, high=COARSEST_LEVEL, advanced=True)
    side: int | None = setting(
        None, "width of the image region that one window of the network covers", low=1, unit="px", advanced=True
    )
    grid: GridSettings | None = setting(None, "settings of grid mode", advanced=True)
    watershed: WatershedSettings | None = setting(None, "settings of dense mode", advanced=True)
    branches: str = setting(
        "auto", "whether dense mode also prompts the mask decoder with its objects", choices=BRANCHES, advanced=True
    )
    coarser: bool | None = setting(None, "also search coarser levels for objects larger than half a window")
    overlap: str = setting("keep", "what happens to pixels of existing objects", choices=OVERLAPS)
    category: str | None = setting(None, "category of the new objects")
    border: str = setting("cut", "what happens to objects at the border of the region", choices=BORDERS)
    min_iou: float = setting(
        0.0, "leave out objects of a lower predicted IoU", low=0.0, high=1.0, step=0.05, option="--min-score",
        advanced=True,
    )  # fmt: skip
    min_stability: float = setting(
        0.0, "leave out objects of a lower stability score", low=0.0, high=1.0, step=0.05, advanced=True
    )
    min_region_px: int = setting(
        0, "of dense mode, fill smaller holes and remove smaller parts", low=0, unit="px", advanced=True
    )
    stage: str = setting(
        "automatic", "stage of annotation that is noted with the objects", choices=STAGES, advanced=True
    )

    def __post_init__(self) -> None:
        """Check every value, and that the size of a window is given only once."""
        if self.method == "prompted":
            raise SettingsError(
                "method is 'prompted'",
                parameter="method",
                remedy="call napari_sam.segment_prompts(image, prompts, output=...) instead",
            )
        validate(self)
        if self.region is not None and len(self.region) != 4:
            raise PromptError(
                f"region is {self.region}", parameter="region", remedy="give four numbers: y0, x0, y1, x1"
            )
        for name, others in (("side", ("level", "diameter_px")), ("level", ("diameter_px",))):
            for other in others:
                if getattr(self, name) is not None and getattr(self, other) is not None:
                    raise SettingsError(
                        f"{name} is {getattr(self, name)} and {other} is {getattr(self, other)}",
                        parameter=name,
                        remedy=f"give {{{name}}} or {{{other}}}, not both",
                    )

    @property
    def searches_coarser(self) -> bool:
        """Whether coarser levels are searched, with the default resolved."""
        return self.diameter_px is None if self.coarser is None else self.coarser


@dataclass(frozen=True)
class PromptedSettings:
    """Settings of `segment_prompts`.

    Attributes
    ----------
    overlap : {"keep", "replace"}
        Whether existing objects keep the pixels that they share with a new mask. Among the new masks, the one of
        higher predicted IoU keeps them.
    min_iou : float
        Drop masks of a lower predicted IoU.
    nms : float, optional
        Drop a mask whose IoU with an earlier mask is at least this; None keeps all masks.
    category : str, optional
        Category of the objects, where the prompts do not give one.
    batch : int
        Number of prompts decoded together; affects speed and memory, not the result.
    diameter_px : float, optional
        Typical object diameter in level-0 pixels, for prompts that are single points.

    Raises
    ------
    SettingsError
        If a value is out of range.
    """

    overlap: str = setting("keep", "what happens to pixels of existing objects", choices=OVERLAPS)
    min_iou: float = setting(0.0, "lowest predicted IoU", low=0.0, high=1.0, option="--pred-iou", step=0.05)
    nms: float | None = setting(
        0.5, "IoU from which two masks are the same object", low=0, high=1, above=True, step=0.05, advanced=True
    )
    category: str | None = setting(None, "category of objects whose prompt has none")
    batch: int = setting(64, "prompts decoded together", low=1, advanced=True)
    diameter_px: float | None = setting(
        None, "typical object diameter, for single points", low=0, high=1 << 31, above=True, unit="px",
        label="object diameter", option="--diameter",
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Check every value."""
        validate(self)
