"""Every error a user can mend, in one tree: the message names the value and the remedy.

`NapariSamError`, `ModelError`, `UnknownModelError`, `CheckpointError`, `DownloadError`, `DeviceError`,
`SettingsError` and `TrainingError` come from `src_models.model_errors`, the lowest room; the rest is here.
"""

from __future__ import annotations

from src_models.model_errors import (
    CheckpointError,
    DeviceError,
    DownloadError,
    ModelError,
    NapariSamError,
    SettingsError,
    TrainingError,
    UnknownModelError,
)

__all__ = [
    "CancelledError",
    "CheckpointError",
    "DeviceError",
    "DownloadError",
    "EvaluationError",
    "ImageError",
    "LabelsError",
    "ModelError",
    "NapariSamError",
    "NoImageError",
    "PromptError",
    "SettingsError",
    "StoreError",
    "StoreLockedError",
    "TrainingError",
    "UnknownModelError",
]


class ImageError(NapariSamError, ValueError):
    """An image cannot be opened or read."""


class NoImageError(NapariSamError, RuntimeError):
    """A prediction was asked for before an image was set."""


class PromptError(NapariSamError, ValueError):
    """A prompt is empty, not finite, or outside the image."""


class LabelsError(NapariSamError, ValueError):
    """Labels cannot take the object as asked."""


class StoreError(NapariSamError, OSError):
    """A label or embedding store on disk cannot be read or written; what was committed is still there."""


class StoreLockedError(StoreError):
    """Another process writes to this store."""


class CancelledError(NapariSamError):
    """The work was cancelled; what was finished is kept."""


class EvaluationError(NapariSamError, ValueError):
    """Something cannot be measured on these data: objects, labels, columns or scores are missing or make no sense."""
