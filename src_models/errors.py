"""The error tree of the project, from its root down to what the networks can raise.

It starts here because `src_models` is the lowest room and may import nothing above it; `napari_sam.errors`
re-exports these and adds those of the engine, of files and of layers.
"""


class NapariSamError(Exception):
    """Anything the user can mend: the message names the value and the remedy."""


class ModelError(NapariSamError):
    """A network cannot be built, loaded or run as asked."""


class UnknownModelError(ModelError, ValueError):
    """No model of that name is registered."""


class CheckpointError(ModelError, ValueError):
    """A checkpoint file is missing, damaged, unsafe or of another architecture."""


class DownloadError(ModelError, OSError):
    """Published weights could not be fetched."""


class DeviceError(ModelError, ValueError):
    """The device or precision is unknown or not present on this machine."""


class SettingsError(NapariSamError, ValueError):
    """A threshold or a size lies where it means nothing."""


class TrainingError(NapariSamError, ValueError):
    """Training data or a training configuration cannot be used."""
