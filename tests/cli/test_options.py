"""Every command keeps the options of version 0.1, which scripts rely on, stored in ``options.json``."""

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


def test_the_commands_of_version_0_1_are_kept(options):
    assert set(STORED) <= set(options)


@pytest.mark.parametrize("command", list(STORED))
def test_the_options_of_a_command_of_version_0_1_are_kept(options, command):
    """Only what every call of version 0.1 still means may differ: more choices, more inputs, fewer required options."""
    for name, stored in STORED[command]["options"].items():
        option = options[command]["options"][name]
        assert set(stored["choices"] or ()) <= set(option["choices"] or ()), name
        assert option["required"] <= stored["required"], name
        takes_more = option.get("nargs") == "*" and stored["nargs"] in (None, "?")
        same = {"action", "default", "values", "placeholder", "nargs"} & set(stored)
        same -= {"values", "default", "nargs"} if takes_more else set()
        assert {key: option[key] for key in same} == {key: stored[key] for key in same}, name
    exclusive = [set(group) for group in options[command]["exclusive"]]
    for group in STORED[command]["exclusive"]:
        assert any(set(group) <= other for other in exclusive), group
