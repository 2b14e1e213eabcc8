"""Decode the prompts of a table in batches, in an order that encodes each window once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.interactive.prompts import Prompt
from napari_sam.engine.interactive.window_choice import choose_window
from napari_sam.errors import ImageError, PromptError
from napari_sam.io.labels.editing.commit_many import NewObject
from napari_sam.io.labels.journal.prediction_records import prediction_record
from napari_sam.io.labels.journal.run_length import decode_labels, encode_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.engine.windows import Hints
    from napari_sam.io.json_types import JsonObject
    from napari_sam.io.prompts.prompt_table import PromptTable
    from napari_sam.jobs.job_settings import PromptedSettings
    from napari_sam.predictor import Predictor

_COMMIT_PX = 1 << 25  # of the boxes of masks in one commit
_NEIGHBOURHOOD_PX = 2048  # windows that begin in a square of this side are processed together


@dataclass(frozen=True)
class PendingMask:
    """A mask that waits to be committed, run-length encoded."""

    index: int
    encoded: bytes
    bbox: tuple[int, int, int, int]
    record: JsonObject

    @property
    def area_px(self) -> int:
        """Area of its box."""
        return (self.bbox[2] - self.bbox[0]) * (self.bbox[3] - self.bbox[1])

    def decode(self) -> NewObject:
        """Return the mask as `LabelStore.commit_many` takes it."""
        return NewObject(decode_labels(self.encoded) > 0, self.bbox, self.record)


@dataclass(frozen=True)
class DecodedPrompts:
    """Result of some prompts.

    Attributes
    ----------
    masks : list of PendingMask
        Masks by falling predicted IoU.
    unsure : int
        Number of masks that were dropped for their predicted IoU.
    failed : list of (int, str)
        Number of each prompt that failed, and the reason.
    """

    masks: list[PendingMask]
    unsure: int
    failed: list[tuple[int, str]]


class TableDecoder:
    """Decodes prompts of a table.

    Parameters
    ----------
    table : PromptTable
        The prompts.
    predictor : Predictor
        With the image.
    settings : PromptedSettings
        `batch`, `min_iou`, `category` are used.
    hints : Hints
        Object diameter for single points.
    cancelled : callable, optional
        Polled by the predictor.
    """

    def __init__(
        self,
        table: PromptTable,
        predictor: Predictor,
        settings: PromptedSettings,
        hints: Hints,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._table, self._predictor, self._settings = table, predictor, settings
        self._hints, self._cancelled = hints, cancelled

    def decode(self, indices: Sequence[int]) -> DecodedPrompts:
        """Decode prompts in batches."""
        masks: list[PendingMask] = []
        failed: list[tuple[int, str]] = []
        unsure = 0
        for start in range(0, len(indices), self._settings.batch):
            batch = indices[start : start + self._settings.batch]
            for index, prediction in zip(batch, self._predict(batch, failed), strict=True):
                if prediction is None:
                    continue
                if float(prediction.predicted_iou[prediction.best]) < self._settings.min_iou:
                    unsure += 1
                else:
                    masks.append(self._pending(index, prediction))
        masks.sort(key=lambda mask: (-mask.record["predicted_iou"], mask.index))
        return DecodedPrompts(masks, unsure, failed)

    def _predict(self, batch: Sequence[int], failed: list[tuple[int, str]]) -> list[Prediction | None]:
        """Predict a batch; if a prompt fails, predict the prompts one by one."""
        try:
            keywords = [self._table.keywords(i) for i in batch]
            return list(self._predictor.predict_many(keywords, hints=self._hints, cancelled=self._cancelled))
        except (PromptError, ImageError) as error:
            if len(batch) > 1:
                return [prediction for i in batch for prediction in self._predict([i], failed)]
            failed.append((int(self._table.number[batch[0]]), str(error)))
            return [None]

    def _pending(self, index: int, prediction: Prediction) -> PendingMask:
        mask, table = prediction.mask, self._table
        source: JsonObject = {table.word: int(table.number[index])}
        if np.isfinite(table.score[index]):
            source["score"] = float(table.score[index])
        record = prediction_record(prediction, prediction.best, mask, source)
        record["category"] = table.category[index] or self._settings.category
        return PendingMask(index, encode_labels(mask.view(np.uint8)), prediction.bbox, record)


def split_commits(masks: Sequence[PendingMask]) -> Iterator[list[PendingMask]]:
    """Split masks so that the boxes of one commit do not have too many pixels."""
    commit: list[PendingMask] = []
    area = 0
    for mask in masks:
        if commit and area + mask.area_px > _COMMIT_PX:
            yield commit
            commit, area = [], 0
        commit.append(mask)
        area += mask.area_px
    if commit:
        yield commit


def processing_order(table: PromptTable, predictor: Predictor, hints: Hints) -> NDArray[np.int64]:
    """Order the prompts by window: small windows first, neighbours together so that shards are rarely rewritten."""
    shape, side = predictor.image.shape, predictor.img_size
    windows = np.zeros((len(table), 3), np.int64)
    for i in range(len(table)):
        points, labels = table.points_of(i)
        window = choose_window(Prompt(points, labels, table.box_of(i)), shape, side, hints)
        windows[i] = max(window.shape), *window.bbox[:2]
    sides, y0, x0 = windows.T
    row, col = y0 // _NEIGHBOURHOOD_PX, x0 // _NEIGHBOURHOOD_PX
    col = np.where(row % 2 == 0, col, -col)  # alternate the direction from row to row
    return np.lexsort((np.arange(len(table)), x0, y0, col, row, sides))
