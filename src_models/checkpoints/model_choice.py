"""Check the name or file of a model before anything depends on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from src_models.checkpoints.registry import model_info, model_names

if TYPE_CHECKING:
    import os


def checked_model(model: str | os.PathLike[str]) -> str:
    """Return the name of a registered model, or the absolute path of a checkpoint that exists; loads nothing.

    Raises
    ------
    UnknownModelError
        If it is neither; the message lists similar names and all names.

    Examples
    --------
    >>> checked_model("vit_t")
    'vit_t'
    """
    if str(model) in model_names():
        return str(model)
    try:
        path = Path(model).expanduser()
    except RuntimeError:  # no such user
        path = Path(model)
    return str(path.absolute()) if path.is_file() else model_info(str(model)).name
