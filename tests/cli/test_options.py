"""Every command's options: those of version 0.1, which scripts rely on, stored in ``options.json``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

STORED = json.loads((Path(__file__).parent / "options.json").read_text())
SAMPLES = ("3", "-1.5", "1,2", "1,2,3,4", "word")


def converted(convert, text):
    """Return what an option makes of a text, or "refused"."""
    try:
        return repr(convert(text) if convert else text)
    except (ValueError, TypeError, argparse.ArgumentTypeError):
        return "refused"


def placeholder(action):
    """Return the placeholder that argparse derives from the name."""
    return action.option_strings[-1].lstrip("-").replace("-", "_").upper() if action.option_strings else action.dest


def described(action):
    """Return everything about an option that a script can notice."""
    return {
        "action": type(action).__name__,
        "default": str(action.default),
        "values": {text: converted(action.type, text) for text in SAMPLES},
        "choices": None if action.choices is None else list(action.choices),
        "required": action.required,
        "nargs": action.nargs,
        "placeholder": action.metavar or placeholder(action),
    }


def options_of(parser, path="napari-sam"):
    """Return the options of a parser and of its sub-commands, by command."""
    found, children = {}, {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            children = action.choices
            found["(command)"] = {"choices": list(children), "required": action.required}
        else:
            found[" ".join(action.option_strings) or action.metavar or action.dest] = described(action)
    groups = parser._mutually_exclusive_groups
    exclusive = [[action.option_strings[0] for action in group._group_actions] for group in groups]
    options = {path: {"options": found, "exclusive": exclusive}}
    for name, child in children.items():
        options |= options_of(child, f"{path} {name}")
    return options


@pytest.fixture(scope="module")
def options():
    from napari_sam.cli.parser import command_parser

    return json.loads(json.dumps(options_of(command_parser())))


def test_the_commands_equal_those_of_version_0_1(options):
    assert list(options) == list(STORED)


@pytest.mark.parametrize("command", list(STORED))
def test_the_options_of_a_command_equal_those_of_version_0_1(options, command):
    assert options[command] == STORED[command]
