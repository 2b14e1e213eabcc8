"""Command-line options made from the fields of a settings class, and settings made from parsed options."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from src_models.settings import SettingInfo, field_types, setting_infos

if TYPE_CHECKING:
    import argparse

Settings = TypeVar("Settings")
_TYPES: tuple[type, ...] = (int, float, str, Path)  # that argparse converts by calling the type
_METAVARS = {int: "N", float: "V", str: "NAME", Path: "PATH"}


class OptionParser(Protocol):
    """A parser or one of its groups."""

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """Add an option."""


@dataclass(frozen=True)
class SettingOption:
    """How an option differs from what its field says.

    Attributes
    ----------
    option : str, optional
        Name, with its dashes.
    convert : callable, optional
        Converts the text; replaces type and choices of the field.
    metavar : str, optional
        Placeholder of the value.
    help : str, optional
        Phrase for the help, without the default.
    default : str, optional
        Default as the help names it.
    """

    option: str | None = None
    convert: Callable[[str], object] | None = None
    metavar: str | None = None
    help: str | None = None
    default: str | None = None


def add_settings(
    parser: OptionParser,
    kind: type[Any],
    fields: Mapping[str, SettingOption] | tuple[str, ...] | None = None,
    *,
    defaults: bool = False,
) -> None:
    """Add an option for each field of a settings class.

    The option's name, type, choices, placeholder and help follow from the field. A truth value becomes a flag:
    ``--name``, or ``--no-name`` where the default is True.

    Parameters
    ----------
    parser : argparse.ArgumentParser or group
        The options go here.
    kind : type
        A frozen dataclass, see `src_models.settings`.
    fields : mapping or tuple, optional
        Fields to add, in this order, with what differs from the field; all fields by default.
    defaults : bool
        Give options the field's default. Otherwise an omitted option is None, and `settings_from` leaves the field
        alone.
    """
    infos, types = setting_infos(kind), field_types(kind)
    defaults_of = {f.name: f.default for f in dataclasses.fields(kind)}
    chosen = fields if isinstance(fields, Mapping) else dict.fromkeys(fields or infos, SettingOption())
    for name, given in chosen.items():
        info, default = infos[name], defaults_of[name]
        option = given.option or info.option or f"--{name.replace('_', '-')}"
        if bool in types[name][0]:
            flag = option if default is False or option.startswith("--no-") else f"--no-{option[2:]}"
            dest = f"no_{name}" if flag.startswith("--no-") else name
            parser.add_argument(flag, action="store_true", dest=dest, help=given.help or info.help)
            continue
        parser.add_argument(
            option,
            dest=name,
            default=default if defaults else None,
            help=_help(given, info, default),
            **_value_settings(given, info, types[name][0]),
        )


def given_settings(args: argparse.Namespace, kind: type[Any]) -> dict[str, Any]:
    """Return the fields of a settings class that the command line gives, by name."""
    given = {}
    for f in dataclasses.fields(kind):
        value = getattr(args, f.name, None)
        if value is not None and value is not False:  # a flag that is left out is False
            given[f.name] = value
        elif getattr(args, f"no_{f.name}", False):
            given[f.name] = False
    return given


def settings_from(args: argparse.Namespace, kind: type[Settings], **others: Any) -> Settings:
    """Make settings from parsed options.

    Parameters
    ----------
    args : argparse.Namespace
        Parsed by a parser that `add_settings` has prepared.
    kind : type
        The settings class.
    **others
        Fields that have no option.

    Raises
    ------
    SettingsError
        If a value is not allowed.
    """
    return kind(**{**given_settings(args, kind), **others})


def _value_settings(given: SettingOption, info: SettingInfo, types: tuple[type[Any], ...]) -> dict[str, Any]:
    """Return the choices of an option, or its type and placeholder."""
    if info.choices and given.convert is None:
        return {"choices": info.choices}
    plain = next((t for t in _TYPES if t in types), str)
    metavar = given.metavar or ("PX" if info.unit == "px" else _METAVARS[plain])
    return {"type": given.convert or (None if plain is str else plain), "metavar": metavar}


def _help(given: SettingOption, info: SettingInfo, default: object) -> str:
    """Return the help phrase with the default in brackets."""
    text = given.help or info.help
    words = given.default
    if words is None and default is not None and default is not dataclasses.MISSING:
        words = str(default)
    return f"{text} (default: {words})" if words else text
