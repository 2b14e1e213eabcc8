"""Options made from settings classes, and settings made from options."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import pytest

from napari_sam.cli.options import ints
from napari_sam.cli.setting_options import SettingOption, add_settings, given_settings, settings_from
from napari_sam.errors import SettingsError
from src_models.settings import setting, validate


@dataclass(frozen=True)
class Example:
    side: int = setting(512, "side of a window", low=1, unit="px")
    overlap: str = setting("keep", "what happens to shared pixels", choices=("keep", "replace"))
    share: float | None = setting(None, "lowest share", low=0, high=1, option="--min-share")
    only: tuple[int, ...] | None = setting(None, "ids to use")
    quiet: bool = setting(False, "print less")
    coarser: bool = setting(True, "do not search coarser levels")

    def __post_init__(self):
        validate(self)


def parsed(*arguments, fields=None, defaults=False):
    parser = argparse.ArgumentParser()
    add_settings(parser, Example, fields, defaults=defaults)
    return parser.parse_args(arguments)


def test_omitted_options_keep_the_defaults_of_the_fields():
    args = parsed()
    assert given_settings(args, Example) == {}
    assert settings_from(args, Example) == Example()


def test_options_have_the_types_of_the_fields():
    args = parsed("--side", "64", "--overlap", "replace", "--min-share", "0.5", "--quiet", "--no-coarser")
    assert settings_from(args, Example) == Example(64, "replace", 0.5, quiet=True, coarser=False)


def test_values_outside_the_range_are_refused_with_the_field_and_a_remedy():
    with pytest.raises(SettingsError, match="from 1") as refused:
        settings_from(parsed("--side", "0"), Example)
    assert refused.value.parameter == "side"


def test_values_of_another_type_are_refused_by_the_parser():
    with pytest.raises(SystemExit):
        parsed("--side", "wide")
    with pytest.raises(SystemExit):
        parsed("--overlap", "mix")


def test_defaults_are_given_to_options_on_request():
    assert parsed(fields=("side",), defaults=True).side == 512


def test_fields_can_be_selected_and_renamed():
    fields = {"only": SettingOption(option="--objects", convert=ints, metavar="ID,ID")}
    assert settings_from(parsed("--objects", "1,7", fields=fields), Example).only == (1, 7)
    with pytest.raises(SystemExit):
        parsed("--side", "64", fields=fields)


def test_fields_without_an_option_are_passed_by_name():
    assert settings_from(parsed(), Example, side=9).side == 9


def test_help_is_the_phrase_of_the_field_with_its_default():
    parser = argparse.ArgumentParser()
    add_settings(parser, Example, {"side": SettingOption(), "share": SettingOption(default="0.7 for large models")})
    text = " ".join(parser.format_help().split())
    assert "--side PX side of a window (default: 512)" in text
    assert "--min-share V lowest share (default: 0.7 for large models)" in text
