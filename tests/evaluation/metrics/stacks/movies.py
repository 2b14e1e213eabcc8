"""Small movies of moving and dividing squares, and results with every kind of error."""

from __future__ import annotations

import numpy as np
import tifffile

from napari_sam.io.tracks.track_table import make_tracks, track_lines

SHAPE = (60, 60)
FRAMES = 8


def square(frame, y, x, label, side=7):
    frame[max(y, 0) : y + side, max(x, 0) : x + side] = label


def dividing_movie(rng, count=4, missing=0.0, jitter=0, switch=0.0):
    """Return frames (T, H, W) and the lineage of squares that drift; some divide.

    `missing` of the objects are left out of a frame, `jitter` moves them, `switch` gives them a new id.
    """
    frames = np.zeros((FRAMES, *SHAPE), np.uint16)
    parents, next_label = {}, count + 1
    cells = {k + 1: (int(rng.integers(2, 50)), 2 + 14 * k) for k in range(count)}
    for t in range(FRAMES):
        for label, (y, x) in list(cells.items()):
            if t in (3, 5) and rng.random() < 0.4:
                first, second = next_label, next_label + 1
                next_label += 2
                parents |= {first: label, second: label}
                del cells[label]
                cells |= {first: (y - 4, x), second: (y + 5, x)}
            elif t and rng.random() < switch:
                del cells[label]
                cells[next_label] = (y, x)
                next_label += 1
        for label, (y, x) in list(cells.items()):
            cells[label] = (int(np.clip(y + rng.integers(-1, 2), 0, 50)), x)
            if rng.random() >= missing:
                dy, dx = rng.integers(-jitter, jitter + 1, 2)
                square(frames[t], cells[label][0] + int(dy), x + int(dx), label)
    return frames, parents


def tracks_of(frames, parents):
    """Return a movie with the ids of its tracks as labels, and the tracks; impossible parents are dropped."""
    present = {}
    for t, frame in enumerate(frames):
        for label in np.unique(frame[frame > 0]).tolist():
            present.setdefault(label, []).append(t)
    known = {c: p for c, p in parents.items() if c in present and p in present and present[p][0] < present[c][0]}
    table = make_tracks(present, known)
    return np.stack([table.relabel(frame, t) for t, frame in enumerate(frames)]), table


def write_challenge(folder, frames, table, truth):
    """Write a movie as the Cell Tracking Challenge's folder of a result, or of the truth."""
    names = (
        [("TRA", "man_track", "man_track.txt"), ("SEG", "man_seg", None)] if truth else [("", "mask", "res_track.txt")]
    )
    for part, prefix, text in names:
        (folder / part).mkdir(parents=True, exist_ok=True)
        for t, frame in enumerate(frames):
            tifffile.imwrite(folder / part / f"{prefix}{t:03d}.tif", frame.astype(np.uint16))
        if text is not None:
            (folder / part / text).write_text(track_lines(table))
