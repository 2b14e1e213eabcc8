"""Tracks as the Cell Tracking Challenge defines them: no gaps, and a parent ends before its children begin."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_sam.errors import LabelsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


class Track(NamedTuple):
    """A track: an object with one id in consecutive frames.

    Attributes
    ----------
    id : int
        Id of the track, from 1.
    begin, end : int
        First and last frame.
    parent : int
        Id of the track it continues or comes from; 0 for none.
    label : int
        Label of the object in the label image.
    """

    id: int
    begin: int
    end: int
    parent: int
    label: int


@dataclass(frozen=True)
class TrackTable:
    """The tracks of a movie.

    Attributes
    ----------
    tracks : tuple of Track
        Ordered by id.
    """

    tracks: tuple[Track, ...] = ()
    _by_label: dict[int, list[Track]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for track in self.tracks:
            self._by_label.setdefault(track.label, []).append(track)

    def track_of(self, label: int, frame: int) -> Track | None:
        """Return the track that an object belongs to in a frame; None if it is not there."""
        return next((t for t in self._by_label.get(label, ()) if t.begin <= frame <= t.end), None)

    def relabel(self, labels: NDArray[np.integer], frame: int) -> NDArray[np.uint32]:
        """Return the labels of a frame with the ids of the tracks; labels without a track become background."""
        values, index = np.unique(labels, return_inverse=True)
        tracks = [self.track_of(int(value), frame) for value in values]
        ids = np.array([0 if track is None else track.id for track in tracks], np.uint32)
        return ids[index].reshape(labels.shape)

    def divisions(self) -> dict[int, list[Track]]:
        """Return the children of each track that has at least two, by its id."""
        children: dict[int, list[Track]] = defaultdict(list)
        for track in self.tracks:
            if track.parent:
                children[track.parent].append(track)
        return {parent: tracks for parent, tracks in children.items() if len(tracks) > 1}

    def renumbered(self) -> TrackTable:
        """Return the same tracks with the ids 1, 2, 3 …, for files whose labels have 16 bits."""
        ids = {track.id: i for i, track in enumerate(self.tracks, start=1)} | {0: 0}
        return TrackTable(tuple(replace_ids(track, ids) for track in self.tracks))


def replace_ids(track: Track, ids: Mapping[int, int]) -> Track:
    """Return a track with the ids that `ids` maps its own and its parent's to."""
    return track._replace(id=ids[track.id], parent=ids[track.parent])


def make_tracks(frames: Mapping[int, Iterable[int]], parents: Mapping[int, int] | None = None) -> TrackTable:
    """Return the tracks of objects that are known by the frames in which they exist.

    An object is cut where it is missing for a frame, and where a child begins while it exists; the later part is a
    track that continues the earlier one. The first part keeps the object's label as id, further parts have new ids.

    Parameters
    ----------
    frames : mapping of int to iterable of int
        Frames of each object, by label.
    parents : mapping of int to int, optional
        Parent of each object that has one, by label.

    Raises
    ------
    LabelsError
        If a parent does not exist, or does not exist before its child does.

    Examples
    --------
    >>> tracks = make_tracks({1: [0, 1, 2, 5], 2: [2, 3]}, parents={2: 1}).tracks
    >>> [(t.id, t.begin, t.end, t.parent) for t in tracks]
    [(1, 0, 1, 0), (2, 2, 3, 1), (3, 2, 2, 1), (4, 5, 5, 3)]
    """
    present = {int(label): np.unique(np.fromiter(where, np.int64)) for label, where in frames.items()}
    present = {label: where for label, where in sorted(present.items()) if len(where)}
    lineage = {int(child): int(parent) for child, parent in (parents or {}).items() if parent and child in present}
    _check_parents(present, lineage)
    births: dict[int, set[int]] = defaultdict(set)  # of the children of each object
    for child, parent in lineage.items():
        births[parent].add(int(present[child][0]))
    next_id = max(present, default=0) + 1
    tracks: list[Track] = []
    parts_of: dict[int, list[Track]] = {}
    for label, where in present.items():
        cuts = [i for i in range(1, len(where)) if where[i] != where[i - 1] + 1 or int(where[i]) in births[label]]
        previous = 0
        for k, part in enumerate(np.split(where, cuts)):
            track = Track(label if k == 0 else next_id, int(part[0]), int(part[-1]), previous, label)
            next_id += int(k > 0)
            previous = track.id
            parts_of.setdefault(label, []).append(track)
    for label, parts in parts_of.items():
        if label in lineage:
            before = [track for track in parts_of[lineage[label]] if track.end < parts[0].begin]
            parts[0] = parts[0]._replace(parent=before[-1].id)
        tracks += parts
    return TrackTable(tuple(sorted(tracks)))


def _check_parents(present: Mapping[int, NDArray[np.int64]], parents: Mapping[int, int]) -> None:
    for child, parent in parents.items():
        if parent not in present:
            raise LabelsError(f"object {child} has the parent {parent}, which does not exist", remedy="correct it")
        if present[parent][0] >= present[child][0]:
            raise LabelsError(
                f"object {child} begins in frame {present[child][0]}, and its parent {parent} in frame "
                f"{present[parent][0]}",
                remedy="a parent exists before its child: correct the parent, or the order of the frames",
            )


_COLUMNS = 4


def read_track_file(path: Path) -> TrackTable:
    """Read a man_track.txt or res_track.txt: a line ``L B E P`` for each track.

    Raises
    ------
    LabelsError
        If the file cannot be read, or a line does not describe a track.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsError(f"{path}: cannot be read: {error}", remedy="check the path") from error
    tracks = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != _COLUMNS or not all(word.isdecimal() for word in words):
            raise LabelsError(
                f"{path}, line {number}: {line[:40]!r} is not a track",
                remedy="give label, first frame, last frame and parent as whole numbers",
            )
        label, begin, end, parent = map(int, words)
        tracks.append(Track(label, begin, end, parent, label))
    return checked_tracks(tracks, str(path))


def checked_tracks(tracks: Sequence[Track], source: str) -> TrackTable:
    """Return a table of tracks whose ids are unique and whose parents exist and end before.

    Raises
    ------
    LabelsError
        If they are not; `source` names the file.
    """
    by_id: dict[int, Track] = {}
    for track in tracks:
        if track.id < 1 or track.id in by_id or not 0 <= track.begin <= track.end:
            problem = "occurs twice" if track.id in by_id else f"lasts from frame {track.begin} to {track.end}"
            raise LabelsError(f"{source}: track {track.id} {problem}", remedy="correct the file")
        by_id[track.id] = track
    for track in tracks:
        parent = by_id.get(track.parent)
        if track.parent and (parent is None or parent.end >= track.begin):
            problem = "does not exist" if parent is None else f"ends in frame {parent.end}"
            raise LabelsError(
                f"{source}: track {track.id} begins in frame {track.begin}, and its parent {track.parent} {problem}",
                remedy="correct the file: a parent ends before its children begin",
            )
    return TrackTable(tuple(sorted(by_id.values())))


def track_lines(table: TrackTable) -> str:
    r"""Return tracks as the text of a res_track.txt.

    >>> track_lines(make_tracks({3: [0, 1]}))
    '3 0 1 0\n'
    """
    return "".join(f"{track.id} {track.begin} {track.end} {track.parent}\n" for track in table.tracks)
