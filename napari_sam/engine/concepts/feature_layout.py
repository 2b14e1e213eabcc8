"""Which numbers describe an object, in groups with names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.errors import ConceptError

if TYPE_CHECKING:
    from collections.abc import Iterable

FEATURES_VERSION = 1
"""Raised whenever the meaning of a feature changes: concepts of other versions are refused."""

MAPS = ("foreground inside", "foreground around", "boundary inside", "centre inside", "smallest boundary distance")
SHAPE = ("axis ratio", "extent", "solidity", "compactness", "filled share")
SIZE = ("log2 diameter", "log2 major axis", "log2 minor axis")
COLOUR = (
    *(f"{part} {channel}" for part in ("mean", "deviation", "contrast") for channel in ("red", "green", "blue")),
    *(f"grey at {percent} %" for percent in (10, 50, 90)),
)
TEXTURE = (
    *(
        f"log2 of {what}"
        for what in ("edge inside", "edge at the outline", *(f"detail in {px} px" for px in (3, 7, 15)))
    ),
    "finer over coarser detail",
    "fine over coarse detail",
)
QUALITY = ("predicted IoU", "stability score")


@dataclass(frozen=True)
class FeatureLayout:
    """The columns of a table of features, (n, d), by group.

    Attributes
    ----------
    weights : str
        Fingerprint of the network whose embeddings the features contain.
    model : str
        Name of the network, for messages.
    groups : tuple of (str, int)
        Name and number of columns of each group, in order.
    version : int
        `FEATURES_VERSION` of the program that computed them.
    """

    weights: str
    model: str
    groups: tuple[tuple[str, int], ...]
    version: int = FEATURES_VERSION

    @classmethod
    def of_network(cls, weights: str, model: str, width: int, decoder_width: int = 0) -> FeatureLayout:
        """Return the layout of a network whose embeddings have `width` channels, and its dense decoder so many."""
        handmade = {
            "maps": MAPS,
            "shape": SHAPE,
            "size": SIZE,
            "colour": COLOUR,
            "texture": TEXTURE,
            "quality": QUALITY,
        }
        decoder = [("decoder", decoder_width)] if decoder_width else []
        groups = [
            ("embedding", width),
            ("surroundings", width),
            *decoder,
            *((name, len(of)) for name, of in handmade.items()),
        ]
        return cls(weights, model, tuple(groups))

    @property
    def width(self) -> int:
        """Number of columns."""
        return sum(count for _, count in self.groups)

    @property
    def slices(self) -> dict[str, slice]:
        """Columns of each group.

        >>> FeatureLayout("sha", "default", (("embedding", 4), ("shape", 2))).slices["shape"]
        slice(4, 6, None)
        """
        slices, start = {}, 0
        for name, count in self.groups:
            slices[name] = slice(start, start + count)
            start += count
        return slices

    def columns(self, groups: Iterable[str]) -> list[int]:
        """Return the indices of the columns of some groups."""
        slices = self.slices
        return [i for name in groups for i in range(slices[name].start, slices[name].stop)]

    def check_same(self, other: FeatureLayout, what: str = "concept") -> None:
        """Refuse features of another model or version.

        Raises
        ------
        ConceptError
            If they differ; the message names both models.
        """
        self.check_model(other.weights, other.model, what)
        if (self.groups, self.version) != (other.groups, other.version):
            raise ConceptError(
                f"{what} has features of version {self.version}, and this program computes version {other.version}",
                parameter=what,
                remedy="learn the concept again from its examples",
            )

    def check_model(self, weights: str, model: str, what: str = "concept") -> None:
        """Refuse another model, by the fingerprint of its weights and its name; errors as `check_same`."""
        if self.weights != weights:
            raise ConceptError(
                f"{what} was learned with the model {self.model!r} (weights {self.weights[:8]}), and these features "
                f"are those of {model!r} (weights {weights[:8]})",
                parameter=what,
                remedy=f"use the model {self.model!r} with it, or learn the concept again",
            )
