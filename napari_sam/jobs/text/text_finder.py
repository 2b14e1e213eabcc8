"""Find the objects of one tile that fit a phrase: a detector's boxes, and a mask for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.automatic.object_finder import TileObjects, is_uniform
from napari_sam.engine.automatic.prompted_objects import RegionObject, merge_objects
from napari_sam.engine.automatic.region_windows import label_shape
from napari_sam.engine.geometry import Box
from napari_sam.engine.window_pixels import read_window
from napari_sam.engine.windows import Window
from napari_sam.text.tiled_detection import boxes_in_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.predictor import Predictor
    from napari_sam.text.text_search import TextPlan, TextSearch


@dataclass(frozen=True)
class _Found:
    """Masks of a tile with their scores."""

    predictions: list[Prediction]
    scores: NDArray[np.float32]


class TextFinder:
    """Find the objects that fit a phrase; an `ObjectFinder`.

    The predicted IoU of its objects is the detector's score.

    Parameters
    ----------
    predictor : Predictor
        Looks at the image.
    plan : TextPlan
        The phrase, and the detector that answers it.
    search : TextSearch
        Ranks the masks.
    side : int
        Level-0 pixels that a tile covers at factor 1.
    """

    method = "text"

    def __init__(self, predictor: Predictor, plan: TextPlan, search: TextSearch, side: int) -> None:
        if plan.detector is None:
            raise ValueError("the phrase is not answered by a detector")
        self.predictor, self.search, self.side = predictor, search, side
        self.detector, self.words = plan.detector, plan.query.words

    def settings(self) -> dict[str, Any]:
        """Return everything the result depends on besides the pixels, as JSON holds it."""
        settings = {"detector": self.detector.name, "text": self.words, "threshold": self.detector.threshold}
        return settings if self.search.ranker is None else {**settings, "ranker": str(self.search.ranker)}

    def read(self, region: Box, factor: int) -> NDArray[np.uint8]:
        """Read the picture (h, w, 3) that the detector sees."""
        embedder = self.predictor.embedder
        return read_window(embedder.image, embedder.normalisation, Window(Box(*region), self.detector.side))

    def is_blank(self, read: NDArray[np.uint8]) -> bool:
        """Return whether the pixels have no structure."""
        return is_uniform(read)

    def compute(
        self, region: Box, factor: int, read: NDArray[np.uint8], cancelled: Callable[[], bool] | None = None
    ) -> _Found:
        """Detect, and segment the object in each box."""
        found = self.detector.detect(read, self.words)
        found = boxes_in_image(found.subset(found.scores >= self.detector.threshold), Box(*region), read.shape[:2])
        prompts = [{"box": box.tolist()} for box in found.boxes]
        predictions = self.predictor.predict_many(prompts, multimask=False, cancelled=cancelled) if prompts else []
        boxes = np.array([p.bbox for p in predictions], np.int64).reshape(-1, 4)
        embedder = self.predictor.embedder
        scores, threshold = self.search.ranked(self.detector, embedder, boxes, found.scores, self.words)
        kept = [p for p, score in zip(predictions, scores, strict=True) if score >= threshold]
        return _Found(kept, scores[scores >= threshold])

    def finish(self, region: Box, factor: int, computed: _Found) -> TileObjects:
        """Draw the objects, best first."""
        objects = []
        for prediction, score in zip(computed.predictions, computed.scores, strict=True):
            sampled = _label_pixels(prediction, Box(*region), factor)
            if sampled is not None:
                stability = float(prediction.stability_score[prediction.best])
                objects.append(RegionObject(sampled[0], sampled[1], float(score), stability))
        labels, kept = merge_objects(label_shape(region, factor), objects)
        scores = np.array([[objects[i].predicted_iou, objects[i].stability_score] for i in kept], np.float32)
        return TileObjects(labels, *scores.reshape(-1, 2).T)


def _label_pixels(prediction: Prediction, region: Box, factor: int) -> tuple[Box, NDArray[np.bool_]] | None:
    """Return a mask in label pixels of a region, whose centres are sampled, and its box; None without any pixel."""
    box = Box(*prediction.bbox).intersection(region)
    if box.is_empty:
        return None
    y0, x0, y1, x1 = box.shift(-region.y0, -region.x0)
    rows = np.arange(y0 // factor, -(-y1 // factor))
    cols = np.arange(x0 // factor, -(-x1 // factor))
    y = np.clip(rows * factor + factor // 2, y0, y1 - 1) + region.y0 - prediction.bbox[0]
    x = np.clip(cols * factor + factor // 2, x0, x1 - 1) + region.x0 - prediction.bbox[1]
    mask = prediction.mask[np.ix_(y, x)]
    label_box = Box(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
    return (label_box, mask) if mask.any() else None
