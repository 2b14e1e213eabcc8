"""Classes of a file that a store does not have yet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam.io.class_styles import joined_styles, path_in
from napari_sam.io.labels.journal.class_rows import ObjectClass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_sam.io.class_styles import ClassStyle
    from napari_sam.io.labels.journal.class_rows import ClassBeforeAfter
    from napari_sam.io.labels.journal.journal import Journal


def new_class_pairs(journal: Journal, styles: Iterable[ClassStyle]) -> list[ClassBeforeAfter]:
    """Return what a change does to the classes of a store so that it has these, for `Change.classes`.

    Classes that the store has stay as they are. Parents that neither knows, circles, and keys that are taken are left
    out.

    Parameters
    ----------
    journal : Journal
        The classes of the store.
    styles : iterable of ClassStyle
        The classes of the file.
    """
    known = {item.name: item for item in journal.classes.all()}
    new = [style for style in joined_styles(styles) if style.name not in known]
    if not new:
        return []
    hierarchy = {name: item.parent for name, item in known.items()} | {style.name: style.parent for style in new}
    keys = {item.key for item in known.values()}
    pairs: list[ClassBeforeAfter] = []
    for position, style in enumerate(new, start=journal.classes.next_position()):
        parent = style.parent if style.parent in hierarchy else None
        if parent is not None and style.name in path_in({**hierarchy, style.name: None}, parent):
            parent = hierarchy[style.name] = None
        item = ObjectClass(style.name, position, style.colour, parent, style.key)
        if item.key in keys:
            item = replace(item, key=None)
        keys.add(item.key)
        pairs.append((None, item))
    return pairs
