"""Segment the objects of many prompts: boxes or points from a table, a detector or another program."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.errors import CancelledError
from napari_sam.image_predictor import predictor_for_image
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.read_prompts import read_prompts
from napari_sam.jobs.job_settings import PromptedSettings
from napari_sam.jobs.prompt_run import PromptRun, read_unfinished_prompts
from napari_sam.jobs.report_html import report_html
from napari_sam.jobs.run_options import settings_from
from napari_sam.jobs.run_output import close_after_error, output_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.io.json_types import JsonObject
    from napari_sam.predictor import Predictor


@dataclass(frozen=True)
class PromptFailure:
    """A prompt that failed: its number in the source, and the reason."""

    number: int
    reason: str


@dataclass(frozen=True)
class PromptedReport:
    """Result of `segment_prompts`.

    Attributes
    ----------
    prompts : int
        Number of prompts.
    objects : int
        Number of prompts that became objects.
    first_label : int
        Id that the first object got, or would have got.
    unsure : int
        Masks dropped because their predicted IoU is below `min_iou`.
    duplicates : int
        Masks dropped because another prompt gave the same object.
    covered : int
        Masks dropped because they are empty or all their pixels belong to other objects.
    skipped : dict of str to int
        Prompts that were left out when they were read, by reason.
    failed : list of PromptFailure
        Prompts without an answer, for instance on damaged pixels; the first 1000.
    failures : int
        Number of prompts that failed.
    seconds : float
        Time of this call.
    labels : LabelStore
        The store with the objects, open for writing.
    """

    prompts: int
    objects: int
    first_label: int
    unsure: int
    duplicates: int
    covered: int
    skipped: dict[str, int]
    failed: list[PromptFailure]
    failures: int
    seconds: float
    labels: LabelStore = field(repr=False)

    def _repr_html_(self) -> str:
        facts = {
            "prompts": self.prompts,
            "objects written": self.objects,
            "dropped": f"{self.unsure} unsure, {self.duplicates} duplicates, {self.covered} covered",
            "left out": ", ".join(f"{count} {reason}" for reason, count in self.skipped.items()),
            "failed": self.failures or "",
            "time": f"{self.seconds:.1f} s",
        }
        return report_html("Objects of prompts", facts, self.labels)


def segment_prompts(  # noqa: PLR0913 - the public contract
    image: Any,
    prompts: Any,
    predictor: str | Path | Predictor = "default",
    output: LabelStore | str | Path | None = None,
    *,
    overlap: str = "keep",
    min_iou: float = 0.0,
    nms: float | None = 0.5,
    category: str | None = None,
    batch: float = 64,
    diameter_px: float | None = None,
    settings: PromptedSettings | None = None,
    resume: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> PromptedReport:
    """Segment the object of every prompt, in an image of any size, with up to a million prompts.

    Parameters
    ----------
    image
        Whatever `open_image` accepts.
    prompts
        Whatever `read_prompts` accepts, such as a table of boxes or points, COCO, GeoJSON or other labels; or what it
        returned.
    predictor : str, Path or Predictor
        A model, or a predictor, whose own image is not changed and whose normalisation is used if it has this image.
    output : LabelStore, str or Path, optional
        A store, or the folder of one, which is created if it does not exist. By default a temporary store, deleted
        when the process ends.
    overlap : {"keep", "replace"}
        Whether existing objects keep the pixels that they share with a new mask. Among the new masks, the one of
        higher predicted IoU keeps them within a unit of 256 prompts, else the earlier one.
    min_iou : float
        Drop masks of a lower predicted IoU.
    nms : float or None
        Drop a mask whose IoU with an earlier mask is at least this; None keeps all masks.
    category : str, optional
        Category of the objects, where the prompts do not give one.
    batch : int
        Number of prompts decoded together; affects speed and memory, not the result.
    diameter_px : float, optional
        Typical object diameter in level-0 pixels, for prompts that are single points.
    settings : PromptedSettings, optional
        All arguments from `overlap` to `diameter_px` in one object, instead of them.
    resume : bool, optional
        True continues an unfinished run in the output; False forgets it and keeps its objects. By default an
        unfinished run is an error.
    progress : callable, optional
        Called with the number of prompts done and of all prompts.
    cancelled : callable, optional
        Polled between the steps; the work stops when it returns True.

    Returns
    -------
    PromptedReport

    Raises
    ------
    PromptError
        If the prompts cannot be read.
    SettingsError
        If an argument is not allowed.
    ImageError
        If the image cannot be opened.
    StoreError
        If the output cannot be written, or holds an unfinished run. A store that this call created is deleted if the
        call fails before the first commit.
    NothingSegmentedError
        If every prompt failed.
    CancelledError
        If `cancelled()` returned True; committed objects are kept, and the same call with ``resume=True`` continues.

    Notes
    -----
    Prompts are processed in the order of their windows, small windows first, so that each window is encoded once.
    256 prompts are committed as one change, which one undo takes back.
    """
    started = time.monotonic()
    keywords = {
        "overlap": overlap,
        "min_iou": min_iou,
        "nms": nms,
        "category": category,
        "batch": int(batch) if isinstance(batch, float) and batch.is_integer() else batch,
        "diameter_px": diameter_px,
    }
    settings = settings_from(PromptedSettings, settings, keywords)
    source = open_image(image)
    table = read_prompts(prompts, source)
    own_predictor = predictor_for_image(predictor, source)
    store, created = output_store(output, source)
    run = None
    try:
        run = PromptRun(store, table, own_predictor, settings, cancelled)
        run.begin(resume)
        for done in run.steps():
            if progress is not None:
                progress(done, len(table))
        run.check_failures()
        run.finish()
    except BaseException as error:
        failed = not isinstance(error, CancelledError | KeyboardInterrupt)  # a cancelled run may be continued
        if failed and run is not None:
            run.discard_if_empty()
        close_after_error(store, output, delete=created and failed and not store.can_undo)
        raise
    counts = run.counts
    return PromptedReport(
        len(table),
        counts.objects,
        run.first_label,
        counts.unsure,
        counts.duplicates,
        counts.covered,
        dict(table.skipped),
        [PromptFailure(number, reason) for number, reason in run.failed],
        counts.failures,
        time.monotonic() - started,
        store,
    )


def unfinished_prompts(labels: LabelStore | str | Path) -> JsonObject | None:
    """Return ``prompts`` and ``begun`` of the unfinished run in a store, or None if there is none.

    Parameters
    ----------
    labels : LabelStore or path
        The store.
    """
    return read_unfinished_prompts(labels.path if isinstance(labels, LabelStore) else Path(labels).expanduser())
