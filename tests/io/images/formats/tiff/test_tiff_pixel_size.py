"""Pixel sizes in OME-XML and ImageJ files."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from napari_sam.io.geo.axis_placement import AxisPlacement
from napari_sam.io.images.formats.tiff.tiff_pixel_size import axis_placements, ome_placements
from napari_sam.io.images.open_image import open_image

UM = "micrometer"
XML = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="0"><Pixels {}/></Image>{}</OME>'
SIZES = 'PhysicalSizeX="0.25" PhysicalSizeY="0.5" PhysicalSizeXUnit="{}" PhysicalSizeYUnit="{}"'


@pytest.mark.parametrize(
    ("sizes", "y", "x", "unit"),
    [
        (SIZES.format("&#181;m", "&#xB5;m"), 0.5, 0.25, UM),
        (SIZES.format("\u03bcm", "\u00b5m"), 0.5, 0.25, UM),
        (SIZES.replace('"', "'").format("um", "um"), 0.5, 0.25, UM),
        ('PhysicalSizeX="0.25" PhysicalSizeY="0.5"', 0.5, 0.25, UM),
        ('PhysicalSizeX="0.25" PhysicalSizeY="500" PhysicalSizeYUnit="nm"', 0.5, 0.25, UM),
        ('PhysicalSizeX="2.5E2" PhysicalSizeY="0.5" PhysicalSizeXUnit="nm"', 500, 250, "nanometer"),
    ],
)
def test_ome_sizes_are_read_as_xml(sizes, y, x, unit, tmp_path):
    pixels = 'DimensionOrder="XYCZT" Type="uint8" SizeX="9" SizeY="9" SizeC="1" SizeZ="1" SizeT="1" ' + sizes
    xml = XML.format(pixels, "").replace("/></Image>", "><TiffData/></Pixels></Image>")
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((9, 9), np.uint8), description=xml.encode(), metadata=None)
    image = open_image(tmp_path / "a.ome.tif")
    assert (image.scale, image.unit) == (pytest.approx((y, x)), unit)


def test_the_sizes_of_the_chosen_image_are_read():
    second = f'<Image ID="1"><Pixels {SIZES.format("mm", "mm")}/></Image>'
    assert ome_placements(XML.format(SIZES.format("um", "um"), second), 1)["x"] == AxisPlacement(0.25, 0, "millimeter")


@pytest.mark.parametrize(
    "xml",
    ["", "<OME", "<OME><Image></OME>", XML.format('PhysicalSizeX="3"', ""), "\x00", "<!DOCTYPE a [<!ENTITY b 'c'>]>"],
)
def test_xml_without_sizes_gives_none(xml):
    assert ome_placements(xml) == {}


def test_distances_of_planes_and_frames_are_read(tmp_path):
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2000, "TimeIncrement": 3.0}
    units = {"PhysicalSizeZUnit": "nm", "TimeIncrementUnit": "min"}
    stack = np.zeros((3, 4, 9, 9), np.uint8)
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "TZYX", **sizes, **units})
    image = open_image(tmp_path / "a.ome.tif")
    assert image.placement("z") == AxisPlacement(2, 0, UM)
    assert image.placement("t") == AxisPlacement(3, 0, "minute")


@pytest.mark.parametrize("unit", ["um", "micron", "microns", "\\u00B5m"])
def test_imagej_stacks_have_sizes_in_three_directions(tmp_path, unit):
    metadata = {"axes": "ZYX", "unit": unit, "spacing": 2.5}
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((3, 9, 9), np.uint8), imagej=True, resolution=(4, 2), metadata=metadata
    )
    image = open_image(tmp_path / "a.tif")
    assert (image.scale, image.unit, image.placement("z")) == ((0.5, 0.25), UM, AxisPlacement(2.5, 0, UM))


def test_an_imagej_file_in_pixels_is_not_calibrated(tmp_path):
    pixels = np.zeros((9, 9), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, resolution=(4, 2), metadata={"unit": "pixel"})
    assert (open_image(tmp_path / "a.tif").scale, open_image(tmp_path / "a.tif").unit) == ((1, 1), None)


def test_slides_of_akoya_have_pixels_per_centimetre(tmp_path):
    options = {"software": "PerkinElmer-QPI", "resolution": (20_000, 10_000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "a.qptiff", np.zeros((64, 64, 3), np.uint8), metadata=None, **options)
    image = open_image(tmp_path / "a.qptiff")
    assert (image.scale, image.unit) == ((1.0, 0.5), UM)


def test_voxels_of_zeiss_are_in_metres():
    metadata = {"VoxelSizeX": 2.5e-7, "VoxelSizeY": 5e-7, "VoxelSizeZ": 2e-6}
    flags = dict.fromkeys(("is_ome", "is_svs", "is_ndpi", "is_qpi", "is_scn", "is_imagej"), False)
    placements = axis_placements(SimpleNamespace(**flags, is_lsm=True, lsm_metadata=metadata), SimpleNamespace())
    assert {axis: (p.scale, p.unit) for axis, p in placements.items()} == {
        "z": (pytest.approx(2), UM),
        "y": (pytest.approx(0.5), UM),
        "x": (pytest.approx(0.25), UM),
    }
