"""The root of the error tree, and the errors of networks, settings and training.

The tree starts here because `src_models` imports no other room; `napari_sam.errors` re-exports these errors and adds
those of the rooms above.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TOKEN = re.compile(r"\{([\w.]+(?:=\w+)?)\}")


def named_arguments(text: str, word: Callable[[str], str] = str) -> str:
    """Return a text with the arguments in braces named by `word`.

    >>> named_arguments("choose with {series}", lambda name: f"--{name}")
    'choose with --series'
    """
    return _TOKEN.sub(lambda token: word(token[1]), text)


class NapariSamError(Exception):
    """An error that the user can resolve.

    Parameters
    ----------
    message : str
        The problem, with the value. For a wrong argument it begins with the argument's name.
    parameter : str, optional
        Name of the wrong argument, setting or field.
    remedy : str, optional
        What to do, as an imperative phrase. Arguments are written in braces, ``{resume=True}``, so that each front
        end can name them in its own words. Do not format values into it, which may contain braces.

    Examples
    --------
    >>> error = NapariSamError("side is 0", parameter="side", remedy="give a whole number from 1, or leave {side} out")
    >>> str(error)
    'side is 0; give a whole number from 1, or leave side out'
    >>> error.worded(lambda name: f"--{name}")
    '--side is 0; give a whole number from 1, or leave --side out'
    """

    def __init__(self, message: str = "", *, parameter: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.parameter = parameter
        self.remedy = remedy

    def worded(self, word: Callable[[str], str] = str) -> str:
        """Return message and remedy, with the arguments named by `word`.

        Parameters
        ----------
        word : callable
            Takes ``"name"`` or ``"name=value"`` and returns the front end's name for it.
        """
        text = self.message
        if self.parameter and re.match(rf"{re.escape(self.parameter)}\b", text):
            text = word(self.parameter) + text[len(self.parameter) :]
        if self.remedy is None:
            return text
        return f"{text}; {named_arguments(self.remedy, word)}"

    def __str__(self) -> str:
        return self.worded()


class ModelError(NapariSamError):
    """A network cannot be built, loaded or run."""


class UnknownModelError(ModelError, ValueError):
    """No model of this name is registered."""


class CheckpointError(ModelError, ValueError):
    """A checkpoint file is missing, damaged, unsafe or of another architecture."""


class DownloadError(ModelError, OSError):
    """Published weights cannot be fetched."""


class DownloadCancelledError(DownloadError):
    """A download was cancelled; the transferred bytes are kept for the next one."""


class DeviceError(ModelError, ValueError):
    """The device or precision is unknown or not available on this machine."""


class VideoError(ModelError, ValueError):
    """A video, one of its frames or a prompt on it cannot be used for tracking."""


class SettingsError(NapariSamError, ValueError):
    """A setting has the wrong type or lies outside its range."""


class TrainingError(NapariSamError, ValueError):
    """Training data or a training configuration cannot be used."""


class DivergedError(TrainingError):
    """A training loss is not finite."""
