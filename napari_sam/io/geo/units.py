"""Units of pixel sizes: the many spellings of files, the names of NGFF, and their size."""

from __future__ import annotations

import html
import re
from functools import lru_cache

_PREFIXES = {  # symbol: (name, factor)
    "y": ("yocto", 1e-24),
    "z": ("zepto", 1e-21),
    "a": ("atto", 1e-18),
    "f": ("femto", 1e-15),
    "p": ("pico", 1e-12),
    "n": ("nano", 1e-9),
    "u": ("micro", 1e-6),
    "m": ("milli", 1e-3),
    "c": ("centi", 1e-2),
    "d": ("deci", 1e-1),
    "": ("", 1.0),
    "h": ("hecto", 1e2),
    "k": ("kilo", 1e3),
    "M": ("mega", 1e6),
    "G": ("giga", 1e9),
    "T": ("tera", 1e12),
    "P": ("peta", 1e15),
    "E": ("exa", 1e18),
    "Z": ("zetta", 1e21),
    "Y": ("yotta", 1e24),
}
_SI = {prefix + base: factor for prefix, factor in _PREFIXES.values() for base in ("meter", "second")}
_OTHER = {
    "angstrom": 1e-10,
    "inch": 0.0254,
    "foot": 0.3048,
    "yard": 0.9144,
    "mile": 1609.344,
    "parsec": 3.0856775814913673e16,
    "minute": 60.0,
    "hour": 3600.0,
    "day": 86400.0,
}
_SIZES = _SI | _OTHER  # in metres or seconds, by NGFF's name
_TIMES = {name for name in _SIZES if name.endswith("second")} | {"minute", "hour", "day"}
_SYMBOLS = {
    symbol + base[0]: prefix + base for symbol, (prefix, _) in _PREFIXES.items() for base in ("meter", "second")
}
_SPELLINGS = {
    "micron": "micrometer",
    "micro": "micrometer",
    "metre": "meter",
    "sec": "second",
    "msec": "millisecond",
    "usec": "microsecond",
    "nsec": "nanosecond",
    "min": "minute",
    "hr": "hour",
    "h": "hour",
    "d": "day",
    '"': "inch",
    "in": "inch",
    "inche": "inch",  # inches without its s
    "ft": "foot",
    "feet": "foot",
    "yd": "yard",
    "mi": "mile",
    "pc": "parsec",
    "å": "angstrom",
    "ångström": "angstrom",
}
_NO_UNIT = {"", "pixel", "px", "pix", "none", "null", "unit", "voxel", "reference frame", "dimensionless", "world"}
_MICRO_SIGNS = re.compile("\\\\u00b5|\\\\u03bc|Â[µμ]|Î¼|[µμ]", re.IGNORECASE)  # both letters, escaped or misread
_PER_PIXEL = re.compile(r"\s*(/|per)\s*(pixel|px|pix|voxel)s?$", re.IGNORECASE)


@lru_cache(maxsize=256)
def normal_unit(text: str | None) -> str | None:
    """Return the name that NGFF has for a unit of length or time.

    Parameters
    ----------
    text : str or None
        The unit as a file spells it.

    Returns
    -------
    str or None
        NGFF's name, such as "micrometer"; the text itself if it is another unit; None without a unit.

    Examples
    --------
    >>> [normal_unit(text) for text in ("µm", "μm", "um", "microns", "&#181;m", "Micrometre", "pixel")]
    ['micrometer', 'micrometer', 'micrometer', 'micrometer', 'micrometer', 'micrometer', None]
    """
    plain = _PER_PIXEL.sub("", _MICRO_SIGNS.sub("u", html.unescape(text or "")).strip("\0 \t\r\n"))
    if plain in _SYMBOLS:
        return _SYMBOLS[plain]
    lowered = plain.lower()
    word = lowered.removesuffix("s") if len(lowered) > 2 else lowered
    if lowered in _NO_UNIT or word in _NO_UNIT:
        return None
    word = re.sub(r"metre$", "meter", word)
    for candidate in (_SPELLINGS.get(lowered), _SPELLINGS.get(word), word, lowered):
        if candidate in _SIZES:
            return candidate
    return _SYMBOLS.get(lowered) or plain


def unit_size(unit: str | None) -> float | None:
    """Return the size of a unit in metres or seconds; None if it is unknown.

    >>> unit_size("nanometer")
    1e-09
    """
    return None if unit is None else _SIZES.get(unit)


def unit_kind(unit: str) -> str | None:
    """Return NGFF's type of axes with a unit, "space" or "time"; None for a unit that NGFF does not know.

    >>> unit_kind("micrometer"), unit_kind("minute"), unit_kind("furlong")
    ('space', 'time', None)
    """
    return None if unit not in _SIZES else "time" if unit in _TIMES else "space"


def conversion(source: str | None, target: str | None) -> float | None:
    """Return the factor from one unit to another; None if they cannot be compared.

    >>> conversion("nanometer", "micrometer")
    0.001
    """
    if source == target:
        return 1.0
    a, b = unit_size(source), unit_size(target)
    if a is None or b is None or (source in _TIMES) != (target in _TIMES):
        return None
    return float(f"{a / b:.12g}")  # 1e-9 / 1e-6 is not exactly 0.001


def unit_suffix(unit: str) -> str:
    """Return a unit as the end of a column's name.

    >>> unit_suffix("micrometer"), unit_suffix("inch"), unit_suffix("my unit²")
    ('um', 'in', 'my_unit')
    """
    symbol = next((s for s, name in _SYMBOLS.items() if name == unit), None)
    symbol = symbol or {"inch": "in", "foot": "ft"}.get(unit)
    return symbol or re.sub(r"\W+", "_", unit, flags=re.ASCII).strip("_") or "world"
