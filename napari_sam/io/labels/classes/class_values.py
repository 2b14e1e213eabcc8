"""Checks of the names, colours and keys of classes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_sam.errors import LabelsError
from napari_sam.io.class_styles import LONGEST_NAME, is_valid_name
from napari_sam.io.labels.journal.class_rows import KEYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    Colour = str | Sequence[float]

_HEX = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


def checked_name(name: object, parameter: str = "name") -> str:
    r"""Return the name of a class without spaces around it; quotes, slashes and emoji may stand in it.

    Raises
    ------
    LabelsError
        If it is no text, empty, too long, or has characters that no file can hold or no line can show.

    Examples
    --------
    >>> checked_name(" it's a/b \U0001F52C ") == "it's a/b \U0001F52C"
    True
    """
    if not isinstance(name, str):
        raise LabelsError(f"{name!r} is no name of a class", parameter=parameter, remedy="give text")
    plain = name.strip()
    if not plain:
        raise LabelsError(
            "the name of a class is empty", parameter=parameter, remedy="give a name; None stands for no class"
        )
    if len(plain) > LONGEST_NAME:
        raise LabelsError(
            f"the name of a class has {len(plain)} characters",
            parameter=parameter,
            remedy=f"give at most {LONGEST_NAME}",
        )
    if not is_valid_name(plain):
        raise LabelsError(
            f"the name of a class, {plain!r}, has control characters or line breaks",
            parameter=parameter,
            remedy="leave them out",
        )
    return plain


def optional_name(name: str | None, parameter: str = "category") -> str | None:
    """Return a name as `checked_name`, or None for no class."""
    return None if name is None else checked_name(name, parameter)


def checked_colour(colour: Colour) -> str:
    """Return a colour as "#rrggbb".

    Parameters
    ----------
    colour : str or sequence of float
        "#rgb" or "#rrggbb"; or red, green and blue, as whole numbers up to 255 or as fractions up to 1.

    Raises
    ------
    LabelsError
        If it is something else.

    Examples
    --------
    >>> checked_colour("#F80"), checked_colour((255, 136, 0)), checked_colour((1.0, 0.5, 0.0))
    ('#ff8800', '#ff8800', '#ff8000')
    """
    if isinstance(colour, str):
        match = _HEX.fullmatch(colour.strip())
        if match:
            digits = match[1].lower()
            return "#" + (digits if len(digits) == 6 else "".join(2 * digit for digit in digits))
    else:
        parts = list(colour)[:4]
        whole = all(isinstance(part, int) or (float(part).is_integer() and float(part) > 1) for part in parts)
        values = [float(part) if whole else 255 * float(part) for part in parts[:3]]
        if len(parts) in (3, 4) and all(0 <= value <= 255 for value in values):
            return "#" + "".join(f"{round(value):02x}" for value in values)
    raise LabelsError(
        f"colour {colour!r}",
        parameter="colour",
        remedy="give '#rrggbb', or red, green and blue from 0 to 255 or from 0.0 to 1.0",
    )


def checked_key(key: int) -> int:
    """Return a key of the keyboard.

    Raises
    ------
    LabelsError
        If it is not one of the keys 1 to 9.
    """
    if isinstance(key, bool) or key not in KEYS:
        raise LabelsError(f"key {key!r}", parameter="key", remedy="give a whole number from 1 to 9, or None")
    return int(key)
