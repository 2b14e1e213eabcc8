"""Declare a command once: its name, help, options, handler, and its names for the library's arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import argparse

    from napari_sam.errors import NapariSamError

_WORDS = {
    "LabelStore.create": "'napari-sam everything'",
    "LabelStore.open": "--add",
    "LabelStore.table": "'napari-sam export LABELS - --format csv'",
    "napari_sam.segment_everything": "'napari-sam everything'",
    "napari_sam.segment_volume": "'napari-sam everything --volume'",
    "napari_sam.track": "'napari-sam track'",
} | {f"existing={word}": f"--{word}" for word in ("resume", "add", "overwrite", "discard")}
Result: TypeAlias = Mapping[str, object] | None
Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def no_options(parser: argparse.ArgumentParser) -> None:
    """Add nothing."""


@dataclass(frozen=True)
class Command:
    """A command of ``napari-sam``.

    Attributes
    ----------
    name : str
        Its word on the command line.
    summary : str
        One imperative phrase, without a full stop.
    run : callable
        Takes the parsed arguments and returns what to print: a mapping, or None if it has printed its result itself.
    add_options : callable
        Adds options to the command's parser.
    details : str
        Further sentences for the command's own help.
    aliases : tuple of str
        Other words for it.
    words : mapping of str to str
        What the command calls an argument of the library, ``"name"`` or ``"name=value"``, where the option's name
        does not follow from the argument's.
    """

    name: str
    summary: str
    run: Callable[[argparse.Namespace], Result]
    add_options: Callable[[argparse.ArgumentParser], None] = no_options
    details: str = ""
    aliases: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)

    def add_to(self, commands: Subparsers) -> None:
        """Add the command to a parser's commands."""
        parser = commands.add_parser(
            self.name,
            help=self.summary,
            description=_sentences(self.summary, self.details),
            aliases=list(self.aliases),
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        self.add_options(parser)
        parser.set_defaults(run=self.run, words={**_WORDS, **option_names(parser), **self.words})


@dataclass(frozen=True)
class CommandGroup:
    """A command that consists of commands, such as ``models``.

    Attributes
    ----------
    name, summary : str
        As in `Command`.
    commands : tuple of Command or CommandGroup
        Its commands, in the order of the help.
    metavar : str
        Placeholder for the command's word.
    dest : str
        Name of the parsed word.
    """

    name: str
    summary: str
    commands: tuple[Command | CommandGroup, ...]
    metavar: str = "ACTION"
    dest: str = "action"

    def add_to(self, commands: Subparsers) -> None:
        """Add the group and its commands to a parser's commands."""
        parser = commands.add_parser(self.name, help=self.summary, description=_sentences(self.summary))
        children = parser.add_subparsers(dest=self.dest, required=True, metavar=self.metavar)
        for command in self.commands:
            command.add_to(children)


def option_names(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Return the option, such as ``--skip-bad``, of each argument of a command, such as ``skip_bad``."""
    return {action.dest: action.option_strings[0] for action in parser._actions if action.option_strings}


def command_words(error: NapariSamError, words: Mapping[str, str]) -> str:
    """Return an error's message on one line, with the options of a command in place of the library's arguments.

    >>> from napari_sam.errors import SettingsError
    >>> error = SettingsError("level is 99", parameter="level", remedy="give less, or continue with {resume=True}")
    >>> command_words(error, {"level": "--level", "resume": "--resume"})
    '--level is 99; give less, or continue with --resume'
    """

    def word(argument: str) -> str:
        name, _, value = argument.partition("=")
        if argument in words:
            return words[argument]
        if name not in words or value == "False":  # a flag cannot be given as False
            return argument
        return words[name] if value in ("", "True") else f"{words[name]} {value}"

    return " ".join(error.worded(word).split())


def _sentences(summary: str, details: str = "") -> str:
    return f"{summary[:1].upper()}{summary[1:]}. {details}".strip()
