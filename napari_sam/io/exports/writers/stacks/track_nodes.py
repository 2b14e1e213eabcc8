"""The objects of a movie as a graph: a node for each object and frame, and edges from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.exports.object_measurements import centroid
from napari_sam.io.tracks.track_table import make_tracks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_sam.io.exports.export_job import ExportJob
    from napari_sam.io.exports.export_source import ExportedObject
    from napari_sam.io.exports.polygons import Polygon
    from napari_sam.io.pixel_runs import PixelRuns
    from napari_sam.io.tracks.track_table import TrackTable


@dataclass
class TrackNode:
    """An object in one frame.

    Attributes
    ----------
    label, frame : int
        Id of the object, and the frame.
    voxels : int
        Number of pixels, through z too.
    position : ndarray of float64
        Mean (z, y, x) of its pixels; z is 0 without that axis.
    score : float or None
        Lowest predicted IoU.
    """

    label: int
    frame: int
    voxels: int = 0
    position: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    score: float | None = None

    def add(self, runs: PixelRuns, z: int, score: float | None) -> None:
        """Add the pixels of a plane."""
        total = self.voxels + runs.area_px
        self.position += (np.array([z, *centroid(runs)]) - self.position) * (runs.area_px / total)
        self.voxels = total
        if score is not None:
            self.score = score if self.score is None else min(score, self.score)


@dataclass(frozen=True)
class TrackGraph:
    """Nodes in the order of frame and label, and the edges between them.

    Attributes
    ----------
    nodes : list of TrackNode
        All nodes.
    edges : list of (int, int)
        Indices of the nodes of each edge, the earlier one first. An edge may skip frames without the object.
    lineage : ndarray of int64
        (N,) number of the tree that each node belongs to, from 0 in the order of the first nodes.
    """

    nodes: list[TrackNode]
    edges: list[tuple[int, int]]
    lineage: NDArray[np.int64]


def check_has_time(job: ExportJob) -> None:
    """Raise LabelsError unless the labels have an axis t and, besides y and x, at most z."""
    axes = job.source.axes
    if "t" not in axes or set(axes) - set("tzyx"):
        raise LabelsError(
            f"{job.path}: tracks need the axes tyx or tzyx, and the labels have {axes}",
            remedy="make the labels on an image that declares its axis t, for example with {axes} tyx",
        )


def frame_and_z(job: ExportJob, plane: tuple[int, ...]) -> tuple[int, int]:
    """Return frame and z of a plane; z is 0 without that axis."""
    index = dict(zip(job.source.axes, plane, strict=False))
    return index["t"], index.get("z", 0)


def track_table(job: ExportJob) -> TrackTable:
    """Return the tracks of the chosen objects; a parent that is not exported is left out."""
    check_has_time(job)
    frames: dict[int, set[int]] = {}
    parents: dict[int, int] = {}
    for obj in job.source.rows(job.labels):
        frames.setdefault(obj.label, set()).add(frame_and_z(job, obj.plane)[0])
        if obj.parent is not None:
            parents[obj.label] = obj.parent
    known = {
        child: parent
        for child, parent in parents.items()
        if parent in frames and min(frames[parent]) < min(frames[child])
    }
    return make_tracks(frames, known)


def track_graph(job: ExportJob, visit: Callable[[TrackNode, list[Polygon]], None] | None = None) -> TrackGraph:
    """Return the graph of the chosen objects.

    Parameters
    ----------
    job : ExportJob
        The export; its steps are counted.
    visit : callable, optional
        Called with the polygons of each object on each plane.
    """
    tracks = track_table(job)
    nodes: dict[tuple[int, int], TrackNode] = {}
    for obj, runs, polygons in _traced(job) if visit else ((*pair, []) for pair in job.objects()):
        if not runs.area_px:
            continue
        frame, z = frame_and_z(job, obj.plane)
        node = nodes.setdefault((frame, obj.label), TrackNode(obj.label, frame))
        node.add(runs, z, obj.predicted_iou)
        if visit is not None:
            visit(node, polygons)
    ordered = [nodes[key] for key in sorted(nodes)]
    index = {(node.frame, node.label): i for i, node in enumerate(ordered)}
    edges = sorted(_edges(tracks, index))
    return TrackGraph(ordered, edges, _trees(len(ordered), edges))


def _traced(job: ExportJob) -> Iterator[tuple[ExportedObject, PixelRuns, list[Polygon]]]:
    """Iterate over the objects, their pixels and polygons; each object is one step."""
    for batch, outlines in job.outlined(job.sequence()):
        for (obj, runs), polygons in zip(batch, outlines.lists(), strict=True):
            yield obj, runs, polygons
            job.step()


def _edges(tracks: TrackTable, index: dict[tuple[int, int], int]) -> Iterator[tuple[int, int]]:
    """Yield the edges within tracks, and from each track to those that continue it."""
    by_id = {track.id: track for track in tracks.tracks}
    for track in tracks.tracks:
        parent = by_id.get(track.parent)
        if parent is not None:
            yield index[parent.end, parent.label], index[track.begin, track.label]
        for frame in range(track.begin, track.end):
            yield index[frame, track.label], index[frame + 1, track.label]


def _trees(count: int, edges: list[tuple[int, int]]) -> NDArray[np.int64]:
    """Return the number of the tree of each node; edges are sorted, so that parents come before their children."""
    roots = np.arange(count)
    for first, second in edges:
        roots[second] = roots[first]
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)
