"""Files with several pictures: the scan is opened, not its label, and missing parts are not read as zeros."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tifffile

from napari_sam import open_image
from napari_sam.errors import ImageError

SET = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
    'DimensionOrder="XYCZT" Type="uint16" SizeX="30" SizeY="20" SizeC="4" SizeZ="1" SizeT="1">'
    + "".join(f'<Channel ID="Channel:0:{i}" SamplesPerPixel="1"/>' for i in range(4))
    + "".join(
        f'<TiffData FirstC="{i}" FirstT="0" FirstZ="0" IFD="{i % 2}" PlaneCount="1">'
        f'<UUID FileName="part{i // 2}.ome.tif">urn:uuid:{i // 2}</UUID></TiffData>'
        for i in range(4)
    )
    + "</Pixels></Image></OME>"
)


@pytest.fixture
def big(rng):
    return rng.integers(0, 60_000, (256, 320)).astype(np.uint16)


@pytest.fixture
def ome_set(tmp_path, rng):
    """An OME-TIFF of four channels in two files; returns the first file and the pixels."""
    pixels = rng.integers(0, 1000, (4, 20, 30)).astype(np.uint16)
    for part in range(2):
        xml = SET.replace("<OME ", f'<OME UUID="urn:uuid:{part}" ').encode()
        with tifffile.TiffWriter(tmp_path / f"part{part}.ome.tif", ome=False) as writer:
            for i in range(2):
                writer.write(pixels[2 * part + i], description=xml if i == 0 else None, metadata=None)
    return tmp_path / "part0.ome.tif", pixels


def test_a_thumbnail_before_the_scan_is_not_opened(tmp_path, big):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(big[::8, ::8], subfiletype=1)
        writer.write(big, tile=(64, 64))
    assert open_image(tmp_path / "a.tif").shape == big.shape


@pytest.mark.parametrize("name", ["label image", "Macro", "thumbnail", "position 1"])
def test_the_scan_of_an_ome_tiff_is_opened_and_the_others_are_named(tmp_path, big, name):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        writer.write(big[::8, ::8], metadata={"axes": "YX", "Name": name})
        writer.write(big, tile=(64, 64), metadata={"axes": "YX", "Name": "scan"})
    image = open_image(tmp_path / "a.ome.tif")
    assert image.shape == big.shape
    assert name in image.choices[0]
    assert open_image(tmp_path / "a.ome.tif", series=0).shape == (32, 40)
    with pytest.raises(ImageError, match="series is 2"):
        open_image(tmp_path / "a.ome.tif", series=2)


def test_a_macro_larger_than_the_scan_is_not_opened(tmp_path, big):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        writer.write(big, metadata={"axes": "YX", "Name": "macro image"})
        writer.write(big[:100, :100], metadata={"axes": "YX", "Name": "region"})
    assert open_image(tmp_path / "a.ome.tif").shape == (100, 100)


def test_a_chosen_series_is_opened_again_by_its_address(tmp_path, big):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(big[:50, :60])
        writer.write(big)
    image = open_image(tmp_path / "a.tif", series=0)
    again = open_image(image.uri)
    assert again.shape == (50, 60)
    assert again.identity == image.identity
    assert image.identity != open_image(tmp_path / "a.tif").identity


def test_a_mask_between_a_picture_and_its_reduced_copies_is_left_out(tmp_path, big):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(big, tile=(64, 64), photometric="minisblack")
        writer.write(big > 0, subfiletype=4, photometric="mask", compression="zlib")
        writer.write(big[::2, ::2], subfiletype=1, tile=(64, 64), photometric="minisblack")
    image = open_image(tmp_path / "a.tif")
    assert image.levels[:2] == [(256, 320), (128, 160)]
    assert (image.read(1, 0, 0, 128, 160)[..., 0] == big[::2, ::2]).all()


def test_planes_in_a_missing_file_of_a_set_are_refused_by_its_name(ome_set):
    path, pixels = ome_set
    path.with_name("part1.ome.tif").unlink()
    image = open_image(path, channels=(0, 2, 3))
    assert any("part1.ome.tif is missing" in note for note in image.choices)
    with pytest.raises(ImageError, match=r"it is in part1\.ome\.tif"):
        image.read(0, 0, 0, 20, 30)
    default = open_image(path)
    assert default.selected == (0,)
    assert (default.read(0, 0, 0, 20, 30)[..., 0] == pixels[0]).all()


def test_a_whole_set_is_read(ome_set):
    path, pixels = ome_set
    image = open_image(path, channels=(0, 2, 3))
    assert (image.read(0, 0, 0, 20, 30) == np.moveaxis(pixels[[0, 2, 3]], 0, -1)).all()
    assert not any("missing" in note for note in image.choices)


def test_every_file_of_a_set_opens_the_whole_set(ome_set):
    path, pixels = ome_set
    image = open_image(path.with_name("part1.ome.tif"), channels=(0, 1, 2))
    assert (image.read(0, 0, 0, 20, 30) == np.moveaxis(pixels[:3], 0, -1)).all()


def test_the_first_plane_is_not_that_of_another_file_when_its_own_is_missing(ome_set):
    path, _ = ome_set
    path.unlink()
    with pytest.raises(ImageError, match=r"it is in part0\.ome\.tif"):
        open_image(path.with_name("part1.ome.tif"), channels=(0,)).read(0, 0, 0, 20, 30)


_OME = """<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">
<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="40" SizeY="30" SizeC="1" SizeZ="1" SizeT="1"
PhysicalSizeX="0.25" PhysicalSizeY="0.5"><Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData/>
</Pixels></Image></OME>"""


@pytest.mark.parametrize("name", ["SizeX", "SizeY", "SizeC", "SizeZ", "SizeT", "DimensionOrder"])
def test_ome_metadata_without_a_size_leaves_the_pages_readable(tmp_path, name):
    pixels = np.arange(1200, dtype=np.uint8).reshape(30, 40)
    xml = re.sub(rf'\b{name}="\w+"', "", _OME)
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, description=xml.encode(), metadata=None)
    image = open_image(tmp_path / "a.ome.tif")
    assert np.array_equal(image.read(0, 0, 0, 30, 40)[..., 0], pixels)
    assert [note for note in image.notes if "OME" in note] == [f"its OME metadata lacks {name}: opened as a plain TIFF"]
    assert (image.scale, image.unit) == ((0.5, 0.25), "micrometer")
