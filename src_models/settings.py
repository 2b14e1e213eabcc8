"""Settings as frozen dataclasses whose fields carry their meaning, range and unit.

The options of the command line and the forms of the dock are made from these fields. A settings class is a frozen
dataclass whose fields are made by `setting` and whose ``__post_init__`` calls `validate`.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from src_models.model_errors import NapariSamError, SettingsError

_KEY = "setting"


@dataclass(frozen=True)
class SettingInfo:
    """Description of a field for front ends.

    Attributes
    ----------
    help : str
        One phrase without a full stop, for the help of the command line and the tooltip of the dock.
    low, high : float or None
        Range, both ends included unless `above` or `below` is set.
    above, below : bool
        Exclude the lower or upper end of the range.
    choices : tuple
        Allowed values; empty for any value in the range.
    unit : str
        Unit of the value, such as "px" or "µm"; empty for none.
    label : str
        Name in a form; empty for the field's name, with spaces.
    option : str or None
        Name on the command line, with its dashes; None for the field's name.
    step : float or None
        Step of a spin box in a form.
    advanced : bool
        Hidden in a form until the user opens the advanced settings.
    """

    help: str = ""
    low: float | None = None
    high: float | None = None
    above: bool = False
    below: bool = False
    choices: tuple[Any, ...] = ()
    unit: str = ""
    label: str = ""
    option: str | None = None
    step: float | None = None
    advanced: bool = False

    def problem_of(self, value: Any) -> str | None:
        """Return the remedy for a value outside the range or the choices; None for an allowed value.

        >>> SettingInfo(low=0, high=1, above=True).problem_of(0)
        'give a number above 0 and up to 1'
        """
        if self.choices and value not in self.choices:
            return f"choose one of {', '.join(map(str, self.choices))}"
        if isinstance(value, bool) or not isinstance(value, Real):
            return None
        try:
            number = float(value)
        except OverflowError:  # a whole number beyond all floats
            number = math.inf
        low_ok = self.low is None or (number > self.low if self.above else number >= self.low)
        high_ok = self.high is None or (number < self.high if self.below else number <= self.high)
        if math.isfinite(number) and low_ok and high_ok:
            return None
        return f"give a {self._kind(value)}{self._range()}"

    def _kind(self, value: Any) -> str:
        whole = isinstance(value, Integral) and not isinstance(self.low, float)
        return "whole number" if whole and not self.above else "number"

    def _range(self) -> str:
        ends = []
        if self.low is not None:
            ends.append(f"{'above' if self.above else 'from'} {_plain(self.low)}")
        if self.high is not None:
            ends.append(f"{'below' if self.below else 'up to'} {_plain(self.high)}")
        text = " and ".join(ends)
        return f" {text}".replace(" and up to", " to") if text.startswith("from") else f" {text}".rstrip()


def _plain(number: float) -> str:
    """Write a number without an exponent if it is whole."""
    return str(int(number)) if math.isfinite(number) and number == int(number) else f"{number:g}"


def setting(default: Any = dataclasses.MISSING, help: str = "", **info: Any) -> Any:  # noqa: A002 - argparse's word
    """Make a field of a settings class.

    Parameters
    ----------
    default : object
        The field's default; a field without one is required.
    help : str
        Meaning, in one phrase.
    **info
        Other attributes of `SettingInfo`.
    """
    return dataclasses.field(default=default, metadata={_KEY: SettingInfo(help=help, **info)})


def setting_infos(kind: type[Any] | Any) -> dict[str, SettingInfo]:
    """Return the information of each field of a settings class, by field name and in order."""
    return {f.name: f.metadata.get(_KEY, SettingInfo()) for f in dataclasses.fields(kind)}


def field_types(kind: type[Any]) -> dict[str, tuple[tuple[type[Any], ...], bool]]:
    """Return the types that each field accepts, and whether it accepts None.

    >>> @dataclass(frozen=True)
    ... class Example:
    ...     side: "int | None" = None
    >>> field_types(Example)
    {'side': ((<class 'int'>,), True)}
    """
    hints = typing.get_type_hints(kind)
    accepted = {}
    for f in dataclasses.fields(kind):
        hint = hints[f.name]
        parts = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
        plain = tuple(typing.get_origin(p) or p for p in parts if p is not type(None))
        accepted[f.name] = (plain, type(None) in parts)
    return accepted


def validate(settings: Any, error: type[NapariSamError] = SettingsError) -> None:
    """Check every field of a settings object against its type and its `SettingInfo`.

    Parameters
    ----------
    settings : dataclass
        An instance of a settings class.
    error : type
        Error to raise.

    Raises
    ------
    NapariSamError
        Of the type `error`, with `parameter` and `remedy`, for the first value that is not allowed.
    """
    accepted = field_types(type(settings))
    for name, info in setting_infos(settings).items():
        value = getattr(settings, name)
        kinds, optional = accepted[name]
        if value is None and optional:
            continue
        remedy = info.problem_of(value) if _fits(value, kinds) else _wanted(kinds, info)
        if remedy is not None:
            raise error(f"{name} is {value!r}", parameter=name, remedy=remedy)


def _fits(value: Any, kinds: tuple[type[Any], ...]) -> bool:
    """Whether a value has one of the types; a whole number is accepted as a float, a truth value is not."""
    if isinstance(value, bool):
        return bool in kinds
    if int in kinds and isinstance(value, Integral):
        return True
    if float in kinds and isinstance(value, Real):
        return True
    return any(isinstance(value, kind) for kind in kinds if isinstance(kind, type) and kind not in (int, float, bool))


def _wanted(kinds: tuple[type[Any], ...], info: SettingInfo) -> str:
    if info.choices:
        return f"choose one of {', '.join(map(str, info.choices))}"
    names = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", tuple: "a tuple"}
    return "give " + " or ".join(names.get(k, k.__name__) for k in kinds) + info._range()
