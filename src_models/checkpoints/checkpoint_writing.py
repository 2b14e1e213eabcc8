"""Write checkpoint files so that they appear whole or not at all."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from src_models.atomic import replacing
from src_models.model_errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing_checkpoint(path: Path) -> Iterator[Path]:
    """Write a checkpoint so that it appears whole or not at all; see `src_models.atomic.replacing`.

    Parameters
    ----------
    path : Path
        The target.

    Yields
    ------
    Path
        The temporary file to write.

    Raises
    ------
    CheckpointError
        If the file cannot be written.
    """
    try:
        with replacing(path) as temporary:
            yield temporary
    except (OSError, SafetensorError, RuntimeError) as err:
        raise CheckpointError(
            f"cannot write {path}: {str(err).splitlines()[0]}", remedy="free some space, or choose another folder"
        ) from err
