"""Read a phrase such as "nuclei larger than 50 µm touching the border": what it names, and its conditions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.errors import PromptError
from napari_sam.io.geo.units import normal_unit, unit_size
from napari_sam.text.text_filter import AREA, DIAMETER, BorderFilter, PixelSize, SizeFilter, expression_of

if TYPE_CHECKING:
    from napari_sam.text.text_filter import TextFilter

LONGEST_TEXT = 1000
"""Largest number of characters of a phrase."""

_NUMBER = r"\d+(?:[.,]\d+)?(?:e[+-]?\d+)?"
_SQUARE = r"(?:square|sq\.?)\s+"
_UNIT = r"[a-zµμåÅ]+"
_SIZE = (
    rf"(?P<{{0}}>{_NUMBER})\s*"
    rf"(?:(?P<{{0}}_square>{_SQUARE})?(?P<{{0}}_unit>{_UNIT})(?P<{{0}}_power>\s*(?:²|\^\s*2|2))?)?"
)
_QUANTITY = (
    r"(?<!\w)(?:(?:with|of|having|whose)\s+)?(?:an?\s+|the\s+)?"
    r"(?:(?P<quantity>area|surface|diameter|size)\s+(?:is\s+|are\s+|of\s+)?)?"
)
_THAT = r"(?<!\w)(?:(?:that|which|and|but|who)\s+)*(?:(?:is|are|has|have)\s+)?(?P<no>not\s+|no\s+)?"
_OPERATORS = (
    (">=", r"at\s+least|>=|≥|no\s+(?:smaller|less)\s+than|minimum"),
    ("<=", r"at\s+most|<=|≤|no\s+(?:larger|bigger|more|greater)\s+than|up\s+to|maximum"),
    (">", r"(?:larger|bigger|greater|wider|more|longer)\s+than|>|over|above|exceeding"),
    ("<", r"(?:smaller|less|narrower|shorter)\s+than|<|under|below"),
)
_NEGATED = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}
_COMPARISON = re.compile(
    _THAT + _QUANTITY + "(?:" + "|".join(f"(?P<op{i}>{words})" for i, (_, words) in enumerate(_OPERATORS)) + r")\s*"
    r"(?:an?\s+(?P<quantity_after>area|diameter|size)\s+of\s+)?" + _SIZE.format("value") + r"(?![\w²^])"
)
_RANGE = re.compile(
    _THAT
    + _QUANTITY
    + r"(?:between|from)\s+"
    + _SIZE.format("low")
    + r"\s*(?:and|to|-|–)\s*"
    + _SIZE.format("high")
    + r"(?![\w²^])"
)
_EDGE = r"(?:the\s+)?(?:image(?:'s)?\s+)?(?:border|edge|boundary|margin|frame)s?(?:\s+of\s+the\s+image)?"
_TOUCHING = re.compile(
    r"(?:(?:that|which|and|but)\s+)*(?:(?:is|are|do|does)\s+)?(?P<no>(?:not|don't|doesn't|without)\s+)?"
    rf"(?:touch(?:es|ing)?|cut\s+by|at|on|crossing)\s+{_EDGE}\b"
)
_AWAY = re.compile(
    rf"(?:(?:that|which|and|but)\s+)*(?:(?:is|are)\s+)?(?:away\s+from|off|clear\s+of|inside)\s+{_EDGE}\b"
)
_FILLERS = frozenset(
    "a all an and any are but each every find get give have in is list mark me of out please segment select show that "
    "the these this those which with".split()
)
_ANYTHING = frozenset(("object", "objects", "thing", "things", "everything", "anything", "instances"))


@dataclass(frozen=True)
class TextQuery:
    """What a phrase asks for.

    Attributes
    ----------
    text : str
        The phrase, as given.
    words : str
        What to find, in lower case and without the conditions, such as "nuclei"; empty for objects of any kind.
    filters : tuple of TextFilter
        The conditions.

    Examples
    --------
    >>> query = parse_text("all nuclei larger than 50 µm and not touching the border")
    >>> query.words
    'nuclei'
    >>> query.where(PixelSize("nanometer", 100.0))
    'equivalent_diameter_nm > 50000 and not touches_border'
    """

    text: str
    words: str
    filters: tuple[TextFilter, ...] = ()

    def where(self, pixel: PixelSize) -> str | None:
        """Return the conditions as a filter expression of `LabelStore.select`; None without any.

        Raises
        ------
        PromptError
            If a size is in a unit that the pixels of the image cannot be compared with.
        """
        return expression_of(self.filters, pixel)


def parse_text(text: str) -> TextQuery:
    """Read a phrase.

    Parameters
    ----------
    text : str
        What to find, optionally with conditions: "larger than 50 µm" (the diameter of a disk of the same area), "area
        over 20 um²", "between 5 and 10 px", "touching the border", "not touching the border".

    Returns
    -------
    TextQuery

    Raises
    ------
    PromptError
        If it is empty, too long or no text, or a number has no unit or an unknown one.
    """
    if not isinstance(text, str) or not text.strip():
        raise PromptError(
            f"text is {text!r}",
            parameter="text",
            remedy="give words such as 'nuclei larger than 10 µm', or leave it out",
        )
    if len(text) > LONGEST_TEXT:
        raise PromptError(f"text has {len(text)} characters", parameter="text", remedy=f"give at most {LONGEST_TEXT}")
    rest, filters = " ".join(text.lower().split()), []
    while found := _first(rest):
        match, conditions = found
        filters += conditions
        rest = f"{rest[: match.start()]} {rest[match.end() :]}"
    words = [word for word in re.sub(r"[.,;:!?]+(?=\s|$)", " ", rest).split() if word not in _FILLERS]
    if len(words) == 1 and words[0] in _ANYTHING:
        words = []
    if not words and not filters and not set(rest.split()) & _ANYTHING:
        raise PromptError(f"text {text!r} names nothing", parameter="text", remedy="give words such as 'nuclei'")
    return TextQuery(text, " ".join(words), tuple(filters))


def _first(text: str) -> tuple[re.Match[str], list[TextFilter]] | None:
    """Return the first condition of a text and where it stands; None without any."""
    candidates: list[tuple[re.Match[str], list[TextFilter]]] = []
    if found := _RANGE.search(text):
        candidates.append((found, _range(found)))
    if found := _COMPARISON.search(text):
        candidates.append((found, [_comparison(found)]))
    if found := _AWAY.search(text):
        candidates.append((found, [BorderFilter(False)]))
    if found := _TOUCHING.search(text):
        candidates.append((found, [BorderFilter(found["no"] is None)]))
    return min(candidates, key=lambda c: c[0].start(), default=None)


def _comparison(found: re.Match[str]) -> SizeFilter:
    operator = next(op for i, (op, _) in enumerate(_OPERATORS) if found[f"op{i}"])
    operator = operator if found["no"] is None else _NEGATED[operator]
    value, unit, square = _size(found, "value")
    quantity = _quantity(found["quantity"] or found["quantity_after"], square, found[0])
    return SizeFilter(quantity, operator, value, unit)


def _range(found: re.Match[str]) -> list[TextFilter]:
    high, unit, square = _size(found, "high")
    low, low_unit, low_square = (
        _size(found, "low", unit) if found["low_unit"] else (_number(found["low"]), unit, square)
    )
    quantity = _quantity(found["quantity"], square, found[0])
    if square != low_square or found["no"] is not None:
        raise PromptError(
            f"text: {found[0].strip()!r} cannot be read", parameter="text", remedy="write 'between 5 and 10 µm'"
        )
    return [SizeFilter(quantity, ">=", low, low_unit), SizeFilter(quantity, "<=", high, unit)]


def _quantity(named: str | None, square: bool, phrase: str) -> str:
    """Return what is compared: a size in a square unit is an area, another one a diameter."""
    if named in ("area", "surface") or (square and named != "diameter"):
        return AREA
    if square:
        raise PromptError(
            f"text: {phrase.strip()!r} compares a diameter with an area", parameter="text", remedy="give it in µm or px"
        )
    return DIAMETER


def _size(found: re.Match[str], name: str, default: str | None = None) -> tuple[float, str | None, bool]:
    """Return a number, its unit (None for pixels) and whether the unit is a square one.

    Raises
    ------
    PromptError
        If it has no unit, or an unknown one.
    """
    number, spelled = found[name], found[f"{name}_unit"]
    square = bool(found[f"{name}_square"] or found[f"{name}_power"])
    if spelled is None:
        raise PromptError(f"text: {number} has no unit", parameter="text", remedy=f"write {number} µm or {number} px")
    if spelled in ("ha", "hectare", "hectares"):
        return _number(number) * 10_000, "meter", True
    unit = normal_unit(spelled)
    if unit is not None and (unit_size(unit) is None or unit.endswith(("second", "minute", "hour", "day"))):
        raise PromptError(
            f"text: {spelled!r} is not a unit of length", parameter="text", remedy="use nm, µm, mm, m, km, ha or px"
        )
    return _number(number), unit, square


def _number(text: str) -> float:
    """Return a number; a comma is accepted where it can only be a decimal sign.

    Raises
    ------
    PromptError
        If a comma can also separate thousands.
    """
    if re.fullmatch(r"[1-9]\d{0,2},\d{3}", text):
        raise PromptError(
            f"text: {text} can be read in two ways",
            parameter="text",
            remedy=f"write {text.replace(',', '')} or {text.replace(',', '.')}",
        )
    return float(text.replace(",", "."))
