"""The items of the box "Write to"."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.layers import Labels


class LabelChoice(Enum):
    """Items of the box besides the labels layers."""

    OWN_STORE = "the label store of the image"
    MOVE_STORE = "move or rename the label store"
    OPEN_STORE = "open a label store"


def label_items(own_text: str, labels: Iterable[Labels], is_movable: bool) -> list[tuple[str, Labels | LabelChoice]]:
    """Return text and value of all items: the image's own store, labels layers, and what can be done with stores."""
    items: list[tuple[str, Labels | LabelChoice]] = [(own_text, LabelChoice.OWN_STORE)]
    items += [(layer.name, layer) for layer in labels]
    if is_movable:
        items.append(("move or rename this label store…", LabelChoice.MOVE_STORE))
    items.append(("open a label store…", LabelChoice.OPEN_STORE))
    return items
