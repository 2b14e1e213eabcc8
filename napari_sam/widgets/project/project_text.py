"""Texts of the page "Project"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.project.stages.threshold import FEWEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.project.batch.project_batch import BatchReport
    from napari_sam.project.stages.audit import Agreement
    from napari_sam.project.stages.threshold import ConfidenceThreshold
    from napari_sam.project.time_per_object import TimePerObject
    from napari_sam.project.training.model_versions import Gain, ModelVersion

_NAMED = 3  # images that failed


def project_step(has_project: bool, counts: Mapping[str, int], has_image: bool) -> str:
    """Return what the user can do next on the page.

    Parameters
    ----------
    has_project : bool
        Whether a project is open.
    counts : mapping of str to int
        Number of images in each state.
    has_image : bool
        Whether an image of the project is in the viewer.
    """
    if not has_project:
        return "Open a project, or make a new one: a folder that keeps many images and their objects together."
    if not sum(counts.values()):
        return "Add images to the project: single files, a folder, or an OME-Zarr plate."
    if has_image:
        return "Find the objects of this image on the other pages. Shift+PageDown: it is done, show the next one."
    if not counts["unseen"] + counts["in work"]:
        return "All images are done: look at them again and set them to “checked”, or improve the model."
    return "Double-click an image to open it, or press PageDown for the next one that is not done."


def progress_text(counts: Mapping[str, int]) -> str:
    """Return how many images are done, in words.

    >>> progress_text({"unseen": 3, "in work": 1, "done": 4, "checked": 2})
    '6 of 10 done, 2 of them checked'
    """
    done, total = counts["done"] + counts["checked"], sum(counts.values())
    checked = f", {counts['checked']} of them checked" if counts["checked"] else ""
    return f"{done} of {total} done{checked}"


def time_text(here: TimePerObject, project: TimePerObject) -> str:
    """Return how long an object takes in the image that is open and in the project, in words."""
    if not project.objects:
        return "Time per object: measured as you click"
    places = ((here, "here"), (project, "in all"))
    parts = [f"{one.median_s:.1f} s {where} ({one.objects})" for one, where in places if one.objects]
    return f"Per object: {', '.join(parts)}"


def threshold_text(threshold: ConfidenceThreshold) -> str:
    """Return from which score objects are filled in, and what it was learned from, in words."""
    score = f"Confident: score ≥ {threshold.value:.2f}"
    if threshold.is_learned:
        return f"{score}, learned from {threshold.judged} objects"
    return f"{score} ({threshold.judged} of {FEWEST} judged)"


def agreement_text(found: Agreement | None) -> str:
    """Return the result of an audit in words; empty without one."""
    if found is None:
        return ""
    left = f"; {found.left} left" if found.left else ""
    if found.share is None or found.low is None or found.high is None:
        return f"Audit {found.number}: {found.sample} of {found.population} objects drawn{left}"
    share, low, high = (round(100 * value) for value in (found.share, found.low, found.high))
    return f"Audit {found.number}: {found.right} of {found.judged} right, {share} % ({low}–{high} %){left}"


def comparison_text(version: ModelVersion) -> str:
    """Return what a version gained over the model that it was trained from, with intervals."""
    verdict = "is better" if version.better else "is not better"
    images = f"{version.validation_images} image{'' if version.validation_images == 1 else 's'}"
    return (
        f"Version {version.number} {verdict} than the model that it was trained from, on {version.validation_objects} "
        f"objects of {images} that it was not trained on.\n"
        f"IoU after one click: {_gain_text(version.iou_1click)}\n"
        f"Clicks to IoU 0.85: {_gain_text(version.clicks_to_085)}"
    )


def version_text(version: ModelVersion | None, current: int) -> str:
    """Return the item of a version in a list; None for the model that the project began with."""
    number = 0 if version is None else version.number
    words = "0: first model" if version is None else f"{number}: IoU {version.iou_1click.after:.2f}"
    if version is not None and not version.better:
        words += ", not better"
    return f"{words} (in use)" if number == current else words


def version_tip(version: ModelVersion) -> str:
    """Return by whom and on what a version was trained, and what it gained."""
    return f"Trained by {version.by} on {version.objects} objects of {version.images} images.\n" + comparison_text(
        version
    )


def _gain_text(gain: Gain) -> str:
    """Return a measure before and after, and its change with the interval."""
    change = f"{gain.before:.2f} → {gain.after:.2f}, {gain.difference:+.2f}"
    interval = "" if gain.low is None else f" (95 %: {gain.low:+.2f} to {gain.high:+.2f})"
    return (change + interval).replace("-", "−")


def batch_text(report: BatchReport, passed_over: str = "", nothing: str = "") -> str:
    """Describe what a job over all images has done.

    Parameters
    ----------
    report : BatchReport
        What became of the images.
    passed_over : str
        Name of an image that was left out because it is open.
    nothing : str
        What to tell, in place of zeros, if there was no image to work on.

    Examples
    --------
    >>> from napari_sam.project.batch.project_batch import BatchReport
    >>> batch_text(BatchReport(["a.tif"], ["b.tif"], {"c.tif": "it has moved"}, 12))
    '1 image done, 1 was done before: 12 objects. 1 failed: c.tif: it has moved'
    """
    before, failed = len(report.skipped), list(report.failed.items())
    earlier = f", {before} {'was' if before == 1 else 'were'} done before" if before else ""
    text = f"{len(report.done)} image{'s' * (len(report.done) != 1)} done{earlier}: {report.objects} objects."
    if nothing and not (report.done or before or failed):
        text = nothing
    if passed_over:
        text += f" {passed_over} is open, and was passed over."
    if failed:
        named = "; ".join(f"{Path(place).name}: {reason}" for place, reason in failed[:_NAMED])
        more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        text += f" {len(failed)} failed: {named}{more}"
    return text
