"""One image of a project: its pixels, its objects, and who works on it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as PillowImage

from napari_sam.engine.showing.pictures import picture_of
from napari_sam.errors import StoreError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.store_access import JOURNAL_FILE
from napari_sam.project.time_per_object import TimePerObject
from src_models.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.projects.image_entry import ImageEntry
    from napari_sam.io.projects.image_lock import ImageLock
    from napari_sam.io.projects.project_folder import ProjectFolder

_THUMBNAIL_PX = 128


class ProjectImage:
    """An image of a project, as its entry was when it was asked for.

    Parameters
    ----------
    folder : ProjectFolder
        Folder of the project.
    entry : ImageEntry
        Entry of the image.
    """

    def __init__(self, folder: ProjectFolder, entry: ImageEntry) -> None:
        self._folder, self.entry = folder, entry

    def __repr__(self) -> str:
        height, width = self.entry.shape
        return f"<ProjectImage {self.name!r}: {height} x {width}, {self.entry.kind}, {self.state}>"

    @property
    def image_id(self) -> str:
        """Name of the image's files in the project."""
        return self.entry.image_id

    @property
    def name(self) -> str:
        """Name of the image's file; of a field of a plate, with its plate and well."""
        groups = self.entry.groups
        if {"plate", "well", "field"} <= groups.keys():
            return f"{groups['plate']}/{groups['well']}/{groups['field']}"
        return self.entry.source.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]

    @property
    def source(self) -> str:
        """Path or URL of the image.

        Raises
        ------
        ImageError
            If it has moved.
        """
        return self._folder.source(self.entry)

    @property
    def state(self) -> str:
        """How far it is: "unseen", "in work", "done" or "checked"."""
        return self.entry.state

    @state.setter
    def state(self, state: str) -> None:
        self.entry = self._folder.set_state(self.image_id, state)

    @property
    def labels_path(self) -> Path:
        """Folder of its label store, which need not exist."""
        return self._folder.labels_path(self.image_id)

    @property
    def objects(self) -> int:
        """Number of its objects; 0 without a label store.

        Raises
        ------
        StoreError
            If the store is damaged.
        """
        if not self.is_begun:
            return 0
        with LabelStore.open(self.labels_path, "r") as store:
            return len(store)

    @property
    def is_begun(self) -> bool:
        """Whether it has a label store."""
        return (self.labels_path / JOURNAL_FILE).is_file()

    def seconds(self) -> dict[int, float]:
        """Return the seconds that people took for each object that they prompted, by label.

        Raises
        ------
        StoreError
            If the store is damaged.
        """
        if not self.is_begun:
            return {}
        with LabelStore.open(self.labels_path, "r") as store:
            return store.journal.provenance.seconds()

    def provenance(self) -> pd.DataFrame:
        """Return how each of its objects came, a row for each; see `Project.provenance`.

        Raises
        ------
        StoreError
            If there is no label store, or it is damaged.
        """
        with LabelStore.open(self.labels_path, "r") as store:
            table = store.provenance()
        table.insert(0, "image", self.name)
        table.insert(1, "image_id", self.image_id)
        return table

    def time_per_object(self) -> TimePerObject:
        """Return how long people took for the objects that they prompted.

        Measured in the window from the object before, or from the first prompt, until the object was accepted, with its
        corrections; of a pause 30 s count.

        Raises
        ------
        StoreError
            If the store is damaged.
        """
        return TimePerObject.of(self.seconds().values())

    @property
    def locked_by(self) -> str | None:
        """Who works on it; None if nobody does."""
        holder = self._folder.holder(self.image_id)
        return None if holder is None else f"{holder.user}@{holder.host}"

    def open(self) -> Image:
        """Open the image without reading its pixels.

        Raises
        ------
        ImageError
            If it has moved or cannot be opened.
        """
        return open_image(self.source)

    def hold(self) -> ImageLock:
        """Hold the image so that nobody else works on it, for ``with``.

        Raises
        ------
        StoreLockedError
            If somebody else does; the message names who.
        """
        return self._folder.lock(self.image_id)

    def begin(self) -> None:
        """Note that the image is in work, if nobody has seen it."""
        self.entry = self._folder.entry(self.image_id)
        if self.state == "unseen":
            self.state = "in work"

    @contextlib.contextmanager
    def labels(self) -> Iterator[LabelStore]:
        """Open its label store for writing, and hold the image meanwhile so that nobody else does; for ``with``.

        An image that nobody has seen is in work from then on.

        Raises
        ------
        StoreLockedError
            If somebody else works on it; the message names who.
        ImageError
            If the image has moved.
        """
        with self.hold():
            if self.labels_path.exists():
                opened = LabelStore.open(self.labels_path)
            else:
                opened = LabelStore.create(self.labels_path, like=self.open())
            self.begin()
            with opened as store:
                store.user = self._folder.user
                yield store

    def thumbnail(self) -> NDArray[np.uint8]:
        """Return a small picture (h, w, 3), which is kept in the project.

        Raises
        ------
        ImageError
            If it was not kept yet, and the image has moved or cannot be read.
        """
        path = self._folder.path / "thumbnails" / f"{self.image_id}.png"
        with contextlib.suppress(OSError, ValueError, SyntaxError), PillowImage.open(path) as kept:
            return np.asarray(kept.convert("RGB"))
        made = picture_of(self.open(), side=_THUMBNAIL_PX)
        with contextlib.suppress(OSError), replacing(path, durable=False) as temporary:  # it is made again
            PillowImage.fromarray(made).save(temporary, "PNG")
        return made

    def row(self) -> dict[str, object]:
        """Return the image's row of the project's table."""
        try:
            objects: int | None = self.objects
        except StoreError:
            objects = None
        return {
            "image": self.name,
            "state": self.state,
            "objects": objects,
            "by": self.entry.by,
            "locked_by": self.locked_by,
            "height": self.entry.shape[0],
            "width": self.entry.shape[1],
            "kind": self.entry.kind,
            **self.entry.groups,
            "source": self.entry.source,
            "image_id": self.image_id,
        }
