"""The measures of the Cell Tracking Challenge: SEG, DET, TRA, LNK, and F1 of divisions.

Matula et al., Cell tracking accuracy measurement based on comparison of acyclic oriented graphs, PLOS ONE 10 (2015);
Maska et al., The Cell Tracking Challenge: 10 years of objective benchmarking, Nature Methods 20 (2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_sam.evaluation.metrics.label_matching import count_overlaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.io.tracks.track_table import Track, TrackTable

    _Ids = NDArray[np.int64]

_SPLIT, _MISSED, _FALSE = 5.0, 10.0, 1.0  # weights of the operations on vertices
_REDUNDANT_EDGE, _MISSING_EDGE, _WRONG_EDGE = 1.0, 1.5, 1.0


class FrameMatch(NamedTuple):
    """Objects of one frame, and which of them belong together.

    Attributes
    ----------
    true, predicted : ndarray of int64
        Labels present, ascending.
    matched_true, matched_predicted : ndarray of int64
        Labels of the pairs in which the predicted object covers more than half of the true one.
    iou : ndarray of float64
        IoU of these pairs.
    """

    true: _Ids
    predicted: _Ids
    matched_true: _Ids
    matched_predicted: _Ids
    iou: NDArray[np.float64]


def match_frame(true: NDArray[np.integer], predicted: NDArray[np.integer]) -> FrameMatch:
    """Match the objects of a frame as the Cell Tracking Challenge does.

    Parameters
    ----------
    true, predicted : ndarray of int
        (H, W) or (Z, H, W), 0 is background.
    """
    matching = count_overlaps(true, predicted).matching()
    certain = matching.shared > 0.5
    return FrameMatch(
        matching.true_labels,
        matching.predicted_labels,
        matching.true_labels[matching.rows[certain]],
        matching.predicted_labels[matching.cols[certain]],
        matching.iou[certain],
    )


@dataclass(frozen=True)
class TrackingScores:
    """Scores of a tracked movie; NaN where a score is not defined.

    Attributes
    ----------
    seg, det, tra, lnk : float
        Segmentation, detection, tracking and linking accuracy, in [0, 1].
    divisions_true, divisions_predicted, divisions_matched : int
        Numbers of divisions, and of those that agree.
    operations : dict of str to int
        Operations that turn the predicted graph into the true one: vertices to split (NS), to add (FN) and to delete
        (FP), edges to delete (ED), to add (EA) and whose meaning is wrong (EC).
    """

    seg: float
    det: float
    tra: float
    lnk: float
    divisions_true: int
    divisions_predicted: int
    divisions_matched: int
    operations: dict[str, int]

    @property
    def division_f1(self) -> float:
        """F1 of the divisions; NaN if there is none, neither true nor predicted."""
        count = self.divisions_true + self.divisions_predicted
        return 2 * self.divisions_matched / count if count else math.nan


class TrackingComparison:
    """Compare a tracked movie with the truth, frame by frame, without keeping the frames.

    Parameters
    ----------
    true, predicted : TrackTable
        The tracks; frames are given with the tracks' ids as labels (`TrackTable.relabel`).
    tolerance : int
        Frames by which a division may be too early or too late.

    Examples
    --------
    >>> from napari_sam.io.tracks.track_table import make_tracks
    >>> tracks = make_tracks({1: [0, 1]})
    >>> comparison = TrackingComparison(tracks, tracks)
    >>> for frame in (np.array([[0, 1, 1]]), np.array([[1, 1, 0]])):
    ...     comparison.add(frame, frame)
    >>> scores = comparison.scores()
    >>> scores.seg, scores.det, scores.tra
    (1.0, 1.0, 1.0)
    """

    def __init__(self, true: TrackTable, predicted: TrackTable, tolerance: int = 1) -> None:
        self._true, self._predicted, self._tolerance = true, predicted, tolerance
        self._frames: list[FrameMatch] = []
        self._segmented: list[FrameMatch] = []

    def add_segmentation(self, true: NDArray[np.integer], predicted: NDArray[np.integer]) -> None:
        """Add whole objects for SEG, where those given to `add` are markers; then only such frames count for it."""
        self._segmented.append(match_frame(true, predicted))

    def add(self, true: NDArray[np.integer], predicted: NDArray[np.integer]) -> None:
        """Add the next frame; parameters as `match_frame`."""
        self._frames.append(match_frame(true, predicted))

    def scores(self) -> TrackingScores:
        """Return the scores of the frames added."""
        vertices = sum(len(f.true) for f in self._frames)
        operations = _vertex_operations(self._frames)
        edge_operations, edges = _edge_operations(self._frames, self._true, self._predicted)
        operations |= edge_operations
        of_vertices = _SPLIT * operations["NS"] + _MISSED * operations["FN"] + _FALSE * operations["FP"]
        of_edges = (
            _REDUNDANT_EDGE * operations["ED"] + _MISSING_EDGE * operations["EA"] + _WRONG_EDGE * operations["EC"]
        )
        segmented = self._segmented or self._frames
        ious, whole = sum(float(frame.iou.sum()) for frame in segmented), sum(len(f.true) for f in segmented)
        true, predicted = self._true.divisions(), self._predicted.divisions()
        return TrackingScores(
            seg=ious / whole if whole else math.nan,
            det=_accuracy(of_vertices, _MISSED * vertices),
            tra=_accuracy(of_vertices + of_edges, _MISSED * vertices + _MISSING_EDGE * edges),
            lnk=_accuracy(of_edges, _MISSING_EDGE * edges),
            divisions_true=len(true),
            divisions_predicted=len(predicted),
            divisions_matched=self._matched_divisions(true, predicted),
            operations=operations,
        )

    def _matched_divisions(self, true: dict[int, list[Track]], predicted: dict[int, list[Track]]) -> int:
        """Return the number of predicted divisions that agree with a true one, each once."""
        ends = {t.id: t.end for t in self._true.tracks}
        found_ends = {t.id: t.end for t in self._predicted.tracks}
        free, matched = set(true), 0
        for mother, daughters in predicted.items():
            for candidate in sorted(free):
                if self._is_same(
                    (candidate, ends[candidate], true[candidate]), (mother, found_ends[mother], daughters)
                ):
                    free.remove(candidate)
                    matched += 1
                    break
        return matched

    def _is_same(self, true: tuple[int, int, list[Track]], predicted: tuple[int, int, list[Track]]) -> bool:
        """Whether two divisions agree: mothers and daughters match, one to one, where both exist."""
        (mother, end, daughters), (found_mother, found_end, found) = true, predicted
        if len(daughters) != len(found) or abs(end - found_end) > self._tolerance:
            return False
        if not self._is_unique_match(min(end, found_end), mother, found_mother):
            return False
        matched: set[int] = set()
        for daughter in daughters:
            for other in found:
                is_close = abs(daughter.begin - other.begin) <= self._tolerance
                frame = max(daughter.begin, other.begin)
                if is_close and other.id not in matched and self._is_unique_match(frame, daughter.id, other.id):
                    matched.add(other.id)
                    break
        return len(matched) == len(daughters)

    def _is_unique_match(self, frame: int, true: int, predicted: int) -> bool:
        """Whether an object of a frame is matched to one predicted object, and that to no other."""
        if frame >= len(self._frames):
            return False
        match = self._frames[frame]
        partners = match.matched_true[match.matched_predicted == predicted]
        return len(partners) == 1 and int(partners[0]) == true


def _accuracy(cost: float, cost_of_nothing: float) -> float:
    """Return one minus the cost of the corrections, relative to that of making everything anew."""
    return 1 - min(cost, cost_of_nothing) / cost_of_nothing if cost_of_nothing else math.nan


def _vertex_operations(frames: Sequence[FrameMatch]) -> dict[str, int]:
    splits = missed = false = 0
    for frame in frames:
        used = len(np.unique(frame.matched_predicted))
        splits += len(frame.matched_true) - used
        missed += len(frame.true) - len(frame.matched_true)
        false += len(frame.predicted) - used
    return {"NS": splits, "FN": missed, "FP": false}


class _Edges(NamedTuple):
    """Edges between vertices: pairs of vertex numbers, and which of them link a parent to its child."""

    pairs: _Ids
    is_parent: NDArray[np.bool_]


def _edge_operations(
    frames: Sequence[FrameMatch], true: TrackTable, predicted: TrackTable
) -> tuple[dict[str, int], int]:
    """Return the operations on edges, and the number of true edges."""
    true_numbers = _number_vertices([frame.true for frame in frames])
    found_numbers = _number_vertices([frame.predicted for frame in frames])
    true_edges = _edges(true_numbers, true)
    found_edges = _edges(found_numbers, predicted)
    partner = np.full(sum(map(len, found_numbers)), -1, np.int64)
    for t, frame in enumerate(frames):
        labels, index, count = np.unique(frame.matched_predicted, return_index=True, return_counts=True)
        unique = labels[count == 1].tolist()
        for label, vertex in zip(unique, frame.matched_true[index[count == 1]].tolist(), strict=True):
            partner[found_numbers[t][label]] = true_numbers[t][vertex]
    mapped = partner[found_edges.pairs] if len(found_edges.pairs) else np.zeros((0, 2), np.int64)
    certain = (mapped >= 0).all(1)
    mapped, is_parent = mapped[certain], found_edges.is_parent[certain]
    known = {pair: bool(kind) for pair, kind in zip(map(tuple, true_edges.pairs), true_edges.is_parent, strict=True)}
    present = [(known.get(pair), bool(kind)) for pair, kind in zip(map(tuple, mapped), is_parent, strict=True)]
    shared = [(a, b) for a, b in present if a is not None]
    operations = {
        "ED": len(present) - len(shared),
        "EA": len(known) - len(shared),
        "EC": sum(a != b for a, b in shared),
    }
    return operations, len(known)


def _number_vertices(labels: Sequence[_Ids]) -> list[dict[int, int]]:
    """Return the number of each object of each frame, by its label."""
    numbers, count = [], 0
    for present in labels:
        numbers.append({label: count + i for i, label in enumerate(present.tolist())})
        count += len(present)
    return numbers


def _edges(numbers: Sequence[dict[int, int]], tracks: TrackTable) -> _Edges:
    """Return the edges of a graph: within a track from frame to frame, and from a parent to its child."""
    pairs: list[tuple[int, int]] = []
    for before, after in pairwise(numbers):
        pairs += [(number, after[label]) for label, number in before.items() if label in after]
    within = len(pairs)
    ends = {track.id: track.end for track in tracks.tracks}
    for track in tracks.tracks:
        end = ends.get(track.parent, len(numbers))
        if track.parent and max(end, track.begin) < len(numbers):
            first, last = numbers[end].get(track.parent), numbers[track.begin].get(track.id)
            if first is not None and last is not None:
                pairs.append((first, last))
    is_parent = np.arange(len(pairs)) >= within
    return _Edges(np.array(pairs, np.int64).reshape(-1, 2), is_parent)
