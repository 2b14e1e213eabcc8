"""The files of a project.

Layout of a project::

    FOLDER/project.json             format, name and settings
    FOLDER/images/IMAGE.json        an entry for each image
    FOLDER/labels/IMAGE.ome.zarr    its label store
    FOLDER/locks/IMAGE.json         who works on it
    FOLDER/thumbnails/IMAGE.png     a small picture of it
    FOLDER/concepts/                concepts of the project
    FOLDER/models/                  versions of its model
    FOLDER/batch/                   tables and records of jobs over all images
    FOLDER/measurements/IMAGE.csv   measurements of its objects
    FOLDER/log/WRITER.jsonl         what happened; each process appends to a file of its own

Every file is replaced in one step or appended to by one process only, so that several people can share the folder on a
network drive. Images are not copied; they are found by their path relative to the folder, by their absolute path, or by
their fingerprint in a folder that the user names.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.errors import ImageError, ProjectError
from napari_sam.io.images.address import split_address
from napari_sam.io.images.formats.zarr.zarr_store import is_url
from napari_sam.io.images.open_image import open_image
from napari_sam.io.json_files import read_json_object
from napari_sam.io.pixel_fingerprint import pixel_fingerprint
from napari_sam.io.projects.image_entry import ImageEntry, check_columns
from napari_sam.io.projects.image_lock import ImageLock, LockHolder, lock_holder
from napari_sam.io.user_name import user_name
from src_models.atomic import write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.json_types import JsonObject

PROJECT_FILE = "project.json"
_FORMAT = 1
_MOST_TWINS = 100_000


class ProjectFolder:
    """The folder of a project; entries are read from disk each time, because others may change them.

    Parameters
    ----------
    path : Path
        An existing project.
    user : str, optional
        Name under which changes are noted; that of the machine's user by default.
    clock : callable
        Returns the seconds since 1970.

    Attributes
    ----------
    path : Path
        The folder.
    name : str
        Name of the project.
    settings : dict
        What the project remembers, as JSON.

    Raises
    ------
    ProjectError
        If there is no project, or a newer version wrote it.
    """

    def __init__(
        self, path: str | os.PathLike[str], user: str | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        self.user = user or user_name()
        self._clock = clock
        content = self._read_project()
        self.name, self.settings = str(content.get("name", self.path.name)), dict(content.get("settings", {}))
        self._log = self.path / "log" / f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}.jsonl"

    @classmethod
    def create(cls, path: str | os.PathLike[str], name: str | None = None, user: str | None = None) -> ProjectFolder:
        """Make a project in a folder that is new or empty.

        Raises
        ------
        ProjectError
            If the folder holds something else, or cannot be made.
        """
        folder = Path(path).expanduser().absolute()
        if (folder / PROJECT_FILE).exists():
            raise ProjectError(f"{folder} is a project already", parameter="folder", remedy="open it instead")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ProjectError(f"{folder} is not empty", parameter="folder", remedy="give a new or empty folder")
        content = {"format": _FORMAT, "name": name or folder.name, "created": time.time(), "settings": {}}
        try:
            for part in ("images", "labels"):
                (folder / part).mkdir(parents=True, exist_ok=True)
            write_json(folder / PROJECT_FILE, content)
        except OSError as error:
            raise ProjectError(
                f"{folder}: cannot be made ({error.strerror})", parameter="folder", remedy="choose another folder"
            ) from error
        return cls(folder, user)

    def save_settings(self, **settings: object) -> None:
        """Change settings of the project and keep the others."""
        content = self._read_project()
        self.settings = dict(content.get("settings", {})) | settings
        self._write(self.path / PROJECT_FILE, content | {"settings": self.settings})

    def add(self, source: str | os.PathLike[str], groups: Mapping[str, str] | None = None) -> tuple[ImageEntry, bool]:
        """Add an image; nothing is copied.

        Parameters
        ----------
        source : str or path
            File, URL or OME-Zarr, as `open_image` takes it.
        groups : mapping of str to str, optional
            Columns to sort and filter by.

        Returns
        -------
        entry : ImageEntry
            The image.
        is_new : bool
            False if the project has this image already.

        Raises
        ------
        ImageError
            If it cannot be opened.
        ProjectError
            If the project cannot be written.
        """
        check_columns(groups or {})
        image = open_image(source)
        address = _absolute(str(source))
        found = pixel_fingerprint(image.arrays)
        for number in range(1, _MOST_TWINS):  # other images may have the same pixels: empty fields of a plate
            image_id = found if number == 1 else f"{found}-{number}"
            entry = self._new_entry(image_id, address, found, image, groups or {})
            with contextlib.suppress(FileExistsError):
                self._create(self._entry_path(image_id), entry.as_json())
                self.log("added", image_id, source=address)
                return entry, True
            known = self.entry(image_id)
            if not self._is_there(known) and Path(known.source).name == Path(address).name:
                return self._moved(known, address), False
            if self._is_same(known, address):
                return known, False
        raise ProjectError(f"{source}: too many images with the same pixels", remedy="check the images")

    def remove(self, image_id: str) -> None:
        """Take an image out of the project; its label store stays in the folder, and adding it again finds it."""
        entry = self.entry(image_id)
        self._entry_path(image_id).unlink(missing_ok=True)
        self.log("removed", image_id, source=entry.source)

    def entries(self) -> Iterator[ImageEntry]:
        """Return all images, in the order of their paths.

        Raises
        ------
        ProjectError
            If an entry is damaged; the message names its file.
        """
        found = []
        for path in (self.path / "images").glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # removed by somebody else meanwhile
                found.append(self._entry(path))
        yield from sorted(found, key=lambda entry: (entry.source.casefold(), entry.image_id))

    def entry(self, image_id: str) -> ImageEntry:
        """Return an image.

        Raises
        ------
        ProjectError
            If the project has no such image.
        """
        try:
            return self._entry(self._entry_path(image_id))
        except FileNotFoundError:
            raise ProjectError(
                f"{self.path} has no image {image_id!r}", parameter="image_id", remedy="list the images of the project"
            ) from None

    def set_state(self, image_id: str, state: str) -> ImageEntry:
        """Set how far an image is; see `STATES`."""
        entry = self.entry(image_id).in_state(state, self.user, self._clock())
        self._write(self._entry_path(image_id), entry.as_json())
        self.log("state", image_id, state=state)
        return entry

    def set_groups(self, image_id: str, groups: Mapping[str, str]) -> ImageEntry:
        """Set columns of an image, such as its condition, and keep its others."""
        check_columns(groups)
        entry = self.entry(image_id)
        entry = replace(entry, groups=entry.groups | dict(groups))
        self._write(self._entry_path(image_id), entry.as_json())
        return entry

    def source(self, entry: ImageEntry) -> str:
        """Return where an image is now.

        Raises
        ------
        ImageError
            If it is at neither of its places.
        """
        if is_url(entry.source):
            return entry.source
        relative = None if entry.relative is None else os.path.normpath(self.path / entry.relative)
        for place in (relative, entry.source):
            if place is not None and Path(split_address(place)[0]).exists():
                return place
        raise ImageError(
            f"{entry.source}: the image has moved", remedy="name its new folder: project.relocate(FOLDER) finds it"
        )

    def relocate(self, places: Iterable[str | os.PathLike[str]]) -> list[ImageEntry]:
        """Find images that have moved among files, by the fingerprints of their pixels.

        Parameters
        ----------
        places : iterable of str or path
            Images that may be the missing ones.

        Returns
        -------
        list of ImageEntry
            Those that were found; the others are still missing.
        """
        missing: dict[str, list[ImageEntry]] = {}
        for entry in self.entries():
            if not self._is_there(entry):
                missing.setdefault(entry.fingerprint, []).append(entry)
        found = []
        for place in places:
            if not missing:
                break
            try:
                fingerprint = pixel_fingerprint(open_image(place).arrays)
            except ImageError:
                continue
            candidates = missing.get(fingerprint, [])
            if not candidates:
                continue
            named = [entry for entry in candidates if Path(entry.source).name == Path(str(place)).name]
            entry = (named or candidates)[0]
            candidates.remove(entry)
            if not candidates:
                del missing[fingerprint]
            found.append(self._moved(entry, _absolute(str(place))))
        return found

    def labels_path(self, image_id: str) -> Path:
        """Return the folder of an image's label store, which need not exist."""
        return self.path / "labels" / f"{image_id}.ome.zarr"

    def lock(self, image_id: str) -> ImageLock:
        """Take the lock of an image; release it when the work is done.

        Raises
        ------
        StoreLockedError
            If somebody else works on it; the message names who.
        """
        return ImageLock(self._lock_path(image_id), self.entry(image_id).source, self.user, self._clock)

    def model_lock(self) -> ImageLock:
        """Take the lock of the project's model, which one person trains at a time.

        Raises
        ------
        StoreLockedError
            If somebody else trains it; the message names who.
        """
        what, remedy = f"the model of {self.name}", "wait until the training there has ended"
        return ImageLock(self.path / "locks" / "model.json", what, self.user, self._clock, remedy)

    def holder(self, image_id: str) -> LockHolder | None:
        """Return who works on an image; None if nobody does."""
        return lock_holder(self._lock_path(image_id), self._clock)

    def log(self, event: str, image_id: str = "", **values: object) -> None:
        """Note what happened. A full disk loses the note, not the work."""
        line = {"time": self._clock(), "user": self.user, "event": event, "image": image_id, **values}
        with contextlib.suppress(OSError):
            self._log.parent.mkdir(exist_ok=True)
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def events(self) -> list[JsonObject]:
        """Return what happened, earliest first; lines that a crash cut short are left out."""
        events: list[JsonObject] = []
        for path in sorted((self.path / "log").glob("*.jsonl")):
            for line in path.read_text("utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
                    event = json.loads(line)
                    float(event["time"])
                    events.append(event)
        return sorted(events, key=lambda event: float(event["time"]))

    def _new_entry(
        self, image_id: str, address: str, fingerprint: str, image: Image, groups: Mapping[str, str]
    ) -> ImageEntry:
        kind = f"{image.dtype} x {image.channel_count}"
        columns = {str(name): str(value) for name, value in groups.items()}
        return ImageEntry(image_id, address, self._relative(address), fingerprint, image.shape, kind, groups=columns)

    def _moved(self, entry: ImageEntry, address: str) -> ImageEntry:
        moved = replace(entry, source=address, relative=self._relative(address))
        self._write(self._entry_path(moved.image_id), moved.as_json())
        self.log("moved", moved.image_id, source=address)
        return moved

    def _relative(self, address: str) -> str | None:
        if is_url(address):
            return None
        try:
            return Path(os.path.relpath(address, self.path)).as_posix()
        except ValueError:  # on another drive of Windows
            return None

    def _is_same(self, known: ImageEntry, address: str) -> bool:
        """Return whether an entry of the same pixels is the image at this address."""
        if known.source == address:
            return True
        with contextlib.suppress(OSError, ImageError):
            (place, chosen), (given, choice) = split_address(self.source(known)), split_address(address)
            return chosen == choice and os.path.samefile(place, given)
        return False

    def _is_there(self, entry: ImageEntry) -> bool:
        try:
            self.source(entry)
        except ImageError:
            return False
        return True

    def _entry_path(self, image_id: str) -> Path:
        return self.path / "images" / f"{_plain(image_id)}.json"

    def _lock_path(self, image_id: str) -> Path:
        return self.path / "locks" / f"{_plain(image_id)}.json"

    def _entry(self, path: Path) -> ImageEntry:
        try:
            content = read_json_object(path)
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            raise ProjectError(
                f"{path}: cannot be read ({error})", remedy="restore the file from a backup, or delete it"
            ) from error
        return ImageEntry.from_json(content, path)

    def _read_project(self) -> dict[str, Any]:
        path = self.path / PROJECT_FILE
        try:
            content = read_json_object(path)
            version = int(content["format"])
            dict(content.get("settings", {}))
        except (FileNotFoundError, NotADirectoryError):
            raise ProjectError(
                f"{self.path} is no project: it has no {PROJECT_FILE}",
                parameter="folder",
                remedy="give the folder of a project, or create one there",
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ProjectError(f"{path}: cannot be read ({error})", remedy="restore it from a backup") from error
        if version > _FORMAT:
            raise ProjectError(
                f"{self.path} was made by a newer version (format {version})", remedy="update napari-sam-xl"
            )
        return content

    def _write(self, path: Path, content: Mapping[str, object]) -> None:
        try:
            write_json(path, dict(content))
        except OSError as error:
            raise _cannot_write(path, error) from error

    def _create(self, path: Path, content: Mapping[str, object]) -> None:
        """Write a file that must not exist yet; `FileExistsError` if it does."""
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            temporary.write_text(json.dumps(content, indent=1), "utf-8")
            _take_name(temporary, path)
        except FileExistsError:
            raise
        except OSError as error:
            raise _cannot_write(path, error) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _take_name(temporary: Path, path: Path) -> None:
    """Give a file its name unless another file has it, in one step where the drive has hard links."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        if path.exists():
            raise FileExistsError(str(path)) from None
        os.replace(temporary, path)


def _cannot_write(path: Path, error: OSError) -> ProjectError:
    return ProjectError(
        f"{path}: cannot be written ({error.strerror})", remedy="free some space, or make the folder writable"
    )


def _absolute(address: str) -> str:
    if is_url(address):
        return address
    location, choice = split_address(address)
    return choice.address(str(Path(location).expanduser().absolute()))


def _plain(image_id: str) -> str:
    """Return the id of an image, after checking that it is no path."""
    if not image_id or not all(c.isalnum() or c == "-" for c in image_id):
        raise ProjectError(f"image_id is {image_id!r}", parameter="image_id", remedy="take it from project.images")
    return image_id
