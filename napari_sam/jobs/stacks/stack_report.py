"""Result of segmenting a volume or a movie."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_sam.jobs.report_html import failure_text, report_html, time_text

if TYPE_CHECKING:
    from napari_sam.io.labels.label_store import LabelStore


@dataclass(frozen=True)
class PlaneFailure:
    """A plane, or a part of one, that could not be segmented.

    Attributes
    ----------
    plane : int
        Index along the axis that was followed.
    reason : str
        Why.
    whole : bool
        Whether the whole plane is missing, and not only some tiles of it.
    """

    plane: int
    reason: str
    whole: bool = True


@dataclass(frozen=True)
class StackReport:
    """Result of `segment_volume` or `track`.

    Attributes
    ----------
    method : str
        "grid" or "dense".
    axis : str
        Axis that was followed.
    objects : int
        Number of objects that have pixels; with divisions, of tracks.
    first_label : int
        Id of the first object; the others follow.
    planes : int
        Number of planes.
    failed : list of PlaneFailure
        Planes that could not be read or segmented, which objects pass over.
    found : int
        Number of objects of single planes, before they were linked.
    gaps : int
        Number of planes in which a linked object is missing.
    divisions : int
        Number of objects that divided.
    side : int
        Level-0 pixels that one window of the network covered.
    seconds : dict of str to float
        Time for "find", "link" and "write" in this call.
    labels : LabelStore
        The store with the objects, open for writing.
    """

    method: str
    axis: str
    objects: int
    first_label: int
    planes: int
    failed: list[PlaneFailure]
    found: int
    gaps: int
    divisions: int
    side: int
    seconds: dict[str, float]
    labels: LabelStore = field(repr=False)

    def _repr_html_(self) -> str:
        facts = {
            "objects": self.objects,
            "method": self.method,
            f"planes ({self.axis})": self.planes,
            "failed": failure_text(self.failed, self.planes, "planes or parts of them"),
            "found on planes": self.found,
            "gaps": self.gaps,
            "divisions": self.divisions,
            "time": time_text(self.seconds),
        }
        return report_html("Objects of a stack", facts, self.labels)
