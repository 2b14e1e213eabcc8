"""Paths that a user named: what is wrong with them, as one message."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from src_models.model_errors import NapariSamError

_SHOWN = 200  # characters of a path in a message


def existing_path(named: str | os.PathLike[str], error: type[NapariSamError]) -> Path:
    """Return the path of a file or folder that exists.

    Parameters
    ----------
    named : str or path
        What the user named; ``~`` is expanded.
    error : type of NapariSamError
        The error to raise.

    Raises
    ------
    NapariSamError
        If nothing is there, the name is not possible, or it is a pipe, a socket or a device, which may never end.
    """
    shown = str(named)[:_SHOWN]
    try:
        path = Path(named).expanduser()
        mode = path.stat().st_mode
    except FileNotFoundError as problem:
        raise error(f"{shown}: no such file or folder", remedy="check the path") from problem
    except (OSError, ValueError, RuntimeError) as problem:  # RuntimeError: no such user
        reason = (problem.strerror if isinstance(problem, OSError) else None) or str(problem)
        raise error(f"{shown}: cannot be accessed ({reason})", remedy="check the path") from problem
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise error(f"{shown}: a pipe, socket or device, not a file", remedy="save it to a file first")
    return path
