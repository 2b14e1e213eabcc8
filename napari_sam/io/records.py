"""What the journal keeps of an answer: enough to list it, to ask for it again, and to learn from it."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.io.runs import encode_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.prediction import Prediction
    from napari_sam.engine.prompts import Prompt


def prediction_record(prediction: Prediction, candidate: int) -> dict[str, Any]:
    """A prediction as JSON: prompts, model, window, scores and the whole mask as runs.

    Parameters
    ----------
    prediction : Prediction
        The answer.
    candidate : int
        Which of its masks was taken.
    """
    return {
        "prompt": prompt_record(prediction.prompt),
        "model": prediction.model,
        "window": [int(v) for v in prediction.window.bbox],
        "levels": [int(v) for v in prediction.levels],
        "multimask": len(prediction.masks) > 1,
        "candidate": int(candidate),
        "best": int(prediction.best),
        "predicted_iou": float(prediction.predicted_iou[candidate]),
        "stability_score": float(prediction.stability_score[candidate]),
        "bbox": [int(v) for v in prediction.bbox],
        "mask": encode_mask(prediction.masks[candidate]),
    }


def prompt_record(prompt: Prompt) -> dict[str, Any]:
    """A prompt as JSON; logits in half precision."""
    record: dict[str, Any] = {}
    if len(prompt.points):
        record["points"] = np.asarray(prompt.points, float).tolist()
        record["point_labels"] = [int(v) for v in prompt.point_labels]
    if prompt.box is not None:
        record["box"] = [float(v) for v in prompt.box]
    if prompt.mask is not None:
        record["mask"] = {"runs": encode_mask(prompt.mask.mask), "bbox": [int(v) for v in prompt.mask.bbox]}
    if prompt.logits is not None and prompt.window is not None:
        record["logits"] = pack_logits(prompt.logits)
        record["logits_window"] = [int(v) for v in prompt.window.bbox]
    return record


def pack_logits(logits: NDArray[np.float32]) -> str:
    """Low-res logits (H, W) as text, in half precision.

    >>> unpack_logits(pack_logits(np.array([[1.5, -2.0]], np.float32)))
    array([[ 1.5, -2. ]], dtype=float32)
    """
    height, width = logits.shape[-2:]
    half = np.asarray(logits).reshape(height, width).astype("<f2")
    return f"{height}x{width}:" + base64.b64encode(zlib.compress(half.tobytes())).decode()


def unpack_logits(text: str) -> NDArray[np.float32]:
    """The logits (H, W) that `pack_logits` wrote."""
    size, data = text.split(":", 1)
    height, width = (int(n) for n in size.split("x"))
    raw = zlib.decompress(base64.b64decode(data))
    out: NDArray[np.float32] = np.frombuffer(raw, "<f2").astype(np.float32).reshape(height, width)
    return out
