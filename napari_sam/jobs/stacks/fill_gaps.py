"""Draw linked objects on the planes on which they are missing, by following them from both ends of the gap."""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.propagation.follow_objects import ObjectFollower
from napari_sam.errors import CancelledError
from napari_sam.io.plane_files import PlaneFiles
from napari_sam.jobs.stacks.plane_canvas import PlaneCanvas

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.linking.plane_objects import Links
    from napari_sam.engine.propagation.propagation import Propagation
    from napari_sam.jobs.stacks.segment_plane import PlaneSegmenter

_FILLED = "filled"


def filled_files(run_files: PlaneFiles) -> PlaneFiles:
    """Return the planes that `fill_gaps` writes in the folder of a run."""
    return PlaneFiles(run_files.folder / _FILLED)


def fill_gaps(
    files: PlaneFiles,
    filled: PlaneFiles,
    segmenter: PlaneSegmenter,
    links: Links,
    cancelled: Callable[[], bool] | None,
) -> Links:
    """Draw each linked object on the planes of its gaps, where these are free.

    The masks at both ends of a gap are the prompts, and the planes between are followed from both, as between two
    corrected planes. Links and identities stay as they are; only planes that could be segmented are filled.

    Parameters
    ----------
    files : PlaneFiles
        The linked planes, which are not changed.
    filled : PlaneFiles
        Where the planes are written with the added objects; what is there is replaced.
    segmenter : PlaneSegmenter
        Stack, network and normalisation.
    links : Links
        Number of each object of each plane.
    cancelled : callable, optional
        Polled before each gap.

    Returns
    -------
    Links
        With the numbers of the added objects.

    Raises
    ------
    CancelledError
        If `cancelled()` returned True; this step then begins again.
    """
    shutil.rmtree(filled.folder, ignore_errors=True)
    filled.folder.mkdir(parents=True)
    for plane in files.planes():
        files.copy_plane(plane, filled)
    numbers = dict(links.numbers)
    gaps = _gaps(links)
    for done, (ends, missing) in enumerate(sorted(gaps.items())):
        if cancelled is not None and cancelled():
            raise CancelledError(
                f"cancelled after {done} of {len(gaps)} gaps were filled", remedy="continue with {resume=True}"
            )
        between = [plane for plane in sorted(numbers) if ends[0] <= plane <= ends[1]]
        found = _follow(filled, segmenter, numbers, missing, between, cancelled)
        for plane in between[1:-1]:
            added = add_found(filled, plane, segmenter.stack.shape, found)
            numbers[plane] = np.concatenate([numbers[plane], np.array(missing, np.int64)[added]])
    return replace(links, numbers=numbers)


def add_found(files: PlaneFiles, plane: int, shape: tuple[int, int], found: Sequence[Propagation]) -> list[int]:
    """Add objects that were followed to a plane, the surest first, where it is free.

    Parameters
    ----------
    files : PlaneFiles
        The planes.
    plane : int
        Index of the plane.
    shape : (int, int)
        Height and width of a plane.
    found : sequence of Propagation
        The objects.

    Returns
    -------
    list of int
        Position in `found` of each object that was added, in the order in which the plane's table has them.
    """
    canvas = PlaneCanvas(files, plane, shape)
    there = [k for k, item in enumerate(found) if plane in item.records]
    added = []
    for k in sorted(there, key=lambda k: (-found[k].records[plane].score, k)):
        mask = found[k].plane_mask(plane)
        if canvas.add(mask.mask, mask.box, mask.score):
            added.append(k)
    canvas.save()
    return added


def added_objects(segmented: PlaneFiles, files: PlaneFiles, plane: int) -> NDArray[np.bool_]:
    """Return which objects of a plane (n,) were not segmented there but drawn by following them."""
    added: NDArray[np.bool_] = ~np.isin(files.table(plane).labels, segmented.table(plane).labels)
    return added


def _gaps(links: Links) -> dict[tuple[int, int], list[int]]:
    """Return the numbers of the objects that are missing between two planes, by these planes."""
    planes = sorted(links.numbers)
    last: dict[int, int] = {}
    gaps: dict[tuple[int, int], list[int]] = defaultdict(list)
    for position, plane in enumerate(planes):
        for number in np.unique(links.numbers[plane]).tolist():
            before = last.get(number, position)
            if number and position - before > 1:
                gaps[planes[before], plane].append(number)
            last[number] = position
    return gaps


def _follow(
    files: PlaneFiles,
    segmenter: PlaneSegmenter,
    numbers: dict[int, NDArray[np.int64]],
    missing: list[int],
    between: list[int],
    cancelled: Callable[[], bool] | None,
) -> list[Propagation]:
    """Follow objects from the first and the last of some planes to those between."""
    prompts: list[dict[str, dict[int, object]]] = [{"masks": {}} for _ in missing]
    for plane in (between[0], between[-1]):
        canvas = PlaneCanvas(files, plane, segmenter.stack.shape)
        for prompt, number in zip(prompts, missing, strict=True):
            parts = np.flatnonzero(numbers[plane] == number)
            prompt["masks"][plane] = canvas.mask(int(parts[canvas.table.area[parts].argmax()]))
    options = {"planes": between, "cancelled": cancelled}
    return ObjectFollower(
        segmenter.stack,
        segmenter.predictor.engine,
        segmenter.normalisation,
        options,  # type: ignore[arg-type]
    ).follow(prompts)
