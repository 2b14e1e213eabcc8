"""The models of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    import argparse

    from napari_sam.evaluation.runs.model_spec import ModelSpec


def chosen_models(args: argparse.Namespace) -> list[ModelSpec]:
    """Return the models of ``--model``; a file is named by its stem.

    Raises
    ------
    EvaluationError
        If two have the same name.
    """
    from napari_sam.evaluation.runs.model_spec import ModelSpec  # noqa: PLC0415 - the command line starts quickly
    from src_models.checkpoints.registry import model_names  # noqa: PLC0415

    given = args.model if isinstance(args.model, list) else [args.model or "default"]
    models: list[ModelSpec] = []
    for text in given or ["default"]:
        name, separator, source = text.partition("=")
        if not separator:
            name, source = (text if text in model_names() else Path(text).stem), text
        if name in {model.name for model in models}:
            raise EvaluationError(f"two models are called {name!r}", remedy="give them names, --model NAME=FILE")
        models.append(ModelSpec(name, source, args.device, args.precision))
    return models
