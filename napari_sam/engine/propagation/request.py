"""What the result of following objects depends on, to recognise an interrupted run."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.propagation.propagation_settings import PropagationSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_sam.engine.interactive.prompts import MaskPrompt
    from napari_sam.engine.propagation.plane_prompts import PlanePrompt
    from napari_sam.engine.propagation.plane_views import PlaneViews
    from napari_sam.engine.propagation.propagate_options import PropagateOptions
    from napari_sam.engine.propagation.propagator import ObjectRun
    from src_models.run_record import JsonValue


def propagation_request(
    views: PlaneViews, planes: Sequence[int], runs: Sequence[ObjectRun], options: PropagateOptions
) -> dict[str, JsonValue]:
    """Return everything that the result depends on, as JSON.

    Parameters
    ----------
    views : PlaneViews
        The planes, with their model.
    planes : sequence of int
        Planes to pass.
    runs : sequence of ObjectRun
        Objects with their prompts.
    options : PropagateOptions
        The other options.

    Notes
    -----
    Arrays in memory have no lasting name: of them, only shape and type count.
    """
    source, runner = views.source, views.runner
    image = source.plane(source.current)
    name = image.identity if getattr(image, "persistent", False) else f"{tuple(image.shape)} {image.dtype}"
    normalisation = views.normalisation
    return {
        "image": name,
        "axis": source.axis,
        "leading": [int(n) for n in source.leading(0)],
        "planes": [int(n) for n in planes],
        "contrast": [[float(v) for v in limits] for limits in (normalisation.low, normalisation.high)],
        "weights": views.weights,
        "precision": str(runner.dtype).removeprefix("torch."),
        "carry": options.get("carry") or "auto",
        "settings": asdict(options.get("settings") or PropagationSettings()),
        "prompts": [_prompts(run.prompts) for run in runs],
    }


def _prompts(prompts: Mapping[int, PlanePrompt]) -> dict[str, JsonValue]:
    """Return prompts by plane."""
    return {
        str(plane): {
            "points": [[float(v) for v in point] for point in prompt.points],
            "point_labels": [int(label) for label in prompt.point_labels],
            "box": None if prompt.box is None else [float(v) for v in prompt.box],
            "mask": None if prompt.mask is None else _digest(prompt.mask),
        }
        for plane, prompt in prompts.items()
    }


def _digest(mask: MaskPrompt) -> str:
    digest = hashlib.sha256(np.packbits(mask.mask).tobytes()).hexdigest()
    return f"{tuple(mask.bbox)} {digest}"
