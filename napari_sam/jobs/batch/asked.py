"""What decides the result of a batch, as JSON: equal for the same settings, whoever asked for them."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from src_models.checkpoints.integrity import file_digest
from src_models.checkpoints.model_choice import checked_model
from src_models.checkpoints.registry import model_names
from src_models.run_record import as_json

if TYPE_CHECKING:
    from napari_sam.io.json_types import JsonObject
    from napari_sam.jobs.find.find_settings import FindSettings
    from napari_sam.jobs.job_settings import EverythingSettings

_DIGITS = 12


def changed_fields(settings: object) -> JsonObject:
    """Return the fields of a settings object that differ from their defaults; of nested settings as well.

    >>> from napari_sam.engine.linking.link_settings import PlaneLinking
    >>> changed_fields(PlaneLinking(max_gap=3))
    {'max_gap': 3}
    """
    default = type(settings)()
    values = asdict(settings)  # type: ignore[call-overload]  # a dataclass
    names = [f.name for f in fields(settings)]  # type: ignore[arg-type]
    return as_json({name: values[name] for name in names if getattr(settings, name) != getattr(default, name)})


def what_is_found(model: str, settings: EverythingSettings | FindSettings, **others: object) -> JsonObject:
    """Return what decides the objects of an image.

    Parameters
    ----------
    model : str
        Name or checkpoint file.
    settings : EverythingSettings or FindSettings
        How they are searched.
    **others
        Further choices by name; those that are None are left out.

    Raises
    ------
    UnknownModelError
        If there is no such model.
    """
    coarser = {"coarser": getattr(settings, "searches_coarser", settings.coarser)}
    given = {name: value for name, value in others.items() if value is not None}
    return as_json({"model": name_model(model), **changed_fields(settings), **coarser, **given})


def name_model(model: str) -> str:
    """Return the name of a model; of a checkpoint file with the beginning of its hash, since it may be replaced.

    Raises
    ------
    UnknownModelError
        If it is neither a registered name nor a file.
    """
    chosen = checked_model(model)
    return chosen if chosen in model_names() else name_file(chosen)


def name_file(path: str | Path) -> str:
    """Return the name of a file with the beginning of its hash."""
    file = Path(path).expanduser()
    return f"{file.name} {file_digest(file)[:_DIGITS]}"
