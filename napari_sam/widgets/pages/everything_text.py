"""Messages of the page "Everything"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.widgets.run_controls import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.jobs.segment_image import EverythingReport
    from napari_sam.jobs.stacks.stack_report import StackReport
    from napari_sam.widgets.pages.everything_run import UnfinishedRun

_NAMED_FAILURES = 3


def box_text(box: Sequence[int]) -> str:
    """Return a box in words.

    >>> box_text((0, 10, 100, 300))
    'y 0–100, x 10–300'
    """
    y0, x0, y1, x1 = box
    return f"y {y0}–{y1}, x {x0}–{x1}"


def unfinished_text(run: UnfinishedRun) -> str:
    """Return what can be resumed."""
    return (
        f"An unfinished run: {run.tiles_done} of {run.tiles} {run.unit} of the region "
        f"{box_text(run.settings.region or ())} are done ({run.settings.method}). Resume continues it; objects are "
        f"saved when all {run.unit} are done."
    )


def result_text(report: EverythingReport, seconds: float) -> str:
    """Return what a run found, and which tiles failed."""
    count = f"{report.objects} objects" if report.objects else "no new objects"
    text = f"Found {count} in {duration(seconds)} ({report.method}, {report.tiles} tiles)."
    if not report.failed:
        return text
    named = "; ".join(f"{box_text(tile.box)}: {tile.reason}" for tile in report.failed[:_NAMED_FAILURES])
    more = len(report.failed) - _NAMED_FAILURES
    rest = f"; and {more} more" if more > 0 else ""
    return f"{text} {len(report.failed)} tiles failed: {named}{rest}."


def stack_result_text(report: StackReport, seconds: float) -> str:
    """Return what a run over a stack found and linked, and which planes failed."""
    noun = "frame" if report.axis == "t" else "plane"
    count = f"{report.objects} objects" if report.objects else "no new objects"
    parts = [f"{report.found} masks on {report.planes} {noun}s, linked"]
    if report.divisions:
        parts.append(f"{report.divisions} divisions")
    if report.gaps:
        parts.append(f"{report.gaps} gaps")
    text = f"Found {count} in {duration(seconds)} ({report.method}; {', '.join(parts)})."
    if not report.failed:
        return text
    named = "; ".join(f"{noun} {failure.plane}: {failure.reason}" for failure in report.failed[:_NAMED_FAILURES])
    more = len(report.failed) - _NAMED_FAILURES
    rest = f"; and {more} more" if more > 0 else ""
    return f"{text} {len(report.failed)} {noun}s failed: {named}{rest}. The objects pass over them."


def left_out_text(count: int) -> str:
    """Return how many objects at the border of a region were left out; empty for none."""
    if not count:
        return ""
    them, verb, were = ("it", "reaches", "was") if count == 1 else ("them", "reach", "were")
    return (
        f" {count} at the border of the region {verb} too far outside it and {were} left out: a run over a larger "
        f"region finds {them}."
    )


def confident_text(min_iou: float) -> str:
    """Return that only confident objects were kept, and what is left to do; empty if all were."""
    if not min_iou:
        return ""
    return (
        f" Only those of score {min_iou:.2f} and more are kept: add what is missing on the page “Click”. Ctrl+Z takes "
        "all of them back."
    )
