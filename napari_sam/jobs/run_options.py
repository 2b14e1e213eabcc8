"""How a run is carried out; nothing of it changes the result."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, TypeVar

from napari_sam.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class RunOptions:
    """How a run over a whole image is carried out.

    Attributes
    ----------
    resume : bool, optional
        True continues an unfinished run in the output, False drops it; by default it is an error.
    client : distributed.Client, optional
        Cluster whose workers find the objects.
    workers : int
        Processes on this machine, if there is no client; 1 is this process.
    progress : callable, optional
        Called with the number of steps done and of all steps.
    on_tile : callable, optional
        Called with box and preliminary labels of each tile, from several threads.
    cancelled : callable, optional
        Polled between the steps; the work stops when it returns True.
    """

    resume: bool | None = None
    client: object = None
    workers: int = 1
    progress: Callable[[int, int], None] | None = None
    on_tile: Callable[[Box, NDArray[np.uint32]], None] | None = None
    cancelled: Callable[[], bool] | None = None

    def __post_init__(self) -> None:
        """Check the number of workers, and that this is not a worker that only imports the caller's script."""
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise SettingsError(
                f"workers is {self.workers}, and each process imports your script and so runs it again",
                parameter="workers",
                remedy="put the call under if __name__ == '__main__':",
            )
        if isinstance(self.workers, bool) or not isinstance(self.workers, Integral) or self.workers < 1:
            raise SettingsError(
                f"workers is {self.workers!r}", parameter="workers", remedy="give a whole number from 1"
            )

    @property
    def is_distributed(self) -> bool:
        """Whether other processes find the objects."""
        return self.client is not None or self.workers > 1


def settings_from(kind: type[Settings], settings: Settings | None, keywords: Mapping[str, object]) -> Settings:
    """Return the settings that a public function was given, as an object or as keywords.

    Parameters
    ----------
    kind : type
        Settings class, whose fields have defaults.
    settings : object, optional
        Settings object of that class.
    keywords : mapping
        All keywords of the function that are fields of `kind`.

    Raises
    ------
    SettingsError
        If both a settings object and a keyword other than its default are given.
    """
    if settings is None:
        return kind(**keywords)
    if not isinstance(settings, kind):
        raise SettingsError(f"settings is {settings!r}", parameter="settings", remedy=f"give {kind.__name__}")
    defaults = kind()
    for name, value in keywords.items():
        if value != getattr(defaults, name):
            raise SettingsError(
                f"{name} is {value!r} although settings is given",
                parameter=name,
                remedy="set it in {settings}, or leave {settings} out",
            )
    return settings
