"""Coordinate reference systems as text: a code such as "EPSG:32632", or WKT for a system without a code.

Images, label stores and exports keep a CRS as text, so that it survives JSON; this module gives the text its meaning.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyproj import CRS

_CERTAIN = 100  # PROJ's confidence that a description is that of a code
_NAME_LENGTH = 60
_LONGEST = 100_000


def parse_crs(text: str) -> CRS:
    """Return the CRS that a text describes.

    Parameters
    ----------
    text : str
        Code, WKT of any version, PROJJSON or PROJ string.

    Raises
    ------
    ValueError
        If it describes none.
    """
    found = _lookup(text.strip())
    if isinstance(found, str):
        raise ValueError(found)
    return found


@lru_cache(maxsize=64)
def _lookup(text: str) -> CRS | str:
    """Return a CRS, or why there is none; a failed search takes PROJ seconds, so that it is remembered too."""
    if len(text) > _LONGEST or not re.search(r"[:\[{+]", text):  # not searched for by name
        return f"{text[:_NAME_LENGTH]!r} is no code, WKT, PROJJSON or PROJ string of a CRS"
    import pyproj  # noqa: PLC0415 - slow to import

    try:
        return pyproj.CRS.from_user_input(text)
    except (pyproj.exceptions.CRSError, RecursionError) as error:
        return str(error)


def known_crs(text: str | None) -> CRS | None:
    """Return the CRS that a text describes; None if it describes none.

    >>> known_crs("EPSG:32632").name, known_crs("My own grid")
    ('WGS 84 / UTM zone 32N', None)
    """
    try:
        return parse_crs(text) if text and text.strip() else None
    except ValueError:
        return None


def crs_text(crs: CRS) -> str:
    """Return a CRS as text: its horizontal part, as a code if it certainly has one, else as WKT.

    >>> crs_text(parse_crs("+proj=utm +zone=32 +datum=WGS84 +type=crs"))[:7]
    'PROJCRS'
    >>> crs_text(parse_crs("EPSG:4326+5773"))
    'EPSG:4326'
    """
    if crs.is_compound:
        return crs_text(crs.sub_crs_list[0])
    authority = None if crs.is_bound else crs.to_authority(min_confidence=_CERTAIN)
    return ":".join(authority) if authority else str(crs.to_wkt("WKT2_2019"))


def crs_name(text: str) -> str:
    """Return a short name of a CRS for messages: its code, or the name in its WKT.

    >>> crs_name("EPSG:32632"), crs_name("My own grid")
    ('EPSG:32632', 'My own grid')
    """
    if not re.search(r"[\[{+]", text):
        return text[:_NAME_LENGTH]
    crs = known_crs(text)
    return (str(crs.name) if crs is not None else text)[:_NAME_LENGTH]


def epsg_code(text: str | None) -> int | None:
    """Return the code of a CRS such as "EPSG:32632"; None if it has none.

    >>> epsg_code("epsg:32632")
    32632
    """
    match = re.fullmatch(r"(?i)epsg:(\d{1,9})", (text or "").strip())
    return int(match.group(1)) if match else None


def is_same_crs(first: str, second: str) -> bool:
    """Return whether two texts describe the same CRS, regardless of the order of its axes."""
    if first.strip().upper() == second.strip().upper():
        return True
    a, b = known_crs(first), known_crs(second)
    if a is None or b is None:  # a name, which exports write as a local system
        return crs_name(first) == crs_name(second)
    return bool(a.equals(b, ignore_axis_order=True))


def metres_per_unit(text: str | None) -> float | None:
    """Return the length of a map unit in metres; None for degrees and for an unknown CRS.

    >>> metres_per_unit("EPSG:32632"), metres_per_unit("EPSG:4326")
    (1.0, None)
    """
    crs = known_crs(text)
    if crs is None or crs.is_geographic or not crs.axis_info:
        return None
    axis = crs.axis_info[0]
    is_length = axis.direction.lower() not in ("up", "down") and axis.unit_conversion_factor > 0
    return float(axis.unit_conversion_factor) if is_length and not crs.is_geocentric else None


def well_known_text(text: str) -> str:
    """Return the WKT 1 of a CRS, WKT 2 if it has no WKT 1, and a local system with the name of an unknown CRS."""
    import pyproj  # noqa: PLC0415 - slow to import

    crs = known_crs(text)
    if crs is None:
        return "undefined" if epsg_code(text) is not None else f'LOCAL_CS["{text.replace(chr(34), chr(39))}"]'
    try:
        return str(crs.to_wkt("WKT1_GDAL") or crs.to_wkt())
    except pyproj.exceptions.CRSError:
        return str(crs.to_wkt())
