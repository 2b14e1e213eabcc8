"""Accepting masks: what of them lies on saved objects, and how they are saved."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import LabelsError, StoreError
from napari_sam.layers.overlap import Overlap, cut_prediction, find_overlap
from napari_sam.widgets.pages.object_timer import ObjectTimer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.layers.prompt_layers import MaskCrop
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_session import Answer

_SHOWN_PX = 1 << 22  # the overlap of larger masks is compared when they are accepted, not while they are shown


class Acceptance:
    """Save the masks of an answer.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    on_new : callable
        Called with the id of each new object.

    Attributes
    ----------
    timer : ObjectTimer
        Measures the time that the user takes for an object.
    """

    def __init__(self, context: DockContext, on_new: Callable[[int], None]) -> None:
        self._labels, self._form, self._notifier = context.labels, context.object_form, context.notifier
        self._on_new = on_new
        self.timer = ObjectTimer()
        self._seconds = 0.0  # of each object that is being saved
        context.images.image_changed.connect(lambda: self.timer.forget())

    def overlaps(self, answer: Answer, candidates: list[int], label: int | None) -> list[Overlap | None]:
        """Compare masks with the saved objects; None for large masks, and if the new object wins anyway."""
        if self._form.values()["overlap"] != "keep":
            return [None] * len(candidates)
        return [
            find_overlap(self._labels.writer, prediction, answer.plane, candidate, label)
            if prediction.mask_at(candidate).size <= _SHOWN_PX
            else None
            for prediction, candidate in zip(answer.predictions, candidates, strict=True)
        ]

    def save(self, answer: Answer, candidates: list[int], label: int | None = None, *, replacing: bool = False) -> bool:
        """Write objects as `commit` does, and tell the user what failed; return whether any was written."""
        self._seconds = self.timer.seconds / len(candidates)
        failures = self.commit(answer, candidates, label, replacing=replacing)
        if failures:
            self._notifier.error("; ".join(failures))
        if len(failures) < len(candidates):
            self.timer.finish()
        return len(failures) < len(candidates)

    def timed(self, save: Callable[[], bool]) -> bool:
        """Save by a function, and note the time in what it writes into an open store; return whether it did."""
        self._seconds = self.timer.seconds
        with self._noting_time():
            is_saved = save()
        if is_saved:
            self.timer.finish()
        return is_saved

    def commit(
        self, answer: Answer, candidates: list[int], label: int | None = None, *, replacing: bool = False
    ) -> list[str]:
        """Write objects; return the messages of those that could not be written.

        Parameters
        ----------
        answer : Answer
            The predictions.
        candidates : list of int
            Index of the mask to write, for each prediction.
        label : int, optional
            Object that gets the mask; a new one by default.
        replacing : bool
            Take the pixels of the objects that lie under the masks, whatever the form says. An object that lies
            under half of a mask is replaced by it, also where the mask does not reach.
        """
        failures = []
        for number, (prediction, candidate) in enumerate(zip(answer.predictions, candidates, strict=True), start=1):
            try:
                if replacing:
                    self._replace(prediction, answer.plane, candidate, label)
                else:
                    self._add(prediction, answer.plane, candidate, label)
            except (LabelsError, StoreError) as error:
                failures.append(str(error) if len(candidates) == 1 else f"object {number}: {error}")
        return failures

    def _add(self, prediction: Prediction, plane: tuple[int, ...], candidate: int, label: int | None) -> None:
        rule = self._form.values()["overlap"]
        if rule == "keep":
            overlap = find_overlap(self._labels.writer, prediction, plane, candidate, label)
            if overlap is not None and overlap.areas:
                prediction = cut_prediction(prediction, candidate, overlap.free())
        self._write(prediction, plane, rule, candidate, label)

    def _replace(self, prediction: Prediction, plane: tuple[int, ...], candidate: int, label: int | None) -> None:
        overlap = find_overlap(self._labels.writer, prediction, plane, candidate, label)
        replaced = None if overlap is None or self._labels.store_layers is None else overlap.main
        self._write(prediction, plane, "replace", candidate, replaced if label is None else label)

    def _write(
        self, prediction: Prediction, plane: tuple[int, ...], rule: str, candidate: int, label: int | None
    ) -> None:
        if label is None:
            writer = self._labels.ready()
            with self._noting_time():
                number = writer.commit(prediction, plane, rule, candidate)
            self._on_new(number)
        else:
            store_layers = self._labels.ready_store()
            with self._noting_time():
                store_layers.commit(prediction, plane, rule, candidate, label)

    def _noting_time(self) -> AbstractContextManager[None]:
        store_layers = self._labels.store_layers
        return nullcontext() if store_layers is None else store_layers.store.noting(seconds=round(self._seconds, 2))


def covered_parts(answer: Answer, overlaps: list[Overlap | None]) -> list[MaskCrop]:
    """Return the parts of the masks that lie on saved objects, with their boxes."""
    pairs = zip(answer.predictions, overlaps, strict=True)
    return [(o.covered, p.bbox) for p, o in pairs if o is not None and o.areas and np.any(o.covered)]


def overlap_text(overlaps: list[Overlap | None]) -> str:
    """Return on which saved objects the masks lie, in words; empty without any."""
    texts = [overlap.text for overlap in overlaps if overlap is not None and overlap.areas]
    if len(overlaps) == 1 or not texts:
        return texts[0] if texts else ""
    return f"in {len(texts)} of {len(overlaps)} cases in part under saved objects"


def can_save(overlaps: list[Overlap | None]) -> bool:
    """Return whether a mask is left that can be saved beside the saved objects."""
    return any(overlap is None or overlap.can_save for overlap in overlaps)
