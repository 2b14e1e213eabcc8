"""Baselines of volumes and movies: every plane on its own, and objects that overlap on neighbouring planes joined."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.linking.link_planes import link_planes
from napari_sam.engine.linking.link_settings import PlaneLinking
from napari_sam.engine.linking.stack_tables import stack_tables
from napari_sam.evaluation.experiments.simulated_clicks import crop_iou

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.predictor import Predictor

STITCH_IOU = 0.25
"""IoU above which objects of neighbouring planes are joined; the default of Cellpose's stitching is the same."""


@dataclass
class PlaneMasks:
    """An object as masks on some planes."""

    masks: dict[int, tuple[NDArray[np.bool_], Box]] = field(default_factory=dict)

    @property
    def planes(self) -> tuple[int, ...]:
        """Its planes, in order."""
        return tuple(sorted(self.masks))

    def mask(self, plane: int) -> tuple[NDArray[np.bool_], Box]:
        """Return mask (h, w) and box on a plane."""
        return self.masks[plane]


def on_planes(predictor: Predictor, image: Image, planes: Sequence[int]) -> Iterator[tuple[int, Predictor]]:
    """Yield a predictor for each plane of a stack, with the same network."""
    single = predictor.sharing()
    for plane in planes:
        single.set_image(image.with_plane((plane,), image.selected))
        yield plane, single


def segment_planes(predictor: Predictor, image: Image, count: int) -> list[NDArray[np.int32]]:
    """Return the objects that the dense decoder finds on each plane, each plane on its own."""
    return [single.instances() for _, single in on_planes(predictor, image, range(count))]


def stitch(planes: Sequence[NDArray[np.integer]]) -> list[NDArray[np.int64]]:
    """Give objects of neighbouring planes one label if they overlap, the largest IoU first.

    Parameters
    ----------
    planes : sequence of ndarray of int
        (H, W) labels of each plane.

    Examples
    --------
    >>> first, second = np.array([[5, 5, 0, 0]]), np.array([[9, 9, 0, 7]])
    >>> [plane.tolist() for plane in stitch([first, second])]
    [[[1, 1, 0, 0]], [[1, 1, 0, 2]]]
    """
    objects, overlaps = stack_tables(planes)
    links = link_planes(objects, overlaps, PlaneLinking(link_by="greedy", min_overlap=STITCH_IOU))
    stitched = []
    for table, plane in zip(objects, planes, strict=True):
        numbers = np.append(0, links.numbers[table.plane])
        labels = np.append(0, table.labels)
        stitched.append(numbers[np.searchsorted(labels, plane)].astype(np.int64))
    return stitched


def object_at(planes: Sequence[NDArray[np.int64]], position: tuple[int, int, int]) -> PlaneMasks:
    """Return the stitched object under a click (plane, y, x); empty on background."""
    plane, y, x = position
    label = int(planes[plane][y, x])
    return PlaneMasks() if not label else PlaneMasks({k: _whole(p == label) for k, p in enumerate(planes)})


def _whole(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Box]:
    return mask, Box(0, 0, *mask.shape)


def click_every_plane(
    predictor: Predictor, image: Image, positions: Sequence[tuple[int, int, int]], count: int
) -> list[PlaneMasks]:
    """Click at one place on every plane, and join the masks outwards as long as they overlap.

    Parameters
    ----------
    predictor : Predictor
        The model.
    image : Image
        The stack.
    positions : sequence of (int, int, int)
        (plane, y, x) of the click on each object.
    count : int
        Number of planes.
    """
    by_plane: dict[int, list[tuple[NDArray[np.bool_], Box]]] = {}
    prompts = [{"points": [(y, x)], "point_labels": [1]} for _, y, x in positions]
    for plane, single in on_planes(predictor, image, range(count)):
        by_plane[plane] = [(p.mask, Box(*p.bbox)) for p in single.predict_many(prompts)]
    joined = []
    for i, (start, _, _) in enumerate(positions):
        masks = {start: by_plane[start][i]}
        for direction in (1, -1):
            plane = start + direction
            while plane in by_plane and _overlaps(by_plane[plane - direction][i], by_plane[plane][i]):
                masks[plane] = by_plane[plane][i]
                plane += direction
        joined.append(PlaneMasks(masks))
    return joined


def _overlaps(first: tuple[NDArray[np.bool_], Box], second: tuple[NDArray[np.bool_], Box]) -> bool:
    return crop_iou(first[0], first[1][:2], second[0], second[1][:2]) >= STITCH_IOU
