"""Settings of linking; importing them loads no solver."""

from __future__ import annotations

from dataclasses import dataclass

from src_models.settings import setting, validate

PLANE_METHODS = ("assignment", "greedy")
_MOST_GAP = 16


@dataclass(frozen=True)
class PlaneLinking:
    """Settings of linking through z.

    Attributes
    ----------
    link_by : {"assignment", "greedy"}
        "assignment" decides on all pairs of two planes at once, so that their total overlap is largest, and closes
        gaps. "greedy" is plane-by-plane stitching, the usual baseline: the largest overlap is linked first, without
        gaps.
    min_overlap : float
        Smallest IoU of two objects of neighbouring planes that may be linked. The first and the last section of an
        object may be smaller.
    max_gap : int
        Number of planes in which an object may be missing between two planes that show it.
    follow : int
        Number of planes through which an object that was not found again is followed by its mask as a prompt.
    fill_gaps : bool
        Whether a linked object is drawn on the planes of its gaps, by following it from both ends. `LabelStore.planes`
        marks them as propagated.
    min_planes : int
        Objects that are found in fewer planes are left out.

    Raises
    ------
    SettingsError
        If a value is out of range.
    """

    link_by: str = setting("assignment", "how planes are linked", choices=PLANE_METHODS, advanced=True)
    min_overlap: float = setting(
        0.4, "smallest IoU of two objects of neighbouring planes that are linked",
        low=0.0, high=1.0, above=True, step=0.05,
    )  # fmt: skip
    max_gap: int = setting(1, "planes in which an object may be missing", low=0, high=_MOST_GAP)
    follow: int = setting(1, "planes through which an object that was not found again is followed", low=0)
    fill_gaps: bool = setting(False, "draw linked objects on the planes of their gaps, by following them")
    min_planes: int = setting(1, "leave out objects found in fewer planes", low=1)

    def __post_init__(self) -> None:
        """Check every value."""
        validate(self)


@dataclass(frozen=True)
class FrameLinking:
    """Settings of linking through time.

    Attributes
    ----------
    max_distance_px : float, optional
        Farthest that an object moves between two frames, level-0 pixels. By default one and a half times the median
        diameter of all objects.
    max_gap : int
        Number of frames in which an object may be missing.
    follow : int
        Number of frames through which an object that was not found again is followed by its mask as a prompt.
    fill_gaps : bool
        Whether a linked object is drawn on the frames of its gaps, by following it from both ends. `LabelStore.planes`
        marks them as propagated.
    divisions : bool
        Whether objects divide: two objects then have the same parent.
    min_frames : int
        Tracks that are found in fewer frames are left out, unless they are part of a lineage.

    Raises
    ------
    SettingsError
        If a value is out of range.
    """

    max_distance_px: float | None = setting(
        None, "farthest that an object moves between two frames", low=0, above=True, unit="px", option="--max-distance"
    )
    max_gap: int = setting(1, "frames in which an object may be missing", low=0, high=_MOST_GAP)
    follow: int = setting(2, "frames through which an object that was not found again is followed", low=0)
    fill_gaps: bool = setting(False, "draw linked objects on the frames of their gaps, by following them")
    divisions: bool = setting(True, "whether an object may divide into two")
    min_frames: int = setting(1, "leave out tracks found in fewer frames", low=1)

    def __post_init__(self) -> None:
        """Check every value."""
        validate(self)
