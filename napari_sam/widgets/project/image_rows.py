"""The images of a project as rows of a list; pictures and numbers of objects are read as rows come into sight."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qtpy.QtCore import QAbstractListModel, QModelIndex, QSize, Qt, Signal
from qtpy.QtGui import QImage, QPixmap

from napari_sam.errors import ImageError, StoreError
from src_models.lru import LRU

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.project.project_image import ProjectImage

ICON_PX = 48
_MOST_PICTURES = 2000
_MARKS = {"unseen": "○", "in work": "◐", "done": "●", "checked": "✔"}
_ID_ROLE = Qt.ItemDataRole.UserRole


@dataclass(frozen=True)
class ImageRow:
    """What the entry of an image tells.

    Attributes
    ----------
    image_id, name, state : str
        As in `ProjectImage`.
    tip : str
        Path, size and columns.
    groups : mapping of str to str
        The columns, such as "plate" and "well".
    """

    image_id: str
    name: str
    state: str
    tip: str
    groups: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, image: ProjectImage) -> ImageRow:
        """Describe an image of a project."""
        entry = image.entry
        height, width = entry.shape
        lines = [entry.source, f"{height} x {width} px, {entry.kind}"]
        lines += [f"{name}: {value}" for name, value in entry.groups.items()]
        if entry.by:
            lines.append(f"{entry.state} by {entry.by}")
        return cls(image.image_id, image.name, image.state, "\n".join(lines), entry.groups)


@dataclass(frozen=True)
class ImageDetails:
    """What takes time to read.

    Attributes
    ----------
    objects : int or None
        Number of objects; None if the label store is damaged.
    locked_by : str or None
        Who works on it.
    picture : ndarray of uint8 or None
        Small picture (h, w, 3); None if the image cannot be read.
    """

    objects: int | None
    locked_by: str | None
    picture: NDArray[np.uint8] | None

    @classmethod
    def of(cls, image: ProjectImage) -> ImageDetails:
        """Read an image of a project."""
        objects, picture = None, None
        try:
            objects = image.objects
        except StoreError:
            pass
        try:
            picture = image.thumbnail()
        except ImageError:
            pass
        return cls(objects, image.locked_by, picture)


class ImageRows(QAbstractListModel):
    """Rows of those images that are in a chosen state, and in a chosen well.

    Signals
    -------
    needed : str
        The details of this image are to be shown, and are not known or outdated.
    """

    needed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._all: list[ImageRow] = []
        self._rows: list[ImageRow] = []
        self._details: dict[str, ImageDetails] = {}
        self._fresh: set[str] = set()
        self._pixmaps: LRU[str, QPixmap] = LRU(limit_count=_MOST_PICTURES)
        self._state: str | None = None
        self._groups: dict[str, str] = {}
        self._opened = ""  # id of the image in the viewer
        self._empty = QPixmap(QSize(ICON_PX, ICON_PX))
        self._empty.fill(Qt.GlobalColor.transparent)

    @property
    def ids(self) -> list[str]:
        """Ids of the images that are shown, from top to bottom."""
        return [row.image_id for row in self._rows]

    @property
    def all(self) -> list[ImageRow]:
        """Rows of all images."""
        return self._all

    @property
    def counts(self) -> dict[str, int]:
        """Number of all images in each state."""
        counts = dict.fromkeys(_MARKS, 0)
        for row in self._all:
            counts[row.state] += 1
        return counts

    def show_rows(self, rows: Sequence[ImageRow]) -> None:
        """Show the images of a project; details that are known stay in sight until they are read again."""
        self._all = list(rows)
        self._fresh.clear()
        self._update()

    def clear(self) -> None:
        """Show no images, as before another project."""
        self._details.clear()
        self.show_rows([])

    def show_state(self, state: str | None) -> None:
        """Show images in one state only; None for all."""
        self._state = state
        self._update()

    def show_groups(self, groups: Mapping[str, str]) -> None:
        """Show only images whose columns have these values."""
        self._groups = dict(groups)
        self._update()

    def show_details(self, image_id: str, details: ImageDetails) -> None:
        """Show what was read of an image."""
        self._details[image_id] = details
        self._fresh.add(image_id)
        if details.picture is not None:
            self._pixmaps.put(image_id, _pixmap(details.picture))
        self._repaint(image_id)

    def mark_opened(self, image_id: str) -> None:
        """Mark the image that is in the viewer; empty for none."""
        before, self._opened = self._opened, image_id
        for changed in {before, image_id} - {""}:
            self._fresh.discard(changed)  # who works on it has changed
            self._repaint(changed)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of images that are shown."""
        return len(self._rows)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return the text, the picture, the tooltip or the id of a row."""
        row = self._rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{row.name}\n{self._second_line(row)}"
        if role == Qt.ItemDataRole.DecorationRole:
            if row.image_id not in self._fresh:
                self.needed.emit(row.image_id)
            return self._pixmaps.get(row.image_id) or self._empty
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{row.tip}\nDouble-click or Enter opens it"
        return row.image_id if role == _ID_ROLE else None

    def _second_line(self, row: ImageRow) -> str:
        details = self._details.get(row.image_id)
        words = [f"{_MARKS[row.state]} {row.state}"]
        if details is not None:
            words.append("labels damaged" if details.objects is None else _objects(details.objects))
            if row.image_id == self._opened:
                words.append("open here")
            elif details.locked_by is not None:
                words.append(f"open for {details.locked_by}")
            if details.picture is None:
                words.append("image not found")
        return " · ".join(words)

    def _update(self) -> None:
        rows = [row for row in self._all if self._state in (None, row.state) and self._is_in_groups(row)]
        if [row.image_id for row in rows] == self.ids:
            self._rows = rows
            if rows:
                self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def _is_in_groups(self, row: ImageRow) -> bool:
        return all(row.groups.get(name) == value for name, value in self._groups.items())

    def _repaint(self, image_id: str) -> None:
        ids = self.ids
        if image_id in ids:
            index = self.index(ids.index(image_id))
            self.dataChanged.emit(index, index)


def _objects(count: int) -> str:
    return f"{count} object{'' if count == 1 else 's'}"


def _pixmap(picture: NDArray[np.uint8]) -> QPixmap:
    """Return a picture (h, w, 3) in the middle of a square."""
    height, width = picture.shape[:2]
    image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    return QPixmap.fromImage(image.scaled(ICON_PX, ICON_PX, keep, smooth))
