"""Settings of propagation."""

from __future__ import annotations

from dataclasses import dataclass

from src_models.settings import setting, validate


@dataclass(frozen=True)
class PropagationSettings:
    """When an object is followed from plane to plane, and when not.

    Attributes
    ----------
    least_overlap : float
        Smallest IoU of a mask and the one expected from the plane before; below it the object jumped.
    most_growth : float
        Largest ratio of the areas on neighbouring planes.
    least_score : float
        Smallest confidence of a mask.
    least_similarity : float
        Smallest share of an object's contrast on its prompted plane that is left, where it stands out from its
        surroundings.
    least_confidence : float
        Smallest confidence on a plane of a volume, over the highest since the prompted plane. Movies are followed
        through planes of low confidence, on which objects may be hidden.
    gap : int
        Number of planes on end on which an object may be missing.
    side_views : bool
        Whether the ends of an object in a volume are looked for in its side views, too: objects that lie behind each
        other without a gap are told apart there. Only where its mask is the prompt on the next plane.
    """

    least_overlap: float = setting(0.3, "smallest overlap (IoU) with the mask of the plane before", low=0, high=1)
    most_growth: float = setting(2.5, "largest ratio of areas on neighbouring planes", low=1, above=True)
    least_score: float = setting(0.2, "smallest confidence of a mask", low=0, high=1)
    least_similarity: float = setting(
        0.3, "smallest share of the contrast of the prompted plane that is left", low=0, high=1
    )
    least_confidence: float = setting(
        0.5, "smallest confidence over the highest since the prompted plane, in volumes", low=0, high=1
    )
    gap: int = setting(1, "number of planes on end on which an object may be missing", low=0)
    side_views: bool = setting(True, "look for the ends of objects in volumes in their side views, too")

    def __post_init__(self) -> None:
        """Check every value."""
        validate(self)
