"""The commands ``models`` and ``info``."""

from __future__ import annotations

import json

from napari_sam import samples
from napari_sam.cli import main

NUCLEI = str(samples.NUCLEI)


def test_info_describes_an_image(capsys):
    assert main(["info", NUCLEI, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shape"] == [512, 640]


def test_models_are_listed_and_described(capsys):
    assert main(["models", "list"]) == 0
    listed = capsys.readouterr().out
    assert "default" in listed
    assert "vit_h" in listed
    assert main(["models", "info", "vit_b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size_bytes"] == 375_042_383
