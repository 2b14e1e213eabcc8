"""Write tracks as a result folder of the Cell Tracking Challenge: mask000.tif … and res_track.txt."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.exports.export_pixels import ExportPixels
from napari_sam.io.exports.writers.stacks.track_nodes import frame_and_z, track_table
from napari_sam.io.tracks.track_table import track_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_sam.io.exports.export_job import ExportJob
    from napari_sam.io.tracks.track_table import TrackTable

_STRIP_PX = 1 << 20
_LARGEST_CLASSIC = 0xFFFF_FFFF - (1 << 20)  # bytes of a classic TIFF
_MOST_IDS = 65_535


def write_challenge(job: ExportJob) -> None:
    """Write one 16-bit TIFF for each frame, with the ids of tracks as labels, and the table of tracks.

    A track has no gaps and ends before its children begin: an object that is missing for a frame, or divides and keeps
    its id, becomes several tracks, each with the earlier one as parent.

    Raises
    ------
    LabelsError
        If the labels have no axis t, or there are more than 65535 tracks.
    """
    tracks = track_table(job)
    if len(tracks.tracks) > _MOST_IDS:
        raise LabelsError(
            f"{job.path}: {len(tracks.tracks)} tracks do not fit 16 bits",
            remedy="write {format} geff, or fewer objects",
        )
    if max((track.id for track in tracks.tracks), default=0) > _MOST_IDS:
        tracks = tracks.renumbered()
    pixels = ExportPixels(job.source, job.labels)
    frames: dict[int, list[tuple[int, ...]]] = {}
    for plane in job.planes():
        frames.setdefault(frame_and_z(job, plane)[0], []).append(plane)
    job.counter.begin(len(job.planes()))
    job.partial.mkdir()
    digits = max(3, len(str(len(frames) - 1)))
    for frame, planes in sorted(frames.items()):
        _write_frame(job, pixels, tracks, job.partial / f"mask{frame:0{digits}d}.tif", (frame, planes))
    (job.partial / "res_track.txt").write_text(track_lines(tracks), encoding="ascii")
    pixels.check()


def _write_frame(
    job: ExportJob, pixels: ExportPixels, tracks: TrackTable, path: Path, frame: tuple[int, list[tuple[int, ...]]]
) -> None:
    """Write the planes of a frame, strip by strip."""
    import tifffile  # noqa: PLC0415 - keeps the import of this module fast

    index, planes = frame
    height, width = job.source.shape[-2:]
    rows = min(height, max(1, _STRIP_PX // width))

    def strips() -> Iterator[bytes]:
        for plane in planes:
            job.step()  # before the last yield, after which the generator is not resumed
            for y in range(0, height, rows):
                band = pixels.read(0, plane, (y, 0, min(y + rows, height), width))
                yield zlib.compress(tracks.relabel(band, index).astype("<u2").tobytes())

    shape = (height, width) if "z" not in job.source.axes else (len(planes), height, width)
    is_big = 2 * len(planes) * height * width > _LARGEST_CLASSIC
    with tifffile.TiffWriter(path, bigtiff=is_big, byteorder="<") as file:
        file.write(
            strips(),
            shape=shape,
            dtype=np.uint16,
            rowsperstrip=rows,
            compression="zlib",
            photometric="minisblack",
            metadata=None,
        )
