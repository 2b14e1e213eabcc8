"""Declared commands, and the words in which they tell the library's errors."""

from __future__ import annotations

import argparse

import pytest

from napari_sam.cli.command import Command, CommandGroup, command_words, option_names
from napari_sam.cli.parser import command_parser
from napari_sam.errors import NapariSamError, SettingsError


def parse(*arguments):
    return command_parser().parse_args(arguments)


def everything_words():
    return parse("everything", "image.tif", "out.zarr").words


@pytest.fixture
def parser():
    """A parser with one command and one group."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()

    def add_options(command):
        command.add_argument("--side", type=int, dest="side_px")

    greet = Command("greet", "say hello", lambda args: {"side": args.side_px}, add_options, aliases=("hi",))
    greet.add_to(commands)
    CommandGroup("group", "hold a command", (Command("inner", "do nothing", lambda args: None),)).add_to(commands)
    return parser


def test_a_command_runs_by_its_name_and_its_aliases(parser):
    for name in ("greet", "hi"):
        args = parser.parse_args([name, "--side", "3", "--json"])
        assert args.run(args) == {"side": 3}
        assert args.json


def test_a_command_of_a_group_runs(parser):
    args = parser.parse_args(["group", "inner"])
    assert args.run(args) is None


def test_a_group_alone_is_refused(parser):
    with pytest.raises(SystemExit):
        parser.parse_args(["group"])


def test_options_are_found_by_the_name_of_their_argument():
    parser = argparse.ArgumentParser()
    parser.add_argument("--diameter", dest="diameter_px")
    parser.add_argument("image")
    assert option_names(parser) == {"help": "-h", "diameter_px": "--diameter"}


@pytest.mark.parametrize(
    ("remedy", "told"),
    [
        ("continue with {resume=True}", "continue with --resume"),
        ("drop it with {resume=False}", "drop it with --discard"),
        ("give another path, or {overwrite=True}", "give another path, or --overwrite"),
        ("leave such prompts out with {errors=skip}", "leave such prompts out with --skip-bad"),
        ("give a smaller {diameter_px} or {level}", "give a smaller --diameter or --level"),
        ("use {method=grid}", "use --method grid"),
        ("give less {points_per_side}", "give less --points-per-side"),
        ("lower {pred_iou_thresh} or {min_iou}", "lower --pred-iou or --min-score"),
        ("lower {stability_score_thresh}", "lower --stability"),
        ("lower {min_mask_region_area}", "lower --min-area"),
        ("see {LabelStore.create}", "see 'napari-sam everything'"),
        ("give {unknown=True}", "give unknown=True"),
    ],
)
def test_remedies_name_the_options_of_the_command(remedy, told):
    error = NapariSamError("wrong", remedy=remedy)
    assert command_words(error, everything_words()) == f"wrong; {told}"


@pytest.mark.parametrize(
    ("parameter", "option"),
    [
        ("diameter_px", "--diameter"),
        ("level", "--level"),
        ("points_per_side", "--points-per-side"),
        ("pred_iou_thresh", "--pred-iou"),
        ("min_iou", "--min-score"),
        ("stability_score_thresh", "--stability"),
        ("min_mask_region_area", "--min-area"),
    ],
)
def test_a_wrong_argument_is_named_by_its_option(parameter, option):
    error = SettingsError(f"{parameter} is -5", parameter=parameter, remedy="give more")
    assert command_words(error, everything_words()) == f"{option} is -5; give more"


def test_a_path_named_like_an_argument_is_kept():
    error = SettingsError("diameter_px.tif: cannot be read", remedy="check the path")
    assert command_words(error, everything_words()).startswith("diameter_px.tif: ")


def test_a_command_without_the_option_names_the_argument():
    error = NapariSamError("stopped", remedy="continue with {resume=True}")
    assert command_words(error, parse("info", "image.tif").words) == "stopped; continue with resume=True"
    assert command_words(error, parse("transcode", "i", "o").words) == "stopped; continue with --resume"


def test_messages_are_one_line():
    assert command_words(NapariSamError("two\n  lines"), {}) == "two lines"
