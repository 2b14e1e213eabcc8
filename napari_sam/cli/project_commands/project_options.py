"""Options that the commands of projects share, and the project that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.errors import SettingsError

if TYPE_CHECKING:
    import argparse

    from napari_sam.project.project import Project

STATES = ("unseen", "in work", "done", "checked")


def add_folder(command: argparse.ArgumentParser) -> None:
    """Add the folder of the project, and ``--user``."""
    command.add_argument("project", type=Path, metavar="PROJECT", help="folder of the project")
    command.add_argument("--user", metavar="NAME", help="name under which changes are noted (default: yours)")


def add_groups(command: argparse.ArgumentParser, text: str) -> None:
    """Add ``--group``."""
    command.add_argument("--group", action="append", default=[], metavar="COLUMN=VALUE", help=text)


def add_image_choice(command: argparse.ArgumentParser, states: str) -> None:
    """Add ``--state`` and ``--group``, which choose images; `states` names those that are chosen by default."""
    command.add_argument("--state", action="append", choices=STATES, help=f"images in these states (default: {states})")
    add_groups(command, "only images with this value; may be repeated")


def given_groups(args: argparse.Namespace) -> dict[str, str]:
    """Return the columns that were given as COLUMN=VALUE."""
    groups = {}
    for text in args.group:
        name, separator, value = text.partition("=")
        if not (name and separator):
            raise SettingsError(
                f"group is {text!r}", parameter="group", remedy="give COLUMN=VALUE, such as condition=treated"
            )
        groups[name] = value
    return groups


def open_project(args: argparse.Namespace, client: object = None) -> Project:
    """Open the project that a command names, with a client of the cluster that trains its models, if any."""
    from napari_sam.project.project import Project  # noqa: PLC0415 - the command line starts quickly

    return Project(args.project, args.user, client)
