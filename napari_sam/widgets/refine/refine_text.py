"""Messages of the page "Refine"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.widgets.run_controls import duration

if TYPE_CHECKING:
    from napari_sam.jobs.segment_prompts import PromptedReport

_NAMED_FAILURES = 3


def refine_step(*, has_image: bool, has_source: bool, state: str) -> str:
    """Return the next step on the page.

    Parameters
    ----------
    has_image, has_source : bool
        Whether there is an image, and a layer or file with objects is chosen.
    state : {"idle", "running", "unfinished", "finished"}
        State of the run; "unfinished" if one can be resumed.
    """
    if not has_image:
        return "1. Open an image: drop a file here, or File → Open Sample → SAM for huge images."
    if state == "running":
        return "Drawing the objects anew. Meanwhile you can look around and click."
    if state == "unfinished":
        return "Stopped: Resume continues with the same objects, Discard keeps what is done."
    if state == "finished":
        return "Done: review the objects, or compare them with the originals (the eye in the layer list)."
    if not has_source:
        return "Drop labels, shapes or points of the other program here, or open a file under “Objects of”."
    return "Choose the objects to improve, then press Refine."


def refined_text(report: PromptedReport, seconds: float) -> str:
    """Return how many objects were drawn anew, and what became of the others."""
    parts = [f"Refined {report.objects} of {report.prompts} objects in {duration(seconds)}."]
    if report.duplicates:
        parts.append(f"{report.duplicates} were the same as another one.")
    if report.unsure:
        parts.append(f"{report.unsure} had a lower score than the least.")
    if report.covered:
        parts.append(f"{report.covered} lie on saved objects (“Overlap: New object wins” replaces those).")
    if report.skipped:
        reasons = ", ".join(f"{count} {reason}" for reason, count in report.skipped.items())
        parts.append(f"Left out: {reasons}.")
    if report.failures:
        named = "; ".join(f"{failure.number}: {failure.reason}" for failure in report.failed[:_NAMED_FAILURES])
        more = report.failures - _NAMED_FAILURES
        parts.append(f"{report.failures} failed: {named}{f'; and {more} more' if more > 0 else ''}.")
    return " ".join(parts)
