"""The classes of a label store: the palette from which a user assigns kinds to objects."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from napari_sam.errors import LabelsError
from napari_sam.io.class_styles import path_in
from napari_sam.io.labels.classes.class_values import checked_colour, checked_key, checked_name
from napari_sam.io.labels.journal.class_rows import ObjectClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

    from napari_sam.io.labels.changes.change_writer import ChangeWriter
    from napari_sam.io.labels.changes.edit import Edit
    from napari_sam.io.labels.classes.class_values import Colour
    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import Record

_KIND = "classes"


class Unchanged(Enum):
    """Stands for a value that stays as it is, where None means none."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED


class ClassTable:
    """Names, colours, hierarchy and keys of the classes of a label store; `LabelStore.classes` is one.

    An object's class is its ``category``. A category that an object is the first to get becomes a class by itself,
    with a colour of its own. Every method that changes something is one step of undo.

    Parameters
    ----------
    writer : ChangeWriter
        Writes the changes.
    journal : Journal
        The classes.

    Examples
    --------
    >>> import tempfile
    >>> from napari_sam.io.labels.label_store import LabelStore
    >>> with LabelStore.create(f"{tempfile.mkdtemp()}/cells.ome.zarr", shape=(100, 100)) as labels:
    ...     cell = labels.classes.add("cell", colour="#ff8800", key=1)
    ...     child = labels.classes.add("dividing cell", parent="cell")
    ...     labels.classes.names, labels.classes.path("dividing cell"), labels.classes.keys
    (['cell', 'dividing cell'], ['cell', 'dividing cell'], {1: 'cell'})
    """

    def __init__(self, writer: ChangeWriter, journal: Journal) -> None:
        self._writer, self._journal = writer, journal

    # ---- reading ------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[ObjectClass]:
        """Iterate over the classes in their order."""
        return iter(self._journal.classes.all())

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self._journal.classes.all())

    def __contains__(self, name: object) -> bool:
        """Whether there is a class of this name."""
        return isinstance(name, str) and self.get(name) is not None

    def __getitem__(self, name: str) -> ObjectClass:
        """Return a class.

        Raises
        ------
        LabelsError
            If there is none of this name.
        """
        found = self.get(name)
        if found is None:
            raise LabelsError(f"there is no class {name!r}", parameter="name", remedy="add it, or choose another one")
        return found

    def __repr__(self) -> str:
        return f"<ClassTable of {len(self)} classes>"

    def get(self, name: str) -> ObjectClass | None:
        """Return a class, or None."""
        return self._journal.classes.row(name) or next((item for item in self if item.name == name), None)

    @property
    def names(self) -> list[str]:
        """Names of the classes in their order."""
        return [item.name for item in self]

    @property
    def colours(self) -> dict[str, str]:
        """Colour of each class as "#rrggbb", by name."""
        return {item.name: item.colour for item in self}

    @property
    def keys(self) -> dict[int, str]:
        """Name of the class of each key that has one."""
        return {item.key: item.name for item in self if item.key is not None}

    @property
    def hierarchy(self) -> dict[str, str | None]:
        """Name of the class that each class is a kind of, by name."""
        return {item.name: item.parent for item in self}

    def counts(self) -> dict[str, int]:
        """Return the number of objects of each class, without those of the classes below it."""
        counts = self._journal.classes.counts()
        return {name: counts.get(name, 0) for name in self.names}

    def path(self, name: str) -> list[str]:
        """Return the names from the top of the hierarchy down to a class."""
        return path_in(self.hierarchy, name)

    def descendants(self, name: str) -> list[str]:
        """Return a class and all classes below it, in their order."""
        hierarchy = self.hierarchy
        return [other for other in hierarchy if name in path_in(hierarchy, other)]

    def table(self) -> pd.DataFrame:
        """Return a table of the classes: name, colour, parent, key, and the number of objects."""
        import pandas as pd  # noqa: PLC0415 - slow to import

        counts = self._journal.classes.counts()
        rows = [(item.name, item.colour, item.parent, item.key, counts.get(item.name, 0)) for item in self]
        return pd.DataFrame(rows, columns=["name", "colour", "parent", "key", "objects"]).astype({"key": "Int64"})

    # ---- changes ------------------------------------------------------------------------------------------------

    def add(
        self, name: str, colour: Colour | None = None, parent: str | None = None, key: int | None = None
    ) -> ObjectClass:
        """Add a class.

        Parameters
        ----------
        name : str
            Name; quotes, slashes and emoji may stand in it.
        colour : str or sequence of float, optional
            "#rrggbb", or red, green and blue from 0 to 255 or from 0.0 to 1.0; by default the next of the palette.
        parent : str, optional
            Class that it is a kind of.
        key : int, optional
            Key of the keyboard, 1 to 9; a class that has it loses it.

        Raises
        ------
        LabelsError
            If there is a class of this name already, or none of the parent's; if a value is invalid.
        """
        new = ObjectClass(checked_name(name), 1, None if colour is None else checked_colour(colour), parent, key)
        self.extend([new])
        return self[new.name]

    def extend(self, classes: Iterable[ObjectClass]) -> None:
        """Add several classes in one step, such as those of another store; errors as `add`.

        Each may name one of the others as its parent; their positions follow those of the present classes.
        """
        with self._writer.writing():
            known = {item.name: item for item in self}
            position = self._journal.classes.next_position()
            record: list[Record] = []
            edit = self._edit({"call": "extend", "classes": record})
            for position_of, item in enumerate(classes, start=position):
                new = replace(item, name=checked_name(item.name), position=position_of)
                if new.name in known:
                    raise LabelsError(
                        f"there is a class {new.name!r} already", parameter="name", remedy="choose another name"
                    )
                if new.key is not None:
                    _take_key(edit, known, checked_key(new.key))
                known[new.name] = new
                edit.change.classes.append((None, new))
                record.append(_described(new))
            for _, added in edit.change.classes:
                _check_parent(known, added)
            if record:
                self._writer.write(edit.change)

    def update(
        self,
        name: str,
        *,
        colour: Colour | Unchanged | None = UNCHANGED,
        parent: str | Unchanged | None = UNCHANGED,
        key: int | Unchanged | None = UNCHANGED,
    ) -> ObjectClass:
        """Change the colour, the parent or the key of a class; None takes it away. Errors as `add`."""
        with self._writer.writing():
            before = self[name]
            known = {item.name: item for item in self}
            edit = self._edit({"call": "update", "name": before.name})
            after = before
            if not isinstance(colour, Unchanged):
                after = replace(after, own_colour=None if colour is None else checked_colour(colour))
                edit.change.record["colour"] = after.own_colour
            if not isinstance(parent, Unchanged):
                after = replace(after, parent=parent)
                edit.change.record["parent"] = parent
            if not isinstance(key, Unchanged):
                after = replace(after, key=None if key is None else checked_key(int(key)))
                edit.change.record["key"] = after.key
                if after.key is not None and after.key != before.key:
                    _take_key(edit, known, after.key)
            known[name] = after
            _check_parent(known, after)
            if after != before:
                edit.change.classes.append((self._journal.classes.row(name), after))
                self._writer.write(edit.change)
            return after

    def rename(self, old: str, new: str) -> ObjectClass:
        """Give a class, and with it its objects, another name.

        Raises
        ------
        LabelsError
            If there is a class of the new name; `remove` with `into` joins two classes.
        """
        with self._writer.writing():
            before, name = self[old], checked_name(new, "new")
            if name in self:
                raise LabelsError(
                    f"there is a class {name!r} already",
                    parameter="new",
                    remedy="choose another name, or join the two with remove(old, into=new)",
                )
            after = replace(before, name=name)
            edit = self._edit({"call": "rename", "old": old, "new": name})
            edit.change.classes += [(self._journal.classes.row(old), None), (None, after)]
            self._move_children(edit, old, name)
            self._write_with_objects(edit, old, name)
            return after

    def remove(self, name: str, into: str | None = None) -> None:
        """Remove a class; the classes below it move up to its parent.

        Parameters
        ----------
        name : str
            The class.
        into : str, optional
            Class that its objects get; none by default.
        """
        with self._writer.writing():
            before = self[name]
            if into is not None and (into == name or into not in self):
                raise LabelsError(
                    f"class {name!r} cannot be joined with {into!r}", parameter="into", remedy="name another class"
                )
            edit = self._edit({"call": "remove", "name": name, "into": into})
            edit.change.classes.append((self._journal.classes.row(name), None))
            self._move_children(edit, name, before.parent)
            self._write_with_objects(edit, name, into)

    # ---- helpers ------------------------------------------------------------------------------------------------

    def _edit(self, record: Record) -> Edit:
        return self._writer.edit(_KIND, record, None)

    def _move_children(self, edit: Edit, old: str, new: str | None) -> None:
        """Give the classes directly below a class another parent."""
        for child in self._journal.classes.children(old):
            edit.change.classes.append((child, replace(child, parent=new)))

    def _write_with_objects(self, edit: Edit, old: str, new: str | None) -> None:
        """Write a change after which the objects of one class have another one."""
        labels = self._journal.classes.objects_of(old)
        change = edit.finish({label: {"category": new} for label in labels})
        change.classes = [pair for pair in change.classes if pair != (None, None)]
        self._writer.write(change)


