"""A concept as bytes: safetensors with a JSON header; nothing in it is executed when it is read."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from napari_sam.engine.concepts.concept_model import ConceptModel, evenly
from napari_sam.engine.concepts.feature_layout import FeatureLayout
from napari_sam.errors import ConceptError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "napari-sam-concept"
LIMIT_BYTES = 200_000
"""Largest size of a concept file."""

_HEADER_BYTES = 8
_RESERVE_BYTES = 8_000  # for the header


def concept_to_bytes(model: ConceptModel) -> bytes:
    """Return a concept as the contents of a file, at most `LIMIT_BYTES`.

    Where there are more examples than fit, an even selection of both kinds is kept.
    """
    header = {
        "format": FORMAT,
        "name": model.name,
        "threshold": model.threshold,
        "weights": model.layout.weights,
        "model": model.layout.model,
        "groups": [list(group) for group in model.layout.groups],
        "version": model.layout.version,
        "diameter_px": model.diameter_px,
        "typical_distance": model.typical_distance,
        "correction_shift": model.correction_shift,
    }
    tensors: dict[str, NDArray[np.generic]] = {}
    if model.centre is not None:
        tensors["centre"] = model.centre.astype(np.float32)
    used = len(json.dumps(header)) + sum(tensor.nbytes for tensor in tensors.values())
    room = LIMIT_BYTES - _RESERVE_BYTES - used
    kept = evenly(model.accepted, max(2, room // (2 * model.layout.width + 1)))
    tensors["features"] = model.features[kept].astype(np.float16)
    tensors["accepted"] = model.accepted[kept].astype(np.uint8)
    return save(tensors, {"concept": json.dumps(header)})


def concept_from_bytes(data: bytes, source: str = "concept") -> ConceptModel:
    """Read a concept.

    Parameters
    ----------
    data : bytes
        Contents of a file.
    source : str
        Name of the file, for messages.

    Raises
    ------
    ConceptError
        If the bytes are no concept, damaged, or too many.
    """
    damaged = ConceptError(
        f"{source} is not a concept, or damaged", parameter="path", remedy="give a file written by Concept.save"
    )
    if len(data) > 4 * LIMIT_BYTES:
        raise ConceptError(
            f"{source} has {len(data)} bytes; a concept has at most {LIMIT_BYTES}",
            parameter="path",
            remedy="give a file written by Concept.save",
        )
    try:
        header = _header(data)
        tensors = load(data)
        layout = FeatureLayout(
            str(header["weights"]),
            str(header["model"]),
            tuple((str(name), int(count)) for name, count in header["groups"]),
            int(header["version"]),
        )
        model = ConceptModel(layout, str(header["name"]))
        model.threshold = float(header["threshold"])
        model.typical_distance = float(header["typical_distance"])
        model.correction_shift = float(header["correction_shift"])
        diameter = header.get("diameter_px")
        model.diameter_px = None if diameter is None else float(diameter)
        features, accepted = tensors["features"].astype(np.float32), tensors["accepted"].astype(bool)
        if features.shape != (len(accepted), layout.width) or not (
            0 <= model.threshold <= 1 and model.typical_distance >= 0 and math.isfinite(model.correction_shift)
        ):
            raise damaged
        model.centre = tensors.get("centre")
        if model.centre is not None and (
            model.centre.shape != (dict(layout.groups).get("embedding"),) or not np.isfinite(model.centre).all()
        ):
            raise damaged
        model.add(features, accepted)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError, AttributeError) as error:
        if error is damaged:
            raise
        raise damaged from error
    return model


def _header(data: bytes) -> dict[str, Any]:
    """Return the JSON header of a concept; a ValueError or KeyError if it has none."""
    length = int.from_bytes(data[:_HEADER_BYTES], "little")
    if not 0 < length <= len(data) - _HEADER_BYTES:
        raise ValueError("no header")
    metadata = json.loads(data[_HEADER_BYTES : _HEADER_BYTES + length])["__metadata__"]
    header: dict[str, Any] = json.loads(metadata["concept"])
    if header["format"] != FORMAT:
        raise ValueError("another format")
    return header
