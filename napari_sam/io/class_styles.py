"""Classes of objects as files of other programs hold them: name, colour, parent, key."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_sam.io.json_types import JsonObject

LONGEST_NAME = 500
"""Most characters of the name of a class."""
_UNSHOWN = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of surrogate pairs, line breaks
_SEPARATOR = ": "  # between the names of a class and of those above it, as QuPath writes them


@dataclass(frozen=True)
class ClassStyle:
    """A class of objects, independent of where it is kept.

    Attributes
    ----------
    name : str
        Name.
    colour : str or None
        "#rrggbb".
    parent : str or None
        Name of the class that it is a kind of.
    key : int or None
        Key of the keyboard, 1 to 9.
    """

    name: str
    colour: str | None = None
    parent: str | None = None
    key: int | None = None

    @property
    def rgb(self) -> list[int]:
        """Red, green and blue from 0 to 255; grey without a colour."""
        colour = self.colour or "#808080"
        return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]

    def as_json(self) -> JsonObject:
        """Return the attributes that it has, by name."""
        values = {"name": self.name, "colour": self.colour, "parent": self.parent, "key": self.key}
        return {name: value for name, value in values.items() if value is not None}


def style_of(name: object, colour: object = None, parent: object = None, key: object = None) -> ClassStyle | None:
    """Return a class from values of a file, without those that are invalid; None if the name is.

    Parameters
    ----------
    name, parent : object
        Names.
    colour : object
        "#rrggbb"; or red, green and blue from 0 to 255; or one number whose lowest 24 bits are those.
    key : object
        1 to 9.

    Examples
    --------
    >>> style_of("cell", [255, 0, 16]).colour, style_of("cell", -65536).colour, style_of("", "red")
    ('#ff0010', '#ff0000', None)
    """
    plain = cleaned_name(name)
    if not plain:
        return None
    above = cleaned_name(parent)
    number = key if isinstance(key, int) and not isinstance(key, bool) and 1 <= key <= 9 else None
    return ClassStyle(plain, _hexadecimal(colour), above if above != plain else None, number)


def styles_of_json(listed: object) -> list[ClassStyle]:
    """Return the classes of a list that `ClassStyle.as_json` wrote, without entries that are none."""
    entries = listed if isinstance(listed, list) else []
    found = [
        style_of(entry.get("name"), entry.get("colour"), entry.get("parent"), entry.get("key"))
        for entry in entries
        if isinstance(entry, dict)
    ]
    return [style for style in found if style is not None]


def cleaned_name(name: object) -> str | None:
    r"""Return the name of a class from a file, without what it cannot have; None if nothing is left.

    >>> cleaned_name(" red\ncells "), cleaned_name(7), cleaned_name(" "), cleaned_name(float("nan"))
    ('red cells', '7', None, None)
    """
    if name is None or isinstance(name, bool | dict | list) or name != name:
        return None
    shown = "".join(" " if unicodedata.category(letter) in _UNSHOWN else letter for letter in str(name))
    return shown.strip()[:LONGEST_NAME].strip() or None


def is_valid_name(name: str) -> bool:
    """Whether a name has only characters that a line of text can show."""
    return not any(unicodedata.category(letter) in _UNSHOWN for letter in name)


def path_in(hierarchy: Mapping[str, str | None], name: str) -> list[str]:
    """Return the names from the top of a hierarchy (parent by name) down to one; a circle ends the path.

    >>> path_in({"cell": None, "neuron": "cell"}, "neuron")
    ['cell', 'neuron']
    """
    path = [name]
    parent = hierarchy.get(name)
    while parent is not None and parent not in path:
        path.append(parent)
        parent = hierarchy.get(parent)
    return path[::-1]


def qualified_name(path: Iterable[str]) -> str:
    """Return a name that holds the names above it, as QuPath writes classes.

    >>> qualified_name(["Tumour", "Positive"]), qualified_name(["Tumour", "Tumour: Positive"])
    ('Tumour: Positive', 'Tumour: Positive')
    """
    qualified = ""
    for name in path:
        is_qualified = not qualified or name.startswith(qualified + _SEPARATOR)
        qualified = name if is_qualified else f"{qualified}{_SEPARATOR}{name}"
    return qualified


def qualified_styles(name: str, colour: object) -> list[ClassStyle]:
    """Return a class and those above it from a name of QuPath, the topmost first; only the class has the colour.

    >>> [(style.name, style.parent) for style in qualified_styles("Tumour: Positive", None)]
    [('Tumour', None), ('Tumour: Positive', 'Tumour')]
    """
    parts = name.split(_SEPARATOR)
    names = [_SEPARATOR.join(parts[: i + 1]) for i in range(len(parts))]
    above = [style_of(part, None, names[i - 1] if i else None) for i, part in enumerate(names)]
    found = [style for style in above if style is not None]
    return [*found[:-1], replace(found[-1], colour=_hexadecimal(colour))] if found else []


def joined_styles(styles: Iterable[ClassStyle]) -> tuple[ClassStyle, ...]:
    """Return classes once each, in order, with what any of several of one name knows."""
    joined: dict[str, ClassStyle] = {}
    for style in styles:
        known = joined.get(style.name)
        joined[style.name] = (
            style
            if known is None
            else ClassStyle(
                style.name, known.colour or style.colour, known.parent or style.parent, known.key or style.key
            )
        )
    return tuple(joined.values())


def _hexadecimal(colour: object) -> str | None:
    """Return a colour as "#rrggbb", or None if it is none."""
    if isinstance(colour, str):
        digits = colour.strip().lower().removeprefix("#")
        return f"#{digits}" if len(digits) == 6 and set(digits) <= set("0123456789abcdef") else None
    if isinstance(colour, int) and not isinstance(colour, bool):
        return f"#{colour & 0xFFFFFF:06x}"
    if isinstance(colour, list | tuple) and len(colour) >= 3:
        parts = colour[:3]
        if all(isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255 for part in parts):
            return "#" + "".join(f"{part:02x}" for part in parts)
    return None
