"""Objects that run together while they are followed."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.engine.propagation.carrier import CarriedMask

MERGED_SHARE = 0.5
"""Share of the smaller of two masks from which on they are one object."""


def with_merges(found: Mapping[int, CarriedMask]) -> dict[int, CarriedMask]:
    """Add the event "merge" to objects on a plane of which one covers most of another.

    Parameters
    ----------
    found : mapping of int to CarriedMask
        What was found on the plane, by object.
    """
    marked = dict(found)
    present = [i for i, carried in found.items() if not carried.absent]
    for pair in combinations(present, 2):
        if _shared(*(found[i] for i in pair)) > MERGED_SHARE:
            for i in pair:
                if "merge" not in marked[i].events:
                    marked[i] = replace(marked[i], events=(*marked[i].events, "merge"))
    return marked


def _shared(one: CarriedMask, other: CarriedMask) -> float:
    """Return the share of the smaller mask that the other one covers."""
    common = one.box.intersection(other.box)
    if common.is_empty:
        return 0.0
    both = one.mask[common.slices_in(one.box)] & other.mask[common.slices_in(other.box)]
    smaller = min(int(np.count_nonzero(one.mask)), int(np.count_nonzero(other.mask)))
    return int(np.count_nonzero(both)) / max(smaller, 1)