def _take_key(edit: Edit, known: dict[str, ObjectClass], key: int) -> None:
    """Take a key away from the class that has it."""
    for name, item in known.items():
        if item.key == key:
            known[name] = replace(item, key=None)
            pairs = edit.change.classes
            added = [i for i, (_, after) in enumerate(pairs) if after is not None and after.name == name]
            if added:
                pairs[added[0]] = (pairs[added[0]][0], known[name])
            else:
                pairs.append((item, known[name]))


def _check_parent(known: dict[str, ObjectClass], item: ObjectClass | None) -> None:
    """Raise LabelsError if the parent of a class does not exist, or the class would be a kind of itself."""
    if item is None or item.parent is None:
        return
    if item.parent not in known:
        raise LabelsError(f"there is no class {item.parent!r}", parameter="parent", remedy="add it first")
    seen: set[str] = set()
    parent: str | None = item.parent
    while parent is not None and parent not in seen:
        if parent == item.name:
            raise LabelsError(
                f"class {item.name!r} would be a kind of itself",
                parameter="parent",
                remedy="choose a class that is not below it",
            )
        seen.add(parent)
        parent = known[parent].parent if parent in known else None


def _described(item: ObjectClass) -> Record:
    """Return a class as a record of the history holds it."""
    return {"name": item.name, "colour": item.own_colour, "parent": item.parent, "key": item.key}
