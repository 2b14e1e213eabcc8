"""Which images of a project a batch takes, and how it is carried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.errors import SettingsError
from napari_sam.jobs.batch.batch import ADD, DISCARD, OVERWRITE, REFUSE, RESUME

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_EXISTING = (REFUSE, RESUME, ADD, OVERWRITE, DISCARD)


@dataclass(frozen=True)
class BatchOptions:
    """Which images a batch takes, and how it is carried out.

    Attributes
    ----------
    state : str or collection of str, optional
        Only images in these states; by default those that are unseen or in work, to measure all.
    groups : mapping of str to str, optional
        Only images whose columns have these values.
    existing : {"", "resume", "add", "overwrite", "discard"}
        What becomes of objects that an image has and that no earlier call has found: an error of this image; a stopped
        run is continued and anything else kept; added to; deleted; added to, and a stopped run dropped. Images that an
        earlier call of the same settings has finished are passed over in any case, but for "overwrite".
    retry_failed : bool
        Only images that failed before, or that were begun and not finished.
    device : str
        As `Predictor` takes it.
    client : distributed.Client, optional
        Cluster whose workers find the objects; they must reach images, model and project by the same paths.
    workers : int
        Processes on this machine, if there is no client; 1 is this process.
    progress : callable, optional
        Called with the number of images done and of all images.
    cancelled : callable, optional
        Polled between the steps; the work stops when it returns True, and the same call continues.

    Raises
    ------
    SettingsError
        If `existing` is none of these words.
    """

    state: str | Collection[str] | None = None
    groups: Mapping[str, str] | None = None
    existing: str = REFUSE
    retry_failed: bool = False
    device: str = "auto"
    client: object = None
    workers: int = 1
    progress: Callable[[int, int], None] | None = None
    cancelled: Callable[[], bool] | None = None

    def __post_init__(self) -> None:
        """Check what becomes of existing objects."""
        if self.existing not in _EXISTING:
            words = ", ".join(repr(word) for word in _EXISTING)
            raise SettingsError(f"existing is {self.existing!r}", parameter="existing", remedy=f"choose one of {words}")
