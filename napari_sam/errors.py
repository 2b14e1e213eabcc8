"""All errors that a user can resolve; their messages name the value and the remedy.

The errors of networks, settings and training are defined in `src_models.model_errors`, since `src_models` imports no
other room.
"""

from __future__ import annotations

from src_models.model_errors import (
    CheckpointError,
    DeviceError,
    DivergedError,
    DownloadCancelledError,
    DownloadError,
    ModelError,
    NapariSamError,
    SettingsError,
    TrainingError,
    UnknownModelError,
    VideoError,
)

__all__ = [
    "CancelledError",
    "CheckpointError",
    "ConceptError",
    "DeviceError",
    "DivergedError",
    "DownloadCancelledError",
    "DownloadError",
    "EvaluationError",
    "ImageError",
    "LabelsError",
    "ModelError",
    "NapariSamError",
    "NoImageError",
    "NothingFitsError",
    "NothingSegmentedError",
    "ProjectError",
    "PromptError",
    "SettingsError",
    "StoreError",
    "StoreLockedError",
    "StoreWarning",
    "TrainingError",
    "UnknownModelError",
    "VideoError",
]


class ImageError(NapariSamError, ValueError):
    """An image cannot be opened or read."""


class NoImageError(NapariSamError, RuntimeError):
    """A prediction needs an image, and none was set."""


class PromptError(NapariSamError, ValueError):
    """A prompt is empty, not finite, or outside the image."""


class NothingFitsError(PromptError):
    """No object fits a phrase."""


class LabelsError(NapariSamError, ValueError):
    """Labels cannot be read, written or exported as requested."""


class StoreError(NapariSamError, OSError):
    """A label or embedding store on disk cannot be read or written; committed objects are kept."""


class StoreLockedError(StoreError):
    """A store is open for writing elsewhere."""


class NothingSegmentedError(StoreError):
    """Every part of an image failed, so that there is nothing to write."""


class StoreWarning(UserWarning):
    """A label store was damaged, and could be mended."""


class CancelledError(NapariSamError):
    """The work was cancelled; finished parts are kept."""


class ConceptError(NapariSamError, ValueError):
    """A concept cannot be learned, read or used: examples are missing, or its features are those of another model."""


class EvaluationError(NapariSamError, ValueError):
    """Data cannot be evaluated: objects, labels, columns or scores are missing or invalid."""


class ProjectError(NapariSamError, ValueError):
    """A project cannot be opened, or has no such image, model or state."""
