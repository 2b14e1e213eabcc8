"""Follow objects into planes where they were not found, by their mask as a prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.propagation.follow_objects import ObjectFollower
from napari_sam.errors import CancelledError
from napari_sam.io.plane_files import PlaneFiles
from napari_sam.jobs.stacks.fill_gaps import add_found
from napari_sam.jobs.stacks.link_stack import link_stack
from napari_sam.jobs.stacks.plane_canvas import PlaneCanvas

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.linking.link_settings import FrameLinking, PlaneLinking
    from napari_sam.engine.linking.plane_objects import Links
    from napari_sam.jobs.stacks.segment_plane import PlaneSegmenter

_FOLLOWED, _PART = "followed", "followed.part"


def follow_missing(
    files: PlaneFiles,
    segmenter: PlaneSegmenter,
    linking: PlaneLinking | FrameLinking,
    cancelled: Callable[[], bool] | None,
) -> PlaneFiles:
    """Return the planes with objects that were followed from their neighbours.

    The planes are passed forward and then backward. An object that is not found on the next plane is followed there by
    its mask as a prompt; the answer becomes an object of that plane if it looks like the same object and most of it is
    free. An object is followed through at most `linking.follow` planes on end.

    Parameters
    ----------
    files : PlaneFiles
        The planes as they were segmented, which are not changed.
    segmenter : PlaneSegmenter
        Stack, network and normalisation.
    linking : PlaneLinking or FrameLinking
        Which objects are found again.
    cancelled : callable, optional
        Polled before each plane.

    Returns
    -------
    PlaneFiles
        A folder inside that of `files`, complete or absent.

    Raises
    ------
    CancelledError
        If `cancelled()` returned True; this step then begins again.
    """
    done = files.folder / _FOLLOWED
    if not done.exists():
        part = PlaneFiles(files.folder / _PART)
        part.clear()
        part.folder.mkdir(parents=True)
        for plane in files.planes():
            files.copy_plane(plane, part)
        links = link_stack(files, linking, lambda: None, cancelled)
        sweep = _Sweep(part, segmenter, links, linking.follow, cancelled)
        planes = files.planes()
        sweep.run(planes, set(links.parents.values()))
        sweep.run(planes[::-1], set(links.parents))
        part.folder.rename(done)
    return PlaneFiles(done)


@dataclass
class _Sweep:
    """Passes the planes in one direction after the other."""

    files: PlaneFiles
    segmenter: PlaneSegmenter
    links: Links
    limit: int
    cancelled: Callable[[], bool] | None
    steps: dict[int, NDArray[np.int64]] = field(default_factory=dict)

    def run(self, planes: Sequence[int], ending: set[int]) -> None:
        """Follow objects from each plane to the next; those with a number in `ending` divide there."""
        self.steps = {plane: np.zeros(len(numbers), np.int64) for plane, numbers in self.links.numbers.items()}
        for position, (plane, target) in enumerate(pairwise(planes)):
            if self.cancelled is not None and self.cancelled():
                raise CancelledError(
                    f"cancelled after objects were followed through {position} planes",
                    remedy="continue with {resume=True}",
                )
            wanted = self._wanted(plane, target, ending)
            if len(wanted):
                self._follow(plane, target, wanted)

    def _wanted(self, plane: int, target: int, ending: set[int]) -> NDArray[np.int64]:
        """Return which objects of a plane are missing on the next one."""
        numbers = self.links.numbers[plane]
        missing = (numbers > 0) & ~np.isin(numbers, self.links.numbers[target]) & (self.steps[plane] < self.limit)
        return np.flatnonzero(missing & ~np.isin(numbers, sorted(ending)))

    def _follow(self, plane: int, target: int, wanted: NDArray[np.int64]) -> None:
        """Add the objects to the next plane, best first."""
        segmenter, shape = self.segmenter, self.segmenter.stack.shape
        source = PlaneCanvas(self.files, plane, shape)
        prompts = [{"masks": {plane: source.mask(index)}} for index in wanted.tolist()]
        passed = sorted((plane, target))
        follower = ObjectFollower(
            segmenter.stack,
            segmenter.predictor.engine,
            segmenter.normalisation,
            {"planes": passed, "cancelled": self.cancelled},
        )
        found = follower.follow(prompts)
        added = wanted[add_found(self.files, target, shape, found)]
        numbers, steps = self.links.numbers, self.steps
        numbers[target] = np.concatenate([numbers[target], numbers[plane][added]])
        steps[target] = np.concatenate([steps[target], steps[plane][added] + 1])
