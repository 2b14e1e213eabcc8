"""Read training configurations from TOML files, and find those that come with the package."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from src_models.model_errors import TrainingError
from src_models.settings import field_types

_RECIPES = Path(__file__).with_name("recipes")

Settings = TypeVar("Settings")


def recipe_names(pretraining: bool = False) -> tuple[str, ...]:
    """Return the names of the configurations that come with the package, for training or for pre-training."""
    return tuple(sorted(p.stem for p in _RECIPES.glob("*.toml") if p.stem.startswith("pretrain") == pretraining))


def find_config(name: Path, pretraining: bool = False) -> Path:
    """Find a configuration file by its path, or by the name of a recipe that comes with the package.

    Raises
    ------
    TrainingError
        If it is neither, or a recipe for the other kind of run.
    """
    if name.exists() or name.suffix:
        return name
    if str(name) in recipe_names(not pretraining):
        command = "train" if pretraining else "pretrain"
        raise TrainingError(f"{name} is a recipe for another command", remedy=f"use 'napari-sam {command}'")
    if str(name) not in recipe_names(pretraining):
        known = ", ".join(recipe_names(pretraining))
        raise TrainingError(f"{name}: no such file, and no recipe of that name", remedy=f"choose one of {known}")
    return _RECIPES / f"{name}.toml"


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises
    ------
    TrainingError
        If it cannot be read.
    """
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: no such file", remedy="check the path") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"{path} cannot be read as TOML: {error}", remedy="correct the file") from error


def from_table(kind: type[Settings], table: dict[str, Any], path: Path) -> Settings:
    """Make a settings object from a TOML table.

    Parameters
    ----------
    kind : type
        The settings class, a dataclass.
    table : dict of str to Any
        The table; lists become tuples.
    path : Path
        Names the file in error messages.

    Raises
    ------
    TrainingError
        If the table has an unknown key, lacks a required key, or a value has the wrong type or range.
    """
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(table) - set(fields)):
        close = difflib.get_close_matches(unknown[0], fields, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"known keys are {', '.join(sorted(fields))}"
        raise TrainingError(f"{path}: unknown key {unknown[0]!r}", parameter=unknown[0], remedy=remedy)
    lists = {name for name, (kinds, _) in field_types(kind).items() if tuple in kinds}
    for name in lists & set(table):
        if not isinstance(table[name], list):
            raise TrainingError(f"{path}: {name} is {table[name]!r}", parameter=name, remedy="give a list")
    missing = [name for name, f in fields.items() if name not in table and f.default is dataclasses.MISSING]
    if missing:
        raise TrainingError(f"{path}: {missing[0]!r} is missing", parameter=missing[0], remedy="add it to the table")
    try:
        return kind(**{name: tuple(value) if name in lists else value for name, value in table.items()})
    except TrainingError as error:
        raise TrainingError(f"{path}: {error.message}", parameter=error.parameter, remedy=error.remedy) from error
