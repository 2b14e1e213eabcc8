"""Classes of objects as typed rows of the journal."""

from __future__ import annotations

import colorsys
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.io.labels.journal.row_values import json_columns, optional_text, text, whole

if TYPE_CHECKING:
    ClassBeforeAfter = tuple["ObjectClass | None", "ObjectClass | None"]

CLASS_COLUMNS = ("name", "position", "colour", "parent", "key")
KEYS = range(1, 10)
"""Keys of the keyboard that can stand for a class."""
PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""Colours of the first classes, which people with colour vision deficiency can tell apart.

From Okabe & Ito, "Color Universal Design" (2008), without black.
"""

_COLOUR = re.compile(r"#[0-9a-f]{6}")
_GOLDEN_RATIO = 0.618033988749895  # steps of the hue that never come close to an earlier one


@dataclass(frozen=True)
class ObjectClass:
    """A class of objects: the kind that a user assigns to them.

    Attributes
    ----------
    name : str
        Name; the column ``category`` of objects holds it.
    position : int
        Position in the list of classes, from 1.
    own_colour : str or None
        Colour that the user chose, as "#rrggbb".
    parent : str or None
        Name of the class that it is a kind of.
    key : int or None
        Key of the keyboard that assigns it, from 1 to 9.
    """

    name: str
    position: int
    own_colour: str | None = None
    parent: str | None = None
    key: int | None = None

    @property
    def colour(self) -> str:
        """Colour as "#rrggbb": the one chosen, or the default one of its position."""
        return self.own_colour or default_colour(self.position)

    @classmethod
    def from_columns(cls, *values: object) -> ObjectClass:
        """Read the values of `CLASS_COLUMNS`.

        Raises
        ------
        ValueError
            If a value has the wrong type.
        """
        name, position, colour, parent, key = values
        own_colour, number = optional_text(colour), None if key is None else whole(key)
        if own_colour is not None and not _COLOUR.fullmatch(own_colour):
            raise ValueError(f"colour {colour!r}")
        if (number is not None and number not in KEYS) or whole(position) < 1:
            raise ValueError(f"class {name!r} with position {position!r} and key {key!r}")
        return cls(text(name), whole(position), own_colour, optional_text(parent), number)

    @classmethod
    def from_json(cls, content: object) -> ObjectClass | None:
        """Read what `to_json` wrote; None stands for no class.

        Raises
        ------
        ValueError
            If the text is damaged.
        """
        return None if content is None else cls.from_columns(*json_columns(content, len(CLASS_COLUMNS), "a class"))

    def columns(self) -> tuple[object, ...]:
        """Return the values of `CLASS_COLUMNS`."""
        return (self.name, self.position, self.own_colour, self.parent, self.key)

    def to_json(self) -> str:
        """Return the columns as JSON, as the journal keeps them before and after a change."""
        return json.dumps(self.columns())


def class_pair(name: object, before: object, after: object) -> ClassBeforeAfter:
    """Read the columns of ``class_rows``: a class before and after a change.

    Raises
    ------
    ValueError
        If a value is damaged, or belongs to another class.
    """
    pair = (ObjectClass.from_json(before), ObjectClass.from_json(after))
    if {item.name for item in pair if item is not None} != {name}:
        raise ValueError(f"class {name!r}")
    return pair


def default_colour(position: int) -> str:
    """Return the colour of a class whose user chose none, by its position from 1.

    >>> default_colour(1), default_colour(8)
    ('#e69f00', '#d94c7b')
    """
    if position <= len(PALETTE):
        return PALETTE[position - 1]
    value = 0.85 if position % 2 == 0 else 0.6
    red, green, blue = colorsys.hsv_to_rgb(position * _GOLDEN_RATIO % 1.0, 0.65, value)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
