"""Settings of an export."""

from __future__ import annotations

import pytest

from napari_sam.errors import LabelsError
from napari_sam.io.exports.export_settings import FORMATS, ExportSettings, extension_of
from src_models.settings import setting_infos


def test_the_defaults_export_everything_in_the_format_of_the_extension():
    assert (ExportSettings().format, ExportSettings().labels) == (None, None)


def test_an_unknown_format_is_named_with_the_known_ones():
    with pytest.raises(LabelsError, match="format is 'excel'; choose one of geojson") as raised:
        ExportSettings(format="excel")
    assert raised.value.parameter == "format"


def test_every_setting_has_a_help_for_the_command_line():
    infos = setting_infos(ExportSettings)
    assert infos["format"].choices == FORMATS
    assert infos["labels"].option == "--objects"
    assert all(info.help for info in infos.values())


def test_only_polygons_are_simplified():
    assert ExportSettings(format="roi", simplify_px=0.5).simplify_px == 0.5
    with pytest.raises(LabelsError, match="format 'csv' has no polygons"):
        ExportSettings(format="csv", simplify_px=1.0)
    with pytest.raises(LabelsError, match="simplify_px is -1"):
        ExportSettings(simplify_px=-1.0)


def test_every_format_has_an_extension():
    assert {extension_of(name)[0] for name in FORMATS} == {"."}
    with pytest.raises(LabelsError, match="format is 'excel'"):
        extension_of("excel")


def test_outlines_are_regularised_in_place_of_being_simplified():
    assert ExportSettings(format="gpkg", regularise_px=2.0).regularise_px == 2.0
    with pytest.raises(LabelsError, match="format 'coco' has no polygons"):
        ExportSettings(format="coco", regularise_px=2.0)
    with pytest.raises(LabelsError, match="give one of them"):
        ExportSettings(simplify_px=1.0, regularise_px=2.0)
    with pytest.raises(LabelsError, match="regularise_px is 0"):
        ExportSettings(regularise_px=0.0)
