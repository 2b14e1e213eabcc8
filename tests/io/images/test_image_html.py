"""An image shows itself in a notebook."""

from __future__ import annotations

import numpy as np
import tifffile

from napari_sam.io.images.image_html import pixel_size_text
from napari_sam.io.images.open_image import open_image
from tests.engine.showing.test_html import pictures_in


def test_the_essential_figures_are_shown(tmp_path):
    path = tmp_path / "cells.ome.tif"
    data = np.full((3, 2, 64, 48), 500, np.uint16)
    data[..., :32, :] = 100
    metadata = {"axes": "ZCYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(path, data, ome=True, metadata=metadata | {"PhysicalSizeYUnit": "µm"})
    html = open_image(path)._repr_html_()
    for text in ("cells.ome.tif", "64 x 48 px, uint16", "2, 1 of them used", "3 (z), plane (0,)", "0.25 um"):
        assert text in html
    (picture,) = pictures_in(html)
    assert picture.shape == (256, 192, 3)
    assert picture[10, 10].tolist() == [0, 0, 0]
    assert picture[-10, 10].tolist() == [255, 255, 255]


def test_an_image_that_cannot_be_read_shows_the_reason(tmp_path):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, np.random.default_rng(0).integers(0, 255, (512, 512), np.uint8), compression="zlib")
    image = open_image(path)
    path.write_bytes(path.read_bytes()[:2000])
    html = image._repr_html_()
    assert "512 x 512 px" in html
    assert "cannot be shown" in html


def test_the_pixel_size_has_a_unit_or_map_units():
    assert pixel_size_text((0.5, 0.5), "nanometer") == "0.5 nm"
    assert pixel_size_text((10.0, 20.0), None) == "10 x 20 map units"
