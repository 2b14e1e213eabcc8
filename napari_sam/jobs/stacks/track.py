"""Segment and track all objects of a movie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam.engine.linking.link_settings import FrameLinking
from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.jobs.run_options import RunOptions, settings_from
from napari_sam.jobs.stacks.open_stack import open_stack
from napari_sam.jobs.stacks.segment_stack import StackRequest, segment_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.jobs.stacks.stack_report import StackReport
    from napari_sam.predictor import Predictor


def track(  # noqa: PLR0913 - the public contract
    movie: Any,
    predictor: Predictor | str | Path = "default",
    output: LabelStore | str | Path | None = None,
    method: str = "auto",
    *,
    axis: str = "t",
    frames: Sequence[int] | None = None,
    diameter_px: float | None = None,
    overlap: str = "keep",
    category: str | None = None,
    settings: EverythingSettings | None = None,
    linking: FrameLinking | None = None,
    resume: bool | None = None,
    client: Any = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    on_plane: Callable[[int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> StackReport:
    """Find all objects of a movie and follow them; each has one id through time, and its parent after a division.

    Every frame is segmented like a single image of any size, at one magnification and with one normalisation for all.
    The objects of the frames are then linked by distance, overlap and size with laptrack: moves, gaps, appearances and
    divisions. Two daughters of a division get ids of their own; ``labels.table()`` names their parent. Otherwise it is
    like `segment_volume`: finished frames are on disk, and a frame that cannot be read is passed over.

    Parameters
    ----------
    movie
        Whatever `open_image` accepts; an array of three axes is taken for (t, y, x).
    frames : sequence of int, optional
        Frames to segment; all by default.
    linking : FrameLinking, optional
        Farthest move, longest gap and divisions.
    predictor, output, method, axis, diameter_px, overlap, category, settings, resume, client, workers, progress, \
on_plane, cancelled
        As in `segment_volume`.

    Returns
    -------
    StackReport

    Raises
    ------
    SettingsError, ImageError, PromptError, StoreError, CancelledError
        As in `segment_volume`.

    Examples
    --------
    >>> import napari_sam as ns
    >>> report = ns.track("movie.ome.zarr", output="tracks.ome.zarr")  # doctest: +SKIP
    >>> report.labels.table()[["label", "parent", "n_planes"]]         # doctest: +SKIP
    """
    options = RunOptions(resume, client, workers, progress, cancelled=cancelled)
    keywords = {"method": method, "diameter_px": diameter_px, "overlap": overlap, "category": category}
    chosen = settings_from(EverythingSettings, settings, keywords)
    request = StackRequest(open_stack(movie, axis), frames, linking or FrameLinking(), chosen, on_plane)
    return segment_stack(request, predictor, output, options)
