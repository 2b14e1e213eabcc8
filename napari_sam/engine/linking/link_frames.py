"""Link the objects of the frames of a movie with laptrack: moves, gaps and divisions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam.engine.linking.frame_candidates import CUTOFF, frame_candidates
from napari_sam.engine.linking.link_settings import FrameLinking
from napari_sam.engine.linking.plane_objects import Links, NodeTable
from napari_sam.engine.number_components import number_components

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.linking.frame_candidates import Candidates
    from napari_sam.engine.linking.plane_objects import PlaneObjects, PlaneOverlap

_SISTERS = 2  # daughters of a division
_LARGEST_SISTER_RATIO = 2.5  # of the areas of two daughters
_LARGEST_MOTHER_RATIO = 2.5  # of the areas of both daughters together and of their mother, either way


class _Tracker(Protocol):
    """The part of `laptrack.LapTrack` that is used."""

    def predict(self, coords: Sequence[NDArray[np.float64]]) -> _Graph:
        """Return a graph of (frame, index)."""


class _Graph(Protocol):
    def edges(self) -> Iterable[tuple[tuple[int, int], tuple[int, int]]]:
        """Return its edges, from the earlier frame to the later."""


def link_frames(
    objects: Sequence[PlaneObjects], overlaps: Sequence[PlaneOverlap], settings: FrameLinking | None = None
) -> Links:
    """Link the objects of the frames of a movie.

    Objects that move are assigned to each other frame by frame, then the ends of tracks to beginnings of later tracks
    and to daughters, each as a linear assignment problem (Jaqaman et al., 2008, as solved by laptrack).

    Parameters
    ----------
    objects : sequence of PlaneObjects
        The frames; one that could not be segmented is absent.
    overlaps : sequence of PlaneOverlap
        Overlaps of neighbouring frames, and of frames up to `max_gap` frames further apart.
    settings : FrameLinking, optional
        Farthest move, gaps and divisions.

    Returns
    -------
    Links
        A track ends where its object divides, and each daughter has a number of its own.

    Notes
    -----
    Only objects within the farthest move of each other are candidates, and objects that no candidates connect are
    solved apart. laptrack then takes memory in proportion to the square of the objects of a frame that are connected.
    """
    settings = settings or FrameLinking()
    nodes = NodeTable(objects)
    candidates = frame_candidates(nodes, nodes.pairs(overlaps), settings.max_distance_px, settings.max_gap)
    edges = _solve(nodes, candidates, settings)
    moves, divisions = _split_divisions(nodes, edges)
    parents = [(int(child), int(mother)) for mother, child in divisions]
    return nodes.links(moves, settings.min_frames, parents)


def _solve(nodes: NodeTable, candidates: Candidates, settings: FrameLinking) -> NDArray[np.int64]:
    """Return (m, 2) linked nodes, the earlier first; a node with two later nodes divides."""
    linked = np.stack([candidates.first, candidates.second], axis=1)
    if not len(linked):
        return linked
    tracker = _tracker(candidates, settings)
    group = number_components(nodes.count, linked)
    order = np.argsort(group, kind="stable")
    edges = []
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        if len(members) > 1:
            edges += _solve_group(nodes, members, tracker)
    return np.array(sorted(edges), np.int64).reshape(-1, 2)


def _solve_group(nodes: NodeTable, members: NDArray[np.int64], tracker: _Tracker) -> list[tuple[int, int]]:
    """Link the nodes of one group of connected candidates."""
    positions = nodes.position[members]
    frames = [members[positions == p] for p in range(int(positions.min()), int(positions.max()) + 1)]
    graph = tracker.predict([frame.astype(np.float64).reshape(-1, 1) for frame in frames])
    return [(int(frames[a][i]), int(frames[b][j])) for (a, i), (b, j) in graph.edges()]


def _tracker(candidates: Candidates, settings: FrameLinking) -> _Tracker:
    """Return laptrack, with the numbers of nodes as coordinates and the table of candidates as metric."""
    from laptrack import LapTrack  # noqa: PLC0415 - takes seconds to import

    tracker: _Tracker = LapTrack(
        metric=_metric(candidates.first, candidates.second, candidates.cost),
        cutoff=CUTOFF,
        gap_closing_metric=_metric(candidates.first, candidates.second, candidates.cost),
        gap_closing_cutoff=CUTOFF if settings.max_gap else False,
        gap_closing_max_frame_count=settings.max_gap + 1,
        # laptrack gives the daughter first
        splitting_metric=_metric(candidates.second, candidates.first, candidates.division_cost),
        splitting_cutoff=CUTOFF if settings.divisions else False,
        merging_cutoff=False,
        track_start_cost=CUTOFF,
        track_end_cost=CUTOFF,
        segment_start_cost=CUTOFF,
        segment_end_cost=CUTOFF,
        no_splitting_cost=CUTOFF,
        no_merging_cost=CUTOFF,
    )
    return tracker


def _metric(
    first: NDArray[np.int64], second: NDArray[np.int64], cost: NDArray[np.float64]
) -> Callable[[NDArray[np.float64], NDArray[np.float64]], float]:
    """Return a function of two nodes, each an array of its number, that looks up the cost of a link."""
    table: dict[tuple[int, int], float] = dict(
        zip(zip(first.tolist(), second.tolist(), strict=True), cost.tolist(), strict=True)
    )

    def metric(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        cost: float = table.get((int(a[0]), int(b[0])), math.inf)
        return cost

    return metric


def _split_divisions(nodes: NodeTable, edges: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Separate moves from divisions; returns (m, 2) and (d, 2) nodes, the earlier first.

    Of a division whose daughters do not look like two halves of their mother, the better link stays as a move.
    """
    mother, count = np.unique(edges[:, 0], return_counts=True)
    is_division = np.isin(edges[:, 0], mother[count == _SISTERS])
    moves, divisions = [edges[~is_division]], []
    of_divisions = edges[is_division]
    for pair in of_divisions[np.argsort(of_divisions[:, 0], kind="stable")].reshape(-1, _SISTERS, 2):
        if _is_division(nodes.area, pair):
            divisions.append(pair)
        else:
            likeness = np.abs(np.log(nodes.area[pair[:, 1]] / nodes.area[pair[0, 0]]))
            moves.append(pair[[int(likeness.argmin())]])
    empty = np.empty((0, 2), np.int64)
    return np.concatenate(moves), np.concatenate([empty, *divisions])


def _is_division(area: NDArray[np.int64], pair: NDArray[np.int64]) -> bool:
    """Whether the areas of two daughters fit each other and their mother."""
    mother, daughters = float(area[pair[0, 0]]), area[pair[:, 1]].astype(float)
    together = float(daughters.sum()) / mother
    alike = float(daughters.max() / daughters.min()) <= _LARGEST_SISTER_RATIO
    return alike and 1 / _LARGEST_MOTHER_RATIO <= together <= _LARGEST_MOTHER_RATIO
