"""Predictions and prompts as JSON records: enough to list them, to predict again, and to train on."""

from __future__ import annotations

import base64
import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.interactive.prediction import Prediction
from napari_sam.engine.interactive.prompts import Prompt
from napari_sam.engine.interactive.rendering import upsample_masks
from napari_sam.engine.windows import Window
from napari_sam.errors import StoreError
from napari_sam.io.labels.journal.run_length import REMEDY, decompress, encode_mask
from src_models.input_size import InputSize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.io.json_types import JsonObject

_MAX_MASK_PX = 1 << 24
_MOST_LOGITS = 1 << 24


def prediction_record(
    prediction: Prediction, candidate: int, mask: NDArray[np.bool_], source: JsonObject | None = None
) -> JsonObject:
    """Return a prediction as JSON: prompts and settings, model, window, scores and the whole mask as runs.

    Parameters
    ----------
    prediction : Prediction
        The prediction.
    candidate : int
        Index of the mask that was written.
    mask : ndarray of bool
        (h, w), that mask. No runs are kept of masks with more than 16 million pixels.
    source : dict, optional
        Origin of the prompt, as JSON, unless a person gave it.
    """
    asked = prediction.context
    return {
        **({} if source is None else {"source": source}),
        "prompt": prompt_record(prediction.prompt),
        "model": prediction.model,
        "window": [int(v) for v in prediction.window.bbox],
        "levels": [int(v) for v in prediction.levels],
        "multimask": asked.multimask,
        "refine": asked.refine,
        "hints": asdict(asked.hints),
        "plane": list(asked.plane),
        "channels": list(asked.channels),
        "normalisation": {"low": list(asked.normalisation.low), "high": list(asked.normalisation.high)},
        "candidate": int(candidate),
        "best": int(prediction.best),
        "predicted_iou": float(prediction.predicted_iou[candidate]),
        "stability_score": float(prediction.stability_score[candidate]),
        "bbox": [int(v) for v in prediction.bbox],
        "mask": encode_mask(mask) if mask.size <= _MAX_MASK_PX else None,
    }


def prompt_record(prompt: Prompt) -> JsonObject:
    """Return a prompt as JSON; logits in half precision."""
    record: JsonObject = {}
    if len(prompt.points):
        record["points"] = np.asarray(prompt.points, float).tolist()
        record["point_labels"] = [int(v) for v in prompt.point_labels]
    if prompt.box is not None:
        record["box"] = [float(v) for v in prompt.box]
    if prompt.mask is not None:
        record["mask"] = {"runs": encode_mask(prompt.mask.mask), "bbox": [int(v) for v in prompt.mask.bbox]}
    if prompt.logits is not None and prompt.window is not None:
        record["logits"] = pack_logits(prompt.logits)
        window = prompt.window
        record["earlier"] = {"bbox": [int(v) for v in window.bbox], "img_size": int(window.img_size)}
        if window.stretches:
            record["earlier"]["stretches"] = True
    return record


def pack_logits(logits: NDArray[np.float32]) -> str:
    """Return low-res logits (H, W) as text, in half precision.

    >>> unpack_logits(pack_logits(np.array([[1.5, -2.0]], np.float32)))
    array([[ 1.5, -2. ]], dtype=float32)
    """
    height, width = logits.shape[-2:]
    half = np.asarray(logits).reshape(height, width).astype("<f2")
    return f"{height}x{width}:" + base64.b64encode(zlib.compress(half.tobytes())).decode()


def unpack_logits(text: str) -> NDArray[np.float32]:
    """Return the logits (H, W) that `pack_logits` wrote."""
    try:
        size, data = text.split(":", 1)
        height, width = (int(n) for n in size.split("x"))
        if not 0 < height * width <= _MOST_LOGITS:
            raise ValueError(f"{height} x {width} logits")
        raw = decompress(base64.b64decode(data), 2 * height * width)
    except (ValueError, AttributeError, zlib.error) as error:
        raise StoreError(f"the logits of a prompt are damaged: {error}", remedy=REMEDY) from error
    logits: NDArray[np.float32] = np.frombuffer(raw, "<f2").astype(np.float32).reshape(height, width)
    return logits


def earlier_prediction(text: str, window: JsonObject) -> Prediction:
    """Return an earlier prediction, to be used as a mask prompt, from its record.

    Parameters
    ----------
    text : str
        Its logits, as `pack_logits` wrote them.
    window : dict
        ``bbox`` and ``img_size`` of their window, and ``stretches`` if it is stretched (`InputSize`).
    """
    logits = unpack_logits(text)
    y0, x0, y1, x1 = window["bbox"]
    size = InputSize(window["img_size"], stretches=bool(window.get("stretches", False)))
    frame = Window((y0, x0, y1, x1), size)
    masks, bbox = upsample_masks(logits[None], frame)
    score = np.ones(1, np.float32)
    return Prediction(masks, bbox, score, score, logits[None], 0, frame, (max(frame.shape),), "", Prompt())
